/* books.h: a program that allocates and frees at random under a bounded recording, and the test's own books of it, which are the truth: at
 * a rate of one byte every block is a sample. The books are shared with fork children, so that they outlive one that is killed. */
#ifndef MT_TESTS_HEAP_BOOKS_H
#define MT_TESTS_HEAP_BOOKS_H

#include "harness.h"
#include "made_up.h"
#include "recorded.h"

#include "heap/state.h"

#include <sys/mman.h>

enum { LIMIT = 768 * 1024, SLOTS = 1000, SIZE_LEAST = 4096, THREADS = 4 };

/* What is alive: of each place its size, 0: nothing. */
struct books {
    uint64_t sizes[THREADS][SLOTS];
    uint64_t *changes[THREADS]; /* the place of each thread that a call is about, which may be in the trace or not; NULL: none */
    uint64_t operations;
};
static struct books *g_books;

static void make_books(void)
{
    g_books = mmap(NULL, sizeof *g_books, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(g_books != MAP_FAILED);
}

static void start(uint64_t limit)
{
    const struct mt_engine_config config = {
        .mode = MT_MODE_SAMPLE, .rate_bytes = 1, .native = true, .max_file_bytes = limit, .path = g_path, .command = "unit",
        .command_bytes = 5, .seed = 11,
    };
    if (g_books == NULL) {
        make_books();
    }
    memset(g_books, 0, sizeof *g_books);
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

static uint64_t address(unsigned thread, unsigned place)
{
    return 0x100000000u + ((uint64_t)thread * SLOTS + place) * 0x10000;
}

/* xorshift64 (Marsaglia 2003). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void allocate(unsigned thread, unsigned place, uint64_t size)
{
    g_books->changes[thread] = &g_books->sizes[thread][place];
    record(address(thread, place), size);
    g_books->sizes[thread][place] = size;
    g_books->changes[thread] = NULL;
}

static void release(unsigned thread, unsigned place)
{
    g_books->changes[thread] = &g_books->sizes[thread][place];
    g_books->sizes[thread][place] = 0;
    forget(address(thread, place));
    g_books->changes[thread] = NULL;
}

static void grow(unsigned thread, unsigned place)
{
    uint64_t *there = &g_books->sizes[thread][place];
    g_books->changes[thread] = there;
    realloc_as(address(thread, place), address(thread, place), 2 * *there, *there, MT_REALLOC_GROWS);
    *there *= 2;
    g_books->changes[thread] = NULL;
}

/* One place changes: what is there goes, or something comes, or grows. */
static void churn(unsigned thread, uint64_t *random)
{
    unsigned place = (unsigned)(next_random(random) % SLOTS);
    uint64_t size = SIZE_LEAST + next_random(random) % 1000;
    uint64_t *there = &g_books->sizes[thread][place];
    if (*there == 0) {
        allocate(thread, place, size);
    } else if (next_random(random) % 8 == 0) {
        grow(thread, place);
    } else {
        release(thread, place);
    }
    __atomic_fetch_add(&g_books->operations, 1, __ATOMIC_RELAXED);
}

/* What the trace says is alive is what the books say, each with a stack. */
static void expect_books(void)
{
    size_t count, alive = 0, expected = 0;
    struct mt_trace *trace;
    struct mt_event *events = read_events(g_path, &count, &trace);
    uint64_t *found = calloc(THREADS * SLOTS, sizeof *found);
    assert_int_equal(mt_trace_completeness(trace)->lost_blocks, 0);
    assert_false(mt_trace_completeness(trace)->metadata_broken);
    assert_int_equal(mt_trace_info(trace)->counters[MT_COUNTER_DROPPED_EVENTS], 0);
    assert_int_equal(mt_trace_info(trace)->counters[MT_COUNTER_LIVE_TABLE_FULL], 0);
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind != MT_EVENT_ALLOC && events[i].kind != MT_EVENT_FREE) {
            continue;
        }
        uint64_t at = (events[i].addr - address(0, 0)) / 0x10000;
        bool comes = events[i].kind == MT_EVENT_ALLOC;
        assert_true(at < THREADS * SLOTS);
        assert_true((found[at] == 0) == comes); /* nothing twice, nothing of nowhere */
        assert_true(!comes || events[i].stack != 0);
        alive = comes ? alive + 1 : alive - 1;
        found[at] = comes ? events[i].size : 0;
    }
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned p = 0; p < SLOTS; p++) {
            bool changes = g_books->changes[t] == &g_books->sizes[t][p];
            assert_true(changes || found[t * SLOTS + p] == g_books->sizes[t][p]);
            expected += changes ? found[t * SLOTS + p] != 0 : g_books->sizes[t][p] != 0;
        }
    }
    assert_int_equal(alive, expected);
    mt_trace_close(trace);
    free(events);
    free(found);
}

#endif
