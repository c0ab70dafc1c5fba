/* deflate.h: raw deflate (RFC 1951), which browsers undo by themselves (DecompressionStream).
 *
 * Decides: zlib does it where the build found it (deflate_zlib.c); without it the blocks are stored as they are, which is the same
 * format and larger (deflate_stored.c). Context: [tool], any thread.
 */
#ifndef MT_PAGE_DEFLATE_H
#define MT_PAGE_DEFLATE_H

#include <stddef.h>

/* malloc'ed; *ret_bytes: how long it is. */
unsigned char *mt_deflate(const void *data, size_t bytes, size_t *ret_bytes);

#endif
