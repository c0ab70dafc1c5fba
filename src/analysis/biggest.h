/* biggest.h: the one row of a table by line that is told of a run, without looking up all names.
 *
 * Decides: which row that is, and when it is certain. Modules are there to stay: an import is the biggest only where no line
 * of the program holds a fiftieth (a native one a tenth). Stacks of Python are known without opening a binary. Of the others the largest are looked
 * up, and more, until no row that what is left may belong to could take the place of the first: an unnamed stack may be
 * anybody's native line, but no line or import of Python's. The answer is that of the whole table. Context: [tool].
 */
#ifndef MT_ANALYSIS_BIGGEST_H
#define MT_ANALYSIS_BIGGEST_H

#include "analysis/table.h"

/* Of a whole table by line; NULL: it has no rows. */
const struct mt_table_row *mt_biggest_row(const struct mt_table *table, struct mt_frames *frames);
/* *ret: a table by line with at least that row, whose `self` and stacks are whole; its other rows and every `total` may not
 * be. *ret_row: in it; NULL: the profile is empty. ret to mt_table_fini. */
mt_status mt_biggest_make(const struct mt_trace_set *set, const struct mt_profile *profile, struct mt_places *places,
                          struct mt_table *ret, const struct mt_table_row **ret_row) MT_CHECKED;

#endif
