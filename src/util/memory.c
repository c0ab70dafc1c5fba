/* memory.c: allocation that ends the tool, or the attempt it is part of, instead of returning NULL. */
#include "util/memory.h"

#include "util/memory_held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#undef free

enum { HUGE_BYTES = 2 * 1024 * 1024 };

struct attempt {
    jmp_buf here;
    struct attempt *outer;
    struct mt_held_table held;
};

static __thread struct attempt *t_attempt; /* the innermost of this thread */
static __thread uint64_t t_fail_after;     /* + 1; 0: nothing fails */

bool mt_memory_try(void (*body)(void *context), void (*recover)(void *context), void *context)
{
    struct attempt attempt = { .outer = t_attempt };
    t_attempt = &attempt;
    bool done = setjmp(attempt.here) == 0;
    if (done) {
        body(context);
    } else {
        if (recover != NULL) {
            recover(context);
        }
        mt_held_undo(&attempt.held);
    }
    t_attempt = attempt.outer;
    free(attempt.held.slots);
    return done;
}

void mt_memory_out(size_t bytes)
{
    if (t_attempt != NULL) {
        longjmp(t_attempt->here, 1);
    }
    (void)fprintf(stderr, "memtap: out of memory (%zu bytes wanted): raise the memory limit or narrow the selection\n",
                  bytes);
    exit(1);
}

void mt_memory_fail_after(uint64_t allocations)
{
    t_fail_after = allocations + 1;
}

static bool may_allocate(void)
{
    return MT_LIKELY(t_fail_after == 0) || --t_fail_after != 0;
}

/* A large block in huge pages where the kernel gives them: each page of it that is reached would be a fault of its own, together more
 * than what is done with them. What is not reached takes no memory either way. */
static void advise(void *block, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)block + page - 1) & ~(page - 1), end = ((uintptr_t)block + bytes) & ~(page - 1);
    (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

/* Notes a block of the attempt under way; there is none: NULL. */
static void *note(void *block, size_t bytes)
{
    if (block == NULL) {
        mt_memory_out(bytes);
    }
    if (bytes >= HUGE_BYTES) {
        advise(block, bytes);
    }
    if (t_attempt != NULL && !mt_held_add(&t_attempt->held, (struct mt_held_item){ .what = block, .is_block = true })) {
        free(block);
        mt_memory_out(bytes);
    }
    return block;
}

void mt_memory_hold(void *what, size_t bytes, void (*undo)(void *what, size_t bytes))
{
    struct mt_held_item item = { .what = what, .bytes = bytes, .undo = undo };
    if (t_attempt == NULL) {
        return;
    }
    item.is_block = mt_held_remove(&t_attempt->held, what);
    if (!mt_held_add(&t_attempt->held, item)) {
        undo(what, bytes);
        mt_memory_out(sizeof item);
    }
}

void mt_memory_release(const void *what)
{
    if (t_attempt != NULL) {
        (void)mt_held_remove(&t_attempt->held, what);
    }
}

void mt_free(void *block)
{
    if (block != NULL) {
        mt_memory_release(block);
        free(block);
    }
}

void *mt_alloc(size_t bytes)
{
    return note(may_allocate() ? malloc(bytes > 0 ? bytes : 1) : NULL, bytes);
}

void *mt_alloc_aligned(size_t alignment, size_t bytes)
{
    void *block = NULL;
    size_t at = bytes >= HUGE_BYTES && alignment < HUGE_BYTES ? HUGE_BYTES : alignment;
    bool good = may_allocate() && posix_memalign(&block, at, bytes) == 0;
    return note(good ? block : NULL, bytes);
}

void *mt_alloc_zero(size_t count, size_t bytes)
{
    return note(may_allocate() ? calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1) : NULL, count * bytes);
}

/* Room for one more, so that noting it cannot fail. */
static bool reserve_note(void)
{
    return t_attempt == NULL || mt_held_reserve(&t_attempt->held);
}

/* realloc of a block or NULL, which is noted as what it becomes; NULL: nothing has changed. */
static void *regrow(void *block, size_t bytes)
{
    if (!reserve_note() || !may_allocate()) {
        return NULL;
    }
    bool noted = t_attempt != NULL && mt_held_remove(&t_attempt->held, block);
    void *grown = realloc(block, bytes);
    if (grown != NULL && bytes >= HUGE_BYTES) {
        advise(grown, bytes);
    }
    if (t_attempt != NULL && (grown != NULL || noted)) {
        (void)mt_held_add(&t_attempt->held, (struct mt_held_item){ .what = grown != NULL ? grown : block, .is_block = true });
    }
    return grown;
}

void *mt_alloc_grow(void *array, size_t *capacity, size_t need, size_t bytes)
{
    if (array != NULL && need <= *capacity) {
        return array;
    }
    size_t wanted = *capacity < 8 ? 8 : *capacity;
    while (wanted < need && wanted <= SIZE_MAX / 2) {
        wanted *= 2;
    }
    if (wanted < need || wanted > SIZE_MAX / bytes) {
        mt_memory_out(SIZE_MAX);
    }
    void *grown = regrow(array, wanted * bytes);
    if (grown == NULL) {
        mt_memory_out(wanted * bytes); /* the array is as it was */
    }
    *capacity = wanted;
    return grown;
}

char *mt_strndup(const char *text, size_t bytes)
{
    char *copy = mt_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *mt_strdup(const char *text)
{
    return mt_strndup(text, strlen(text));
}

char *mt_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = may_allocate() ? vasprintf(&text, format, args) : -1;
    va_end(args);
    return note(bytes >= 0 ? text : NULL, 0);
}
