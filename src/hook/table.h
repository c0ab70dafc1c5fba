/* table.h: the functions memtap stands in front of, as tables.
 *
 * Decides: which functions are hooked and what they look like; every other file of this layer is generated from here, so
 * that a function is added in one place. A row is X(result, name, (parameters), (arguments)).
 * A bank is one set of hooks with its own originals. Objects of one process may bind to different definitions of malloc
 * (RTLD_DEEPBIND, two allocators, an executable with its own): each call must reach the definition the object was bound
 * to, so the original is kept per target address, at most MT_BANKS of them. Bank 0 is also what the preloaded agent
 * exports.
 * Invariant: a hook of bank b calls originals of bank b only.
 * No libc headers here: the names below are defined by the agent with these types, not with the attributes of libc's.
 */
#ifndef MT_HOOK_TABLE_H
#define MT_HOOK_TABLE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_BANKS = 3 };

#define MT_STRIP(...) __VA_ARGS__
#define MT_CONCAT3_(a, b, c) a##b##_##c
#define MT_CONCAT3(a, b, c) MT_CONCAT3_(a, b, c)

#define MT_HOOK_ALLOC_TABLE(X)                                                                                         \
    X(void *, malloc, (size_t size), (size))                                                                           \
    X(void *, calloc, (size_t count, size_t size), (count, size))                                                      \
    X(void *, realloc, (void *old, size_t size), (old, size))                                                          \
    X(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size))                                \
    X(void, free, (void *ptr), (ptr))                                                                                  \
    X(void, cfree, (void *ptr), (ptr))                                                                                 \
    X(int, posix_memalign, (void **ret_ptr, size_t alignment, size_t size), (ret_ptr, alignment, size))                \
    X(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))                                       \
    X(void *, memalign, (size_t alignment, size_t size), (alignment, size))                                            \
    X(void *, valloc, (size_t size), (size))                                                                           \
    X(void *, pvalloc, (size_t size), (size))                                                                          \
    X(size_t, malloc_usable_size, (void *ptr), (ptr))                                                                  \
    X(void, free_sized, (void *ptr, size_t size), (ptr, size))                                                         \
    X(void, free_aligned_sized, (void *ptr, size_t alignment, size_t size), (ptr, alignment, size))

/* Itanium C++ ABI names. A std::nothrow_t reference travels as a pointer, std::align_val_t as size_t. */
#define MT_HOOK_NEW_TABLE(X)                                                                                           \
    X(void *, _Znwm, (size_t size), (size))                                                                            \
    X(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))                                        \
    X(void *, _ZnwmSt11align_val_t, (size_t size, size_t alignment), (size, alignment))                                \
    X(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const void *tag),                    \
      (size, alignment, tag))
#define MT_HOOK_NEW_ARRAY_TABLE(X)                                                                                     \
    X(void *, _Znam, (size_t size), (size))                                                                            \
    X(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))                                        \
    X(void *, _ZnamSt11align_val_t, (size_t size, size_t alignment), (size, alignment))                                \
    X(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const void *tag),                    \
      (size, alignment, tag))
#define MT_HOOK_DELETE_TABLE(X)                                                                                        \
    X(void, _ZdlPv, (void *ptr), (ptr))                                                                                \
    X(void, _ZdaPv, (void *ptr), (ptr))                                                                                \
    X(void, _ZdlPvm, (void *ptr, size_t size), (ptr, size))                                                            \
    X(void, _ZdaPvm, (void *ptr, size_t size), (ptr, size))                                                            \
    X(void, _ZdlPvRKSt9nothrow_t, (void *ptr, const void *tag), (ptr, tag))                                            \
    X(void, _ZdaPvRKSt9nothrow_t, (void *ptr, const void *tag), (ptr, tag))                                            \
    X(void, _ZdlPvSt11align_val_t, (void *ptr, size_t alignment), (ptr, alignment))                                    \
    X(void, _ZdaPvSt11align_val_t, (void *ptr, size_t alignment), (ptr, alignment))                                    \
    X(void, _ZdlPvmSt11align_val_t, (void *ptr, size_t size, size_t alignment), (ptr, size, alignment))                \
    X(void, _ZdaPvmSt11align_val_t, (void *ptr, size_t size, size_t alignment), (ptr, size, alignment))                \
    X(void, _ZdlPvSt11align_val_tRKSt9nothrow_t, (void *ptr, size_t alignment, const void *tag),                       \
      (ptr, alignment, tag))                                                                                           \
    X(void, _ZdaPvSt11align_val_tRKSt9nothrow_t, (void *ptr, size_t alignment, const void *tag),                       \
      (ptr, alignment, tag))
#define MT_HOOK_CXX_TABLE(X) MT_HOOK_NEW_TABLE(X) MT_HOOK_NEW_ARRAY_TABLE(X) MT_HOOK_DELETE_TABLE(X)

/* mremap is variadic in libc; its fifth argument is passed alike on x86-64 and aarch64. */
#define MT_HOOK_RANGE_TABLE(X)                                                                                         \
    X(void *, mmap, (void *addr, size_t bytes, int protection, int flags, int fd, long offset),                        \
      (addr, bytes, protection, flags, fd, offset))                                                                    \
    X(void *, mmap64, (void *addr, size_t bytes, int protection, int flags, int fd, long offset),                      \
      (addr, bytes, protection, flags, fd, offset))                                                                    \
    X(int, munmap, (void *addr, size_t bytes), (addr, bytes))                                                          \
    X(void *, mremap, (void *old, size_t old_bytes, size_t bytes, int flags, void *addr),                              \
      (old, old_bytes, bytes, flags, addr))                                                                            \
    X(int, mprotect, (void *addr, size_t bytes, int protection), (addr, bytes, protection))                            \
    X(int, pkey_mprotect, (void *addr, size_t bytes, int protection, int key), (addr, bytes, protection, key))         \
    X(int, madvise, (void *addr, size_t bytes, int advice), (addr, bytes, advice))                                     \
    X(int, brk, (void *addr), (addr))                                                                                  \
    X(void *, sbrk, (intptr_t increment), (increment))

/* dlmopen's Lmid_t is long; pthread_t is unsigned long. dlsym is hooked through slots only, never exported. */
#define MT_HOOK_LOADER_TABLE(X)                                                                                        \
    X(void *, dlopen, (const char *file, int mode), (file, mode))                                                      \
    X(void *, dlmopen, (long space, const char *file, int mode), (space, file, mode))                                  \
    X(void *, dlsym, (void *handle, const char *name), (handle, name))                                                 \
    X(int, dlclose, (void *handle), (handle))                                                                          \
    X(int, pthread_create, (unsigned long *ret_thread, const void *attr, void *(*start)(void *), void *arg),           \
      (ret_thread, attr, start, arg))

/* Ends of the process that run no exit handlers. */
#define MT_HOOK_END_TABLE(X)                                                                                           \
    X(void, _exit, (int status), (status))                                                                             \
    X(void, _Exit, (int status), (status))

/* The process becomes two, or enters other namespaces, which the kernel lets only a process with one thread do (parting.h). */
#define MT_HOOK_PARTING_TABLE(X)                                                                                       \
    X(int, fork, (void), ())                                                                                           \
    X(int, forkpty, (int *ret_terminal, char *name, const void *settings, const void *size),                           \
      (ret_terminal, name, settings, size))                                                                            \
    X(int, daemon, (int stay, int keep), (stay, keep))                                                                 \
    X(int, unshare, (int flags), (flags))                                                                              \
    X(int, setns, (int fd, int kind), (fd, kind))

/* Both are variadic in libc; arguments that a caller does not pass are passed on as they are. */
#define MT_HOOK_FILTER_TABLE(X)                                                                                        \
    X(int, prctl, (int option, long a, long b, long c, long d), (option, a, b, c, d))                                  \
    X(long, syscall, (long number, long a, long b, long c, long d, long e, long f), (number, a, b, c, d, e, f))

/* Has no exported alias: the agent calls libc's itself. Whoever rewrites slots calls it (company.h). */
#define MT_HOOK_SLOT_TABLE(X)                                                                                          \
    X(int, dl_iterate_phdr, (int (*visit)(void *, size_t, void *), void *context), (visit, context))

/* torch's: c10::alloc_cpu and c10::free_cpu, which all storage of tensors on the CPU comes from. Hooked through slots only. */
#define MT_HOOK_TENSOR_TABLE(X)                                                                                        \
    X(void *, _ZN3c109alloc_cpuEm, (size_t bytes), (bytes))                                                            \
    X(void, _ZN3c108free_cpuEPv, (void *ptr), (ptr))

#define MT_HOOK_TABLE(X)                                                                                               \
    MT_HOOK_ALLOC_TABLE(X)                                                                                             \
    MT_HOOK_CXX_TABLE(X) MT_HOOK_RANGE_TABLE(X) MT_HOOK_LOADER_TABLE(X)                                                \
    MT_HOOK_END_TABLE(X) MT_HOOK_PARTING_TABLE(X) MT_HOOK_FILTER_TABLE(X) MT_HOOK_SLOT_TABLE(X)                       \
    MT_HOOK_TENSOR_TABLE(X)

typedef void (*mt_function)(void);

struct mt_measure; /* measure.h */

/* The functions the hooks of one bank forward to. */
struct mt_originals {
#define MT_HOOK_MEMBER(result, name, parameters, arguments) result(*name) parameters;
    MT_HOOK_TABLE(MT_HOOK_MEMBER)
#undef MT_HOOK_MEMBER
    struct mt_measure *measure; /* what its blocks are measured by */
};

enum mt_hook_index {
#define MT_HOOK_INDEX(result, name, parameters, arguments) MT_HOOK_##name,
    MT_HOOK_TABLE(MT_HOOK_INDEX)
#undef MT_HOOK_INDEX
        MT_HOOK__COUNT
};

#define MT_HOOK_PROTOTYPES(result, name, parameters, arguments)                                                        \
    result mt_bank0_##name parameters;                                                                                 \
    result mt_bank1_##name parameters;                                                                                 \
    result mt_bank2_##name parameters;
MT_HOOK_TABLE(MT_HOOK_PROTOTYPES)
#undef MT_HOOK_PROTOTYPES

/* operator new and delete: see cxx.c for when they are counted. */
MT_INLINE bool mt_hook_is_cxx(enum mt_hook_index index)
{
    return index >= MT_HOOK__Znwm && index <= MT_HOOK__ZdaPvSt11align_val_tRKSt9nothrow_t;
}

#endif
