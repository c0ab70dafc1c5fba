/* bump.c: an allocator that is async-signal-safe: blocks come from one region by an atomic add and are never reused.
 *
 * A program linked with it may allocate in any signal handler at any instruction, so a storm of signals tests the hooks
 * and the engine rather than libc's malloc. Each block is preceded by its size.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAD = 16 };
static const size_t g_region_bytes = (size_t)64 << 30;
static uintptr_t g_next, g_end;

__attribute__((constructor(101))) static void reserve(void)
{
    if (__atomic_load_n(&g_next, __ATOMIC_ACQUIRE) != 0) {
        return;
    }
    void *base = mmap(NULL, g_region_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_end = (uintptr_t)base + g_region_bytes;
    __atomic_store_n(&g_next, (uintptr_t)base, __ATOMIC_RELEASE);
}

static void *bump(size_t bytes, size_t align)
{
    if (__atomic_load_n(&g_next, __ATOMIC_ACQUIRE) == 0) {
        reserve();
    }
    if (bytes > g_region_bytes / 2) {
        errno = ENOMEM;
        return NULL;
    }
    align = align < 16 ? 16 : align;
    uintptr_t start = __atomic_fetch_add(&g_next, bytes + HEAD + align, __ATOMIC_RELAXED);
    uintptr_t block = (start + HEAD + align - 1) & ~(uintptr_t)(align - 1);
    if (block + bytes > g_end) {
        errno = ENOMEM;
        return NULL;
    }
    ((size_t *)block)[-1] = bytes;
    return (void *)block;
}

void *malloc(size_t bytes)
{
    return bump(bytes, 16);
}

void free(void *p)
{
    (void)p;
}

void *calloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return bump(total, 16); /* fresh pages are zero */
}

void *realloc(void *p, size_t bytes)
{
    void *q = bump(bytes, 16);
    if (p != NULL && q != NULL) {
        size_t old = ((size_t *)p)[-1];
        memcpy(q, p, old < bytes ? old : bytes);
    }
    return q;
}

int posix_memalign(void **ret, size_t align, size_t bytes)
{
    *ret = bump(bytes, align);
    return *ret == NULL ? ENOMEM : 0;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return bump(bytes, align);
}

void *memalign(size_t align, size_t bytes)
{
    return bump(bytes, align);
}

size_t malloc_usable_size(void *p)
{
    return p == NULL ? 0 : ((size_t *)p)[-1];
}
