/* engine.h: the one door from the hooks to the engine.
 *
 * Decides, for every allocator call, whether it is recorded, and records it. A hook calls, in this order:
 *   allocation:  if (mt_engine_counts(size)) slow: v = mt_engine_begin(size); p = real(size);
 *                if (v) mt_engine_end_alloc(v, p, ...)
 *   free:        if (mt_engine_may_track(p)) slow: mt_engine_free(p), then the real free
 *   realloc:     if (mt_engine_may_track(p)) slow: begin_realloc, the real realloc, end_realloc; else the real realloc, then
 *                if (mt_engine_counts(growth)) slow: mt_engine_begin(growth), mt_engine_end_growth
 * so that a free is stamped and recorded before the real free and an allocation after the real allocation; two threads
 * that reuse one address can then never be recorded in the wrong order.
 *
 * Fast paths cost: allocation `sub mem; jbe`, free 5 instructions (docs/sampling.md). t_mt.left is the exact byte
 * countdown to the next sample; it is 0 in exact mode, before a thread is initialised and after it has ended, so one test
 * sends every case that needs thought to the slow path.
 * Contexts: all [hook] unless said otherwise; errno is never changed.
 */
#ifndef MT_HEAP_ENGINE_H
#define MT_HEAP_ENGINE_H

#include "base/atomic.h"
#include "base/os.h"
#include "base/status.h"
#include "heap/account.h"
#include "heap/unwind.h"
#include "wire/config.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_thread;
struct mt_labels;

enum mt_thread_state {
    MT_THREAD_NEW = 0, /* zero-initialised TLS: no block yet */
    MT_THREAD_READY = 1,
    MT_THREAD_DEAD = 2, /* block given back; late frees go to the orphan stream */
    MT_THREAD_ENDING = 3, /* as READY, but every call first looks whether the program's code has ended (ending.c) */
    MT_THREAD_IGNORED = 4, /* our own threads */
    MT_THREAD_HAS_BLOCK = 1, /* a bit that READY and ENDING have */
};

/* All the TLS the agent has (initial-exec; a dlopen'ed library gets about 1.5 KB at most, shared). */
struct mt_tls {
    uint64_t left; /* bytes to the next sample; 0: take the slow path */
    struct mt_thread *thread;
    uint32_t depth; /* > 0: inside a hook of ours; nested allocator calls are part of it and not recorded. The top bit
                       (MT_DEPTH_RECORDING): inside the recorder, where only a signal handler can call. Units of
                       MT_DEPTH_OWN: mt_engine_enter_own */
    uint32_t state; /* enum mt_thread_state; next to depth: both are tested with one load */
    uint64_t ending; /* the block the guarded call ends, with the headers that may be in front of it; 0: it ends none.
                        See mt_engine_enter_end */
    uint64_t guard; /* depth > 0: a place just below the frame that set the guard. A hook above it finds it left (gate.c) */
    struct mt_labels *labels; /* what the thread is labelled with; NULL: nothing (label.h) */
};
enum { MT_DEPTH_RECORDING = INT32_MIN, MT_DEPTH_OWN = 1 << 16, MT_COUNTDOWN_CHUNK = 256 * 1024 };
enum { MT_GUARD_OF_NOTHING = 1 }; /* in guard: where it is left, no event is lost */
extern __thread struct mt_tls t_mt __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Sampled-pointer filter: address of a byte table that lies so that its low 5 bits are the shift of its index, which is
 * the top of a 32-bit product: the word is base and shift at once, with nothing to mask. The top half of the address is
 * left out: blocks 4 GiB apart share a byte, which costs a look-up and no more. Writers: under the live-table lock.
 * Pairing E1: release store of a new filter with the acquire in may_track; a thread that frees a pointer got it after the
 * insertion, so it sees the filter that holds it. All-ones in exact mode. */
extern uint64_t mt_g_filter MT_HIDDEN;
#define MT_FILTER_MULTIPLIER 0x9E3779B97F4A7C15u /* 2^64 / golden ratio; the table behind the filter uses it too */
/* Found by search among random odd constants: of other blocks in a row, 16 to 544 bytes apart, at most 13 % pass for tracked
 * ones at a load of 1/8; with 2^32 / golden ratio it is 41 %. */
#define MT_FILTER_MULTIPLIER_32 0x4773DAE9u

/* True when the slow path must look at this allocation. Counts size down. */
MT_INLINE bool mt_engine_counts(size_t size)
{
#if defined(__x86_64__)
    bool hit;
    __asm__("subq %[size], %[left]" : [left] "+m"(t_mt.left), "=@ccbe"(hit) : [size] "r"(size));
    return MT_UNLIKELY(hit);
#else
    uint64_t left = t_mt.left;
    t_mt.left = left - size;
    return MT_UNLIKELY(left <= size);
#endif
}

/* Index of an address's byte in the table of a filter word. */
MT_INLINE uint32_t mt_filter_index(uint64_t word, uint64_t address)
{
    return ((uint32_t)address * MT_FILTER_MULTIPLIER_32) >> (word & 31);
}

/* False: ptr is certainly not recorded, free it straight away. */
MT_INLINE bool mt_engine_may_track(const void *ptr)
{
    uint64_t word = mt_load_acquire(&mt_g_filter);
    const uint8_t *table = (const uint8_t *)(uintptr_t)word;
    return MT_UNLIKELY(mt_load_byte_relaxed(&table[mt_filter_index(word, (uint64_t)(uintptr_t)ptr)]) != 0);
}

/* The begin functions are called by the hook itself: the guard ends with the hook's frame. Somebody may jump out of it (a
 * signal handler with siglongjmp, cancellation): then the guard ends at the thread's next call from where that frame was or
 * above, and the event is counted as dropped.
 * What begin decided; pass it to the matching end. */
enum mt_verdict {
    MT_SKIP = 0,   /* nothing was entered: call the real function and return */
    MT_RECORD = 1, /* entered: call end_* exactly once */
    MT_WATCH = 2,  /* begin_realloc only: nothing was entered; if the block has moved, call mt_engine_end_watched */
};

/* After mt_engine_counts said true. MT_RECORD sets the guard until end. size: requested bytes (calloc: the product). */
MT_NOINLINE enum mt_verdict mt_engine_begin(size_t size);
/* ptr may be NULL: mt_engine_failed. regs: caller of the hook. Clears the guard. */
void mt_engine_end_alloc(void *ptr, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs);
/* The real call failed for want of memory: nothing is recorded but a mark, of the first one. size 0: it did not fail. Clears
 * the guard. */
MT_COLD void mt_engine_failed(size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs);
/* Leaves without recording. */
void mt_engine_abandon(void);

/* Before the real free. ptr non-NULL. */
void mt_engine_free(void *ptr);

/* What a realloc was, as far as sampling goes. */
enum mt_realloc_way {
    MT_REALLOC_GROWS,  /* by how much is known (shrinking is growing by nothing): that much was counted */
    MT_REALLOC_RENEWS, /* the block is a new one for all that is known: its whole size was counted */
};

/* realloc(old, size), both non-zero, in the hook when mt_engine_may_track(old). begin before the real call, end after it with
 * its result (NULL: failed, old block stays). MT_SKIP: old is no sample; count its growth (mt_engine_end_growth). MT_RECORD:
 * old is the block that the guarded call ends, see mt_engine_enter_end; what it grew by is not counted. way: RENEWS when that
 * is certain before the call, else GROWS. */
MT_NOINLINE enum mt_verdict mt_engine_begin_realloc(void *old, size_t size, enum mt_realloc_way way);
void mt_engine_end_realloc(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs);
/* After MT_WATCH and the real call, when new_ptr is neither NULL nor old. */
void mt_engine_end_watched(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs);
/* ptr, now of size bytes, grew by what mt_engine_begin was told and said MT_RECORD to. RENEWS: that was size. Clears the guard. */
void mt_engine_end_growth(void *ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                          const struct mt_frame_regs *regs);

/* gate.c: the realloc under way, if there is one, was jumped out of. Guard set. */
void mt_engine_leave_realloc(void);

/* Address ranges: mmap, munmap, mremap, brk. Recorded exactly in both modes (they are rare) unless inside another hook.
 * begin before the real call (sets the guard), exactly one end after. For munmap use MT_RANGE_UNMAP: the record is made
 * before the real call by begin. */
MT_NOINLINE enum mt_verdict mt_engine_begin_range(void);
void mt_engine_end_map(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs);
/* The same for a mapping that is usable and only reserved (MAP_NORESERVE): it is held as far as it is touched. */
void mt_engine_end_map_untouched(void *addr, size_t bytes, const struct mt_frame_regs *regs);
enum { MT_TOUCH_LEAST_BYTES = 1 << 20 }; /* smaller ones are not worth looking at */
/* kind: OPENED, CLOSED, EMPTIED; after mprotect or madvise did it. */
void mt_engine_end_access(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs);
/* Pages of this range may go away: notes which were touched. Between begin_range and the real call. */
void mt_engine_note_pages(void *addr, size_t bytes);
/* mremap: old range gone, new range there. */
void mt_engine_end_remap(void *old_addr, size_t old_bytes, void *addr, size_t bytes, const struct mt_frame_regs *regs);
/* Records an unmap; call between begin_range and the real munmap, then mt_engine_abandon() to leave. */
void mt_engine_note_unmap(void *addr, size_t bytes);

/* The frame of the function this is inlined into, and of its caller. */
MT_INLINE uint64_t mt_engine_frame(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}
MT_INLINE uint64_t mt_engine_frame_of_caller(void)
{
    return *(const uint64_t *)__builtin_frame_address(0);
}

/* Guard for hooks that call into libc on our own account (dlopen wrapper, pthread_create …). */
MT_INLINE void mt_engine_enter(void)
{
    if ((t_mt.depth++ & (MT_DEPTH_OWN - 1)) == 0) {
        t_mt.guard = (mt_engine_frame() - 16) | MT_GUARD_OF_NOTHING; /* below the hook's saved frame pointer */
    }
}
MT_INLINE void mt_engine_leave(void) { t_mt.depth--; }
/* Guard for the real call that ends ptr, which has been recorded. Frees inside it are recorded unless they are of ptr: who
 * stands between the hook and the allocator (tracemalloc, another tool) gives memory of his own back on the way. headers:
 * how many headers of 16 bytes may lie between what is freed in the end and ptr (Python's debug hooks), at most 7. Where
 * such guards nest, the outer block is forgotten: at worst its end is recorded twice, before its memory is given back. */
MT_INLINE void mt_engine_enter_end(const void *ptr, unsigned headers)
{
    t_mt.ending = (uint64_t)(uintptr_t)ptr | headers;
    mt_engine_enter();
}
/* Is ptr that block, as the allocator knows it? */
MT_INLINE bool mt_engine_is_ending(const void *ptr)
{
    uint64_t before = (t_mt.ending & ~(uint64_t)7) - (uint64_t)(uintptr_t)ptr;
    return t_mt.ending != 0 && before <= (t_mt.ending & 7) * 16;
}
/* The same for a realloc that is recorded: between begin and the real call. */
MT_INLINE void mt_engine_expect_headers(unsigned headers)
{
    t_mt.ending |= headers;
}
MT_INLINE void mt_engine_leave_end(void)
{
    t_mt.ending = 0;
    t_mt.depth--;
}
/* The same around a longer piece of work of ours in a thread of the program (a snapshot taken from Python): what is allocated
 * in between brings the program's next sample no nearer, and blocks of the program that end in between (garbage is collected
 * then too) are seen to end. They nest. Context: [agent]. */
MT_INLINE void mt_engine_enter_own(void) { t_mt.depth += MT_DEPTH_OWN; }
void mt_engine_leave_own(void);

/* A realloc to size bytes that was not begun gave NULL: noted as mt_engine_end_alloc does when it would have been recorded. size 0:
 * it did not fail. */
MT_INLINE void mt_engine_note_failure(size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (size > 0 && mt_engine_counts(size) && mt_engine_begin(size) == MT_RECORD) {
        mt_engine_end_alloc(NULL, size, allocator, regs);
    }
}

/* ---- lifecycle, called by agent/ and the thread and fork hooks -------------------------------------------------- */

struct mt_engine_config {
    enum mt_engine_mode mode;
    uint64_t rate_bytes; /* sample mode; >= 1 */
    uint64_t budget_parts; /* sample mode: the rate changes so that hooks and recorder take no more than so many millionths of the
                              processor time (budget.h); 0: it stays */
    bool native;         /* native stacks */
    bool python_frames;
    bool python_allocators;
    uint64_t max_file_bytes;      /* 0: no limit */
    const char *path;             /* absolute path of the trace to create */
    int fd;                       /* of a new, empty file at path that somebody else made, taken over; 0: none */
    /* Where this process cannot: open the trace (journal 0) or its journal again; make the journal of this trace. NULL: nobody
     * does. */
    mt_status (*open_again)(uint64_t journal, const struct mt_os_file *wanted, int *ret_fd);
    mt_status (*make_journal)(uint64_t journal, const struct mt_os_file *trace, int *ret_fd);
    const char *command;          /* NUL-separated arguments */
    size_t command_bytes;
    const volatile uint64_t *tick; /* the tool's page (base/tick.h), NULL: none */
    uint64_t parent_pid;
    bool fork_child;
    bool among_others; /* other processes of the run may be alive */
    bool late;     /* other threads may exist already */
    uint64_t seed; /* sampler seed, 0: random (tests set it) */
};

/* Creates the trace and starts recording. On failure the program goes on unrecorded. Context: [agent]. */
mt_status mt_engine_start(const struct mt_engine_config *config) MT_CHECKED;
/* Stops recording; hooks fall back to pass-through; the trace is complete. Idempotent. Context: [agent], exit. */
void mt_engine_stop(enum mt_trace_state state);
/* Stops, waits for threads that are recording right now (bounded), writes what the journals hold and unmaps them: the file
 * is whole, nothing of it stays in the process but its header page. The next mt_engine_start begins another trace.
 * MT_E_BUSY: a thread did not leave its recording section; call again. Idempotent. Context: [agent]. */
mt_status mt_engine_finish(enum mt_trace_state state) MT_CHECKED;
/* Changes the sampling rate of a running sample-mode engine; takes effect at each thread's next allocation, in a thread
 * that was there before the hooks within MT_COUNTDOWN_CHUNK bytes. */
mt_status mt_engine_set_rate(uint64_t rate_bytes) MT_CHECKED;
/* Takes no more samples until the next set_rate; frees of those taken are still recorded. */
mt_status mt_engine_pause(void) MT_CHECKED;
enum mt_engine_mode mt_engine_mode(void);
/* Why the recording has ended by itself, or is not complete any more from some moment on; enum mt_end_reason. MT_END_NONE: it has
 * not, or its end has been dealt with (mt_engine_finish). */
uint32_t mt_engine_end_reason(void);
uint64_t mt_engine_rate(void);         /* sample mode: the rate in force, 0 while paused */
uint64_t mt_engine_live_samples(void); /* sample mode: samples taken and not freed yet */
/* Recording may begin in this process at any time: threads look at every allocation while it is off. Before hooks are in
 * place, once. */
void mt_engine_may_restart(void);
/* From its next event on, the calling thread works for this (docs/formats/trace.md: LABEL), until it says otherwise; bytes 0:
 * for nothing of that kind. Kept whether anything is recorded or not. False: there was no memory. Context: any, outside hooks;
 * also a signal handler. */
bool mt_engine_label(enum mt_label_kind kind, const char *text, size_t bytes);
/* For nothing at all: it ends. Guard set. */
void mt_engine_forget_labels(void);
/* torch's CPU allocator gave out or takes back a block; the latter before it does. Ask mt_engine_counts_tensors before. */
extern uint32_t mt_g_tensors_counted MT_HIDDEN;
MT_INLINE bool mt_engine_counts_tensors(void) { return mt_load_relaxed(&mt_g_tensors_counted) != 0; }
void mt_engine_tensor_made(const void *ptr, size_t bytes);
void mt_engine_tensor_gone(const void *ptr);
/* Around rare, longer work of ours in a thread of the program: the processor time it takes is in the engine's account of
 * itself. Two system calls. Context: any, guard set; a recording section that it is in is not timed. */
uint64_t mt_engine_work_begins(void);
uint64_t mt_engine_work_ends(uint64_t from_ns); /* the time it took; 0 where it may not be asked */
/* A free-form NOTE record. Context: [agent] or a hook with the guard set. */
void mt_engine_note(const char *key, const char *value);
/* Python was found: version and evaluation range go to the trace. */
void mt_engine_python_found(void);
void mt_engine_thread_exit(void); /* TSD destructor, last round: gives the block back */
/* TSD destructor, any round: no call of the thread's is under way, so a guard that is set was left (cancellation). */
void mt_engine_end_guard(void);
/* announce: sees to it that mt_engine_thread_exit is called by the calling thread; true when that was arranged before its
 * first allocation, so that its end cannot be missed. Called at a thread's first recorded call, guard set. */
void mt_engine_on_thread(bool (*announce)(void));
/* A second thread is about to start: from here on address reuse is ordered between threads. Called by the creating thread
 * before the real pthread_create. */
void mt_engine_threads_begin(void);
/* Around a call that installs a seccomp filter (struct sock_fprog; NULL: strict mode). Before it, memory is set aside to go on
 * recording in; after it, no system call is made that the filter might kill for. Context: [hook], guard set. */
uint32_t mt_engine_filter_begin(const void *program);
void mt_engine_filter_end(uint32_t place, bool installed);
/* The process turns out to have a filter that nobody told of: from here on no system call of ours is made, this one included,
 * and the trace says that what it executes is not recorded. Context: any, the guard need not be set. */
void mt_engine_filter_unknown(void);
/* The program is about to forbid itself the time stamp counter: from here on nothing of ours reads it. Context: [hook]. */
void mt_engine_forbid_tsc(void);
/* Python's main program begins in this process: when Python ends, the process does. Context: [hook], as the next two. */
void mt_engine_python_begins(void);
/* The calling thread begins to end Python: threads are still waited for and functions of atexit called. From here on it
 * looks for the moment behind that, and leaves a mark before the first event after it (ending.c). */
void mt_engine_python_ends(void);
/* exit was called, by main's return or otherwise: leaves a mark. */
void mt_engine_main_ends(int status);
/* Python is about to raise MemoryError: a mark, unless an allocation failed before. regs: caller of the hooked function. Context:
 * [hook], no guard set. */
void mt_engine_memory_error(const struct mt_frame_regs *regs);
/* Leaves a mark that says: a snapshot was wanted here. Context: [signal]. */
void mt_engine_snapshot(void);
/* The same, at once, from a thread of ours. Context: [agent], guard set. */
void mt_engine_snapshot_now(void);
/* The tool-visible end: marks the header, keeps recording late frees; without a tool the recording ends there. atexit. */
void mt_engine_exit_seen(void);
/* The process ends without exit handlers (_exit): notes when, so that what it holds is known to be held until then. Leaves
 * the state as it is. Does nothing in a vfork child, whose parent goes on. Without a tool the recording ends there. Context: any, also
 * a signal handler. */
void mt_engine_end_seen(void);
/* The process is about to become another program, by exec: notes when, so that what it holds is known to be held until then. In a
 * vfork child (which shares this memory) the parent gets a companion: from here on its events are ordered, as before a fork.
 * Context: as above. */
void mt_engine_exec_seen(void);
/* It did not become one: the process goes on. */
void mt_engine_exec_failed(void);
/* restart is called once in a fork child, at its first recorded call, before anything is recorded; it must call
 * mt_engine_start for the child's own trace, or leave recording off. NULL: children are not followed. */
void mt_engine_on_fork(void (*restart)(void));
/* This fork child begins no trace: a seccomp filter that it inherits may kill for what that takes. Its parent's trace says so. pid: 0
 * or less: not known. unknown_filter: what it forbids is not known. Makes no system call. Context: [hook], guard set. */
void mt_engine_child_is_left_out(int pid, bool unknown_filter);
/* The process is about to be two, from the atfork handler in the parent: from here on its events and those of the child have
 * times of one clock, as those of threads have, so that what one does after the other is in that order in their traces. */
void mt_engine_before_fork(void);
/* In a fork child, from the atfork handler (or, where that did not run, the first slow path): forgets the parent's trace. */
void mt_engine_fork_child(void);

#endif
