/* zstd_linked.c: zstd_codec.h over the library this program is linked with.
 *
 * In a build when CMake found zstd (MEMTAP_LIBRARIES); zstd_found.c otherwise. Nothing is decided here: each function is
 * one call, and the compiler holds it against zstd's own header. One context of each kind that is no longer used is kept for
 * who asks next: a run of many processes packs a trace for each. Context: [tool], any thread.
 */
#include "wire/zstd_codec.h"

#include "base/atomic.h"

#include <stdint.h>
#include <zstd.h>

static void *g_spare_compressor, *g_spare_decompressor;

static void *compressor_new(void)
{
    void *spare = mt_exchange_acq_rel(&g_spare_compressor, NULL);
    return spare != NULL ? spare : ZSTD_createCCtx();
}

static void compressor_free(void *compressor)
{
    (void)ZSTD_freeCCtx(compressor != NULL ? mt_exchange_acq_rel(&g_spare_compressor, compressor) : NULL);
}

static size_t compress(void *compressor, void *out, size_t capacity, const void *raw, size_t n, int level)
{
    size_t bytes = ZSTD_compressCCtx(compressor, out, capacity, raw, n, level);
    return ZSTD_isError(bytes) ? 0 : bytes;
}

static void *decompressor_new(void)
{
    void *spare = mt_exchange_acq_rel(&g_spare_decompressor, NULL);
    if (spare != NULL) {
        (void)ZSTD_DCtx_reset(spare, ZSTD_reset_session_only); /* it may have been left within a frame */
    }
    return spare != NULL ? spare : ZSTD_createDCtx();
}

static void decompressor_free(void *decompressor)
{
    (void)ZSTD_freeDCtx(decompressor != NULL ? mt_exchange_acq_rel(&g_spare_decompressor, decompressor) : NULL);
}

static size_t decompress(void *decompressor, void *out, size_t capacity, const void *stored, size_t n)
{
    size_t bytes = ZSTD_decompressDCtx(decompressor, out, capacity, stored, n);
    return ZSTD_isError(bytes) ? SIZE_MAX : bytes;
}

static size_t decompress_prefix(void *decompressor, void *out, size_t capacity, const void *stored, size_t n)
{
    ZSTD_inBuffer in = { stored, n, 0 };
    ZSTD_outBuffer to = { out, capacity, 0 };
    size_t before;
    do {
        before = in.pos + to.pos;
        if (ZSTD_isError(ZSTD_decompressStream(decompressor, &to, &in))) {
            break;
        }
    } while (in.pos + to.pos > before && to.pos < capacity);
    return to.pos;
}

const struct mt_zstd *mt_zstd(void)
{
    static const struct mt_zstd codec = {
        .origin = "linked",
        .compressor_new = compressor_new,
        .compressor_free = compressor_free,
        .bound = ZSTD_compressBound,
        .compress = compress,
        .decompressor_new = decompressor_new,
        .decompressor_free = decompressor_free,
        .decompress = decompress,
        .decompress_prefix = decompress_prefix,
    };
    return &codec;
}
