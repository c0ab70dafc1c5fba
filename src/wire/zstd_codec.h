/* zstd_codec.h: the compressor of block payloads, or the lack of one.
 *
 * Decides: where zstd comes from. One of two files is in a build: zstd_linked.c when the library is there to link with,
 * zstd_found.c when it is not (it then looks for libzstd.so.1 at run time), so that a build needs a C compiler and no
 * more. Without either, packing leaves blocks uncompressed and a compressed block cannot be read. Context: [tool].
 */
#ifndef MT_WIRE_ZSTD_CODEC_H
#define MT_WIRE_ZSTD_CODEC_H

#include <stddef.h>

struct mt_zstd {
    const char *origin; /* "linked" or "found at run time" */
    /* A compressor, NULL when out of memory. free takes NULL. */
    void *(*compressor_new)(void);
    void (*compressor_free)(void *compressor);
    /* Bytes that n bytes need at most. */
    size_t (*bound)(size_t n);
    /* One frame of n bytes at a level; returns its bytes, 0 when it did not fit or could not be made. */
    size_t (*compress)(void *compressor, void *out, size_t capacity, const void *raw, size_t n, int level);
    /* A decompressor (100 KiB), NULL when out of memory. free takes NULL. */
    void *(*decompressor_new)(void);
    void (*decompressor_free)(void *decompressor);
    /* All frames of n stored bytes; returns the bytes made, SIZE_MAX when they are damaged or do not fit. */
    size_t (*decompress)(void *decompressor, void *out, size_t capacity, const void *stored, size_t n);
    /* What can be had of stored bytes whose end is missing; returns the bytes made. */
    size_t (*decompress_prefix)(void *decompressor, void *out, size_t capacity, const void *stored, size_t n);
};

/* The codec, or NULL when there is none. The same answer for the life of the process; any thread. */
const struct mt_zstd *mt_zstd(void);

#endif
