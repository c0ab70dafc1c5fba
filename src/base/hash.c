/* hash.c: byte hashing and CRC-32C. Any context. */
#include "base/hash.h"

#include "base/atomic.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <string.h>

uint64_t mt_hash_bytes(const void *data, size_t bytes)
{
    const uint8_t *from = data;
    uint64_t state = 0x8EBC6AF09C88C6E3u ^ bytes;
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        state = mt_hash_step(state, word);
        from += 8;
        bytes -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, from, bytes);
    return mt_hash_step(state, tail);
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *from, size_t bytes)
{
    uint64_t state = crc;
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        state = __builtin_ia32_crc32di(state, word);
        from += 8;
        bytes -= 8;
    }
    uint32_t narrow = (uint32_t)state;
    while (bytes-- > 0) {
        narrow = __builtin_ia32_crc32qi(narrow, *from++);
    }
    return narrow;
}

/* Asked once, of a leaf that every x86-64 has. Under a hypervisor each CPUID takes microseconds, and the compiler's own look at
 * the processor, at the start of every program, is many. */
static bool has_sse42(void)
{
    enum { UNKNOWN, NO, YES };
    static uint32_t answer;
    uint32_t known = mt_load_relaxed(&answer);
    if (MT_UNLIKELY(known == UNKNOWN)) {
        unsigned a, b, c, d;
        __cpuid(1, a, b, c, d);
        known = (c & bit_SSE4_2) != 0 ? YES : NO;
        mt_store_relaxed(&answer, known);
    }
    return known == YES;
}
#endif

static uint32_t crc32c_portable(uint32_t crc, const uint8_t *from, size_t bytes)
{
    while (bytes-- > 0) {
        crc ^= *from++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        }
    }
    return crc;
}

uint32_t mt_crc32c(uint32_t seed, const void *data, size_t bytes)
{
    uint32_t crc = ~seed;
#if defined(__x86_64__)
    if (has_sse42()) {
        return ~crc32c_sse42(crc, data, bytes);
    }
#endif
    return ~crc32c_portable(crc, data, bytes);
}
