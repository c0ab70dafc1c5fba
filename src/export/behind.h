/* behind.h: what stands behind a row: what allocated there, or the lines that called what allocated.
 *
 * A native line that called no other function called the allocator itself: "malloc", "mmap".
 *
 * Context: [tool].
 */
#ifndef MT_EXPORT_BEHIND_H
#define MT_EXPORT_BEHIND_H

#include "analysis/rowstacks.h"
#include "export/paths.h"
#include "export/report.h"

struct mt_behind_name {
    char *text;
    uint64_t bytes;
};

struct mt_behind {
    struct mt_behind_name *names; /* most bytes first, of a hundredth of the row or more; may be none */
    size_t count;
    size_t stacks; /* different ones, as they are shown */
};

/* paths: how lines are written where the report is inverted. ret to mt_behind_fini. */
void mt_behind_make(const struct mt_report *report, const struct mt_rowstacks *all, const struct mt_row_stacks *row,
                    const struct mt_paths *paths, struct mt_behind *ret);
void mt_behind_fini(struct mt_behind *behind);

/* What allocated in one stack, in words; NULL: nothing but the place is known. list: the frames of the stack; place: found in it.
 * malloc'ed. */
char *mt_behind_by(struct mt_places *places, const struct mt_row_stack *stack, const struct mt_frame_list *list,
                   const struct mt_place *place);

/* "cache.py:31 handle" of a frame, "SSL_new (libssl.so.3)" where no source is known, as far as by tells its rows apart. whole: the function with its arguments. malloc'ed. */
char *mt_behind_line(const struct mt_frame *frame, enum mt_table_by by, bool whole, const struct mt_paths *paths);

#endif
