/* rowcache.h: the process-wide cache from an address to its unwinding row.
 *
 * Decides: how a row fits a word, and that one entry is exactly one word. The key of a return address is itself,
 * that of an exact pc is pc + 1 (rules are looked up at key - 1). A key of 47 bits (x86-64 user space) is folded:
 * its low 15 bits xor the next 15 choose the entry, the upper 32 are stored in it beside 32 bits of row. Index and
 * tag together are the key, so a hit is never another address's row, and as an entry is read and written by one
 * 64-bit access, a row can not be torn. Folding instead of multiplying, and the row in the upper half, because the
 * time of a walk is the latency from one pc to the next: 16 cycles, of which two loads are 10.
 *
 *      entry:  63        47 46      36 35  32 31             0
 *              | offset/8  | rbp field | kind |  key >> 15     |      (plain rows; others: see rowcache.c)
 *
 * Invariant: an entry is 0 or says what mt_cfi_find_row said about its address for the module now mapped there; rows of
 * addresses in no module (JIT) are never entered, and a module's rows are cleared when it goes.
 * 32,768 entries x 8 B = 256 KB of zero pages, touched as used; static, so there is nothing that can fail to be mapped.
 * Writers and readers: any thread; relaxed accesses suffice because an entry refers to nothing else.
 * Contexts: [hook], [signal].
 */
#ifndef MT_HEAP_ROWCACHE_H
#define MT_HEAP_ROWCACHE_H

#include "base/atomic.h"
#include "heap/cfi.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MT_ROW_CACHE_BITS = 15,
    MT_ROW_KEY_BITS = 47,
    MT_ROW_KIND_MASK = 15,
    MT_ROW_BP_SHIFT = 4,
    MT_ROW_BP_MASK = 2047,
    MT_ROW_BP_AT_BP = 2047, /* value of the rbp field: saved at *(bp); 0: same; else at cfa - 8 * field */
    MT_ROW_OFFSET_SHIFT = 15,
};

extern uint64_t mt_g_rows[1u << MT_ROW_CACHE_BITS] MT_HIDDEN;

/* The entry that would hold key. */
MT_INLINE uint64_t mt_rowcache_entry(uint64_t key)
{
    uint64_t index = (key ^ key >> MT_ROW_CACHE_BITS) & ((1u << MT_ROW_CACHE_BITS) - 1);
    return mt_load_relaxed(&mt_g_rows[index]);
}

/* True when the entry is key's (and not empty: a row has a kind). */
MT_INLINE bool mt_rowcache_is_for(uint64_t entry, uint64_t key)
{
    return (entry & UINT32_MAX) == key >> MT_ROW_CACHE_BITS && entry > UINT32_MAX;
}

/* Fields of an entry with a plain (RSP, RBP) row. */
MT_INLINE enum mt_row_kind mt_entry_kind(uint64_t entry)
{
    return (enum mt_row_kind)(entry >> 32 & MT_ROW_KIND_MASK);
}

MT_INLINE uint64_t mt_entry_bp(uint64_t entry)
{
    return entry >> (32 + MT_ROW_BP_SHIFT) & MT_ROW_BP_MASK;
}

MT_INLINE uint64_t mt_entry_offset(uint64_t entry)
{
    return (uint64_t)((int64_t)entry >> (32 + MT_ROW_OFFSET_SHIFT)) * 8;
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
