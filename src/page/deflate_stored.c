/* deflate_stored.c: see deflate.h. In a build without zlib: blocks of at most 65,535 bytes, each with its length and the
 * length's complement before it (RFC 1951, section 3.2.4). Context: [tool]. */
#include "page/deflate.h"

#include "util/memory.h"

#include <string.h>

enum { BLOCK = 65535, HEAD = 5 };

unsigned char *mt_deflate(const void *data, size_t bytes, size_t *ret_bytes)
{
    size_t blocks = bytes == 0 ? 1 : (bytes + BLOCK - 1) / BLOCK;
    unsigned char *out = mt_alloc(bytes + blocks * HEAD);
    const unsigned char *at = data;
    size_t to = 0;
    for (size_t i = 0; i < blocks; i++) {
        size_t length = bytes < BLOCK ? bytes : BLOCK;
        out[to++] = i + 1 == blocks;
        out[to++] = (unsigned char)(length & 0xFF);
        out[to++] = (unsigned char)(length >> 8);
        out[to++] = (unsigned char)(~length & 0xFF);
        out[to++] = (unsigned char)(~length >> 8 & 0xFF);
        memcpy(out + to, at, length);
        to += length;
        at += length;
        bytes -= length;
    }
    *ret_bytes = to;
    return out;
}
