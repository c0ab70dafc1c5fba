/* owncall.c: see owncall.h. Order, everywhere: begin, the real call, end; a free is recorded before the real free. */
#include "hook/owncall.h"

#include "heap/engine.h"
#include "hook/guard.h"

struct mt_own_function mt_g_own_functions[MT_OWN_FUNCTIONS_MAX];

/* What mt_own_entry leaves on the stack: as every frame with a frame pointer begins, then what it was entered with. */
struct entry_frame {
    uint64_t bp, pc; /* the caller's rbp, a copy of its return address */
    uint64_t number; /* of the function */
    uint64_t return_address;
    uint64_t above[]; /* the caller's frame */
};

uint64_t mt_own_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t number, const struct entry_frame *frame) MT_HIDDEN;

__asm__(".text\n"
        ".type mt_own_entry, @function\n"
        ".hidden mt_own_entry\n"
        ".globl mt_own_entry\n"
        "mt_own_entry:\n"
        ".cfi_startproc\n"
        ".cfi_def_cfa_offset 16\n" /* the number, then the return address */
        "push 8(%rsp)\n"
        ".cfi_def_cfa_offset 24\n"
        "push %rbp\n"
        ".cfi_def_cfa_offset 32\n"
        ".cfi_offset rbp, -32\n"
        "mov %rsp, %rbp\n"
        ".cfi_def_cfa_register rbp\n"
        "push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n"
        "sub $256, %rsp\n"
        "and $-16, %rsp\n"
        "movaps %xmm0, (%rsp); movaps %xmm1, 16(%rsp); movaps %xmm2, 32(%rsp); movaps %xmm3, 48(%rsp)\n"
        "movaps %xmm4, 64(%rsp); movaps %xmm5, 80(%rsp); movaps %xmm6, 96(%rsp); movaps %xmm7, 112(%rsp)\n"
        "movaps %xmm8, 128(%rsp); movaps %xmm9, 144(%rsp); movaps %xmm10, 160(%rsp); movaps %xmm11, 176(%rsp)\n"
        "movaps %xmm12, 192(%rsp); movaps %xmm13, 208(%rsp); movaps %xmm14, 224(%rsp); movaps %xmm15, 240(%rsp)\n"
        "mov 16(%rbp), %r8\n"
        "mov %rbp, %r9\n"
        "call mt_own_call\n"
        "movaps (%rsp), %xmm0; movaps 16(%rsp), %xmm1; movaps 32(%rsp), %xmm2; movaps 48(%rsp), %xmm3\n"
        "movaps 64(%rsp), %xmm4; movaps 80(%rsp), %xmm5; movaps 96(%rsp), %xmm6; movaps 112(%rsp), %xmm7\n"
        "movaps 128(%rsp), %xmm8; movaps 144(%rsp), %xmm9; movaps 160(%rsp), %xmm10; movaps 176(%rsp), %xmm11\n"
        "movaps 192(%rsp), %xmm12; movaps 208(%rsp), %xmm13; movaps 224(%rsp), %xmm14; movaps 240(%rsp), %xmm15\n"
        "lea -64(%rbp), %rsp\n"
        "pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx\n"
        "pop %rbp\n"
        ".cfi_def_cfa rsp, 24\n"
        ".cfi_restore rbp\n"
        "lea 16(%rsp), %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size mt_own_entry, .-mt_own_entry\n");

/* A call of a patched function; arguments it does not have hold whatever was in their registers. */
struct call {
    const struct mt_own_function *function;
    uint64_t arguments[MT_OWN_ARGUMENTS];
    struct mt_frame_regs caller;
};

static uint64_t real(const struct call *call)
{
    uint64_t (*moved)(uint64_t, uint64_t, uint64_t, uint64_t) =
        (uint64_t(*)(uint64_t, uint64_t, uint64_t, uint64_t))call->function->moved;
    uint64_t left = mt_guard_save();
    uint64_t result = moved(call->arguments[0], call->arguments[1], call->arguments[2], call->arguments[3]);
    mt_guard_restore(left);
    return result;
}

/* The real call where nothing is recorded but what it does is part of it. */
static uint64_t real_guarded(const struct call *call)
{
    mt_engine_enter();
    uint64_t result = real(call);
    mt_engine_leave();
    return result;
}

static void *block_of(const struct call *call)
{
    return (void *)(uintptr_t)call->arguments[call->function->name->block_at];
}

/* Bytes asked for; false when they are too many to be named: the real function will fail. */
static bool read_size(const struct call *call, size_t *ret_size)
{
    const struct mt_own_name *name = call->function->name;
    size_t size = call->arguments[name->size_at];
    size_t count = name->count_at == MT_OWN_ABSENT ? 1 : call->arguments[name->count_at];
    return !__builtin_mul_overflow(size, count, ret_size);
}

/* The block that came back; NULL: none. */
static void *block_made(const struct call *call, uint64_t result)
{
    if (call->function->name->shape != MT_OWN_STORE) {
        return (void *)(uintptr_t)result;
    }
    return (int)result == 0 ? *(void **)(uintptr_t)call->arguments[0] : NULL;
}

static uint64_t allocate(const struct call *call, size_t size)
{
    if (!mt_engine_counts(size) || mt_engine_begin(size) == MT_SKIP) {
        return real_guarded(call);
    }
    uint64_t result = real(call);
    mt_engine_end_alloc(block_made(call, result), size, (enum mt_allocator)call->function->name->allocator,
                        &call->caller);
    return result;
}

/* What these allocators' blocks measure is not known: each realloc counts as a new block. */
static uint64_t reallocate(const struct call *call, size_t size)
{
    void *old = block_of(call);
    if (old == NULL) {
        return allocate(call, size);
    }
    if (size == 0) { /* a free and, where a block comes back, an allocation */
        mt_engine_free(old);
        return allocate(call, 0);
    }
    enum mt_allocator allocator = (enum mt_allocator)call->function->name->allocator;
    if (mt_engine_may_track(old) && mt_engine_begin_realloc(old, size, MT_REALLOC_RENEWS) == MT_RECORD) {
        uint64_t made = real(call);
        mt_engine_end_realloc(old, (void *)(uintptr_t)made, size, MT_REALLOC_RENEWS, allocator, &call->caller);
        return made;
    }
    uint64_t result = real_guarded(call);
    if (result == 0) {
        mt_engine_note_failure(size, allocator, &call->caller);
    } else if (mt_engine_counts(size) && mt_engine_begin(size) == MT_RECORD) {
        mt_engine_end_growth((void *)(uintptr_t)result, size, MT_REALLOC_RENEWS, allocator, &call->caller);
    }
    return result;
}

static uint64_t release(const struct call *call)
{
    void *block = block_of(call);
    if (block != NULL && mt_engine_may_track(block)) {
        mt_engine_free(block);
    }
    return real_guarded(call);
}

static uint64_t perform(const struct call *call)
{
    uint8_t shape = call->function->name->shape;
    size_t size;
    if (shape == MT_OWN_FREE) {
        return release(call);
    }
    if (!read_size(call, &size)) {
        return real_guarded(call);
    }
    return shape == MT_OWN_REALLOC ? reallocate(call, size) : allocate(call, size);
}

__attribute__((used)) uint64_t mt_own_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t number,
                                           const struct entry_frame *frame)
{
    MT_LEAVE_GUARD_WHEN_THROWN_THROUGH();
    struct call call = {
        .function = &mt_g_own_functions[number],
        .arguments = { a, b, c, d },
        .caller = { .pc = frame->pc, .sp = (uint64_t)(uintptr_t)frame->above, .bp = frame->bp },
    };
    return perform(&call);
}
