/* unwind_rare.c: one step of the walk for everything but a cached plain frame.
 *
 * Decides: what to do on a cache miss (interpret the CFI, enter the row), at realigned frames, PLT stubs, signal
 * frames, code without CFI (follow the frame pointer when that leads to a known module, else stop), and at the end
 * of a stack.
 * Invariants as unwind.c; additionally at most SIGNALS_MAX signal frames a walk, so that a damaged signal frame cannot
 * make the walk go round. Contexts: [hook], own thread.
 */
#include "heap/modules.h"
#include "heap/unwind_walk.h"

#include <elf.h>
#include <string.h>

enum { SIGNALS_MAX = 64, CHAIN_MAX = 64, CHAIN_FRAME_MAX_BYTES = 64 << 10 };

/* Offsets in struct ucontext of the kernel's rt signal frame, which rsp points to when the handler has returned
 * (arch/x86/include/uapi/asm/sigcontext.h): for restorers that have no CFI, as musl's. */
enum { UCONTEXT_R10 = 56, UCONTEXT_BP = 120, UCONTEXT_SP = 160, UCONTEXT_PC = 168 };

/* The segment of module that holds address and has all the flags; NULL: none. */
static const struct mt_module_segment *segment_of(const struct mt_module *module, uint64_t address, uint32_t flags)
{
    for (uint32_t i = 0; i < module->segment_count && i < MT_MODULE_SEGMENTS_MAX; i++) {
        const struct mt_module_segment *segment = &module->segments[i];
        if (address - module->bias - segment->vaddr < segment->bytes && (segment->flags & flags) == flags) {
            return segment;
        }
    }
    return NULL;
}

/* True at `mov $15, %rax; syscall` (rt_sigreturn): what every signal restorer must be. */
static bool is_restorer(const struct mt_module *module, uint64_t pc)
{
    static const uint8_t code[] = { 0x48, 0xC7, 0xC0, 0x0F, 0x00, 0x00, 0x00, 0x0F, 0x05 };
    return segment_of(module, pc, PF_R | PF_X) != NULL && segment_of(module, pc + sizeof code, PF_R | PF_X) != NULL &&
           memcmp((const void *)(uintptr_t)pc, code, sizeof code) == 0;
}

/* What the module's tables say about address. */
static struct mt_cfi_row interpret(const struct mt_module *module, uint64_t address)
{
    struct mt_cfi_row row = { .kind = MT_ROW_NONE };
    const struct mt_module_segment *segment = segment_of(module, module->eh_frame_hdr, PF_R);
    if (module->eh_frame_hdr == 0 || segment == NULL) {
        return row;
    }
    struct mt_cfi_image image = { .hdr = module->eh_frame_hdr };
    image.low = module->bias + segment->vaddr;
    image.high = image.low + segment->bytes;
    mt_status status = mt_cfi_find_row(&image, address, &row);
    if (status != MT_OK) {
        row.kind = status == MT_E_NOENT ? MT_ROW_NONE : MT_ROW_OTHER;
    }
    return row;
}

/* The row in force at key - 1, from the cache or made now; kind NONE when there is none. */
static struct mt_cfi_row row_of(uint64_t key, uint64_t pc, uint32_t *ret_packed)
{
    struct mt_cfi_row row = { .kind = MT_ROW_NONE };
    bool cacheable = false;
    uint64_t entry = mt_rowcache_entry(key);
    if (mt_rowcache_is_for(entry, key)) {
        *ret_packed = (uint32_t)(entry >> 32);
        return mt_row_unpack(*ret_packed);
    }
    uint64_t address = key - 1;
    const struct mt_module *module = mt_modules_find(address);
    if (module != NULL) {
        cacheable = true;
        row = interpret(module, address);
        if ((row.kind == MT_ROW_NONE || row.kind == MT_ROW_OTHER) && is_restorer(module, pc)) {
            row = (struct mt_cfi_row){ MT_ROW_SIGNAL, MT_BP_SAME, UCONTEXT_SP, UCONTEXT_BP, UCONTEXT_PC };
        }
    }
    bool is_complete = true;
    *ret_packed = mt_row_pack(&row, &is_complete);
    if (*ret_packed == 0) {
        row = (struct mt_cfi_row){ .kind = MT_ROW_OTHER };
        *ret_packed = mt_row_pack(&row, &is_complete);
    }
    if (cacheable && is_complete) {
        mt_rowcache_put(key, *ret_packed);
    }
    return row;
}

/* flags: enum mt_frame_flag. */
static void push(struct walk *w, uint64_t cfa, uint32_t packed, unsigned flags)
{
    if ((flags & MT_FRAME_NEEDS_BP) != 0) {
        mt_unwind_need_bp(w, w->out - 1, w->bp);
    }
    *w->out++ = (struct mt_native_frame){ .pc = w->pc, .cfa = cfa, .bp = w->bp, .row = (uint64_t)packed << 32 | flags };
    w->hash = mt_stack_hash_step(w->hash, mt_stack_hash_fold(w->pc));
}

/* The outermost frame that is known; its own extent is not. */
static enum progress stop(struct walk *w, enum mt_row_kind kind)
{
    struct mt_cfi_row row = { .kind = kind };
    bool is_complete;
    push(w, w->sp + 8, mt_row_pack(&row, &is_complete), MT_FRAME_RARE);
    return kind == MT_ROW_END ? PROGRESS_COMPLETE : PROGRESS_BROKEN;
}

/* True for a return address that no call made: the first byte of a function, with nothing before it. The base of a
 * stack that makecontext and its like have set up. */
static bool is_made_up(uint64_t pc)
{
    uint32_t packed;
    return row_of(pc + 1, pc, &packed).kind != MT_ROW_NONE;
}

/* Reads the word at address if it lies in this walk's stack, not below the red zone of the current frame. */
static bool read_word(struct walk *w, uint64_t address, uint64_t *ret_word)
{
    bool below = address < w->sp - MT_STACK_RED_ZONE_BYTES || address < w->span.low;
    if (below || (address & 7) != 0 || address > UINT64_MAX - 8 || !mt_stackbounds_reach(w->u, &w->span, address + 8)) {
        return false;
    }
    *ret_word = mt_stack_word(address);
    return true;
}

/* True when nothing can be above this frame: ld.so's entry code, which has no CFI, runs constructors at the very
 * top. */
static bool is_at_top(const struct walk *w)
{
    return w->span.which == MT_STACK_OWN && w->span.high - w->sp < 16;
}

static bool is_code(uint64_t pc)
{
    const struct mt_module *module = pc == 0 ? NULL : mt_modules_find(pc - 1);
    return module != NULL && segment_of(module, pc - 1, PF_X) != NULL;
}

/* True when rbp looks like a frame pointer: a chain of saved rbp and return address upward that soon returns into a
 * module (several steps: JIT frames call each other). */
static bool has_frame_pointer(struct walk *w)
{
    uint64_t bp = w->bp;
    uint64_t least = w->sp;
    for (int i = 0; i < CHAIN_MAX; i++) {
        uint64_t next;
        uint64_t pc;
        if (bp < least || bp - least > CHAIN_FRAME_MAX_BYTES || !read_word(w, bp, &next) ||
            !read_word(w, bp + 8, &pc)) {
            return false;
        }
        if (is_code(pc)) {
            return true;
        }
        least = bp + 16;
        bp = next;
    }
    return false;
}

/* The CFA by a row. */
static bool find_cfa(struct walk *w, const struct mt_cfi_row *row, uint64_t *ret_cfa)
{
    uint64_t offset = (uint64_t)(int64_t)row->offset;
    uint64_t slot;
    uint64_t value;
    switch (row->kind) {
    case MT_ROW_RSP:
        *ret_cfa = w->sp + offset;
        return true;
    case MT_ROW_RBP:
        *ret_cfa = w->bp + offset;
        return true;
    case MT_ROW_R10:
        *ret_cfa = w->r10 + offset;
        return w->exact;
    case MT_ROW_PLT:
        *ret_cfa = w->sp + 8 + ((w->pc & 15) >= offset ? 8 : 0);
        return true;
    case MT_ROW_RSP_DEREF:
    case MT_ROW_RBP_DEREF:
        slot = (row->kind == MT_ROW_RSP_DEREF ? w->sp : w->bp) + offset;
        if (!read_word(w, slot, &value)) {
            return false;
        }
        *ret_cfa = value + (uint64_t)(int64_t)row->addend;
        return slot < *ret_cfa; /* inside the frame, as the memo's extras have it */
    case MT_ROW_ABSENT:
    case MT_ROW_NONE:
    case MT_ROW_OTHER:
    case MT_ROW_END:
    case MT_ROW_SIGNAL:
    default:
        return false;
    }
}

static bool find_bp(struct walk *w, const struct mt_cfi_row *row, uint64_t cfa, uint64_t *ret_bp)
{
    /* Restored already: not in the frame that it would be the base of; and the rule is stale. */
    bool popped = row->bp_rule == MT_BP_AT_BP && w->exact && (w->bp >= cfa || w->bp < w->sp);
    if (row->bp_rule == MT_BP_SAME || popped) {
        *ret_bp = w->bp;
        return true;
    }
    uint64_t slot = row->bp_rule == MT_BP_AT_BP ? w->bp : cfa + (uint64_t)(int64_t)row->bp_offset;
    return slot < cfa && read_word(w, slot, ret_bp);
}

/* What the frame was read from. */
static unsigned flags_of(const struct walk *w, const struct mt_cfi_row *row)
{
    bool is_plain = row->kind == MT_ROW_RSP || row->kind == MT_ROW_RBP;
    bool is_cached = !w->exact && mt_rowcache_is_for(mt_rowcache_entry(w->pc), w->pc);
    bool by_bp = row->kind == MT_ROW_RBP || row->kind == MT_ROW_RBP_DEREF;
    bool derefs = row->kind == MT_ROW_RSP_DEREF || row->kind == MT_ROW_RBP_DEREF;
    return (is_plain && is_cached ? 0 : MT_FRAME_RARE) | (by_bp ? MT_FRAME_NEEDS_BP : 0) |
           (derefs ? MT_FRAME_READ_CFA : 0);
}

static enum progress step_frame(struct walk *w, const struct mt_cfi_row *row, uint32_t packed)
{
    uint64_t cfa;
    uint64_t pc;
    uint64_t bp;
    if (!find_cfa(w, row, &cfa) || cfa <= w->sp || (cfa & 7) != 0) {
        return stop(w, MT_ROW_OTHER);
    }
    if (!mt_stackbounds_reach(w->u, &w->span, cfa)) {
        return stop(w, MT_ROW_END);
    }
    if (!find_bp(w, row, cfa, &bp) || !read_word(w, cfa - 8, &pc)) {
        return stop(w, MT_ROW_OTHER);
    }
    push(w, cfa, packed, flags_of(w, row));
    w->pc = pc;
    w->sp = cfa;
    w->bp = bp;
    w->exact = false;
    w->base_is_zero = pc == 0;
    return pc == 0 ? PROGRESS_COMPLETE : PROGRESS_PLAIN;
}

/* Goes on in the interrupted code, which may run on another stack. */
static enum progress step_signal(struct walk *w, const struct mt_cfi_row *row, uint32_t packed)
{
    uint64_t sp;
    uint64_t bp;
    uint64_t pc;
    uint64_t sp_slot = w->sp + (uint64_t)(int64_t)row->offset;
    bool known = read_word(w, sp_slot, &sp) && read_word(w, w->sp + (uint64_t)(int64_t)row->bp_offset, &bp) &&
                 read_word(w, w->sp + (uint64_t)(int64_t)row->addend, &pc) &&
                 read_word(w, sp_slot - UCONTEXT_SP + UCONTEXT_R10, &w->r10);
    if (!known || w->signals == SIGNALS_MAX) {
        return stop(w, MT_ROW_OTHER);
    }
    w->oldest_signal = w->out;
    push(w, sp, packed, MT_FRAME_RARE);
    w->signals++;
    w->pc = pc;
    w->sp = sp;
    w->bp = bp;
    w->exact = true;
    w->bp_from = w->out;
    if (!mt_stackbounds_enter(w->u, sp, &w->span)) {
        return PROGRESS_BROKEN;
    }
    return PROGRESS_MOVED;
}

enum progress mt_unwind_step_rare(struct walk *w)
{
    static const struct mt_cfi_row frame_pointer_row = { MT_ROW_RBP, MT_BP_AT_CFA, 16, -16, 0 };
    uint32_t packed;
    bool is_complete;
    if (w->out == w->out_end) {
        return PROGRESS_TRUNCATED;
    }
    struct mt_cfi_row row = row_of(w->exact ? w->pc + 1 : w->pc, w->pc, &packed);
    if (row.kind == MT_ROW_NONE && (is_at_top(w) || is_made_up(w->pc))) {
        row.kind = MT_ROW_END;
    } else if (row.kind == MT_ROW_NONE && has_frame_pointer(w)) {
        row = frame_pointer_row;
        packed = mt_row_pack(&row, &is_complete);
    }
    if (row.kind == MT_ROW_NONE || row.kind == MT_ROW_OTHER || row.kind == MT_ROW_END) {
        return stop(w, row.kind);
    }
    if (row.kind == MT_ROW_SIGNAL) {
        return step_signal(w, &row, packed);
    }
    return step_frame(w, &row, packed);
}
