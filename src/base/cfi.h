/* cfi.h: call frame information: from an address in a function to the rule that finds its caller.
 *
 * Decides: which unwinding rules are known (x86-64 System V psABI 1.0, DWARF 5 section 6.4, LSB .eh_frame and
 * .eh_frame_hdr). A row says how the canonical frame address (CFA, the stack pointer of the caller after return) and
 * the caller's rbp follow from the registers of a frame; the return address is always at CFA - 8. Everything a real
 * call site needs has a kind of its own; whatever else CFI can say is MT_ROW_OTHER.
 * Invariant: reads only inside [image.low, image.high), whatever the bytes there are; loops are bounded by the bytes.
 * Contexts: any; no state, no locks.
 */
#ifndef MT_BASE_CFI_H
#define MT_BASE_CFI_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum mt_row_kind {
    MT_ROW_ABSENT = 0, /* never in a row: an empty cache entry */
    MT_ROW_NONE,       /* no entry covers the address */
    MT_ROW_OTHER,      /* a rule that is none of these, or damaged tables */
    MT_ROW_END,        /* the outermost frame: its caller is undefined */
    MT_ROW_RSP,        /* cfa = sp + offset */
    MT_ROW_RBP,        /* cfa = bp + offset */
    MT_ROW_RSP_DEREF,  /* cfa = *(sp + offset) + addend */
    MT_ROW_RBP_DEREF,  /* cfa = *(bp + offset) + addend (GCC's dynamically realigned frames) */
    MT_ROW_R10,        /* cfa = r10 + offset: while a realigned frame is (un)made, so only where a signal interrupts */
    MT_ROW_PLT,        /* cfa = sp + 8 + ((pc & 15) >= offset ? 8 : 0) */
    MT_ROW_SIGNAL,     /* kernel's signal frame: sp = *(sp + offset), bp = *(sp + bp_offset), pc = *(sp + addend) */
};

enum mt_bp_rule {
    MT_BP_SAME,   /* the caller's rbp is this frame's, or nobody needs it */
    MT_BP_AT_CFA, /* at cfa + bp_offset, bp_offset < 0 */
    MT_BP_AT_BP,  /* at bp + 0 (realigned frames) */
};

struct mt_cfi_row {
    enum mt_row_kind kind;
    enum mt_bp_rule bp_rule;
    int32_t offset; /* all bytes, multiples of 8 (PLT: a number 0..15) */
    int32_t bp_offset;
    int32_t addend;
};

/* Where an object's unwind tables are. A copy of another process's does as well, when addresses are moved by as much as the tables:
 * they say everything relative to themselves. */
struct mt_cfi_image {
    uint64_t low, high; /* absolute addresses that are mapped readable and hold the tables */
    uint64_t hdr;       /* absolute address of .eh_frame_hdr, in [low, high) */
    /* For a copy that is filled as it is read: puts [at, at + bytes) there, false: it cannot. NULL: all of it is there. */
    bool (*fill)(void *context, uint64_t at, uint64_t bytes);
    void *context;
};

/* The rule in force at address (a return address minus 1, or the interrupted pc).
 * Returns MT_OK and fills *ret_row (kind OTHER when the rule is not one of ours); MT_E_NOENT: no entry covers address;
 * MT_E_UNSUPPORTED: tables of another shape; MT_E_CORRUPT: malformed. */
mt_status mt_cfi_find_row(const struct mt_cfi_image *image, uint64_t address, struct mt_cfi_row *ret_row) MT_CHECKED;
/* The first address of the function, or of the part of one, that holds address. Errors as mt_cfi_find_row. */
mt_status mt_cfi_find_start(const struct mt_cfi_image *image, uint64_t address, uint64_t *ret_start) MT_CHECKED;

#endif
