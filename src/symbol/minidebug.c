/* minidebug.c: see minidebug.h. The one function used, lzma_stream_buffer_decode, has had this binary interface since
 * liblzma 5.0 (2010); declaring it here keeps liblzma's headers out of the build's requirements. */
#include "symbol/minidebug.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { LZMA_RESULT_OK = 0, LZMA_RESULT_OUTPUT_FULL = 10 }; /* lzma/base.h: LZMA_OK, LZMA_BUF_ERROR */
enum { FIRST_EXPANSION = 8, MAX_OUTPUT = 256 << 20, MAX_DECODER_MEMORY = 128 << 20 };

typedef int (*xz_decoder)(uint64_t *memory_limit, uint32_t flags, const void *allocator, const uint8_t *in,
                          size_t *in_at, size_t in_bytes, uint8_t *out, size_t *out_at, size_t out_bytes);

/* Never unloaded: libdw usually keeps it in the process anyway. */
static xz_decoder find_decoder(void)
{
    void *library = dlopen("liblzma.so.5", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library != NULL ? dlsym(library, "lzma_stream_buffer_decode") : NULL;
    xz_decoder decoder;
    memcpy(&decoder, &symbol, sizeof decoder); /* ISO C has no cast from object to function pointer */
    return decoder;
}

static mt_status unpack(xz_decoder decode, const uint8_t *packed, size_t packed_bytes, uint8_t **ret, size_t *ret_bytes)
{
    size_t capacity = packed_bytes < MAX_OUTPUT / FIRST_EXPANSION ? packed_bytes * FIRST_EXPANSION : MAX_OUTPUT;
    for (; capacity <= MAX_OUTPUT; capacity *= 2) {
        uint8_t *out = malloc(capacity);
        if (out == NULL) {
            return MT_E_NOMEM;
        }
        uint64_t memory_limit = MAX_DECODER_MEMORY;
        size_t in_at = 0, out_at = 0;
        int result = decode(&memory_limit, 0, NULL, packed, &in_at, packed_bytes, out, &out_at, capacity);
        if (result == LZMA_RESULT_OK) {
            *ret = out;
            *ret_bytes = out_at;
            return MT_OK;
        }
        free(out);
        if (result != LZMA_RESULT_OUTPUT_FULL) {
            break;
        }
    }
    return MT_E_CORRUPT;
}

mt_status mt_minidebug_open(const struct mt_elf_file *file, struct mt_elf_file **ret)
{
    size_t bytes = 0, unpacked_bytes = 0;
    uint8_t *unpacked = NULL;
    const uint8_t *packed = mt_elf_section_data(file, ".gnu_debugdata", &bytes);
    if (packed == NULL) {
        return MT_E_NOENT;
    }
    xz_decoder decode = find_decoder();
    if (decode == NULL) {
        return MT_E_UNSUPPORTED;
    }
    mt_status status = unpack(decode, packed, bytes, &unpacked, &unpacked_bytes);
    return status != MT_OK ? status : mt_elf_open_memory(".gnu_debugdata", unpacked, unpacked_bytes, ret);
}
