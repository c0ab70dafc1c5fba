/* pydomain.c: see pydomain.h.
 *
 * Books balance by these rules (Objects/obmalloc.c, 3.8 to 3.15):
 *  - malloc and calloc of a size pymalloc serves are counted here; others are tail-jumped and counted by malloc's hook.
 *    (An empty block is served by malloc(1): here it counts 0 bytes, under the guard when it is recorded.)
 *  - free is recorded here for every block, whoever counted it, and the real free runs under the guard: for a large block
 *    it ends in the hooked free, which must not record it again. Other blocks that are freed on the way are recorded:
 *    tracemalloc forgets a block inside the free and the realloc below us, and gives its own notes on it back.
 *  - realloc always runs under the guard and is recorded here as a whole. pymalloc moves a growing block from its pool to
 *    malloc, but leaves a shrinking malloc block with malloc whatever its new size: only the outcome is certain, not who
 *    serves it. Python's realloc to 0 bytes gives a block, never NULL.
 *  - In sample mode the growth of a block of malloc's is what the hooked realloc below takes off the countdown. A block that
 *    stays in its place without that has not grown: it fits its size class. One that moved without it is a new block for all
 *    that is known of what it was; so is one that has moved to malloc, which then took off all of it.
 * Context: [hook], Python's lock held (not in free-threaded builds).
 */
#include "hook/pydomain.h"

#include "heap/engine.h"
#include "hook/guard.h"

struct mt_python_layer mt_g_python_layers[MT_PYTHON_LAYERS][MT_PYTHON_DOMAIN__COUNT];

MT_INLINE bool is_counted_here(const struct mt_python_layer *layer, size_t size)
{
    return size <= layer->largest;
}

/* ---- recorded paths, entered by a tail jump ----------------------------------------------------------------------- */

static MT_NOINLINE void *recorded_malloc(const struct mt_python_layer *layer, size_t size)
{
    MT_CAPTURE_CALLER(regs);
    const struct mt_python_allocator *real = &layer->original;
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->malloc(real->ctx, size);
    }
    uint64_t left = mt_guard_save();
    void *ptr = real->malloc(real->ctx, size);
    mt_guard_restore(left);
    mt_engine_end_alloc(ptr, size, layer->allocator, &regs);
    return ptr;
}

static MT_NOINLINE void *recorded_calloc(const struct mt_python_layer *layer, size_t count, size_t size)
{
    MT_CAPTURE_CALLER(regs);
    const struct mt_python_allocator *real = &layer->original;
    if (mt_engine_begin(count * size) == MT_SKIP) {
        return real->calloc(real->ctx, count, size);
    }
    uint64_t left = mt_guard_save();
    void *ptr = real->calloc(real->ctx, count, size);
    mt_guard_restore(left);
    mt_engine_end_alloc(ptr, count * size, layer->allocator, &regs);
    return ptr;
}

static MT_NOINLINE void recorded_free(const struct mt_python_layer *layer, void *ptr)
{
    const struct mt_python_allocator *real = &layer->original;
    if (ptr != NULL) {
        mt_engine_free(ptr);
    }
    mt_engine_enter_end(ptr, layer->headers);
    real->free(real->ctx, ptr);
    mt_engine_leave_end();
}

/* What a guarding layer does with a block it need not record. */
static MT_NOINLINE void *guarded_malloc(const struct mt_python_layer *layer, size_t size)
{
    mt_engine_enter();
    uint64_t left = mt_guard_save();
    void *ptr = layer->original.malloc(layer->original.ctx, size);
    mt_guard_restore(left);
    mt_engine_leave();
    return ptr;
}

static MT_NOINLINE void *guarded_calloc(const struct mt_python_layer *layer, size_t count, size_t size)
{
    mt_engine_enter();
    uint64_t left = mt_guard_save();
    void *ptr = layer->original.calloc(layer->original.ctx, count, size);
    mt_guard_restore(left);
    mt_engine_leave();
    return ptr;
}

/* A realloc and its outcome. */
struct change {
    void *old;
    size_t size; /* what is served: 1 for 0 */
    void *ptr;   /* NULL: it failed */
    uint64_t growth;
    enum mt_realloc_way way;
    enum mt_allocator allocator;
};

static void realloc_under_guard(const struct mt_python_layer *layer, struct change *c, size_t size)
{
    uint64_t left = mt_guard_save_far();
    c->ptr = layer->original.realloc(layer->original.ctx, c->old, size);
    uint64_t taken = mt_guard_restore_far(left);
    bool here = is_counted_here(layer, c->size);
    bool renewed = c->ptr != c->old && (taken == 0 ? here : taken >= c->size);
    c->growth = renewed ? c->size : taken;
    c->way = renewed ? MT_REALLOC_RENEWS : MT_REALLOC_GROWS;
    c->allocator = here ? layer->allocator : MT_ALLOCATOR_REALLOC;
}

static MT_NOINLINE void *whole_realloc(const struct mt_python_layer *layer, void *old, size_t size)
{
    MT_CAPTURE_CALLER(regs);
    struct change c = { .old = old, .size = size == 0 ? 1 : size };
    enum mt_verdict verdict = mt_engine_may_track(old) ? mt_engine_begin_realloc(old, c.size, MT_REALLOC_GROWS) : MT_SKIP;
    if (verdict == MT_RECORD) {
        mt_engine_expect_headers(layer->headers);
        realloc_under_guard(layer, &c, size);
        mt_engine_end_realloc(old, c.ptr, c.size, c.way, c.allocator, &regs);
        return c.ptr;
    }
    mt_engine_enter_end(old, layer->headers);
    realloc_under_guard(layer, &c, size);
    mt_engine_leave_end();
    if (c.ptr == NULL) {
        mt_engine_note_failure(c.size, c.allocator, &regs);
        return NULL;
    }
    if (verdict == MT_WATCH && c.ptr != old) {
        mt_engine_end_watched(old, c.ptr, c.size, c.way, c.allocator, &regs);
    } else if (verdict == MT_SKIP && c.growth > 0 && mt_engine_counts(c.growth) && mt_engine_begin(c.growth) == MT_RECORD) {
        mt_engine_end_growth(c.ptr, c.size, c.way, c.allocator, &regs);
    }
    return c.ptr;
}

/* ---- fast paths; guarding is a constant ----------------------------------------------------------------------------- */

/* The ctx we were called with is handed on as it came, see pydomain.h. */
MT_INLINE void *hook_malloc(const struct mt_python_layer *layer, void *ctx, size_t size, bool guarding)
{
    if (is_counted_here(layer, size) && mt_engine_counts(size)) {
        return recorded_malloc(layer, size);
    }
    if (guarding) {
        return guarded_malloc(layer, size);
    }
    return layer->original.malloc(ctx, size);
}

MT_INLINE void *hook_calloc(const struct mt_python_layer *layer, void *ctx, size_t count, size_t size, bool guarding)
{
    size_t bytes = 0;
    if (!__builtin_mul_overflow(count, size, &bytes) && is_counted_here(layer, bytes) && mt_engine_counts(bytes)) {
        return recorded_calloc(layer, count, size);
    }
    if (guarding) {
        return guarded_calloc(layer, count, size);
    }
    return layer->original.calloc(ctx, count, size);
}

MT_INLINE void *hook_realloc(const struct mt_python_layer *layer, void *ctx, void *old, size_t size, bool guarding)
{
    if (old == NULL) {
        return hook_malloc(layer, ctx, size, guarding); /* what every Python allocator makes of it */
    }
    return whole_realloc(layer, old, size);
}

MT_INLINE void hook_free(const struct mt_python_layer *layer, void *ctx, void *ptr)
{
    if (mt_engine_may_track(ptr)) {
        recorded_free(layer, ptr);
        return;
    }
    layer->original.free(ctx, ptr);
}

/* ---- one set of functions a layer and domain ------------------------------------------------------------------------ */

#define WRAPPERS(layer, domain)                                                                                        \
    static void *malloc_##layer##_##domain(void *ctx, size_t size)                                                     \
    {                                                                                                                  \
        return hook_malloc(&mt_g_python_layers[layer][domain], ctx, size, layer >= MT_PYTHON_PLAIN_LAYERS);            \
    }                                                                                                                  \
    static void *calloc_##layer##_##domain(void *ctx, size_t count, size_t size)                                       \
    {                                                                                                                  \
        return hook_calloc(&mt_g_python_layers[layer][domain], ctx, count, size, layer >= MT_PYTHON_PLAIN_LAYERS);     \
    }                                                                                                                  \
    static void *realloc_##layer##_##domain(void *ctx, void *old, size_t size)                                         \
    {                                                                                                                  \
        return hook_realloc(&mt_g_python_layers[layer][domain], ctx, old, size, layer >= MT_PYTHON_PLAIN_LAYERS);      \
    }                                                                                                                  \
    static void free_##layer##_##domain(void *ctx, void *ptr)                                                          \
    {                                                                                                                  \
        hook_free(&mt_g_python_layers[layer][domain], ctx, ptr);                                                       \
    }
#define BOTH_WRAPPERS(layer) WRAPPERS(layer, 0) WRAPPERS(layer, 1)
BOTH_WRAPPERS(0)
BOTH_WRAPPERS(1)
BOTH_WRAPPERS(2)
BOTH_WRAPPERS(3)
BOTH_WRAPPERS(4)

#define WRAPPER_SET(layer, domain)                                                                                     \
    {                                                                                                                  \
        NULL, malloc_##layer##_##domain, calloc_##layer##_##domain, realloc_##layer##_##domain,                        \
            free_##layer##_##domain                                                                                    \
    }
#define BOTH_SETS(layer)                                                                                               \
    {                                                                                                                  \
        WRAPPER_SET(layer, 0), WRAPPER_SET(layer, 1)                                                                   \
    }

struct mt_python_allocator mt_python_wrappers(unsigned layer, enum mt_python_domain domain)
{
    static const struct mt_python_allocator wrappers[MT_PYTHON_LAYERS][MT_PYTHON_DOMAIN__COUNT] = {
        BOTH_SETS(0), BOTH_SETS(1), BOTH_SETS(2), BOTH_SETS(3), BOTH_SETS(4),
    };
    return wrappers[layer][domain];
}
