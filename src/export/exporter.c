/* exporter.c: the list of export formats. */
#include "export/exporter.h"

#include <string.h>

enum { CHROME_POINTS = 2000 };

const struct mt_exporter mt_exporters[] = {
    { "collapsed", ".collapsed", "one line a stack, `outer;inner BYTES` (flamegraph.pl, speedscope, inferno)", true, 0,
      mt_export_collapsed, NULL },
    { "speedscope", ".speedscope.json", "speedscope.app, bytes and allocations as two profiles", true, 0,
      mt_export_speedscope, NULL },
    { "pprof", ".pb", "profile.proto for `go tool pprof` (uncompressed protobuf)", false, 0, mt_export_pprof, NULL },
    { "csv", ".csv", "one row a stack, thread and allocator", false, 0, mt_export_csv, NULL },
    { "json", ".json", "one object: the recording, and one item a stack, thread and allocator", false, 0,
      mt_export_json, NULL },
    { "chrome", ".trace.json", "heap and RSS over time as counters (chrome://tracing, Perfetto)", false, CHROME_POINTS,
      mt_export_chrome, NULL },
    { "heaptrack", ".heaptrack", "every malloc-like event for heaptrack_gui and heaptrack_print", false, 0, NULL,
      mt_export_heaptrack },
    { 0 },
};

const struct mt_exporter *mt_exporter_find(const char *name)
{
    for (const struct mt_exporter *e = mt_exporters; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0) {
            return e;
        }
    }
    return NULL;
}

const struct mt_exporter *mt_exporter_by_suffix(const char *path)
{
    const struct mt_exporter *best = NULL;
    size_t length = strlen(path);
    for (const struct mt_exporter *e = mt_exporters; e->name != NULL; e++) {
        size_t bytes = strlen(e->suffix);
        bool matches = length > bytes && strcmp(path + length - bytes, e->suffix) == 0;
        if (matches && (best == NULL || bytes > strlen(best->suffix))) {
            best = e;
        }
    }
    return best;
}
