/* paths.h: paths as short as a report allows.
 *
 * Decides: the shortest tail of whole components that no other path of the report ends with ("cache.py", "app/cache.py" beside
 * another cache.py), so that a file's own name is never cut. Files of a library keep their path inside it
 * ("numpy/core/numeric.py", "json/decoder.py"). Context: [tool].
 */
#ifndef MT_EXPORT_PATHS_H
#define MT_EXPORT_PATHS_H

#include <stdbool.h>
#include <stddef.h>

struct mt_paths;

/* full: paths stay whole. */
struct mt_paths *mt_paths_new(bool full);
void mt_paths_free(struct mt_paths *paths); /* NULL is fine */
/* Every path of the report, before the first question. */
void mt_paths_add(struct mt_paths *paths, const char *path);
/* The tail of a path that was added; borrowed from path. */
const char *mt_paths_short(const struct mt_paths *paths, const char *path);

#endif
