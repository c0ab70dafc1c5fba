/* diff_pair.h: two recordings loaded alike and compared: what the command and the library share.
 *
 * Context: [tool].
 */
#ifndef MT_READER_DIFF_PAIR_H
#define MT_READER_DIFF_PAIR_H

#include "export/diff_view.h"
#include "reader/reports.h"

struct mt_diff_pair {
    struct mt_report_job job[MT_DIFF_SIDES]; /* recording, selection, details and progress are the caller's */
    const char *name[MT_DIFF_SIDES];         /* as the person called them; the caller's */
    enum mt_table_by by;                     /* MT_BY_LINE, MT_BY_FUNCTION or MT_BY_FILE */
    struct mt_table table[MT_DIFF_SIDES];
    struct mt_diff diff;
    bool limited;       /* of JUnit's cases, as in diff_view.h; the caller's */
    double limit_bytes;
};

/* Loads both and compares them. Failures name the side. mt_diff_pair_fini also after one. */
mt_status mt_diff_pair_make(struct mt_diff_pair *pair, struct mt_error *err) MT_CHECKED;
/* rows: at most so many of each kind of change; 0: all. */
void mt_diff_pair_write(struct mt_out *out, const struct mt_diff_pair *pair, enum mt_diff_format format, size_t rows);
void mt_diff_pair_fini(struct mt_diff_pair *pair); /* leaves the recordings open */

#endif
