/* test_totals.c: what a trace with a size says of the time before its base is what a trace of the same program says that has no size:
 * of every site what was allocated in total and what was alive at the peak, to the byte; and how much was held when. */
#include "harness.h"
#include "made_up.h"
#include "heap/folder.h"

#include "analysis/analysis.h"
#include "base/weight.h"
#include "heap/state.h"
#include "heap/totals.h"
#include "model/trace.h"

#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT = 384 * 1024, RATE = 20000, PLACES = 600, DEPTHS = 12, STEPS = 60000, OLD_STEP = STEPS / 3 };
static const uint64_t RANGES = 0x500000000000u, BLOCKS = 0x100000000u;

/* What a program did: a size for each place, and as many bytes for each range. */
struct program {
    uint64_t random;
    uint64_t sizes[PLACES];
    bool mapped[DEPTHS];
};

static uint64_t next_random(struct program *p)
{
    p->random ^= p->random << 13; /* xorshift64 (Marsaglia 2003) */
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random;
}

static void start(const char *path, uint64_t limit)
{
    const struct mt_engine_config config = { .mode = MT_MODE_SAMPLE, .rate_bytes = RATE, .native = true, .max_file_bytes = limit,
                                             .path = path, .command = "unit", .command_bytes = 5, .seed = 11 };
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

static MT_NOINLINE void map_range(unsigned n)
{
    MT_CAPTURE_CALLER(regs);
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_end_map((void *)(uintptr_t)(RANGES + n * 0x100000), 0x40000 + n * 0x1000, MT_MAP_ANONYMOUS, &regs);
}

/* Half of it. */
static void unmap_range(unsigned n)
{
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_note_unmap((void *)(uintptr_t)(RANGES + n * 0x100000), 0x20000);
    mt_engine_abandon();
}

static void change_block(struct program *p, unsigned place, uint64_t size)
{
    uint64_t address = BLOCKS + (uint64_t)place * 0x100000, *there = &p->sizes[place];
    if (*there == 0) {
        record(address, size);
        *there = size;
    } else if (size % 4 == 0) {
        realloc_as(address, address, 2 * *there, *there, MT_REALLOC_GROWS);
        *there *= 2;
    } else if (size % 4 == 1 && *there > 1000) {
        realloc_as(address, address, *there / 3, 0, MT_REALLOC_GROWS);
        *there /= 3;
    } else {
        forget(address);
        *there = 0;
    }
}

/* A stack for each depth. */
static MT_NOINLINE void change_at(struct program *p, unsigned depth, unsigned place, uint64_t size)
{
    if (depth > 0) {
        change_at(p, depth - 1, place, size);
        __asm__ volatile("" ::: "memory"); /* no tail call */
        return;
    }
    change_block(p, place, size);
}

static void change_range(struct program *p, unsigned n)
{
    if (p->mapped[n]) {
        unmap_range(n);
    } else {
        map_range(n);
    }
    p->mapped[n] = !p->mapped[n];
}

/* Less and less is held in the last two thirds: the peak is before the last base. */
static void run_steps(struct program *p, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        unsigned depth = (unsigned)(next_random(p) % DEPTHS);
        unsigned place = (unsigned)(next_random(p) % (i < OLD_STEP ? PLACES : PLACES / 4));
        change_at(p, depth, place, 1000 + next_random(p) % 50000);
        if (i % 500 == 0) {
            change_range(p, depth);
        }
        if (i == OLD_STEP) {
            for (unsigned other = PLACES / 4; other < PLACES; other++) {
                forget(BLOCKS + (uint64_t)other * 0x100000);
            }
        }
    }
}

static pthread_barrier_t g_barrier;

/* It is still there when the recording ends. */
static void *run_in_thread(void *program)
{
    run_steps(program, OLD_STEP);
    (void)pthread_barrier_wait(&g_barrier);
    (void)pthread_barrier_wait(&g_barrier);
    return NULL;
}

/* In a process of its own, so that both begin alike. Returns how many bases there were. */
static uint64_t record_program(const char *path, uint64_t limit)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        static struct program program = { .random = 88172645463325252u };
        pthread_t thread;
        start(path, limit);
        assert_int_equal(pthread_barrier_init(&g_barrier, NULL, 2), 0);
        assert_int_equal(pthread_create(&thread, NULL, run_in_thread, &program), 0);
        (void)pthread_barrier_wait(&g_barrier);
        run_steps(&program, STEPS);
        bool based = g_mt.header->base_offset != 0;
        assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
        _exit(based ? 8 : 7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 7, 8);
    return (uint64_t)WEXITSTATUS(status) - 7;
}

static void analyze(const char *path, struct mt_trace **ret_trace, struct mt_analysis *ret)
{
    assert_int_equal(mt_trace_open(path, ret_trace, NULL), MT_OK);
    struct mt_trace_set set = { ret_trace, 1 };
    assert_int_equal(mt_analyze(&set, NULL, ret), MT_OK);
}

/* Of a place. */
static const struct mt_site *find_site(const struct mt_analysis *a, const struct mt_site *wanted)
{
    for (size_t i = 0; i < a->site_count; i++) {
        const struct mt_site *s = &a->sites[i];
        if (s->stack == wanted->stack && s->allocator == wanted->allocator && s->storage == wanted->storage &&
            s->stream == wanted->stream && s->label == wanted->label) {
            return s;
        }
    }
    return NULL;
}

static void expect_amount(const struct mt_amount *found, const struct mt_amount *wanted)
{
    assert_int_equal(found->bytes, wanted->bytes);
    assert_int_equal(found->count, wanted->count);
    assert_true(fabs(found->bytes_variance - wanted->bytes_variance) <= 1e-5 * wanted->bytes_variance + 1e-3);
    assert_true(fabs(found->count_variance - wanted->count_variance) <= 1e-5 * wanted->count_variance + 1e-3);
}

/* Of a whole trace and one with a base. */
static void expect_equal(const struct mt_analysis *whole, const struct mt_analysis *bounded)
{
    size_t sites = 0;
    for (size_t i = 0; i < whole->site_count; i++) {
        const struct mt_site *wanted = &whole->sites[i], *found = find_site(bounded, wanted);
        assert_non_null(found);
        expect_amount(&found->amount[MT_MEASURE_TOTAL], &wanted->amount[MT_MEASURE_TOTAL]);
        expect_amount(&found->amount[MT_MEASURE_PEAK], &wanted->amount[MT_MEASURE_PEAK]);
        expect_amount(&found->amount[MT_MEASURE_LIVE], &wanted->amount[MT_MEASURE_LIVE]);
        sites++;
    }
    assert_in_range(sites, 3 * DEPTHS, UINT32_MAX);
    assert_int_equal(bounded->site_count, sites);
}

static void test_totals_and_the_peak_are_those_of_a_trace_without_a_size(void **state)
{
    (void)state;
    char whole_path[128];
    struct mt_trace *whole_trace, *bounded_trace;
    struct mt_analysis whole, bounded;
    (void)snprintf(whole_path, sizeof whole_path, "%s/whole.mtap", g_directory);
    assert_int_equal(record_program(whole_path, 0), 0);
    assert_int_equal(record_program(g_path, LIMIT), 1);
    analyze(whole_path, &whole_trace, &whole);
    analyze(g_path, &bounded_trace, &bounded);
    assert_true(mt_trace_info(bounded_trace)->horizon_clock > mt_trace_before(bounded_trace)->peak_clock);
    assert_true(bounded.totals.events < whole.totals.events / 2);
    expect_equal(&whole, &bounded);
    mt_analysis_fini(&whole);
    mt_analysis_fini(&bounded);
    mt_trace_close(whole_trace);
    mt_trace_close(bounded_trace);
}

/* ---- more sites than are kept ------------------------------------------------------------------------------------------ */

enum { MANY_LIMIT = 1024 * 1024, STACK_BITS = 13, MANY = 1 << STACK_BITS, LARGE = 100, ROUNDS = 4 };

/* Another stack for each path of so many bits. */
static MT_NOINLINE void allocate_below(unsigned path, unsigned bits, uint64_t size)
{
    if (bits == 0) {
        record(BLOCKS, size);
        forget(BLOCKS);
    } else if ((path & 1) != 0) {
        allocate_below(path >> 1, bits - 1, size);
        __asm__ volatile("# one" ::: "memory");
    } else {
        allocate_below(path >> 1, bits - 1, size);
        __asm__ volatile("# another" ::: "memory");
    }
}

static void record_many(const char *path, uint64_t limit)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        start(path, limit);
        for (unsigned i = 0; i < ROUNDS * MANY; i++) {
            allocate_below(i % MANY, STACK_BITS, i % MANY < LARGE ? 1000000 : 100000);
        }
        assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
        _exit(7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static bool is_folded(const struct mt_trace *trace, uint32_t stack)
{
    struct mt_trace_code code = mt_trace_code(trace, mt_trace_python(trace, mt_trace_stack(trace, stack).python).code);
    return strcmp(mt_trace_string(trace, code.name).data, "(folded)") == 0;
}

static void test_small_sites_are_folded_and_sums_are_kept(void **state)
{
    (void)state;
    char whole_path[128];
    struct mt_trace *whole_trace, *bounded_trace;
    struct mt_analysis whole, bounded;
    size_t folded = 0, large = 0;
    (void)snprintf(whole_path, sizeof whole_path, "%s/whole.mtap", g_directory);
    record_many(whole_path, 0);
    record_many(g_path, MANY_LIMIT);
    analyze(whole_path, &whole_trace, &whole);
    analyze(g_path, &bounded_trace, &bounded);
    assert_true(mt_trace_info(bounded_trace)->horizon_clock != 0);
    for (size_t i = 0; i < bounded.site_count; i++) {
        folded += is_folded(bounded_trace, bounded.sites[i].stack) && bounded.sites[i].amount[MT_MEASURE_TOTAL].bytes > 0;
    }
    for (size_t i = 0; i < whole.site_count; i++) {
        const struct mt_amount *total = &whole.sites[i].amount[MT_MEASURE_TOTAL];
        if (total->bytes > ROUNDS * 900000) {
            uint64_t bytes = 0;
            for (size_t j = 0; j < bounded.site_count; j++) {
                bytes += bounded.sites[j].stack == whole.sites[i].stack ? bounded.sites[j].amount[MT_MEASURE_TOTAL].bytes : 0;
            }
            assert_in_range(bytes, total->bytes - 2, total->bytes + 2); /* before and after, each rounded */
            large++;
        }
    }
    assert_int_equal(folded, 1);
    assert_int_equal(large, LARGE);
    uint64_t wanted = whole.totals.heap[MT_MEASURE_TOTAL].bytes, slack = whole.site_count; /* each is rounded */
    assert_in_range(bounded.totals.heap[MT_MEASURE_TOTAL].bytes, wanted - slack, wanted + slack);
    mt_analysis_fini(&whole);
    mt_analysis_fini(&bounded);
    mt_trace_close(whole_trace);
    mt_trace_close(bounded_trace);
}

/* ---- how much was held when -------------------------------------------------------------------------------------------- */

enum { CHANGES = 20000, RANGE_PLACES = 64, BEGIN = 1000 };

struct change {
    uint64_t clock, held; /* from then on */
};

/* Ranges come and go at clocks of the test's own, over some seconds. */
static void make_changes(struct change *changes)
{
    struct program p = { .random = 88172645463325252u };
    uint64_t clock = BEGIN, held = 0, bytes[RANGE_PLACES] = { 0 };
    for (size_t i = 0; i < CHANGES; i++) {
        unsigned place = (unsigned)(next_random(&p) % RANGE_PLACES);
        uint64_t addr = RANGES + (uint64_t)place * 0x10000000;
        clock += next_random(&p) % 400000;
        clock += i % 5000 == 4999 ? 300000000 : 0;
        if (bytes[place] == 0) {
            bytes[place] = 4096 * (1 + next_random(&p) % 1000);
            held += bytes[place];
            mt_totals_mapped(&(struct mt_birth){ .clock = clock, .stack = 1, .stream = 1 }, addr, bytes[place], MT_MAP_ANONYMOUS);
        } else {
            held -= bytes[place];
            mt_totals_unmapped(clock, addr, bytes[place]);
            bytes[place] = 0;
        }
        changes[i] = (struct change){ clock, held };
    }
}

/* One interval after the other by the test's own list. */
static void expect_points(const struct mt_totals_point *points, size_t count, const struct change *changes)
{
    size_t at = 0;
    uint64_t held = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t most = held;
        for (; at < CHANGES && changes[at].clock <= points[i].clock; at++) {
            held = changes[at].held;
            most = held > most ? held : most;
        }
        assert_int_equal(points[i].bytes, held << MT_WEIGHT_SCALE_BITS);
        assert_int_equal(points[i].most, most << MT_WEIGHT_SCALE_BITS);
    }
    assert_int_equal(at, CHANGES);
}

static void test_intervals_are_exact_and_never_too_many(void **state)
{
    (void)state;
    static const uint64_t limits[] = { 64 << 20, 1 << 20 };
    for (size_t l = 0; l < MT_COUNTOF(limits); l++) {
        struct change *changes = malloc(CHANGES * sizeof *changes);
        struct mt_totals_copy totals;
        start(g_path, limits[l]);
        mt_totals_clear(BEGIN, false);
        make_changes(changes);
        uint64_t horizon = changes[CHANGES - 1].clock + 12345;
        assert_true(mt_totals_begin(&totals));
        assert_true(mt_totals_take(&totals, 0, horizon));
        assert_true(totals.known);
        assert_in_range(totals.point_count, l == 0 ? 512 : 128, l == 0 ? 1025 : 257);
        assert_int_equal(totals.points[totals.point_count - 1].clock, horizon);
        expect_points(totals.points, totals.point_count, changes);
        mt_totals_free(&totals);
        assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
        assert_int_equal(unlink(g_path), 0);
        free(changes);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    CASE(test_totals_and_the_peak_are_those_of_a_trace_without_a_size),
    CASE(test_small_sites_are_folded_and_sums_are_kept),
    CASE(test_intervals_are_exact_and_never_too_many),
};
MT_TEST_MAIN(tests)
