/* unwind.h: native stacks of the calling thread without frame pointers.
 *
 * Decides: how a frame's caller is found (call frame information from .eh_frame, own lazy interpreter, a pc -> row cache),
 * and how a thread's previous stack is reused (memo by verification: walk from the innermost frame until the state
 * equals a state of the previous stack, then only verify the older return addresses).
 * Invariants: never reads outside the stack bounds of the thread; never allocates with malloc, never locks the loader;
 * every result is derived from verified memory, so a reused stack is never stale.
 * Contexts: mt_unwind_capture [hook]; everything else as said.
 */
#ifndef MT_HEAP_UNWIND_H
#define MT_HEAP_UNWIND_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers as they will be just after the hooked function has returned to its caller. */
struct mt_frame_regs {
    uint64_t pc;
    uint64_t sp;
    uint64_t bp;
};

/* The registers of the caller of the function this is used in. That function must have a frame pointer and be entered
 * by a call or a tail jump from the hooked symbol itself. */
#define MT_CAPTURE_CALLER(regs_name)                                                                                   \
    struct mt_frame_regs regs_name;                                                                                    \
    do {                                                                                                               \
        const uint64_t *mt_frame_ = __builtin_frame_address(0);                                                        \
        (regs_name).bp = mt_frame_[0];                                                                                 \
        (regs_name).pc = mt_frame_[1];                                                                                 \
        (regs_name).sp = (uint64_t)(uintptr_t)(mt_frame_ + 2);                                                         \
    } while (0)

enum { MT_UNWIND_MAX_FRAMES = 16384 };

/* One frame of the last captured stack. */
struct mt_native_frame {
    uint64_t pc;   /* return address into this frame's function (innermost: caller of the hook) */
    uint64_t cfa;  /* canonical frame address: the frame occupies [sp, cfa) with sp = the cfa of the next inner frame;
                      a value v on the stack belongs to this frame when inner cfa <= v < cfa */
    uint64_t row;  /* the rule its caller was found by, and flags (unwind_state.h) */
    uint64_t bp;   /* rbp in this frame, where older frames depend on it (a flag of row says so) */
};

struct mt_unwind_state;

/* Per-thread unwinder state, in memory of the engine. */
struct mt_unwinder {
    struct mt_native_frame *frames;  /* of the last capture, innermost first */
    struct mt_unwind_state *state;   /* private, with the memory of the frames (unwind_state.h) */
    uint32_t count;                  /* frames of the last capture */
    uint32_t epoch;                  /* module epoch of the last capture */
    uint64_t hash;                   /* of the pcs, the result and the epoch of the last capture; well mixed */
    uint64_t stack_low;              /* bounds of the thread's own stack, 0 until known */
    uint64_t stack_high;
    struct { uint64_t low, high; } alternate[2]; /* other stacks it was seen on (signal, coroutine), from /proc */
    uint32_t alternate_generation;
};

enum mt_unwind_result {
    MT_UNWIND_COMPLETE,  /* reached the base of the stack */
    MT_UNWIND_TRUNCATED, /* deeper than MT_UNWIND_MAX_FRAMES: the outermost frames are missing */
    MT_UNWIND_BROKEN,    /* no rule for a pc (JIT, hand-written assembly): inner part only */
};

/* Bytes of memory an unwinder needs for its frames: virtual, touched as deep as stacks get. */
size_t mt_unwinder_memory_bytes(void);
/* memory: mt_unwinder_memory_bytes() zero bytes that live as long as the thread. Learns the stack bounds of the calling
 * thread (thread pointer for pthreads, __libc_stack_end for main; never pthread_getattr_np). Context: [hook]. */
void mt_unwinder_init(struct mt_unwinder *u, void *memory);
/* Captures the stack into u->frames[0..count) and u->hash.
 * Context: [hook], own thread only. */
enum mt_unwind_result mt_unwind_capture(struct mt_unwinder *u, const struct mt_frame_regs *regs);
/* Forget cached bounds and rows that may refer to this address range (munmap, dlclose). Context: [hook]. */
void mt_unwind_forget_range(uint64_t addr, uint64_t bytes);
/* In a fork child: the calling thread is the only one. Context: [fork-child]. */
void mt_unwind_after_fork(void);

#endif
