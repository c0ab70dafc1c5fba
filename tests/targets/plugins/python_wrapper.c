/* A wrapper of Python's object allocator as other profilers have one: what it keeps lies in memory from malloc, where nobody
 * finds it, and it takes a note of its own on every block and gives old ones back. Loaded with ctypes.PyDLL. */
#include <stdlib.h>

enum { OBJECT_DOMAIN = 2, NOTES = 1024, NOTE_BYTES = 40 };

/* PyMemAllocatorEx */
struct allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t count, size_t size);
    void *(*realloc)(void *ctx, void *ptr, size_t size);
    void (*free)(void *ctx, void *ptr);
};
extern void PyMem_GetAllocator(int domain, struct allocator *ret);
extern void PyMem_SetAllocator(int domain, struct allocator *allocator);

struct wrapper {
    long before[3];
    struct allocator wrapped;
    size_t next;
    void *notes[NOTES];
};
static struct wrapper *g_wrapper;

static void *noted(struct wrapper *wrapper, void *block)
{
    void **note = &wrapper->notes[wrapper->next++ % NOTES];
    free(*note);
    *note = malloc(NOTE_BYTES);
    return block;
}

static void *wrapped_malloc(void *ctx, size_t size)
{
    struct wrapper *wrapper = ctx;
    return noted(wrapper, wrapper->wrapped.malloc(wrapper->wrapped.ctx, size));
}

static void *wrapped_calloc(void *ctx, size_t count, size_t size)
{
    struct wrapper *wrapper = ctx;
    return noted(wrapper, wrapper->wrapped.calloc(wrapper->wrapped.ctx, count, size));
}

static void *wrapped_realloc(void *ctx, void *ptr, size_t size)
{
    struct wrapper *wrapper = ctx;
    return noted(wrapper, wrapper->wrapped.realloc(wrapper->wrapped.ctx, ptr, size));
}

static void wrapped_free(void *ctx, void *ptr)
{
    struct wrapper *wrapper = ctx;
    wrapper->wrapped.free(wrapper->wrapped.ctx, ptr);
}

void python_wrapper_start(void)
{
    g_wrapper = calloc(1, sizeof *g_wrapper);
    PyMem_GetAllocator(OBJECT_DOMAIN, &g_wrapper->wrapped);
    struct allocator ours = { g_wrapper, wrapped_malloc, wrapped_calloc, wrapped_realloc, wrapped_free };
    PyMem_SetAllocator(OBJECT_DOMAIN, &ours);
}

void python_wrapper_stop(void)
{
    PyMem_SetAllocator(OBJECT_DOMAIN, &g_wrapper->wrapped);
}
