/* rowcache.h: the process-wide cache from an address to its unwinding row.
 *
 * Decides: how a row fits a word, and that one entry is exactly one word. The key of a return address is itself,
 * that of an exact pc is pc + 1 (rules are looked up at key - 1). The low 16 bits of a key choose the entry, the upper 31
 * of its 47 (x86-64 user space) are stored in it beside 32 bits of row. Index and tag together are the key, so a hit is
 * never another address's row, and as an entry is read and written by one 64-bit access, a row can not be torn.
 * The time of a walk is the latency from one pc to the next, hence no mixing of the index (the low bits of return addresses
 * are spread well enough, and extracting 16 takes one cycle), and the size of the frame, the only part of the row on that
 * way, is loaded by itself: 12 cycles, of which two loads are 10. The whole entry is compared with it off the way.
 *
 *      entry:  63       48 47       37 36 35  32 31             0
 *              | offset/8 | rbp field | 1 | kind |  key >> 16     |      (plain rows; others: see rowcache.c)
 *
 * kind is stored exclusive-or MT_ROW_RSP, the usual kind, so that entry ^ key >> 16 has 36 zero bits for a frame of that
 * kind: one test says that the entry is the key's and that the frame is a usual one.
 * Invariant: an entry is 0 or says what mt_cfi_find_row said about its address for the module now mapped there; rows of
 * addresses in no module (JIT) are never entered, and a module's rows are cleared when it goes.
 * 65,536 entries x 8 B = 512 KB of zero pages, touched as used, and all at once where more than a few are; static, so there is nothing that can fail to be mapped.
 * Writers and readers: any thread; relaxed accesses suffice because an entry refers to nothing else.
 * Contexts: [hook], [signal].
 */
#ifndef MT_HEAP_ROWCACHE_H
#define MT_HEAP_ROWCACHE_H

#include "base/atomic.h"
#include "base/cfi.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MT_ROW_CACHE_BITS = 16,
    MT_ROW_KIND_MASK = 15,
    MT_ROW_VALID = 16, /* a row that was packed is never 0 */
    MT_ROW_BP_SHIFT = 5,
    MT_ROW_BP_MASK = 2047,
    MT_ROW_BP_AT_BP = 2047, /* value of the rbp field: saved at *(bp); 0: same; else at cfa - 8 * field */
    MT_ROW_OFFSET_SHIFT = 16,
    MT_ROW_PC_MIN = 1 << MT_ROW_CACHE_BITS, /* keys below would be those of empty entries */
};
/* Bits of mt_rowcache_row that are 0 for an RSP row of that key; their value for an RBP row, and for the end of a stack. */
#define MT_ROW_ODD (((uint64_t)MT_ROW_KIND_MASK << 32) + UINT32_MAX)
#define MT_ROW_ODD_RBP ((uint64_t)(MT_ROW_RBP ^ MT_ROW_RSP) << 32)
#define MT_ROW_ODD_END ((uint64_t)(MT_ROW_END ^ MT_ROW_RSP) << 32)

extern uint64_t mt_g_rows[1u << MT_ROW_CACHE_BITS] MT_HIDDEN;

/* The entry that would hold key. */
MT_INLINE uint64_t mt_rowcache_entry(uint64_t key)
{
    uint64_t index = key & ((1u << MT_ROW_CACHE_BITS) - 1);
    return mt_load_relaxed(&mt_g_rows[index]);
}

/* mt_entry_size of the entry that would hold key, which may be another key's. It comes 3 cycles earlier than from the whole
 * entry, and those are on the way from one pc to the next. To be compared with the whole entry: another thread may have
 * written it in between. */
MT_INLINE uint64_t mt_rowcache_size(uint64_t key)
{
    typedef uint16_t __attribute__((may_alias)) part;
    const part *parts = (const part *)&mt_g_rows[key & ((1u << MT_ROW_CACHE_BITS) - 1)];
    return mt_load_relaxed(&parts[3]); /* little endian */
}

/* The row of key >= MT_ROW_PC_MIN in the upper half, 0 in the lower half if it is in the cache: test with MT_ROW_ODD. */
MT_INLINE uint64_t mt_rowcache_row(uint64_t key)
{
    return mt_rowcache_entry(key) ^ key >> MT_ROW_CACHE_BITS;
}

/* True when the entry is key's (and not empty). */
MT_INLINE bool mt_rowcache_is_for(uint64_t entry, uint64_t key)
{
    return (entry & UINT32_MAX) == key >> MT_ROW_CACHE_BITS && entry > UINT32_MAX;
}

/* Fields of an entry, or a row, with a plain (RSP, RBP) row; the kind of any. */
MT_INLINE enum mt_row_kind mt_entry_kind(uint64_t entry)
{
    return (enum mt_row_kind)((entry >> 32 & MT_ROW_KIND_MASK) ^ MT_ROW_RSP);
}

MT_INLINE uint64_t mt_entry_bp(uint64_t entry)
{
    return entry >> (32 + MT_ROW_BP_SHIFT) & MT_ROW_BP_MASK;
}

MT_INLINE uint64_t mt_entry_offset(uint64_t entry)
{
    return (uint64_t)((int64_t)entry >> (32 + MT_ROW_OFFSET_SHIFT)) * 8;
}

/* The same of an RSP row, which is positive, in words. */
MT_INLINE uint64_t mt_entry_size(uint64_t entry)
{
    return entry >> (32 + MT_ROW_OFFSET_SHIFT);
}

/* Fits a row into 32 bits; 0 when its numbers are too large or make no sense. A plain row that
 * the cache may not hold is returned without its offset, *ret_complete false: the caller has the offset from the row.
 * A complete RSP row has 0 < offset and its rbp slot in [sp, cfa): the walk relies on it. */
uint32_t mt_row_pack(const struct mt_cfi_row *row, bool *ret_complete);
struct mt_cfi_row mt_row_unpack(uint32_t packed);
/* A key of more than 47 bits is not entered. */
void mt_rowcache_put(uint64_t key, uint32_t row);
/* Clears the rows of addresses in [low, high). About 20 us. */
void mt_rowcache_forget(uint64_t low, uint64_t high);

#endif
