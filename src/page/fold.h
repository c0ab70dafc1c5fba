/* fold.h: what is too small to be seen becomes one with what is beside it.
 *
 * Decides: a node stays when it has at least a share of what is held, allocated or temporary, of everything, or a larger one of what
 * began in some interval between the edges; the others under one parent are one node instead, and lines too small are one line. No row
 * is dropped: rows that nothing tells apart any more are added up, with their cells, so that all sums stay what they are. Context: [tool].
 */
#ifndef MT_PAGE_FOLD_H
#define MT_PAGE_FOLD_H

#include "page/rows.h"

/* share 0 keeps everything, more than 1 nothing. ret to mt_page_rows_fini; it borrows from `rows`, which stays. */
void mt_page_fold(const struct mt_page_rows *rows, double share, struct mt_page_rows *ret);

#endif
