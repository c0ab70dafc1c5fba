/* rowcache.c: packing of rows, and the cache's writers.
 *
 * Layouts of the 27 bits above the kind and the mark of a valid row:
 *   RSP, RBP:     rbp field 5-15, offset/8 16-31 (signed)
 *   *_DEREF:      rbp field 5-15, addend/8 16-18, offset/8 19-31 (signed)
 *   R10, PLT:     rbp field 5-15, offset/8 16-31 (signed; PLT: the number itself)
 *   SIGNAL:       offset/8 5-13, bp_offset/8 14-22, addend/8 23-31 (unsigned)
 * Contexts: as rowcache.h.
 */
#include "heap/rowcache.h"

#include "base/os.h"

enum {
    ADDEND_BITS = 3,
    DEREF_SHIFT = MT_ROW_OFFSET_SHIFT + ADDEND_BITS,
    SIGNAL_SHIFT = MT_ROW_BP_SHIFT,
    SIGNAL_BITS = 9,
    SIGNAL_MASK = (1 << SIGNAL_BITS) - 1,
};

enum { FEW_ROWS = 32 };

_Alignas(4096) uint64_t mt_g_rows[1u << MT_ROW_CACHE_BITS];

static uint32_t pack_kind(enum mt_row_kind kind)
{
    return (uint32_t)(kind ^ MT_ROW_RSP) | MT_ROW_VALID;
}

static bool fits_signed(int32_t value, unsigned bits)
{
    return value >= -(1 << (bits - 1)) && value < 1 << (bits - 1);
}

/* The rbp field, or UINT32_MAX. */
static uint32_t pack_bp(const struct mt_cfi_row *row)
{
    switch (row->bp_rule) {
    case MT_BP_SAME:
        return 0;
    case MT_BP_AT_BP:
        return MT_ROW_BP_AT_BP;
    case MT_BP_AT_CFA:
    default:
        return row->bp_offset < 0 && row->bp_offset > -8 * MT_ROW_BP_AT_BP ? (uint32_t)(-row->bp_offset / 8)
                                                                          : UINT32_MAX;
    }
}

static uint32_t pack_plain(const struct mt_cfi_row *row, uint32_t head, bool *ret_complete)
{
    int32_t units = row->offset / 8;
    bool is_rsp = row->kind == MT_ROW_RSP;
    if (is_rsp && units <= 0) {
        return 0;
    }
    /* rbp just popped, its rule stale: only where a signal interrupts. */
    bool popped = row->bp_rule == MT_BP_AT_BP || (is_rsp && -row->bp_offset > row->offset);
    *ret_complete = !popped && fits_signed(units, 32 - MT_ROW_OFFSET_SHIFT);
    return *ret_complete ? head | (uint32_t)units << MT_ROW_OFFSET_SHIFT : head;
}

static uint32_t pack_deref(const struct mt_cfi_row *row, uint32_t head)
{
    int32_t units = row->offset / 8;
    int32_t addend = row->addend / 8;
    if (!fits_signed(units, 32 - DEREF_SHIFT) || addend < 0 || addend >= 1 << ADDEND_BITS) {
        return 0;
    }
    return head | (uint32_t)addend << MT_ROW_OFFSET_SHIFT | (uint32_t)units << DEREF_SHIFT;
}

static uint32_t pack_signal(const struct mt_cfi_row *row)
{
    int32_t fields[3] = { row->offset / 8, row->bp_offset / 8, row->addend / 8 };
    uint32_t packed = pack_kind(MT_ROW_SIGNAL);
    for (unsigned i = 0; i < 3; i++) {
        if (fields[i] < 0 || fields[i] > SIGNAL_MASK) {
            return 0;
        }
        packed |= (uint32_t)fields[i] << (SIGNAL_SHIFT + i * SIGNAL_BITS);
    }
    return packed;
}

uint32_t mt_row_pack(const struct mt_cfi_row *row, bool *ret_complete)
{
    uint32_t bp = pack_bp(row);
    uint32_t head = pack_kind(row->kind) | bp << MT_ROW_BP_SHIFT;
    *ret_complete = true;
    if (bp == UINT32_MAX) {
        return 0;
    }
    switch (row->kind) {
    case MT_ROW_NONE:
    case MT_ROW_OTHER:
    case MT_ROW_END:
        return pack_kind(row->kind);
    case MT_ROW_RSP:
    case MT_ROW_RBP:
    case MT_ROW_R10:
        return pack_plain(row, head, ret_complete);
    case MT_ROW_RSP_DEREF:
    case MT_ROW_RBP_DEREF:
        return pack_deref(row, head);
    case MT_ROW_PLT:
        return head | (uint32_t)row->offset << MT_ROW_OFFSET_SHIFT;
    case MT_ROW_SIGNAL:
        return pack_signal(row);
    case MT_ROW_ABSENT:
    default:
        return 0;
    }
}

static int32_t signal_field(uint32_t packed, unsigned field)
{
    return (int32_t)(packed >> (SIGNAL_SHIFT + field * SIGNAL_BITS) & SIGNAL_MASK) * 8;
}

struct mt_cfi_row mt_row_unpack(uint32_t packed)
{
    struct mt_cfi_row row = { .kind = (enum mt_row_kind)((packed & MT_ROW_KIND_MASK) ^ MT_ROW_RSP) };
    if (row.kind == MT_ROW_SIGNAL) {
        row.offset = signal_field(packed, 0);
        row.bp_offset = signal_field(packed, 1);
        row.addend = signal_field(packed, 2);
        return row;
    }
    uint32_t bp = packed >> MT_ROW_BP_SHIFT & MT_ROW_BP_MASK;
    row.bp_rule = bp == 0 ? MT_BP_SAME : bp == MT_ROW_BP_AT_BP ? MT_BP_AT_BP : MT_BP_AT_CFA;
    row.bp_offset = row.bp_rule == MT_BP_AT_CFA ? -8 * (int32_t)bp : 0;
    if (row.kind == MT_ROW_RSP_DEREF || row.kind == MT_ROW_RBP_DEREF) {
        row.offset = ((int32_t)packed >> DEREF_SHIFT) * 8;
        row.addend = (int32_t)(packed >> MT_ROW_OFFSET_SHIFT & ((1 << ADDEND_BITS) - 1)) * 8;
    } else {
        row.offset = ((int32_t)packed >> MT_ROW_OFFSET_SHIFT) * (row.kind == MT_ROW_PLT ? 1 : 8);
    }
    return row;
}

/* A small program has few rows and pays for the pages they are in. The rows of others come to be in all pages, each of which
 * would fault twice: when a row is looked for, and when it is entered. */
static void have_pages(void)
{
    static uint32_t rows;
    uint32_t before = mt_load_relaxed(&rows);
    if (before <= FEW_ROWS) {
        mt_store_relaxed(&rows, before + 1);
        if (before == FEW_ROWS) {
            mt_os_populate(mt_g_rows, sizeof mt_g_rows);
        }
    }
}

void mt_rowcache_put(uint64_t key, uint32_t row)
{
    uint64_t tag = key >> MT_ROW_CACHE_BITS;
    if (tag <= UINT32_MAX) {
        have_pages();
        mt_store_relaxed(&mt_g_rows[key & (MT_COUNTOF(mt_g_rows) - 1)], (uint64_t)row << 32 | tag);
    }
}

void mt_rowcache_forget(uint64_t low, uint64_t high)
{
    for (uint64_t i = 0; i < MT_COUNTOF(mt_g_rows); i++) {
        uint64_t entry = mt_load_relaxed(&mt_g_rows[i]);
        uint64_t tag = entry & UINT32_MAX;
        uint64_t address = (tag << MT_ROW_CACHE_BITS | i) - 1;
        if (entry != 0 && address >= low && address < high) {
            mt_store_relaxed(&mt_g_rows[i], 0u);
        }
    }
}
