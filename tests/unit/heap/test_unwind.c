/* test_unwind.c: every capture equals libunwind's, whatever shape the stack has.
 * Link: unwind
 */
#include "harness.h"
#include "nofp_shapes.h"
#include "unwind_oracle.h"

#include "base/atomic.h"

#include <pthread.h>
#include <sys/mman.h>

static struct oracle g_oracle;

static void settle(struct oracle *o)
{
    uint64_t wrong = o->wrong;
    uint64_t captures = o->captures;
    oracle_fini(o);
    assert_true(captures > 0);
    assert_int_equal(wrong, 0);
}

static void random_paths(struct oracle *o, uint64_t seed, uint32_t runs, uint32_t depth_max)
{
    uint8_t path[256];
    struct nofp_plan plan = { .path = path, .leaf = oracle_check, .context = o };
    memset(path, 0, sizeof path);
    for (uint32_t run = 0; run < runs && o->wrong == 0; run++) {
        uint32_t keep = (uint32_t)(oracle_random(&seed) % depth_max); /* neighbours share their outer part */
        plan.depth = 1 + (uint32_t)(oracle_random(&seed) % depth_max);
        plan.every = 1 + (uint32_t)(oracle_random(&seed) % 7);
        for (uint32_t i = keep; i < depth_max; i++) {
            path[i] = (uint8_t)(oracle_random(&seed) % NOFP_HUGE);
        }
        nofp_run(&plan);
    }
}

static void test_random_paths_equal_libunwind(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    random_paths(&g_oracle, oracle_seed(), 2000, 40);
    fprintf(stderr, "%llu captures, %llu frames\n", (unsigned long long)g_oracle.captures,
            (unsigned long long)g_oracle.frames);
    assert_true(g_oracle.captures > 10000);
    settle(&g_oracle);
}

static void test_each_shape_alone_equals_libunwind(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < NOFP__COUNT; shape++) {
        uint8_t path[6];
        memset(path, (int)shape, sizeof path);
        struct nofp_plan plan = { path, sizeof path, 1, oracle_check, &g_oracle };
        oracle_init(&g_oracle);
        nofp_run(&plan);
        nofp_run(&plan);
        settle(&g_oracle);
    }
}

static void test_recursion_of_3000_frames_is_complete(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    for (uint32_t depth = 2990; depth < 3010; depth++) {
        nofp_recurse(depth, oracle_check, &g_oracle);
        assert_true(g_oracle.memo.count > depth);
    }
    settle(&g_oracle);
}

static void capture_only(void *context)
{
    struct oracle *o = context;
    MT_CAPTURE_CALLER(regs);
    o->result = mt_unwind_capture(&o->memo, &regs);
    o->captures++;
}

static void test_too_deep_stacks_keep_the_innermost_frames(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    for (int round = 0; round < 2; round++) {
        nofp_recurse(MT_UNWIND_MAX_FRAMES - 100, capture_only, &g_oracle);
        assert_int_equal(g_oracle.result, MT_UNWIND_COMPLETE);
        nofp_recurse(MT_UNWIND_MAX_FRAMES + 100, capture_only, &g_oracle);
        assert_int_equal(g_oracle.result, MT_UNWIND_TRUNCATED);
        assert_int_equal(g_oracle.memo.count, MT_UNWIND_MAX_FRAMES);
        const struct mt_native_frame *frames = g_oracle.memo.frames;
        assert_int_equal(frames[MT_UNWIND_MAX_FRAMES - 10].pc, frames[0].pc);
    }
    nofp_recurse(20, oracle_check, &g_oracle);
    settle(&g_oracle);
}

/* Captures at these depths, all from one call site; the last one with the scratch area marked at `mark`. */
static MT_NOINLINE void capture_at_depths(const uint32_t *depths, size_t count, size_t mark)
{
    for (volatile size_t i = 0; i < count; i++) {
        g_oracle.memo.scratch[mark].pc = 0;
        nofp_recurse(depths[i], capture_only, &g_oracle);
        assert_true(g_oracle.memo.count > depths[i]);
    }
}

static void test_a_repeated_stack_is_not_walked_again(void **state)
{
    static const uint32_t same[] = { 50, 50, 50 };
    static const uint32_t deeper[] = { 50, 51 };
    (void)state;
    oracle_init(&g_oracle);
    capture_at_depths(same, 3, 0);
    assert_int_equal(g_oracle.memo.scratch[0].pc, 0);
    /* One more frame: the base case and the call above it are new, and walked, before the rest matches. */
    capture_at_depths(deeper, 2, 2);
    assert_int_equal(g_oracle.memo.scratch[2].pc, 0);
    assert_true(g_oracle.memo.scratch[1].pc != 0);
    settle(&g_oracle);
}

static void test_hash_is_the_chain_of_pcs_from_the_base(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    nofp_recurse(30, oracle_check, &g_oracle);
    const struct mt_native_frame *frames = g_oracle.memo.frames;
    for (uint32_t i = 1; i < g_oracle.memo.count; i++) {
        assert_true(frames[i].hash == mt_hash_step(frames[i - 1].hash, frames[i].pc));
        assert_true(frames[i].cfa < frames[i - 1].cfa || i == 1);
    }
    uint64_t before = frames[g_oracle.memo.count - 1].hash;
    nofp_recurse(31, oracle_check, &g_oracle);
    assert_true(frames[g_oracle.memo.count - 1].hash != before);
    settle(&g_oracle);
}

struct worker {
    uint64_t seed;
    uint64_t wrong;
    uint64_t captures;
    struct oracle *oracle;
};

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    oracle_init(worker->oracle);
    random_paths(worker->oracle, worker->seed, 150, 40);
    worker->wrong = worker->oracle->wrong;
    worker->captures = worker->oracle->captures;
    oracle_fini(worker->oracle);
    return NULL;
}

static void test_threads_equal_libunwind(void **state)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    uint64_t seed = oracle_seed();
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .seed = oracle_random(&seed) | 1, .oracle = malloc(sizeof(struct oracle)) };
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
        assert_true(workers[i].captures > 500);
        free(workers[i].oracle);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_paths_equal_libunwind),
    cmocka_unit_test(test_each_shape_alone_equals_libunwind),
    cmocka_unit_test(test_recursion_of_3000_frames_is_complete),
    cmocka_unit_test(test_too_deep_stacks_keep_the_innermost_frames),
    cmocka_unit_test(test_a_repeated_stack_is_not_walked_again),
    cmocka_unit_test(test_hash_is_the_chain_of_pcs_from_the_base),
    cmocka_unit_test(test_threads_equal_libunwind),
};

MT_TEST_MAIN(tests)
