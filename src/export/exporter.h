/* exporter.h: traces for other tools, one writer a format.
 *
 * Decides: which formats there are and what each is given. Writers stream; every format was checked against a real
 * reader of it (tests/integration/test_cli.py). Context: [tool].
 */
#ifndef MT_EXPORT_EXPORTER_H
#define MT_EXPORT_EXPORTER_H

#include "analysis/tree.h"
#include "export/report.h"

/* Borrowed. */
struct mt_export_input {
    const struct mt_report *report;
    const struct mt_profile *profile; /* the selected measure, split by thread and allocator */
    const struct mt_profile *total;   /* everything ever allocated, split the same way */
    const struct mt_tree *tree;       /* call tree of profile, by line; NULL unless needs_tree */
};

struct mt_exporter {
    const char *name;
    const char *suffix; /* of a file of this format, to guess the format from -o */
    const char *what;   /* for help */
    bool needs_tree;
    size_t timeline_points;
    void (*write)(struct mt_out *out, const struct mt_export_input *input);
    /* Instead of write, for formats made of events: the selection does not apply, and the set has one trace. */
    mt_status (*write_events)(struct mt_out *out, const struct mt_report *report, struct mt_error *err);
};

extern const struct mt_exporter mt_exporters[]; /* name NULL ends */
/* NULL: no such format. */
const struct mt_exporter *mt_exporter_find(const char *name);
/* By the longest matching suffix of a path; NULL: none. */
const struct mt_exporter *mt_exporter_by_suffix(const char *path);

void mt_export_collapsed(struct mt_out *out, const struct mt_export_input *input);
void mt_export_speedscope(struct mt_out *out, const struct mt_export_input *input);
void mt_export_pprof(struct mt_out *out, const struct mt_export_input *input);
void mt_export_csv(struct mt_out *out, const struct mt_export_input *input);
void mt_export_json(struct mt_out *out, const struct mt_export_input *input);
void mt_export_chrome(struct mt_out *out, const struct mt_export_input *input);
mt_status mt_export_heaptrack(struct mt_out *out, const struct mt_report *report, struct mt_error *err) MT_CHECKED;

#endif
