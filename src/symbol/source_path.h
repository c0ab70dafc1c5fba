/* source_path.h: one spelling for each source file.
 *
 * Decides: a file is named by its absolute path where the debug information gives one, without "//", "/./" and "x/..".
 * Units of one project spell the same file differently ("./malloc/../include/x.h", "/build/include/x.h"); a report by
 * file must not. The path is on the build machine, so it is cleaned as text, symbolic links or not. Context: [tool].
 */
#ifndef MT_SYMBOL_SOURCE_PATH_H
#define MT_SYMBOL_SOURCE_PATH_H

#include "symbol/names.h"

enum { MT_SOURCE_PATH_MAX = 4096 };

/* base/directory/name, where a later absolute part makes the earlier ones void; base and directory may be NULL or empty.
 * NULL when out of memory or longer than MT_SOURCE_PATH_MAX. */
const char *mt_source_path(struct mt_names *names, const char *base, const char *directory, const char *name);

#endif
