/* frame.h: what `memtap top` shows, as lines.
 *
 * Decides: what stands where. The heap, its growth and the limit first, then a line a site, the keys last. What does not fit the width goes
 * to another line (facts) or is cut where it says least (places); nothing is ever wider than the screen. Context: [tool], pure.
 */
#ifndef MT_TOP_FRAME_H
#define MT_TOP_FRAME_H

#include "top/look.h"
#include "util/terminal.h"

/* columns 0: no terminal, nothing is cut. rows: of the screen; 0: as many as there are sites, without keys, but at most `limit` sites (0 all).
 * Adds to ret. */
struct mt_top_space {
    size_t columns, rows, limit;
};
void mt_top_frame(const struct mt_top_look *look, const struct mt_top_ui *ui, const struct mt_top_space *space, struct mt_screen *ret);
/* Rows of the list that such a screen has. */
size_t mt_top_page(const struct mt_top_look *look, const struct mt_top_ui *ui, const struct mt_top_space *space);

/* Values as blocks of eight heights, at most `columns` of them, each the largest of what it stands for. malloc'ed. */
char *mt_top_spark(const uint64_t *values, size_t count, size_t columns);

#endif
