/* export.c: `memtap export`: the selected memory for other tools. */
#include "cli/select.h"

struct values {
    struct mt_select select; /* first: mt_select_what's fields */
    const char *format;
};

static const struct mt_option own[] = {
    { "format", 'f', MT_OPTION_TEXT, offsetof(struct values, format), NULL, NULL, 0, "FORMAT",
      "collapsed, speedscope, pprof, csv, json, chrome or heaptrack; default by the suffix of -o" },
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard output (default)" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_what, mt_select_leaks, NULL };

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
    .one_of = mt_select_one_of,
};

static int export_main(int argc, char **argv)
{
    struct values values = { .select = MT_SELECT_DEFAULTS };
    struct mt_reading reading = { .doc = &doc, .select = &values.select };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (mt_export_choose(values.format, values.select.output, &reading.exporter, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    return mt_select_read(&reading, &operands);
}

const struct mt_command mt_command_export = { &doc, export_main };
