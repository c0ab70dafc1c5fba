/* diff.h: what changed between two tables, place by place.
 *
 * Decides: which row of the one is which row of the other. A place is known by its names, never by an address: its
 * function, file and line. Rows that are the same in all of these belong together first; what is left over is looked at
 * again with less: the line may have moved, the folder may be another one (a second checkout, another virtual
 * environment, a version in a library's name). Suffixes that compilers make up anew (Rust's hashes, .constprop.0) never
 * count. Leftovers that look alike are joined in order of their lines when there are as many on both sides; a place is
 * never guessed otherwise: it has vanished, another one has appeared. Functions without a name are told apart by their
 * address only while the binary is the same one, by build-id.
 * Rows are sorted by what changed most; equal input gives equal output. Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_DIFF_H
#define MT_ANALYSIS_DIFF_H

#include "analysis/table.h"

enum mt_change { MT_CHANGE_GREW, MT_CHANGE_SHRANK, MT_CHANGE_APPEARED, MT_CHANGE_VANISHED, MT_CHANGE_NONE, MT_CHANGE__COUNT };
const char *mt_change_word(enum mt_change change); /* "grew", "shrank", "appeared", "vanished", "same" */

enum { MT_DIFF_BEFORE, MT_DIFF_AFTER, MT_DIFF_SIDES };

struct mt_diff_side {
    const struct mt_table *table;
    const struct mt_frames *frames;
    const struct mt_trace_set *set;
};

struct mt_diff_row {
    const struct mt_frame *frame; /* of the later side where it is there; the resolver's */
    uint32_t row[MT_DIFF_SIDES];  /* of the table; UINT32_MAX: not there */
    struct mt_amount amount[MT_DIFF_SIDES];
    int64_t bytes, count;         /* after minus before */
    double bytes_variance;        /* of the difference; 0 exact */
    enum mt_change change;        /* by bytes; by count where bytes are equal */
};

/* A binary of both sides that was built anew in between. */
struct mt_diff_build {
    const char *module; /* path on the later side, the set's */
    char before[41], after[41]; /* build-ids in hexadecimal, "" without one */
};

struct mt_diff {
    struct mt_diff_row *rows; /* without those that hold nothing on either side */
    size_t count;
    struct mt_diff_build *builds;
    size_t build_count;
    struct mt_amount sum[MT_DIFF_SIDES];
    int64_t bytes;
    double bytes_variance;
};

/* by: MT_BY_LINE, MT_BY_FUNCTION or MT_BY_FILE, as both tables were made. Tables, frames and sets must outlive ret. */
void mt_diff_make(const struct mt_diff_side sides[MT_DIFF_SIDES], enum mt_table_by by, struct mt_diff *ret);
void mt_diff_fini(struct mt_diff *diff);
/* Did it grow by more than that for certain (in sample mode, to 97.5 %)? */
bool mt_diff_is_over(const struct mt_diff *diff, double limit_bytes);

#endif
