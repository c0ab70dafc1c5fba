/* test_unwind.c: every capture equals libunwind's, whatever shape the stack has.
 * Link: unwind
 */
#include "harness.h"
#include "nofp_shapes.h"
#include "unwind_oracle.h"

#include "base/atomic.h"
#include "heap/rowcache.h"

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

static void random_paths(struct oracle *o, uint64_t seed, uint32_t runs, uint32_t depth_max, void (*leaf)(void *))
{
    uint8_t path[256];
    struct nofp_plan plan = { .path = path, .leaf = leaf, .context = o };
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
    random_paths(&g_oracle, oracle_seed(), 2000, 40, oracle_check);
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
        assert_int_equal(frames[10].pc, frames[MT_UNWIND_MAX_FRAMES - 1].pc);
    }
    nofp_recurse(20, oracle_check, &g_oracle);
    settle(&g_oracle);
}

/* Captures at these depths, all from one call site; returns how many frames of the last one were walked. */
static MT_NOINLINE uint32_t capture_at_depths(const uint32_t *depths, size_t count)
{
    for (volatile size_t i = 0; i < count; i++) {
        g_oracle.memo.state->walked = 0;
        nofp_recurse(depths[i], capture_only, &g_oracle);
        assert_true(g_oracle.memo.count > depths[i]);
    }
    return g_oracle.memo.state->walked;
}

static void test_a_repeated_stack_is_not_walked_again(void **state)
{
    static const uint32_t same[] = { 50, 50, 50 };
    static const uint32_t deeper[] = { 50, 51 };
    (void)state;
    oracle_init(&g_oracle);
    assert_int_equal(capture_at_depths(same, 3), 0);
    /* One more frame: the base case and the call above it are new, and walked, before the rest matches. */
    assert_int_equal(capture_at_depths(deeper, 2), 2);
    settle(&g_oracle);
}

static void test_one_changed_return_address_is_seen_wherever_it_is(void **state)
{
    enum { DEEPEST = 13 };
    (void)state;
    oracle_init(&g_oracle);
    for (volatile uint32_t depth = 1; depth <= DEEPEST; depth++) {
        for (volatile uint32_t other = 1; other <= depth; other++) {
            uint64_t hashes[2];
            for (volatile unsigned i = 0; i < 4; i++) { /* the second time each way all is as it was */
                (void)nofp_recurse_but(depth, i / 2 * other, oracle_check, &g_oracle);
                hashes[i / 2] = g_oracle.memo.hash;
            }
            assert_true(hashes[0] != hashes[1]);
        }
    }
    settle(&g_oracle);
}

/* The sum of pc * K^position, as the header defines it, by plain arithmetic. */
static uint64_t sum_by_definition(const struct mt_unwinder *u)
{
    unsigned __int128 sum = 0;
    unsigned __int128 power = 1;
    for (uint32_t i = u->count; i-- > 0;) {
        sum = (sum + power * (u->frames[i].pc % MT_STACK_HASH_PRIME)) % MT_STACK_HASH_PRIME;
        power = power * MT_STACK_HASH_K % MT_STACK_HASH_PRIME;
    }
    return (uint64_t)sum;
}

static void check_sum(void *context)
{
    struct oracle *o = context;
    oracle_check(o);
    assert_true(o->memo.state->sum == sum_by_definition(&o->memo));
    assert_true(o->fresh.state->sum == sum_by_definition(&o->fresh));
}

static void test_hash_is_the_polynomial_of_the_pcs(void **state)
{
    uint64_t seed = oracle_seed();
    uint64_t hashes[2];
    (void)state;
    oracle_init(&g_oracle);
    random_paths(&g_oracle, seed, 300, 40, check_sum);
    for (uint32_t i = 0; i < 2; i++) {
        nofp_recurse(30 + i, check_sum, &g_oracle);
        hashes[i] = g_oracle.memo.hash;
    }
    assert_true(hashes[0] != hashes[1]);
    settle(&g_oracle);
}

/* One frame of difference at the leaf and at the base, at all depths up to far more than the frames a stack has walked
 * anew: both ways of computing the sum. */
static void test_hash_of_deep_stacks_follows_from_the_previous_one(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    for (uint32_t depth = 1; depth < 3000; depth += depth / 3 + 1) {
        nofp_recurse(depth, check_sum, &g_oracle);
        nofp_recurse(depth + 1, check_sum, &g_oracle);
    }
    settle(&g_oracle);
}

static void test_powers_of_the_hash_are_products(void **state)
{
    unsigned __int128 power = 1;
    (void)state;
    for (uint32_t i = 0; i < 1u << 15; i++) {
        assert_true(mt_stack_hash_power(i) == (uint64_t)power);
        power = power * MT_STACK_HASH_K % MT_STACK_HASH_PRIME;
    }
}

/* The values between steps may be as large as the header says, and mean the same. */
static void test_hash_steps_hold_at_their_limits(void **state)
{
    static const uint64_t words[] = { 0, 1, MT_STACK_HASH_PRIME - 1, MT_STACK_HASH_PRIME, MT_STACK_HASH_PRIME + 8,
                                      ((uint64_t)1 << 63) - 1 };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        for (size_t j = 0; j < MT_COUNTOF(words) - 1; j++) {
            unsigned __int128 wanted = ((unsigned __int128)words[i] * MT_STACK_HASH_K + words[j]) % MT_STACK_HASH_PRIME;
            uint64_t step = mt_stack_hash_step(words[i], words[j]);
            assert_true(step < (uint64_t)1 << 63);
            assert_true(mt_stack_hash_reduce(step) == (uint64_t)wanted);
            wanted = (unsigned __int128)words[i] * (words[j] % MT_STACK_HASH_PRIME) % MT_STACK_HASH_PRIME;
            uint64_t product = mt_stack_hash_multiply(words[i], words[j] % MT_STACK_HASH_PRIME);
            assert_true(mt_stack_hash_reduce(product) == (uint64_t)wanted);
        }
        assert_true(mt_stack_hash_fold(words[i]) <= MT_STACK_HASH_PRIME + 8);
        assert_true(mt_stack_hash_fold(words[i]) % MT_STACK_HASH_PRIME == words[i] % MT_STACK_HASH_PRIME);
    }
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
    random_paths(worker->oracle, worker->seed, 150, 40, oracle_check);
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

static bool g_stop_forgetting;

static void *forget_rows(void *argument)
{
    uint64_t *rounds = argument;
    while (!mt_load_acquire(&g_stop_forgetting)) {
        mt_rowcache_forget(0, UINT64_MAX);
        ++*rounds;
    }
    return NULL;
}

/* Rows vanish and return, and entries change hands, while they are read. */
static void test_rows_that_come_and_go_make_no_wrong_stack(void **state)
{
    pthread_t forgetter;
    uint64_t rounds = 0;
    (void)state;
    oracle_init(&g_oracle);
    g_oracle.rows_vanish = true;
    g_stop_forgetting = false;
    assert_int_equal(pthread_create(&forgetter, NULL, forget_rows, &rounds), 0);
    random_paths(&g_oracle, oracle_seed(), 400, 40, oracle_check);
    mt_store_release(&g_stop_forgetting, true);
    pthread_join(forgetter, NULL);
    assert_true(rounds > 10);
    settle(&g_oracle);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_paths_equal_libunwind),
    cmocka_unit_test(test_each_shape_alone_equals_libunwind),
    cmocka_unit_test(test_recursion_of_3000_frames_is_complete),
    cmocka_unit_test(test_too_deep_stacks_keep_the_innermost_frames),
    cmocka_unit_test(test_a_repeated_stack_is_not_walked_again),
    cmocka_unit_test(test_one_changed_return_address_is_seen_wherever_it_is),
    cmocka_unit_test(test_hash_is_the_polynomial_of_the_pcs),
    cmocka_unit_test(test_hash_of_deep_stacks_follows_from_the_previous_one),
    cmocka_unit_test(test_powers_of_the_hash_are_products),
    cmocka_unit_test(test_hash_steps_hold_at_their_limits),
    cmocka_unit_test(test_threads_equal_libunwind),
    cmocka_unit_test(test_rows_that_come_and_go_make_no_wrong_stack),
};

MT_TEST_MAIN(tests)
