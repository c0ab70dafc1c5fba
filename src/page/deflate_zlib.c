/* deflate_zlib.c: see deflate.h. The data is given to zlib in pieces that its 32-bit counts can hold. Context: [tool]. */
#include "page/deflate.h"

#include "util/memory.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

enum { PIECE = 1 << 30, RAW_WINDOW = -15, LEVEL = 6, MEMORY = 8 };

struct output {
    unsigned char *bytes;
    size_t count, capacity;
};

static void *take(void *context, unsigned items, unsigned size)
{
    (void)context;
    return mt_alloc_zero(items, size);
}

static void give(void *context, void *block)
{
    (void)context;
    free(block);
}

/* Runs until what is in z has been taken; the end too when it is the last piece. */
static void run(z_stream *z, int flush, struct output *out)
{
    int state;
    do {
        out->bytes = mt_alloc_grow(out->bytes, &out->capacity, out->count + 65536, 1);
        size_t room = out->capacity - out->count < PIECE ? out->capacity - out->count : PIECE;
        z->next_out = out->bytes + out->count;
        z->avail_out = (uInt)room;
        state = deflate(z, flush);
        out->count += room - z->avail_out;
    } while (flush == Z_FINISH ? state != Z_STREAM_END : z->avail_out == 0);
}

unsigned char *mt_deflate(const void *data, size_t bytes, size_t *ret_bytes)
{
    struct output out = { 0 };
    z_stream z = { .zalloc = take, .zfree = give };
    const unsigned char *at = data;
    (void)deflateInit2(&z, LEVEL, Z_DEFLATED, RAW_WINDOW, MEMORY, Z_DEFAULT_STRATEGY); /* fails for want of memory alone */
    do {
        size_t piece = bytes < PIECE ? bytes : PIECE;
        z.next_in = at;
        z.avail_in = (uInt)piece;
        at += piece;
        bytes -= piece;
        run(&z, bytes == 0 ? Z_FINISH : Z_NO_FLUSH, &out);
    } while (bytes > 0);
    (void)deflateEnd(&z);
    *ret_bytes = out.count;
    return out.bytes;
}
