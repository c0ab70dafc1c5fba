/* rowcache.h: the process-wide cache from an address to its unwinding row.
 *
 * Decides: how a row fits a word, and that one entry is exactly one word. An address of 47 bits (x86-64 user space) is
 * multiplied by an odd constant modulo 2^47, which loses nothing; the top 15 bits of the product choose the entry, the low
 * 32 are stored in it beside 32 bits of row. Index and tag together are the address, so a hit is never another
 * address's row, and as an entry is read and written by one 64-bit access, a row can not be torn.
 *
 *      entry:  63            32 31         15 14      4 3    0
 *              | tag of address | offset / 8 | rbp rule | kind |      (plain rows; others: see rowcache.c)
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
    MT_ROW_ADDRESS_BITS = 47,
    MT_ROW_KIND_MASK = 15,
    MT_ROW_BP_SHIFT = 4,
    MT_ROW_BP_MASK = 2047,
    MT_ROW_BP_AT_BP = 2047, /* value of the rbp field: saved at *(bp); 0: same; else at cfa - 8 * field */
    MT_ROW_OFFSET_SHIFT = 15,
};
#define MT_ROW_MULTIPLIER 0x5A2C8F1E9D37ull /* odd, 47 bits */
#define MT_ROW_ADDRESS_MASK ((1ull << MT_ROW_ADDRESS_BITS) - 1)

extern uint64_t mt_g_rows[1u << MT_ROW_CACHE_BITS] MT_HIDDEN;

MT_INLINE enum mt_row_kind mt_row_kind_of(uint32_t row)
{
    return (enum mt_row_kind)(row & MT_ROW_KIND_MASK);
}

/* CFA offset in bytes of a plain (RSP, RBP) row. */
MT_INLINE int64_t mt_row_offset_of(uint32_t row)
{
    return ((int32_t)row >> MT_ROW_OFFSET_SHIFT) * (int64_t)8;
}

MT_INLINE uint32_t mt_row_bp_of(uint32_t row)
{
    return row >> MT_ROW_BP_SHIFT & MT_ROW_BP_MASK;
}

/* The row of address, or 0. */
MT_INLINE uint32_t mt_rowcache_get(uint64_t address)
{
    uint64_t mixed = address * MT_ROW_MULTIPLIER & MT_ROW_ADDRESS_MASK;
    uint64_t entry = mt_load_relaxed(&mt_g_rows[mixed >> 32]);
    return (uint32_t)(entry >> 32) == (uint32_t)mixed ? (uint32_t)entry : 0;
}

/* Fits a row into 32 bits; 0 when its numbers are too large. A plain row whose offset alone is too large is
 * returned without it, *ret_cacheable false: the caller has the offset from the row itself. */
uint32_t mt_row_pack(const struct mt_cfi_row *row, bool *ret_cacheable);
struct mt_cfi_row mt_row_unpack(uint32_t packed);
/* address < 2^47, else nothing happens. */
void mt_rowcache_put(uint64_t address, uint32_t row);
/* Clears the rows of [low, high). About 20 us. */
void mt_rowcache_forget(uint64_t low, uint64_t high);

#endif
