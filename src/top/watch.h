/* watch.h: one process's trace, looked at again and again while it grows.
 *
 * Decides: a look costs what was written since the one before and what is alive (reader/followed.h). Only one process of a run is watched:
 * the one whose trace this is. What is written with --aggregate, and what is left when a program has ended, is read anew. Context: [tool].
 */
#ifndef MT_TOP_WATCH_H
#define MT_TOP_WATCH_H

#include "top/look.h"
#include "util/error.h"

struct mt_top_watch;

/* path: of a trace; opened by the first look. */
struct mt_top_watch *mt_top_watch_new(const char *path);
void mt_top_watch_free(struct mt_top_watch *watch); /* NULL is fine */
/* What is now, of the rows that ui wants. ret to mt_top_look_fini. */
mt_status mt_top_watch_look(struct mt_top_watch *watch, const struct mt_top_ui *ui, struct mt_top_look *ret, struct mt_error *err) MT_CHECKED;
/* Changes are since the last look from now on. */
void mt_top_watch_mark(struct mt_top_watch *watch, const struct mt_top_ui *ui);
/* The heaviest stack of a site of the last look, outwards from the allocation. */
void mt_top_watch_stack(struct mt_top_watch *watch, const struct mt_top_ui *ui, const struct mt_top_site *site, struct mt_strlist *ret);

#endif
