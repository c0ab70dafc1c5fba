/* own_stacks.h: stacks whose memory is that of the C and C++ libraries or the dynamic loader themselves: caches, buffers and tables that they keep
 * until the process is gone, whatever the program does.
 *
 * Decides: by the allocating function's name. Innermost frames that lie in libc or the loader are looked at, outwards to the
 * first that lies elsewhere: memory is the loader's when one of them is the loader's code, and libc's when one is a function
 * of the list in own_stacks.c. What constructors of the C++ library allocate is its own too (a pool for exceptions), known by who
 * calls them, and where that library is linked into something else by the constructor's name. Functions that give memory to their caller (strdup, fopen, getline) are not in it: that is the
 * program's. Names are those of the file's own symbol tables; where the file is gone or another one, only the loader and
 * libstdc++.so are known.
 * Context: [tool].
 */
#ifndef MT_MODEL_OWN_STACKS_H
#define MT_MODEL_OWN_STACKS_H

#include "model/trace.h"

/* Of each trace of the set a bit for each stack number; NULL where none is such. mt_own_stacks_free. */
uint8_t **mt_own_stacks_find(const struct mt_trace_set *set) MT_CHECKED;
void mt_own_stacks_free(uint8_t **stacks, size_t trace_count); /* NULL is fine */

MT_INLINE bool mt_own_stacks_has(const uint8_t *stacks, uint32_t stack)
{
    return (stacks[stack / 8] >> (stack % 8) & 1) != 0;
}

#endif
