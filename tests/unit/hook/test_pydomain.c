/* test_pydomain.c: the wrappers of Python's allocator domains over a stand-in for pymalloc: up to 512 bytes from a pool,
 * the rest from the hooked malloc, moving between them as CPython's does. The books must balance whatever the sequence.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/os.h"
#include "fakes/engine.h"
#include "hook/originals.h"
#include "hook/pydomain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 1, LARGEST = 512, POOL_BLOCKS = 4096, BLOCKS = 500, STEPS = 200000 };

static _Alignas(16) char g_pool[POOL_BLOCKS][LARGEST];
static bool g_pool_used[POOL_BLOCKS];
static int g_ctx_of_original;

static void check_ctx(void *ctx)
{
    assert_ptr_equal(ctx, &g_ctx_of_original);
}

static bool in_pool(const void *ptr)
{
    return (uintptr_t)ptr - (uintptr_t)g_pool < sizeof g_pool;
}

static void *pool_malloc(void *ctx, size_t size)
{
    check_ctx(ctx);
    for (size_t i = 0; size >= SMALLEST && size <= LARGEST && i < POOL_BLOCKS; i++) {
        if (!g_pool_used[i]) {
            g_pool_used[i] = true;
            return g_pool[i];
        }
    }
    return mt_bank0_malloc(size == 0 ? 1 : size);
}

static void *pool_calloc(void *ctx, size_t count, size_t size)
{
    void *ptr = pool_malloc(ctx, count * size);
    return memset(ptr, 0, count * size);
}

static void pool_free(void *ctx, void *ptr)
{
    check_ctx(ctx);
    if (in_pool(ptr)) {
        g_pool_used[((uintptr_t)ptr - (uintptr_t)g_pool) / LARGEST] = false;
    } else {
        mt_bank0_free(ptr);
    }
}

static void *pool_realloc(void *ctx, void *old, size_t size)
{
    if (old == NULL) {
        return pool_malloc(ctx, size);
    }
    if (!in_pool(old)) {
        return mt_bank0_realloc(old, size == 0 ? 1 : size); /* stays malloc's, however small */
    }
    void *ptr = pool_malloc(ctx, size);
    memcpy(ptr, old, size < LARGEST ? size : LARGEST);
    pool_free(ctx, old);
    return ptr;
}

static struct mt_python_allocator g_wrapped;

static int start(void **state)
{
    (void)state;
    mt_originals_early_end(NULL);
    mt_originals_resolve();
    memset(&mt_g_fake, 0, sizeof mt_g_fake);
    memset(g_pool_used, 0, sizeof g_pool_used);
    struct mt_python_layer *layer = &mt_g_python_layers[0][MT_PYTHON_OBJECT];
    layer->original = (struct mt_python_allocator){ &g_ctx_of_original, pool_malloc, pool_calloc, pool_realloc,
                                                    pool_free };
    layer->largest = LARGEST;
    layer->allocator = MT_ALLOCATOR_PYMEM_OBJECT;
    g_wrapped = mt_python_wrappers(0, MT_PYTHON_OBJECT);
    g_wrapped.ctx = layer->original.ctx; /* as it is installed; check_ctx sees that it arrives */
    fake_engine_start(0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_g_fake.unbalanced, 0);
    assert_int_equal(mt_g_fake.counted_twice, 0);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
    fake_engine_stop();
    return 0;
}

static void *take(size_t size)
{
    return g_wrapped.malloc(g_wrapped.ctx, size);
}

static void give(void *ptr)
{
    g_wrapped.free(g_wrapped.ctx, ptr);
}

static void test_small_blocks_are_python_objects_and_large_ones_mallocs(void **state)
{
    (void)state;
    void *blocks[] = { take(0), take(1), take(512), take(513), g_wrapped.calloc(g_wrapped.ctx, 2, 256),
                       g_wrapped.calloc(g_wrapped.ctx, 2, 257) };
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_PYMEM_OBJECT], 4);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_PYMEM_OBJECT], 0 + 1 + 512 + 512);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 2);
    assert_int_equal(mt_g_fake.live, 6);
    for (size_t i = 0; i < MT_COUNTOF(blocks); i++) {
        give(blocks[i]);
    }
    assert_int_equal(mt_g_fake.live, 0);
    assert_int_equal(mt_g_fake.frees, 6);
}

static void test_realloc_across_the_border_moves_the_books(void **state)
{
    (void)state;
    static const size_t sizes[] = { 100, 600, 50, 0, 5000, 512, 513, 1 };
    void *ptr = NULL;
    for (size_t i = 0; i < MT_COUNTOF(sizes); i++) {
        ptr = g_wrapped.realloc(g_wrapped.ctx, ptr, sizes[i]);
        assert_int_equal(mt_g_fake.live, 1);
        assert_int_equal(mt_g_fake.live_bytes, sizes[i] == 0 ? 1 : sizes[i]);
    }
    give(ptr);
    assert_int_equal(mt_g_fake.live, 0);
}

static void test_free_of_null_is_harmless(void **state)
{
    (void)state;
    give(NULL);
    assert_int_equal(mt_g_fake.frees, 0);
}

static void test_books_balance_after_any_sequence(void **state)
{
    (void)state;
    uint64_t seed = mt_os_random();
    print_message("seed %llu\n", (unsigned long long)seed);
    srand48((long)seed);
    void *blocks[BLOCKS] = { NULL };
    size_t sizes[BLOCKS] = { 0 };
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(lrand48() % BLOCKS);
        size_t size = (size_t)(lrand48() % (lrand48() % 4 == 0 ? 5000 : 600));
        if (blocks[i] == NULL) {
            blocks[i] = lrand48() % 2 ? take(size) : g_wrapped.calloc(g_wrapped.ctx, 1, size);
            sizes[i] = size;
        } else if (lrand48() % 2) {
            blocks[i] = g_wrapped.realloc(g_wrapped.ctx, blocks[i], size);
            sizes[i] = size == 0 ? 1 : size; /* what Python's realloc makes of it */
        } else {
            give(blocks[i]);
            blocks[i] = NULL;
        }
    }
    uint64_t live = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < BLOCKS; i++) {
        live += blocks[i] != NULL;
        bytes += blocks[i] != NULL ? sizes[i] : 0;
    }
    assert_int_equal(mt_g_fake.live, live);
    assert_int_equal(mt_g_fake.live_bytes, bytes);
    for (int i = 0; i < BLOCKS; i++) {
        give(blocks[i]);
    }
    assert_int_equal(mt_g_fake.live, 0);
}

static void test_nested_calls_leave_the_countdown_alone(void **state)
{
    (void)state;
    fake_engine_start(1000000);
    t_mt.left = 500000;
    void *ptr = take(100);
    assert_int_equal(t_mt.left, 499900);
    ptr = g_wrapped.realloc(g_wrapped.ctx, ptr, 1000); /* ends in the hooked malloc */
    assert_int_equal(t_mt.left, 498900);
    ptr = g_wrapped.realloc(g_wrapped.ctx, ptr, 3000); /* ends in the hooked realloc */
    assert_int_equal(t_mt.left, 495900);
    mt_engine_enter_end(ptr, 0);
    give(ptr);
    mt_engine_leave_end();
}

/* A wrapper between us and the pool that keeps a note on each block, in memory of malloc's: as tracemalloc does for those
 * that were there before it, it forgets the note inside free and realloc. */
static struct note {
    void *block;
    void *memory;
} g_notes[BLOCKS];

static void note(void *block)
{
    size_t i = 0;
    while (g_notes[i].block != NULL) {
        i++;
    }
    g_notes[i] = (struct note){ block, mt_bank0_malloc(48) };
}

static void forget_note(const void *block)
{
    for (size_t i = 0; block != NULL && i < BLOCKS; i++) {
        if (g_notes[i].block == block) {
            mt_bank0_free(g_notes[i].memory);
            g_notes[i].block = NULL;
        }
    }
}

static void noting_free(void *ctx, void *ptr)
{
    pool_free(ctx, ptr);
    forget_note(ptr);
}

static void *noting_realloc(void *ctx, void *old, size_t size)
{
    void *ptr = pool_realloc(ctx, old, size);
    forget_note(old);
    return ptr;
}

static void test_notes_of_a_wrapper_below_end_with_their_blocks(void **state)
{
    (void)state;
    struct mt_python_layer *layer = &mt_g_python_layers[0][MT_PYTHON_OBJECT];
    layer->original.free = noting_free;
    layer->original.realloc = noting_realloc;
    static const size_t sizes[] = { 1, 100, 512, 513, 5000 };
    for (size_t i = 0; i < MT_COUNTOF(sizes); i++) {
        void *freed = take(sizes[i]);
        note(freed);
        void *moved = take(sizes[i]);
        note(moved);
        assert_int_equal(mt_g_fake.live, 4);
        give(freed);
        moved = g_wrapped.realloc(g_wrapped.ctx, moved, 1000);
        assert_int_equal(mt_g_fake.live, 1);
        assert_int_equal(mt_g_fake.live_bytes, 1000);
        give(moved);
        assert_int_equal(mt_g_fake.live, 0);
    }
}

/* A guarding layer sits above Python's debug hooks: blocks begin inside malloc's. */
static void *debug_malloc(void *ctx, size_t size)
{
    return (char *)pool_malloc(ctx, size + 24) + 16;
}

static void debug_free(void *ctx, void *ptr)
{
    pool_free(ctx, ptr == NULL ? NULL : (char *)ptr - 16);
}

static void test_a_guarding_layer_counts_every_size_once(void **state)
{
    (void)state;
    struct mt_python_layer *layer = &mt_g_python_layers[MT_PYTHON_PLAIN_LAYERS][MT_PYTHON_OBJECT];
    *layer = mt_g_python_layers[0][MT_PYTHON_OBJECT];
    layer->largest = SIZE_MAX;
    layer->headers = 1;
    layer->original.malloc = debug_malloc;
    layer->original.free = debug_free;
    g_wrapped = mt_python_wrappers(MT_PYTHON_PLAIN_LAYERS, MT_PYTHON_OBJECT);
    static const size_t sizes[] = { 0, 1, 488, 489, 5000 };
    for (size_t i = 0; i < MT_COUNTOF(sizes); i++) {
        void *ptr = take(sizes[i]);
        assert_int_equal(mt_g_fake.live, 1);
        assert_int_equal(mt_g_fake.live_bytes, sizes[i]);
        give(ptr);
        assert_int_equal(mt_g_fake.live, 0);
    }
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_PYMEM_OBJECT], MT_COUNTOF(sizes));
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 0);
    fake_engine_start(1000000);
    t_mt.left = 500000;
    void *unrecorded = take(5000);
    assert_int_equal(t_mt.left, 495000); /* once, although the size went to malloc as well */
    mt_engine_enter_end(unrecorded, 1);
    give(unrecorded);
    mt_engine_leave_end();
}

#define HOOK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)
static const struct CMUnitTest tests[] = {
    HOOK_TEST(test_small_blocks_are_python_objects_and_large_ones_mallocs),
    HOOK_TEST(test_realloc_across_the_border_moves_the_books),
    HOOK_TEST(test_free_of_null_is_harmless),
    HOOK_TEST(test_books_balance_after_any_sequence),
    HOOK_TEST(test_nested_calls_leave_the_countdown_alone),
    HOOK_TEST(test_notes_of_a_wrapper_below_end_with_their_blocks),
    HOOK_TEST(test_a_guarding_layer_counts_every_size_once),
};
MT_TEST_MAIN(tests)
