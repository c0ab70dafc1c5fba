/* export.c: `memtap export`: the selected memory for other tools. */
#include "cli/select.h"
#include "export/exporter.h"

#include <string.h>

struct values {
    struct mt_select select; /* first: mt_select_load */
    const char *format;
};

static const struct mt_option own[] = {
    { "format", 'f', MT_OPTION_TEXT, offsetof(struct values, format), NULL, NULL, 0, "FORMAT",
      "collapsed, speedscope, pprof, csv, json, chrome or heaptrack; default by the suffix of -o" },
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard output (default)" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_what, NULL };

static const struct mt_command_doc doc = {
    .name = "export",
    .summary = "the selected memory for other tools",
    .synopsis = "memtap export [OPTIONS] --format FORMAT -o OUT FILE…",
    .description =
        "collapsed   (*.collapsed) one line a stack, outermost first, `a;b;c BYTES`: flamegraph.pl, inferno, "
        "speedscope\n"
        "speedscope  (*.speedscope.json) speedscope.app: bytes and allocations as two profiles\n"
        "pprof       (*.pb) profile.proto, uncompressed: go tool pprof; inuse_* is the selection, alloc_* everything\n"
        "csv         (*.csv) one row a stack, thread and allocator\n"
        "json        (*.json) the same with facts of the recording\n"
        "chrome      (*.trace.json) heap and RSS over time as counters: chrome://tracing, Perfetto\n"
        "heaptrack   (*.heaptrack) every malloc-like event of one process, without selection: heaptrack_gui, "
        "heaptrack_print",
    .notes = mt_select_notes,
    .examples = "memtap export --format speedscope -o app.speedscope.json app.mtap\n"
                "memtap export --leaks -o leaks.pb app.mtap && go tool pprof -top leaks.pb\n"
                "memtap export -f collapsed app.mtap | flamegraph.pl --countname bytes > app.svg",
    .tables = tables,
};

struct context {
    const struct mt_exporter *exporter;
    const struct mt_loaded *loaded;
};

static mt_status make_total(const struct mt_loaded *loaded, struct mt_profile *ret)
{
    struct mt_profile_options options = {
        .measure = MT_MEASURE_TOTAL, .by_thread = true, .by_allocator = true, .thread_tid = loaded->thread_tid
    };
    return mt_profile_make(&loaded->set, &loaded->analysis, &options, ret);
}

static mt_status write(struct mt_out *out, const struct mt_report *report, void *context, struct mt_error *err)
{
    const struct context *c = context;
    if (c->exporter->write_events != NULL) {
        return c->exporter->write_events(out, report, err);
    }
    struct mt_profile total = { 0 };
    struct mt_tree tree = { 0 };
    mt_status status = make_total(c->loaded, &total);
    if (status == MT_OK && c->exporter->needs_tree) {
        status = mt_tree_make(&c->loaded->profile, report->frames, NULL, &tree);
    }
    if (status == MT_OK) {
        struct mt_export_input input = {
            .report = report, .profile = &c->loaded->profile, .total = &total, .tree = &tree
        };
        c->exporter->write(out, &input);
    } else {
        (void)mt_error_set(err, status, "cannot prepare the export: %s", mt_status_text(status));
    }
    mt_tree_fini(&tree);
    mt_profile_fini(&total);
    return status;
}

static const struct mt_exporter *choose(const struct values *values, struct mt_error *err)
{
    const struct mt_exporter *exporter = NULL;
    if (values->format != NULL) {
        exporter = mt_exporter_find(values->format);
        (void)mt_error_set(err, MT_E_INVAL,
                           "--format: \"%s\" is not one of collapsed, speedscope, pprof, csv, json, chrome, "
                           "heaptrack",
                           values->format);
    } else {
        exporter = values->select.output != NULL ? mt_exporter_by_suffix(values->select.output) : NULL;
        (void)mt_error_set(err, MT_E_INVAL,
                           "which format? give --format collapsed, speedscope, pprof, csv, json, chrome "
                           "or heaptrack");
    }
    return exporter;
}

static int export_main(int argc, char **argv)
{
    struct values values = { .select = MT_SELECT_DEFAULTS };
    struct mt_operands operands;
    struct mt_loaded loaded = { 0 };
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    const struct mt_exporter *exporter = choose(&values, &err);
    if (exporter == NULL) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    struct mt_load_options options = {
        .frames = true, .by_thread = true, .by_allocator = true, .timeline_points = exporter->timeline_points
    };
    if (mt_select_load(&values.select, &operands, &options, &loaded, &code, &err) != MT_OK) {
        code = mt_command_fail(&doc, code, &err);
    } else if (exporter->write_events != NULL && loaded.set.count != 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "%s files hold one process: give one FILE", exporter->name);
        code = mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    } else {
        struct mt_report report = mt_select_report(&values.select, &loaded, 0);
        struct context context = { exporter, &loaded };
        code = mt_select_write(&doc, &values.select, &report, write, &context);
    }
    mt_loaded_fini(&loaded);
    return code;
}

const struct mt_command mt_command_export = { &doc, export_main };
