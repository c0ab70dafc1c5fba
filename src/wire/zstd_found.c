/* zstd_found.c: zstd_codec.h over a libzstd.so.1 that is looked for when it is first needed.
 *
 * In a build when CMake did not find zstd; zstd_linked.c otherwise. Debian's and Ubuntu's dpkg and every Fedora need the
 * library, its headers are what is missing. Prototypes are those of zstd 1.0 and later (zstd.h, "stable API"): the
 * soname's major number promises them. Never closed. Context: [tool]; the first call of two threads at once is fine.
 */
#include "wire/zstd_codec.h"

#include "base/status.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ZSTD_inBuffer and ZSTD_outBuffer. */
struct in_buffer {
    const void *data;
    size_t bytes;
    size_t at;
};
struct out_buffer {
    void *data;
    size_t bytes;
    size_t at;
};

static struct {
    void *(*create_compressor)(void);
    size_t (*free_compressor)(void *);
    size_t (*bound)(size_t);
    size_t (*compress)(void *, void *, size_t, const void *, size_t, int);
    void *(*create_decompressor)(void);
    size_t (*free_decompressor)(void *);
    size_t (*decompress)(void *, void *, size_t, const void *, size_t);
    size_t (*decompress_stream)(void *, struct out_buffer *, struct in_buffer *);
    unsigned (*is_error)(size_t);
} g_library;
static bool g_found;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

/* The library's functions in the order of g_library, which is filled like an array of them. */
static const char *const names[] = {
    "ZSTD_createCCtx", "ZSTD_freeCCtx",      "ZSTD_compressBound",    "ZSTD_compressCCtx", "ZSTD_createDCtx",
    "ZSTD_freeDCtx",   "ZSTD_decompressDCtx", "ZSTD_decompressStream", "ZSTD_isError",
};
static_assert(sizeof g_library == sizeof names, "one name a function");

static void look(void)
{
    void *symbols[MT_COUNTOF(names)];
    void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return;
    }
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        symbols[i] = dlsym(library, names[i]);
        if (symbols[i] == NULL) {
            return;
        }
    }
    memcpy(&g_library, symbols, sizeof symbols); /* ISO C has no cast from object to function pointer */
    g_found = true;
}

static void *compressor_new(void)
{
    return g_library.create_compressor();
}

static void compressor_free(void *compressor)
{
    (void)g_library.free_compressor(compressor);
}

static size_t bound(size_t n)
{
    return g_library.bound(n);
}

static size_t compress(void *compressor, void *out, size_t capacity, const void *raw, size_t n, int level)
{
    size_t bytes = g_library.compress(compressor, out, capacity, raw, n, level);
    return g_library.is_error(bytes) != 0 ? 0 : bytes;
}

static void *decompressor_new(void)
{
    return g_library.create_decompressor();
}

static void decompressor_free(void *decompressor)
{
    (void)g_library.free_decompressor(decompressor);
}

static size_t decompress(void *decompressor, void *out, size_t capacity, const void *stored, size_t n)
{
    size_t bytes = g_library.decompress(decompressor, out, capacity, stored, n);
    return g_library.is_error(bytes) != 0 ? SIZE_MAX : bytes;
}

static size_t decompress_prefix(void *decompressor, void *out, size_t capacity, const void *stored, size_t n)
{
    struct in_buffer in = { stored, n, 0 };
    struct out_buffer to = { out, capacity, 0 };
    size_t before;
    do {
        before = in.at + to.at;
        if (g_library.is_error(g_library.decompress_stream(decompressor, &to, &in)) != 0) {
            break;
        }
    } while (in.at + to.at > before && to.at < capacity);
    return to.at;
}

const struct mt_zstd *mt_zstd(void)
{
    static const struct mt_zstd codec = {
        .origin = "found at run time",
        .compressor_new = compressor_new,
        .compressor_free = compressor_free,
        .bound = bound,
        .compress = compress,
        .decompressor_new = decompressor_new,
        .decompressor_free = decompressor_free,
        .decompress = decompress,
        .decompress_prefix = decompress_prefix,
    };
    (void)pthread_once(&g_once, look);
    return g_found ? &codec : NULL;
}
