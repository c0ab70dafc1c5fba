/* cfi_program.h: running the instructions of one CIE and FDE. Private to the cfi_*.c files.
 *
 * Decides: what the state of the three registers that matter (rbp, rsp, return address) and the CFA rule are at one
 * address. Context: any; no state, no locks.
 */
#ifndef MT_BASE_CFI_PROGRAM_H
#define MT_BASE_CFI_PROGRAM_H

#include "base/cfi.h"
#include "base/cfi_reader.h"

enum mt_cfi_tracked { MT_CFI_BP, MT_CFI_SP, MT_CFI_RA, MT_CFI__TRACKED };

enum mt_cfi_rule_kind {
    MT_RULE_UNSET = 0,
    MT_RULE_UNDEFINED,
    MT_RULE_SAME,
    MT_RULE_OFFSET,     /* saved at cfa + offset */
    MT_RULE_EXPRESSION, /* saved at the value of the expression */
    MT_RULE_OTHER,      /* anything the unwinder does not do */
};

struct mt_cfi_rule {
    enum mt_cfi_rule_kind kind;
    int64_t offset;
    struct mt_cfi_reader expression;
};

struct mt_cfi_state {
    uint64_t cfa_register; /* DWARF number; meaningless while cfa_is_expression */
    int64_t cfa_offset;
    bool cfa_is_expression;
    struct mt_cfi_reader cfa_expression;
    struct mt_cfi_rule rules[MT_CFI__TRACKED];
};

/* What a CIE says about the FDEs that use it. */
struct mt_cfi_common {
    uint64_t code_align;
    int64_t data_align;
    uint8_t address_encoding;
    bool augmented;    /* FDEs have an augmentation length */
    bool signal_frame; /* 'S' */
    struct mt_cfi_reader program;
};

/* Runs the CIE's and the FDE's instructions up to address; start: first address of the FDE.
 * MT_E_CORRUPT when they are cut off, MT_E_UNSUPPORTED for an unknown instruction. */
mt_status mt_cfi_run(const struct mt_cfi_common *common, struct mt_cfi_reader program, uint64_t start, uint64_t address,
                     struct mt_cfi_state *ret_state) MT_CHECKED;

/* Turns a state into a row; kind OTHER when no row can say it. */
struct mt_cfi_row mt_cfi_row_of_state(const struct mt_cfi_state *state, bool signal_frame);

#endif
