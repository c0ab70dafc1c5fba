/* leaks.c: `memtap leaks`: what is alive at the end, by place. */
#include "cli/select.h"
#include "export/rows.h"

struct values {
    struct mt_select select; /* first: mt_select_main */
    uint64_t min_age_ns;
};

static const struct mt_option own[] = {
    { "min-age", 0, MT_OPTION_DURATION, offsetof(struct values, min_age_ns), NULL, NULL, 0, "T",
      "leave out places whose oldest allocation is younger than T at the end; default 0" },
    { "thread", 0, MT_OPTION_TEXT, offsetof(struct values, select.thread), NULL, NULL, 0, "T",
      "only what this thread (id or name) allocated" },
    { "native", 0, MT_OPTION_SWITCH, offsetof(struct values, select.native), NULL, NULL, 0, NULL,
      "show native frames in Python stacks too; default: Python frames only where there are any" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_rows, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "leaks",
    .summary = "what is alive at the end, by place",
    .synopsis = "memtap leaks [OPTIONS] FILE…",
    .description =
        "One row a stack, largest first. \"age\" is that of the oldest allocation still alive; \"score\" goes from 0 "
        "(all "
        "others from there were freed) to 1 (none was): 1 - (frees + 1) / (allocations + 2); \"growth\" is the slope "
        "of the "
        "live bytes over the run. -f json is an array of {function, file, line, bytes, count, percent, age_s, score, "
        "growth_bytes_per_s, stack[]}.\n"
        "Memory that is alive at the end on purpose (caches, globals, the interpreter's own) is listed too: look at "
        "the "
        "score and the growth.",
    .notes = mt_select_notes,
    .examples = "memtap leaks app.mtap\n"
                "memtap leaks --min-age 10s -n 5 app.mtap",
    .tables = tables,
};

static mt_status write(struct mt_out *out, const struct mt_report *report, void *context, struct mt_error *err)
{
    struct mt_leaks leaks = { 0 };
    const struct mt_reading *reading = context;
    double min_age_s = (double)((const struct values *)reading->values)->min_age_ns / 1e9;
    mt_status status = mt_leaks_make(report->set, report->analysis, min_age_s, reading->loaded.thread_tid, &leaks);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot list the leaks: %s", mt_status_text(status));
    }
    mt_rows_write_leaks(out, report, &leaks);
    mt_leaks_fini(&leaks);
    return MT_OK;
}

static int leaks_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = { .doc = &doc, .write = write, .default_rows = 20, .frames = true };
    struct values values = { .select = MT_SELECT_DEFAULTS };
    values.select.selection = MT_SELECT_LEAKS;
    return mt_select_main(&plan, &values, argc, argv);
}

const struct mt_command mt_command_leaks = { &doc, leaks_main };
