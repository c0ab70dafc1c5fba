/* foothold.c: see foothold.h. The frame: the kernel's arch/x86/include/uapi/asm/sigcontext.h and fpu/signal.c. */
#include "attach/foothold.h"

#include "util/memory.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- the frame that brings a thread back ---------------------------------------------------------------------------- */

#define STATE_MAGIC_BEGIN 0x46505853u /* FP_XSTATE_MAGIC1 */
#define STATE_MAGIC_END 0x46505845u   /* FP_XSTATE_MAGIC2 */
enum {
    STATE_BYTES_MAX = 16384,
    STATE_LEGACY_BYTES = 576,  /* FXSAVE area and XSAVE header */
    STATE_SOFTWARE_AT = 464,   /* of the FXSAVE area: left to software */
    STATE_FEATURES_AT = 512,   /* XSTATE_BV */
    STATE_ALIGN = 64,
    CONTEXT_FLAGS = 1 | 2 | 4, /* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
    STACK_FLAGS_INVALID = 0xFF, /* so that rt_sigreturn leaves the thread's signal stack as it is */
};

struct state_note {
    uint32_t magic, extended_bytes;
    uint64_t features;
    uint32_t bytes, padding[7];
};

/* struct ucontext of the kernel behind the address that `ret` takes. */
struct way_back {
    uint64_t restorer;
    uint64_t flags, link;
    struct {
        uint64_t address;
        int32_t flags, padding;
        uint64_t bytes;
    } stack;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2, state, reserved[8];
    uint64_t mask;
};

static uint64_t features_end(uint64_t features)
{
    uint64_t end = STATE_LEGACY_BYTES;
    for (unsigned bit = 2; bit < 63; bit++) {
        unsigned bytes = 0, at = 0, c = 0, d = 0;
        if ((features >> bit & 1) != 0 && __get_cpuid_count(0xD, bit, &bytes, &at, &c, &d) && at + bytes > end) {
            end = at + bytes;
        }
    }
    return end;
}

/* What ptrace gave, as a signal frame has it. Returns its bytes with the closing word; 0: it is not understood. */
static size_t dress_state(char *state, size_t bytes, size_t capacity)
{
    uint64_t supported = 0, present = 0;
    const uint32_t end_magic = STATE_MAGIC_END;
    if (bytes < STATE_LEGACY_BYTES) {
        return 0;
    }
    memcpy(&supported, state + STATE_SOFTWARE_AT, sizeof supported); /* XCR0, as ptrace puts it there */
    memcpy(&present, state + STATE_FEATURES_AT, sizeof present);
    size_t used = (size_t)features_end(present);
    if (used > bytes || used + sizeof end_magic > capacity) {
        return 0;
    }
    struct state_note note = { STATE_MAGIC_BEGIN, (uint32_t)(used + sizeof end_magic), supported, (uint32_t)used, { 0 } };
    memcpy(state + STATE_SOFTWARE_AT, &note, sizeof note);
    memcpy(state + used, &end_magic, sizeof end_magic);
    return used + sizeof end_magic;
}

static struct way_back way_back_of(const struct user_regs_struct *r, uint64_t restorer, uint64_t state, uint64_t mask)
{
    struct user_regs_struct again = *r;
    uint64_t number;
    int64_t outcome;
    if (mt_thread_was_in_call(r, &number, &outcome)) {
        mt_thread_make_again(&again, outcome == -EINTR ? outcome : -ERANGE); /* as a new call: rt_sigreturn forgets a restart block */
    }
    return (struct way_back){
        .restorer = restorer, .flags = CONTEXT_FLAGS, .stack.flags = STACK_FLAGS_INVALID,
        .r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
        .rdi = r->rdi, .rsi = r->rsi, .rbp = r->rbp, .rbx = r->rbx, .rdx = r->rdx, .rax = again.rax, .rcx = r->rcx,
        .rsp = r->rsp, .rip = again.rip, .eflags = r->eflags,
        .cs = (uint16_t)r->cs, .gs = (uint16_t)r->gs, .fs = (uint16_t)r->fs, .ss = (uint16_t)r->ss,
        .state = state, .mask = mask,
    };
}

/* Puts the frame below the thread's red zone. *ret_rsp: what a `ret` there must find in rsp. */
static bool lay_way_back(const struct mt_subject *subject, const struct mt_hazards *hazards, const struct mt_thread *thread, uint64_t *ret_rsp)
{
    static char state[STATE_BYTES_MAX];
    uint64_t mask = 0;
    size_t bytes = dress_state(state, mt_thread_vector_state(thread, state, sizeof state), sizeof state);
    if (bytes == 0 || !mt_thread_signal_mask(thread, &mask)) {
        return false;
    }
    uint64_t state_at = (thread->registers.rsp - MT_LANDING_RED_ZONE_BYTES - bytes) & ~(uint64_t)(STATE_ALIGN - 1);
    uint64_t at = (state_at - sizeof(struct way_back)) & ~(uint64_t)15;
    if (mt_mappings_at(&subject->mappings, at) != mt_mappings_at(&subject->mappings, thread->registers.rsp)) {
        return false; /* no room on its stack */
    }
    struct way_back way = way_back_of(&thread->registers, hazards->signal_return, state_at, mask);
    *ret_rsp = at;
    return mt_remote_write(&subject->remote, state_at, state, bytes) && mt_remote_write(&subject->remote, at, &way, sizeof way);
}

/* ---- making it ------------------------------------------------------------------------------------------------------ */

struct call {
    long number;
    uint64_t a, b, c, d, e;
};

static bool make_call(const struct mt_hazards *hazards, struct mt_thread *thread, uint64_t rsp, const struct call *call,
                      uint64_t patience_ns, int64_t *ret_result)
{
    struct user_regs_struct registers = thread->registers;
    registers.rip = hazards->syscall_return;
    registers.rsp = rsp;
    registers.rax = (uint64_t)call->number;
    registers.orig_rax = UINT64_MAX;
    registers.rdi = call->a;
    registers.rsi = call->b;
    registers.rdx = call->c;
    registers.r10 = call->d;
    registers.r8 = call->e;
    registers.r9 = 0;
    return mt_thread_call(thread, &registers, patience_ns, ret_result);
}

/* Still stopped behind a call: as it was, and let go. */
static enum mt_foothold_answer give_up(struct mt_thread *thread, enum mt_foothold_answer answer)
{
    if (mt_thread_restore(thread)) {
        mt_thread_let_go(thread);
    }
    return answer;
}

static bool fill_code(const struct mt_subject *subject, uint64_t code)
{
    size_t bytes, entry;
    const void *from = mt_landing_code(&bytes, &entry);
    return bytes <= MT_LANDING_CODE_BYTES && mt_remote_write(&subject->remote, code, from, bytes);
}

enum mt_foothold_answer mt_foothold_make(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_thread *thread,
                                         uint64_t patience_ns, struct mt_foothold *ret, int *ret_error)
{
    uint64_t rsp;
    int64_t base = 0, result = 0;
    if (!lay_way_back(subject, hazards, thread, &rsp)) {
        mt_thread_let_go(thread);
        return MT_FOOTHOLD_LATER;
    }
    const struct call map = { SYS_mmap, 0, MT_LANDING_BOX_BYTES + MT_LANDING_CODE_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX };
    if (!make_call(hazards, thread, rsp, &map, patience_ns, &base)) {
        return MT_FOOTHOLD_LATER;
    }
    uint64_t code = (uint64_t)base + MT_LANDING_BOX_BYTES;
    *ret_error = base < 0 ? (int)-base : 0;
    if (base < 0 || !fill_code(subject, code)) {
        return give_up(thread, base < 0 ? MT_FOOTHOLD_DENIED : MT_FOOTHOLD_LATER);
    }
    const struct call protect = { SYS_mprotect, code, MT_LANDING_CODE_BYTES, PROT_READ | PROT_EXEC, 0, 0 };
    if (!make_call(hazards, thread, rsp, &protect, patience_ns, &result)) {
        return MT_FOOTHOLD_LATER;
    }
    *ret_error = result < 0 ? (int)-result : 0;
    ret->box = (uint64_t)base;
    return result < 0 ? give_up(thread, MT_FOOTHOLD_DENIED) : MT_FOOTHOLD_MADE;
}

/* ---- finding it ----------------------------------------------------------------------------------------------------- */

static bool is_landing(const struct mt_subject *subject, const struct mt_mapping *code)
{
    char there[MT_LANDING_CODE_BYTES];
    uint64_t magic = 0;
    size_t bytes, entry;
    const void *ours = mt_landing_code(&bytes, &entry);
    return mt_remote_read(&subject->remote, code->low, there, bytes) && memcmp(there, ours, bytes) == 0 &&
           mt_remote_read(&subject->remote, code->low - MT_LANDING_BOX_BYTES, &magic, sizeof magic) && magic == MT_LANDING_MAGIC;
}

/* The box may have grown together with another mapping, the page of code stands alone. */
bool mt_foothold_find(const struct mt_subject *subject, struct mt_foothold *ret)
{
    for (size_t i = 1; i < subject->mappings.count; i++) {
        const struct mt_mapping *code = &subject->mappings.items[i], *before = code - 1;
        if (code->executable && !code->writable && code->inode == 0 && code->high - code->low == MT_LANDING_CODE_BYTES &&
            before->writable && before->high == code->low && before->high - before->low >= MT_LANDING_BOX_BYTES &&
            is_landing(subject, code)) {
            ret->box = code->low - MT_LANDING_BOX_BYTES;
            return true;
        }
    }
    return false;
}

uint64_t mt_foothold_vector_bytes(void)
{
    unsigned a = 0, bytes = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &bytes, &c, &d) || (c & bit_OSXSAVE) == 0 || !__get_cpuid_count(0xD, 0, &a, &bytes, &c, &d)) {
        return 0;
    }
    return bytes;
}
