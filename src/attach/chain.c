/* chain.c: see chain.h. The rules are those of base/cfi.h. */
#include "attach/chain.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 16 << 10, RED_ZONE_BYTES = 128 };

struct walk {
    struct mt_tables *tables;
    uint64_t pc, sp, bp;
    uint64_t high;    /* of the stack */
    bool is_inner;    /* the thread stands at pc, no call returns there */
    uint64_t window;  /* address of the bytes below; 0: none yet */
    size_t window_bytes;
    char bytes[WINDOW_BYTES];
};

/* A word of the stack, above what the innermost function may still use. */
static bool read_word(struct walk *w, uint64_t address, uint64_t *ret)
{
    if (address % 8 != 0 || address < w->sp - RED_ZONE_BYTES || address >= w->high || w->high - address < 8) {
        return false;
    }
    if (w->window == 0 || address < w->window || address + 8 > w->window + w->window_bytes) {
        size_t most = w->high - address < WINDOW_BYTES ? (size_t)(w->high - address) : WINDOW_BYTES;
        w->window = address;
        w->window_bytes = mt_remote_read_some(w->tables->remote, address, w->bytes, most);
    }
    if (w->window_bytes < 8) {
        return false;
    }
    memcpy(ret, w->bytes + (address - w->window), sizeof *ret);
    return true;
}

static bool find_cfa(struct walk *w, const struct mt_cfi_row *row, uint64_t *ret)
{
    uint64_t offset = (uint64_t)(int64_t)row->offset, value = 0;
    switch (row->kind) {
    case MT_ROW_RSP:
        *ret = w->sp + offset;
        return true;
    case MT_ROW_RBP:
        *ret = w->bp + offset;
        return true;
    case MT_ROW_PLT:
        *ret = w->sp + 8 + ((w->pc & 15) >= offset ? 8 : 0);
        return true;
    case MT_ROW_RSP_DEREF:
    case MT_ROW_RBP_DEREF:
        if (!read_word(w, (row->kind == MT_ROW_RSP_DEREF ? w->sp : w->bp) + offset, &value)) {
            return false;
        }
        *ret = value + (uint64_t)(int64_t)row->addend;
        return true;
    case MT_ROW_ABSENT:
    case MT_ROW_NONE:
    case MT_ROW_OTHER:
    case MT_ROW_END:
    case MT_ROW_R10:
    case MT_ROW_SIGNAL:
    default:
        return false;
    }
}

/* To the caller. False: there is no way on. */
static bool step(struct walk *w, const struct mt_cfi_row *row)
{
    uint64_t cfa = 0, bp = w->bp, pc = 0;
    if (!find_cfa(w, row, &cfa) || cfa <= w->sp || !read_word(w, cfa - 8, &pc)) {
        return false;
    }
    if (row->bp_rule == MT_BP_AT_CFA && !read_word(w, cfa + (uint64_t)(int64_t)row->bp_offset, &bp)) {
        return false;
    }
    if (row->bp_rule == MT_BP_AT_BP && !read_word(w, w->bp, &bp)) {
        return false;
    }
    w->pc = pc;
    w->sp = cfa;
    w->bp = bp;
    w->is_inner = false;
    return true;
}

static void push(struct mt_chain *chain, uint64_t address)
{
    chain->addresses = mt_alloc_grow(chain->addresses, &chain->capacity, chain->count + 1, sizeof *chain->addresses);
    chain->addresses[chain->count++] = address;
}

void mt_chain_read(struct mt_tables *tables, const struct user_regs_struct *registers, uint64_t signal_return, uint64_t stack_high,
                   struct mt_chain *ret)
{
    struct walk w = { .tables = tables, .pc = registers->rip, .sp = registers->rsp, .bp = registers->rbp, .high = stack_high, .is_inner = true };
    bool goes_on = true;
    *ret = (struct mt_chain){ 0 };
    while (goes_on && ret->count < MT_CHAIN_MAX) {
        struct mt_cfi_row row = { .kind = MT_ROW_NONE };
        uint64_t address = w.is_inner ? w.pc : w.pc - 1;
        bool known = mt_tables_row(tables, address, &row) == MT_OK;
        ret->in_handler = w.pc == signal_return || (known && row.kind == MT_ROW_SIGNAL);
        ret->is_whole = known && row.kind == MT_ROW_END;
        push(ret, address);
        goes_on = known && !ret->in_handler && !ret->is_whole && step(&w, &row);
    }
}

void mt_chain_clear(struct mt_chain *chain)
{
    free(chain->addresses);
    *chain = (struct mt_chain){ 0 };
}

/* ---- who was called ------------------------------------------------------------------------------------------------- */

static uint64_t relative(const unsigned char *at, uint64_t end)
{
    int32_t distance;
    memcpy(&distance, at, sizeof distance);
    return end + (uint64_t)(int64_t)distance;
}

static uint64_t word_at(const struct mt_remote *remote, uint64_t address)
{
    uint64_t word = 0;
    return mt_remote_read(remote, address, &word, sizeof word) ? word : 0;
}

/* [endbr64] [bnd] jmp *slot(%rip): a stub, which leads to what the slot says. */
static uint64_t behind_stub(const struct mt_remote *remote, uint64_t address)
{
    static const unsigned char endbr64[] = { 0xF3, 0x0F, 0x1E, 0xFA };
    unsigned char code[12];
    size_t at = 0;
    if (!mt_remote_read(remote, address, code, sizeof code)) {
        return 0;
    }
    at += memcmp(code, endbr64, sizeof endbr64) == 0 ? sizeof endbr64 : 0;
    at += code[at] == 0xF2 ? 1 : 0;
    bool is_stub = code[at] == 0xFF && code[at + 1] == 0x25;
    return is_stub ? word_at(remote, relative(code + at + 2, address + at + 6)) : address;
}

uint64_t mt_chain_called(const struct mt_remote *remote, uint64_t return_address)
{
    unsigned char code[6];
    if (!mt_remote_read(remote, return_address - sizeof code, code, sizeof code)) {
        return 0;
    }
    uint64_t operand = relative(code + 2, return_address);
    return code[0] == 0xFF && code[1] == 0x15 ? word_at(remote, operand) : code[1] == 0xE8 ? behind_stub(remote, operand) : 0;
}
