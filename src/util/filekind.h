/* filekind.h: what a file that is not a trace is.
 *
 * Decides: people give reports whatever lies beside the trace: captures of other profilers, compressed files, programs.
 * The first bytes tell most of them apart. Context: [tool].
 */
#ifndef MT_UTIL_FILEKIND_H
#define MT_UTIL_FILEKIND_H

#include <stddef.h>

/* "a memray capture (its own commands read it)" and the like, static; "" for what nobody knows. */
const char *mt_filekind_of(const void *head, size_t bytes);
/* The same of a regular file's first bytes; "" also where it cannot be read. */
const char *mt_filekind(const char *path);

#endif
