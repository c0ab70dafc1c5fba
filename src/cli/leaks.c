/* leaks.c: `memtap leaks`: what is alive at the end, by place. */
#include "cli/select.h"

static const struct mt_option own[] = {
    { "min-age", 0, MT_OPTION_DURATION, offsetof(struct mt_select, details.min_age_ns), NULL, NULL, 0, "T",
      "leave out places whose oldest allocation is younger than T at the end; default 0" },
    { "thread", 0, MT_OPTION_TEXT, offsetof(struct mt_select, what.thread), NULL, NULL, 0, "T",
      "only what this thread (id or name) allocated" },
    { "native", 0, MT_OPTION_SWITCH, offsetof(struct mt_select, native), NULL, NULL, 0, NULL,
      "show native frames in Python stacks too; default: Python frames only where there are any" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_places, mt_select_frames, mt_select_rows, mt_select_leaks, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "leaks",
    .summary = "what is alive at the end, by place",
    .synopsis = "memtap leaks [OPTIONS] FILE…",
    .description =
        "One row a place over all processes of the run: the line of the program that the memory is for, and behind the arrow "
        "what allocated it (see memtap table -h). \"growth\" is the slope of the live bytes over the run, \"oldest\" the age of "
        "the oldest block that is still alive. What importing modules left is summed up below. A suspect made many blocks, "
        "or made few larger again and again, freed hardly any, and most of it came over time. -f json is an array of {function, file, line, bytes, count, percent, age_s, score, "
        "growth_bytes_per_s, allocations, suspect, by[], stacks, stack[]}; score goes from 0 (all others from there were freed) to 1 "
        "(none was): 1 - (frees + 1) / (allocations + 2), where a realloc is no free.\n"
        "Memory that is alive at the end on purpose (caches, globals) is listed too: look at the growth.",
    .notes = mt_select_notes,
    .examples = "memtap leaks app.mtap\n"
                "memtap leaks --min-age 10s -n 5 app.mtap\n"
                "memtap leaks --stacks -n 3 app.mtap\n"
                "memtap leaks --by process app.mtap",
    .tables = tables,
};

static int leaks_main(int argc, char **argv)
{
    static const char *const next[] = { "leaks --stacks -n 3", "flamegraph", NULL };
    static const struct mt_reading_plan plan = { .doc = &doc, .report = MT_PROFILE_LEAKS, .default_rows = 20, .next = next };
    return mt_select_report(&plan, argc, argv);
}

const struct mt_command mt_command_leaks = { &doc, leaks_main };
