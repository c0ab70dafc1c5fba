/* pack.c: `memtap pack`: rewrites finished traces compactly; run does it by itself. */
#include "analysis/summary.h"
#include "cli/command.h"
#include "cli/outcome.h"
#include "cli/select.h"
#include "launch/fold.h"
#include "reader/failure.h"
#include "symbol/pyline.h"
#include "util/human.h"
#include "util/progress.h"
#include "util/say.h"
#include "util/tracepath.h"
#include "wire/pack.h"

#include <stdio.h>

struct values {
    const char *output;
    bool quiet;
    int format;
    struct mt_outcome outcome; /* of -f json */
};

static const struct mt_option own[] = {
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, output), NULL, NULL, 0, "OUT",
      "write the packed trace to OUT; default: replace FILE" },
    { "quiet", 'q', MT_OPTION_FLAG, offsetof(struct values, quiet), NULL, NULL, 0, NULL, "print nothing" },
    MT_OUTCOME_OPTION(offsetof(struct values, format), MT_OUTCOME_ABOUT),
    { 0 },
};
static const struct mt_option *const tables[] = { own, NULL };

static const struct mt_command_doc doc = {
    .name = "pack",
    .summary = "compress finished traces",
    .synopsis = "memtap pack [-o OUT] FILE…",
    .description =
        "Rewrites a finished trace compactly. A packed trace says exactly what the unpacked one said. `memtap run` "
        "does this at the end unless told --no-pack, faster and up to half larger: `memtap pack -o OUT` packs such a "
        "trace again. FILE stays as it was until the new one is complete. Processes of the run that lie in FILE.d, because memtap was killed, are put "
        "into FILE too.\n"
        "-f json is an array of {file, output, before_bytes, after_bytes}.",
    .examples = "memtap pack app.mtap",
    .tables = tables,
};

static void show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
}

static void put_result(struct mt_json *json, const char *path, const struct values *values, const struct mt_pack_result *result)
{
    mt_json_object(json);
    mt_json_put_text(json, "file", path);
    mt_json_put_text(json, "output", values->output != NULL ? values->output : path);
    mt_json_put_u64(json, "before_bytes", result->before_bytes);
    mt_json_put_u64(json, "after_bytes", result->after_bytes);
    mt_json_object_end(json);
}

static mt_status pack_one(const char *path, struct values *values, struct mt_error *err)
{
    struct mt_progress progress;
    struct mt_pack_result result = { 0 };
    struct mt_wire_error wire = { 0 };
    struct mt_pack_options options = { .writer_is_gone = true,
                                       .summarize = mt_summary_make,
                                       .lines_of = mt_pyline_lookup_all,
                                       .progress = show,
                                       .context = &progress };
    mt_status status = mt_fold_prepare(path, err);
    if (status != MT_OK) {
        return status;
    }
    mt_progress_begin(&progress, "packing", values->quiet);
    status = mt_pack(path, values->output, &options, &result, &wire);
    if (status == MT_OK) {
        status = mt_fold_rest(path, values->output, &options, &result, err);
    } else {
        (void)mt_failure_explain_open(status, path, &wire, err);
    }
    mt_progress_end(&progress);
    if (status != MT_OK) {
        return status;
    }
    if (values->format == MT_OUTCOME_JSON) {
        put_result(&values->outcome.json, path, values, &result);
    } else if (!values->quiet) {
        mt_say("%s: %s -> %s", path, mt_human_bytes((double)result.before_bytes).text,
               mt_human_bytes((double)result.after_bytes).text);
    }
    return MT_OK;
}

/* What was packed before a failure is told too. */
static mt_status pack_all(const struct mt_strlist *paths, struct values *values, int *ret_code, struct mt_error *err)
{
    bool json = values->format == MT_OUTCOME_JSON;
    mt_status status = json ? mt_outcome_begin(&values->outcome, err) : MT_OK;
    if (status != MT_OK) {
        return status;
    }
    if (json) {
        mt_json_array(&values->outcome.json);
    }
    for (size_t i = 0; status == MT_OK && i < paths->count; i++) {
        status = pack_one(paths->items[i], values, err);
    }
    *ret_code = MT_EXIT_OK;
    if (json) {
        mt_json_array_end(&values->outcome.json);
        *ret_code = mt_outcome_end(&doc, &values->outcome);
    }
    return status;
}

static int pack_main(int argc, char **argv)
{
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_strlist paths = { 0 };
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count == 0 || (values.output != NULL && operands.count > 1)) {
        (void)mt_error_set(&err, MT_E_INVAL,
                           operands.count == 0 ? "which trace? give a FILE (*.mtap)" : "-o goes with one FILE");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_status status = mt_tracepath_expand(operands.items, operands.count, &paths, &err);
    if (status == MT_OK) {
        status = pack_all(&paths, &values, &code, &err);
    }
    mt_strlist_clear(&paths);
    return status == MT_OK ? code : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
}

const struct mt_command mt_command_pack = { &doc, pack_main };
