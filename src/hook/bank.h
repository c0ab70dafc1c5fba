/* bank.h: the hooks of one bank; included once by each of bank0.c, bank1.c and bank2.c with MT_BANK defined.
 *
 * Decides nothing: counts, and either tail-jumps to the real function or tail-jumps to the recorded path; realloc, whose growth
 * is known afterwards, calls the real function and may jump then. Compiled code of
 * the malloc hook: load TLS offset, sub, jbe, jmp *original (test_interception.py counts the instructions); of the free hook 7
 * instructions and the jump. No frame is left on the stack by either, so that the callee's return address is the
 * program's (dlopen looks at it, and so does the unwinder).
 * Invariant: nothing here has a local whose address is taken; that would end the tail jumps. The range hooks have six
 * arguments and cannot pass a seventh in a register: they make a frame and capture their caller themselves.
 * Context: [hook].
 */
#include "heap/engine.h"
#include "hook/alloc.h"
#include "hook/company.h"
#include "hook/filter.h"
#include "hook/loader.h"
#include "hook/measure.h"
#include "hook/originals.h"
#include "hook/parting.h"
#include "hook/protect.h"
#include "hook/range.h"

#define HOOK(name) MT_CONCAT3(mt_bank, MT_BANK, name)
#define REAL (&mt_g_originals[MT_BANK])

void *HOOK(malloc)(size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_malloc(size, REAL);
    }
    return REAL->malloc(size);
}

void *HOOK(calloc)(size_t count, size_t size)
{
    size_t bytes = 0;
    if (!__builtin_mul_overflow(count, size, &bytes) && mt_engine_counts(bytes)) {
        return mt_alloc_calloc(count, size, REAL);
    }
    return REAL->calloc(count, size);
}

void *HOOK(realloc)(void *old, size_t size)
{
    if (!mt_measure_is_word(&mt_g_measures[MT_BANK], old) || mt_engine_may_track(old)) {
        return mt_alloc_realloc(old, size, REAL);
    }
    uint64_t before = mt_measure_word(old);
    void *ptr = REAL->realloc(old, size);
    if (MT_UNLIKELY(ptr == NULL)) {
        return mt_alloc_failed(size);
    }
    int64_t growth = mt_measure_difference(before, mt_measure_word(ptr));
    if (growth > 0 && mt_engine_counts((size_t)growth)) {
        return mt_alloc_grown(ptr, size, (size_t)growth);
    }
    return ptr;
}

/* glibc's reallocarray calls realloc through a hooked slot, others do not: in bank 0 it becomes that realloc, so that it
 * is counted once. An overflow is left to fail in the real function. */
void *HOOK(reallocarray)(void *old, size_t count, size_t size)
{
    size_t bytes = 0;
    if (MT_BANK == 0 && !__builtin_mul_overflow(count, size, &bytes)) {
        return HOOK(realloc)(old, bytes);
    }
    return REAL->reallocarray(old, count, size);
}

void HOOK(free)(void *ptr)
{
    if (mt_engine_may_track(ptr)) {
        mt_alloc_free(ptr, REAL);
        return;
    }
    REAL->free(ptr);
}

void HOOK(cfree)(void *ptr)
{
    if (mt_engine_may_track(ptr)) {
        mt_alloc_cfree(ptr, REAL);
        return;
    }
    REAL->cfree(ptr);
}

void HOOK(free_sized)(void *ptr, size_t size)
{
    if (mt_engine_may_track(ptr)) {
        mt_alloc_free_sized(ptr, size, REAL);
        return;
    }
    REAL->free_sized(ptr, size);
}

void HOOK(free_aligned_sized)(void *ptr, size_t alignment, size_t size)
{
    if (mt_engine_may_track(ptr)) {
        mt_alloc_free_aligned_sized(ptr, alignment, size, REAL);
        return;
    }
    REAL->free_aligned_sized(ptr, alignment, size);
}

int HOOK(posix_memalign)(void **ret_ptr, size_t alignment, size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_posix_memalign(ret_ptr, alignment, size, REAL);
    }
    return REAL->posix_memalign(ret_ptr, alignment, size);
}

void *HOOK(aligned_alloc)(size_t alignment, size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_aligned_alloc(alignment, size, REAL);
    }
    return REAL->aligned_alloc(alignment, size);
}

void *HOOK(memalign)(size_t alignment, size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_memalign(alignment, size, REAL);
    }
    return REAL->memalign(alignment, size);
}

void *HOOK(valloc)(size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_valloc(size, REAL);
    }
    return REAL->valloc(size);
}

void *HOOK(pvalloc)(size_t size)
{
    if (mt_engine_counts(size)) {
        return mt_alloc_pvalloc(size, REAL);
    }
    return REAL->pvalloc(size);
}

size_t HOOK(malloc_usable_size)(void *ptr)
{
    return REAL->malloc_usable_size(ptr);
}

/* ---- operators, where they are counted (cxx.c) -------------------------------------------------------------------- */

#define BANK_NEW(result, name, parameters, arguments)                                                                  \
    result HOOK(name) parameters                                                                                       \
    {                                                                                                                  \
        return mt_cxx_recorded_##name(MT_STRIP arguments, REAL);                                                       \
    }
#define BANK_DELETE(result, name, parameters, arguments)                                                               \
    result HOOK(name) parameters                                                                                       \
    {                                                                                                                  \
        if (mt_engine_may_track(ptr)) {                                                                                \
            mt_cxx_recorded_##name(MT_STRIP arguments, REAL);                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        REAL->name arguments;                                                                                          \
    }
MT_HOOK_NEW_TABLE(BANK_NEW)
MT_HOOK_NEW_ARRAY_TABLE(BANK_NEW)
MT_HOOK_DELETE_TABLE(BANK_DELETE)

/* ---- ranges -------------------------------------------------------------------------------------------------------- */

void *HOOK(mmap)(void *addr, size_t bytes, int protection, int flags, int fd, long offset)
{
    MT_CAPTURE_CALLER(regs);
    struct mt_map_call call = { addr, bytes, protection, flags, fd, offset, REAL->mmap };
    return mt_range_map(&call, &regs);
}

void *HOOK(mmap64)(void *addr, size_t bytes, int protection, int flags, int fd, long offset)
{
    MT_CAPTURE_CALLER(regs);
    struct mt_map_call call = { addr, bytes, protection, flags, fd, offset, REAL->mmap64 };
    return mt_range_map(&call, &regs);
}

int HOOK(munmap)(void *addr, size_t bytes)
{
    return mt_range_unmap(addr, bytes, REAL);
}

void *HOOK(mremap)(void *old, size_t old_bytes, size_t bytes, int flags, void *addr)
{
    return mt_range_remap(old, old_bytes, bytes, flags, addr, REAL);
}

int HOOK(mprotect)(void *addr, size_t bytes, int protection)
{
    if (mt_protect_matters(addr, bytes, protection)) {
        return mt_protect_change(addr, bytes, protection, REAL);
    }
    return REAL->mprotect(addr, bytes, protection);
}

int HOOK(pkey_mprotect)(void *addr, size_t bytes, int protection, int key)
{
    if (mt_protect_matters(addr, bytes, protection)) {
        return mt_protect_change_key(addr, bytes, protection, key, REAL);
    }
    return REAL->pkey_mprotect(addr, bytes, protection, key);
}

int HOOK(madvise)(void *addr, size_t bytes, int advice)
{
    if (mt_protect_empties(advice)) {
        return mt_protect_advise(addr, bytes, advice, REAL);
    }
    return REAL->madvise(addr, bytes, advice);
}

int HOOK(brk)(void *addr)
{
    return mt_range_brk(addr, REAL);
}

void *HOOK(sbrk)(intptr_t increment)
{
    return mt_range_sbrk(increment, REAL);
}

/* ---- loader and threads -------------------------------------------------------------------------------------------- */

void *HOOK(dlopen)(const char *file, int mode)
{
    return mt_loader_open(file, mode, REAL);
}

void *HOOK(dlmopen)(long space, const char *file, int mode)
{
    return mt_loader_open_in(space, file, mode, REAL);
}

void *HOOK(dlsym)(void *handle, const char *name)
{
    return mt_loader_symbol(handle, name, REAL);
}

int HOOK(dl_iterate_phdr)(int (*visit)(void *, size_t, void *), void *context)
{
    return mt_company_iterate(visit, context, REAL);
}

int HOOK(dlclose)(void *handle)
{
    return mt_loader_close(handle, REAL);
}

int HOOK(pthread_create)(unsigned long *ret_thread, const void *attr, void *(*start)(void *), void *arg)
{
    return mt_thread_create(ret_thread, attr, start, arg, REAL);
}

int HOOK(fork)(void)
{
    return mt_parting_matters() ? mt_parting_fork(REAL) : REAL->fork();
}

int HOOK(forkpty)(int *ret_terminal, char *name, const void *settings, const void *size)
{
    return mt_parting_matters() ? mt_parting_forkpty(ret_terminal, name, settings, size, REAL)
                                : REAL->forkpty(ret_terminal, name, settings, size);
}

int HOOK(daemon)(int stay, int keep)
{
    return mt_parting_matters() ? mt_parting_daemon(stay, keep, REAL) : REAL->daemon(stay, keep);
}

int HOOK(unshare)(int flags)
{
    return mt_parting_matters() ? mt_parting_unshare(flags, REAL) : REAL->unshare(flags);
}

int HOOK(setns)(int fd, int kind)
{
    return mt_parting_matters() ? mt_parting_setns(fd, kind, REAL) : REAL->setns(fd, kind);
}

/* The end of a fork child, as a rule. Context also: a vfork child, on its parent's memory. */
void HOOK(_exit)(int status)
{
    mt_engine_end_seen();
    REAL->_exit(status);
}

void HOOK(_Exit)(int status)
{
    mt_engine_end_seen();
    REAL->_Exit(status);
}

int HOOK(prctl)(int option, long a, long b, long c, long d)
{
    return mt_filter_is_prctl(option) ? mt_filter_prctl(option, a, b, c, d, REAL) : REAL->prctl(option, a, b, c, d);
}

/* A tail jump, with nothing of ours on the stack: some calls return twice (vfork). */
long HOOK(syscall)(long number, long a, long b, long c, long d, long e, long f)
{
    return mt_filter_is_call(number, a) ? mt_filter_call(number, a, b, c, d, REAL) : REAL->syscall(number, a, b, c, d, e, f);
}

/* ---- torch --------------------------------------------------------------------------------------------------------- */

void *HOOK(_ZN3c109alloc_cpuEm)(size_t bytes)
{
    if (!mt_engine_counts_tensors()) {
        return REAL->_ZN3c109alloc_cpuEm(bytes);
    }
    void *ptr = REAL->_ZN3c109alloc_cpuEm(bytes); /* may throw */
    mt_engine_tensor_made(ptr, bytes);
    return ptr;
}

void HOOK(_ZN3c108free_cpuEPv)(void *ptr)
{
    if (mt_engine_counts_tensors()) {
        mt_engine_tensor_gone(ptr);
    }
    REAL->_ZN3c108free_cpuEPv(ptr);
}
