/* diff.c: `memtap diff`: what changed between two recordings, or two moments of one. */
#include "cli/next.h"
#include "cli/select.h"
#include "cli/traces.h"
#include "reader/diff_pair.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/progress.h"
#include "util/say.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct values {
    struct mt_select select; /* first: mt_select_what's fields */
    int by;
    int diff_format; /* enum mt_diff_format; -1: not given */
    uint64_t limit_bytes;
    double limit_share; /* of what was there before; 0: none given */
    bool limited;
};

/* A size, or a share of what was there before. */
static mt_status set_limit(void *context, const char *argument, struct mt_error *err)
{
    struct values *values = context;
    char *end = NULL;
    size_t bytes = strlen(argument);
    values->limited = true;
    if (mt_parse_size(argument, &values->limit_bytes)) {
        values->limit_share = 0;
        return MT_OK;
    }
    double percent = bytes > 1 && argument[bytes - 1] == '%' && strspn(argument, "0123456789.") == bytes - 1 ? strtod(argument, &end) : -1;
    if (percent < 0 || end != argument + bytes - 1) {
        return mt_error_set(err, MT_E_INVAL, "--fail-over: \"%s\" is not a size such as 512K or a share such as 5%%", argument);
    }
    values->limit_bytes = 0;
    values->limit_share = percent / 100;
    return MT_OK;
}

static const char *const by_words[] = { "line", "function", "file", NULL };
static const enum mt_table_by by_numbers[] = { MT_BY_LINE, MT_BY_FUNCTION, MT_BY_FILE };
static const char *const formats[] = { "table", "json", "csv", "ndjson", "markdown", "junit", NULL }; /* enum mt_diff_format */
static const struct mt_option own[] = {
    { "by", 0, MT_OPTION_CHOICE, offsetof(struct values, by), by_words, NULL, 0, "WHAT",
      "places are line (default), function or file" },
    { "fail-over", 0, MT_OPTION_CALL, 0, NULL, set_limit, MT_ARGUMENT_REQUIRED, "SIZE|PERCENT",
      "exit with 1 when the memory grew by more than SIZE, or by more than PERCENT (5%) of what was there before; in sample mode, "
      "when that is certain to 97.5 %" },
    { "rows", 'n', MT_OPTION_COUNT, offsetof(struct values, select.rows), NULL, NULL, 0, "ROWS",
      "show at most ROWS of each kind of change, default 10; 0: all; data formats show all unless told" },
    { "format", 'f', MT_OPTION_CHOICE, offsetof(struct values, diff_format), formats, NULL, 0, "FORMAT",
      "table, json, csv, ndjson, markdown (for a comment on a change) or junit (a test case for the whole and for each place that grew); default "
      "table, or by the suffix of -o" },
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard output (default)" },
    { 0 },
};
static const struct mt_option *const tables[] = { mt_select_what, own, mt_select_shown, NULL };

static const struct mt_command_doc doc = {
    .name = "diff",
    .summary = "what changed between two recordings",
    .synopsis = "memtap diff [OPTIONS] BEFORE AFTER",
    .description =
        "Compares the selected memory of two recordings place by place: what grew, shrank, appeared and vanished, with signed "
        "amounts, what changed most first. BEFORE and AFTER are files, or folders that hold the processes of a run; FILE@T is a "
        "recording at a moment, so that one can be compared with itself.\n"
        "\n"
        "Places are known by function, file and line, never by address, and so across builds, machines and virtual environments: a "
        "line that moved within its function, a folder that has another name and the hashes that compilers put into names make no "
        "difference. Functions without a name are told apart by address while the binary is the same one, by build-id; binaries "
        "that were built anew are named on standard error.\n"
        "\n"
        "-f json is {before, after, bytes, count, rebuilt[], rows[]}, a row {change, function, file, line, bytes, count, before_bytes, "
        "before_count, after_bytes, after_count, stack[]}; bytes and count are after minus before.",
    .notes = mt_select_notes,
    .exit_codes = "0  done\n"
                  "1  grew by more than --fail-over allows, or a recording cannot be read\n"
                  "2  wrong usage",
    .examples = "memtap diff old.mtap new.mtap\n"
                "memtap diff app.mtap@10s app.mtap@60s\n"
                "memtap diff --leaks --by function --fail-over 5% main.mtap branch.mtap\n"
                "memtap diff -f markdown -o comment.md main.mtap branch.mtap\n"
                "memtap diff --leaks --fail-over 1M -f junit -o memory.xml main.mtap branch.mtap",
    .tables = tables,
    .one_of = mt_select_one_of,
};

static enum mt_diff_format format_of(const struct values *values)
{
    const char *output = values->select.output;
    size_t bytes = output != NULL ? strlen(output) : 0;
    if (values->diff_format >= 0) {
        return (enum mt_diff_format)values->diff_format;
    }
    return bytes > 3 && strcmp(output + bytes - 3, ".md") == 0 ? MT_DIFF_MARKDOWN
                                                               : (enum mt_diff_format)mt_select_format(&values->select);
}

static bool show_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
    return true;
}

static mt_status open_side(struct mt_report_job *job, const char *name, const struct values *values, int *ret_code, struct mt_error *err)
{
    char *path = mt_strdup(name);
    *job = (struct mt_report_job){ .selection = values->select.what,
                                   .details = values->select.details,
                                   .native = values->select.native,
                                   .all_frames = values->select.all_frames };
    *ret_code = MT_EXIT_USAGE;
    mt_status status = mt_select_take_moment(path, &job->selection, err);
    if (status == MT_OK) {
        status = mt_traces_open(&path, 1, &job->recording, ret_code, err);
    }
    free(path);
    return status;
}

static mt_status load_pair(struct mt_diff_pair *pair, const struct values *values, int *ret_code, struct mt_error *err)
{
    struct mt_progress progress;
    for (int side = 0; side < MT_DIFF_SIDES; side++) {
        mt_status status = open_side(&pair->job[side], pair->name[side], values, ret_code, err);
        if (status != MT_OK) {
            return status;
        }
        pair->job[side].load.progress = show_progress;
        pair->job[side].load.context = &progress;
    }
    mt_progress_begin(&progress, "reading", values->select.quiet_progress);
    mt_status status = mt_diff_pair_make(pair, err);
    *ret_code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    mt_progress_end(&progress);
    return status;
}

static void say_builds(const struct mt_diff *diff)
{
    enum { SHOWN = 3 };
    for (size_t i = 0; i < diff->build_count && i < SHOWN; i++) {
        mt_say("memtap: note: %s is not the same binary on both sides (build-id %.8s, then %.8s): its functions are matched by name",
               diff->builds[i].module, diff->builds[i].before, diff->builds[i].after);
    }
    if (diff->build_count > SHOWN) {
        mt_say("memtap: note: %zu more binaries are not the same (-f json names them)", diff->build_count - SHOWN);
    }
}

static void say_warnings(const struct mt_report *shown)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(shown->set, shown->analysis, shown->frames, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_say("memtap: note: %s", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

/* In bytes, what --fail-over allows. */
static double allowed_bytes(const struct values *values, const struct mt_diff *diff)
{
    return values->limit_share > 0 ? values->limit_share * (double)diff->sum[MT_DIFF_BEFORE].bytes : (double)values->limit_bytes;
}

static mt_status write_pair(const struct values *values, const struct mt_diff_pair *pair, struct mt_error *err)
{
    enum mt_diff_format format = format_of(values);
    bool for_people = format == MT_DIFF_TABLE || format == MT_DIFF_MARKDOWN;
    struct mt_out *out;
    mt_status status = mt_out_open(values->select.output, &out, err);
    if (status != MT_OK) {
        return status;
    }
    mt_diff_pair_write(out, pair, format, values->select.rows != UINT64_MAX ? (size_t)values->select.rows : for_people ? 10 : 0);
    return mt_out_commit(out, err);
}

/* Where the memory of the second is. */
static void say_next(const struct values *values, const struct mt_diff_pair *pair)
{
    static const char *const next[] = { "leaks", "table", NULL };
    char *after = mt_strdup(pair->name[MT_DIFF_AFTER]);
    if (format_of(values) == MT_DIFF_TABLE && values->select.output == NULL) {
        mt_next_say(next, &after, 1);
    }
    free(after);
}

static int report(const struct values *values, struct mt_diff_pair *pair)
{
    struct mt_error err = { 0 };
    pair->limited = values->limited;
    pair->limit_bytes = allowed_bytes(values, &pair->diff);
    if (write_pair(values, pair, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    say_builds(&pair->diff);
    say_warnings(&pair->job[MT_DIFF_BEFORE].shown);
    say_warnings(&pair->job[MT_DIFF_AFTER].shown);
    say_next(values, pair);
    if (values->limited && mt_diff_is_over(&pair->diff, pair->limit_bytes)) {
        mt_say("memtap diff: the memory grew by %s, more than --fail-over allows", mt_human_bytes((double)pair->diff.bytes).text);
        return MT_EXIT_FAILED;
    }
    return MT_EXIT_OK;
}

static int diff_main(int argc, char **argv)
{
    struct values values = { .select = MT_SELECT_DEFAULTS, .diff_format = -1 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count != 2) {
        (void)mt_error_set(&err, MT_E_INVAL, "give two recordings: memtap diff BEFORE AFTER");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    struct mt_diff_pair pair = { .name = { operands.items[0], operands.items[1] }, .by = by_numbers[values.by] };
    mt_status status = load_pair(&pair, &values, &code, &err);
    code = status == MT_OK ? report(&values, &pair) : mt_command_fail(&doc, code, &err);
    mt_diff_pair_fini(&pair);
    mt_recording_free(pair.job[MT_DIFF_BEFORE].recording);
    mt_recording_free(pair.job[MT_DIFF_AFTER].recording);
    return code;
}

const struct mt_command mt_command_diff = { &doc, diff_main };
