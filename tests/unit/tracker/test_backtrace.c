/* test_backtrace.c: native stacks of the tracker against a whole unwind each time, in random trees of calls whose frames have random
 * sizes, with frames of libc between. */
#include "making.h"
#include "tracker/private.h"

#include <alloca.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unwind.h>

enum { LEAVES = 30000, DEEPEST = 60, FRAMES = MT_TRACKER_DEPTH_MAX + 2 };

static unsigned g_seed;

struct tree {
    struct mt_tracker *tracker;
    unsigned state;
    unsigned leaves, wrong;
    int depth;
};

static unsigned below(struct tree *t, unsigned limit)
{
    return (unsigned)rand_r(&t->state) % limit;
}

/* As mt_track_allocation does it. */
static __attribute__((noinline)) uint32_t capture(struct mt_tracker *tracker)
{
    uint32_t stack = mt_tracker_native_stack(tracker, __builtin_return_address(0), __builtin_frame_address(0));
    __asm__ volatile("" : "+r"(stack));
    return stack;
}

struct whole {
    uint64_t pcs[FRAMES];
    size_t count;
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *argument)
{
    struct whole *whole = argument;
    uint64_t pc = _Unwind_GetIP(context);
    if (pc == 0 || whole->count == FRAMES) {
        return _URC_END_OF_STACK;
    }
    whole->pcs[whole->count++] = pc;
    return _URC_NO_REASON;
}

/* The first pc is its own. (backtrace(3) would do, but sanitizers put themselves between.) */
static __attribute__((noinline)) void unwind_all(struct whole *whole)
{
    whole->count = 0;
    (void)_Unwind_Backtrace(note, whole);
    __asm__ volatile("" : : "r"(whole) : "memory");
}

/* Both stacks have it as a frame, at different calls. */
static __attribute__((noinline)) void leaf(struct tree *t)
{
    struct whole whole;
    size_t count = 0;
    const uint64_t *words = mt_tracker_stack_words(t->tracker, capture(t->tracker), &count);
    unwind_all(&whole);
    const uint64_t *expected = whole.pcs + 1;
    size_t most = whole.count - 1;
    size_t depth = mt_tracker_stack_depth(t->tracker);
    size_t wanted = most < depth ? most : depth;
    bool same = count == wanted;
    for (size_t i = 1; same && i < count; i++) {
        same = words[i] == expected[i];
    }
    t->wrong += !same;
    t->leaves++;
}

static void branch(struct tree *t);

static __attribute__((noinline)) void plain(struct tree *t)
{
    leaf(t);
    branch(t);
    leaf(t);
}

static __attribute__((noinline)) void sized(struct tree *t)
{
    size_t bytes = 16 + 16 * below(t, 40);
    volatile char *room = alloca(bytes);
    room[0] = room[bytes - 1] = 1;
    branch(t);
    leaf(t);
}

static __thread struct tree *t_tree;

static int compare(const void *a, const void *b)
{
    branch(t_tree);
    return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void through_libc(struct tree *t)
{
    int numbers[2] = { 2, 1 };
    t_tree = t;
    qsort(numbers, 2, sizeof numbers[0], compare);
    leaf(t);
}

static void branch(struct tree *t)
{
    static void (*const ways[])(struct tree *) = { plain, sized, through_libc, leaf };
    if (t->depth < DEEPEST && t->leaves < LEAVES) {
        t->depth++;
        for (unsigned calls = below(t, 3) + 1; calls > 0; calls--) {
            ways[below(t, 4)](t);
        }
        t->depth--;
    }
}

static void *grow(void *tree)
{
    struct tree *t = tree;
    while (t->leaves < LEAVES) {
        branch(t);
        if (below(t, 100) == 0) {
            assert_int_equal(mt_tracker_set_stack_depth(t->tracker, 1 + below(t, MT_TRACKER_DEPTH_MAX)), 0);
        }
    }
    return NULL;
}

static void test_random_trees_agree_with_whole_unwinds(void **state)
{
    (void)state;
    struct tree t = { .tracker = make_with_stacks(10), .state = g_seed };
    (void)grow(&t);
    assert_true(t.leaves >= LEAVES);
    assert_int_equal(t.wrong, 0);
    mt_tracker_free(t.tracker);
}

/* given a thread on the stack of one that has ended, then nothing of that one's frames is taken for its own */
static void test_threads_that_follow_each_other_agree_too(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_stacks(MT_TRACKER_DEPTH_MAX);
    for (unsigned i = 0; i < 8; i++) {
        struct tree t = { .tracker = tracker, .state = g_seed + i, .leaves = LEAVES - 500 };
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, grow, &t), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(t.wrong, 0);
    }
    mt_tracker_free(tracker);
}

static int seed(void **state)
{
    (void)state;
    g_seed = (unsigned)time(NULL);
    printf("seed %u\n", g_seed);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_random_trees_agree_with_whole_unwinds, seed),
    cmocka_unit_test_setup(test_threads_that_follow_each_other_agree_too, seed),
};
MT_TEST_MAIN(tests)
