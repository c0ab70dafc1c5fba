/* atomic.h: the only door to atomic operations; the memory order is in the name.
 *
 * Works on plain integer and pointer lvalues (GCC/Clang __atomic builtins), so that a struct shared with the kernel,
 * a file or another process needs no _Atomic type. Context: any, async-signal safe.
 */
#ifndef MT_BASE_ATOMIC_H
#define MT_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define mt_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
/* A byte read without order on the hottest path: a plain load cannot tear and folds into the compare, which the builtin
 * prevents (one instruction a free). ThreadSanitizer is shown what is meant. */
#if defined(__SANITIZE_THREAD__)
#define mt_load_byte_relaxed(p) mt_load_relaxed(p)
#else
#define mt_load_byte_relaxed(p) (*(p))
#endif
#define mt_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define mt_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define mt_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define mt_fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define mt_fetch_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define mt_fetch_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define mt_fetch_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define mt_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
/* Strong compare-and-swap; *expected is updated on failure. */
#define mt_cas_acq_rel(p, expected, v)                                                                                 \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define mt_fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define mt_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#define mt_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define mt_fence_compiler() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#if defined(__x86_64__)
#define mt_cpu_relax() __builtin_ia32_pause()
#else
#define mt_cpu_relax() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif

#endif
