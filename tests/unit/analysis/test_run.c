/* Several processes of one run: one axis of time, one peak. The oracle asks at every moment what each process holds. */
#include "harness.h"

#include "analysis/analysis.h"
#include "analysis/leaks.h"
#include "base/os.h"
#include "model/axis.h"
#include "model/builder.h"

#include <unistd.h>

enum { PROCESSES = 6, BLOCKS = 40, STACKS = 5 };

/* A block of a process, on the axis of the run; freed_ns UINT64_MAX: never. */
struct block {
    uint64_t born_ns, freed_ns, bytes;
    uint32_t stack;
};

struct process {
    uint64_t start_ns, end_ns;
    struct block blocks[BLOCKS];
    size_t count;
};

struct run {
    struct process processes[PROCESSES];
    struct builder builders[PROCESSES];
    struct mt_trace *traces[PROCESSES];
    struct mt_trace_set set;
};

/* ---- the oracle --------------------------------------------------------------------------------------------------- */

static bool holds(const struct process *p, const struct block *b, uint64_t now)
{
    return now <= p->end_ns && b->born_ns <= now && now < b->freed_ns;
}

static uint64_t held_by(const struct process *p, uint32_t stack, uint64_t now)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        bool counts = stack == UINT32_MAX || p->blocks[i].stack == stack;
        sum += counts && holds(p, &p->blocks[i], now) ? p->blocks[i].bytes : 0;
    }
    return sum;
}

static uint64_t held(const struct run *run, uint64_t now)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < run->set.count; i++) {
        sum += held_by(&run->processes[i], UINT32_MAX, now);
    }
    return sum;
}

/* The first moment at which the run held most. */
static uint64_t peak_time(const struct run *run)
{
    uint64_t best = 0, best_ns = UINT64_MAX;
    for (size_t i = 0; i < run->set.count; i++) {
        for (size_t b = 0; b < run->processes[i].count; b++) {
            uint64_t now = run->processes[i].blocks[b].born_ns;
            uint64_t sum = held(run, now);
            if (sum > best || (sum == best && now < best_ns)) {
                best = sum;
                best_ns = now;
            }
        }
    }
    return best_ns;
}

static uint64_t end_of(const struct run *run)
{
    uint64_t end = 0;
    for (size_t i = 0; i < run->set.count; i++) {
        end = run->processes[i].end_ns > end ? run->processes[i].end_ns : end;
    }
    return end;
}

/* ---- making runs -------------------------------------------------------------------------------------------------- */

static struct process process_of(uint64_t start_ns, uint64_t end_ns)
{
    return (struct process){ .start_ns = start_ns, .end_ns = end_ns };
}

static void add_block(struct process *p, uint64_t born_ns, uint64_t freed_ns, uint64_t bytes, uint32_t stack)
{
    p->blocks[p->count++] = (struct block){ born_ns, freed_ns, bytes, stack };
}

static uint64_t next_change(const struct process *p, uint64_t after)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        const struct block *b = &p->blocks[i];
        next = b->born_ns > after && b->born_ns < next ? b->born_ns : next;
        next = b->freed_ns > after && b->freed_ns < next ? b->freed_ns : next;
    }
    return next;
}

/* The events of a process in its order; addresses are the same in every process. */
static void build(struct builder *b, const struct process *p)
{
    builder_init(b);
    b->block_events = 7;
    b->begin = p->start_ns;
    b->end_clock = BUILDER_START_CLOCK + p->end_ns;
    builder_plain_stacks(b, STACKS);
    for (uint64_t now = 0; (now = next_change(p, now)) != UINT64_MAX && now <= p->end_ns;) {
        for (size_t i = 0; i < p->count; i++) {
            uint64_t addr = 0x1000 * (i + 1);
            if (p->blocks[i].freed_ns == now) {
                builder_free(b, 1, now, addr);
            }
            if (p->blocks[i].born_ns == now) {
                builder_alloc(b, 1, now, addr, p->blocks[i].bytes, p->blocks[i].stack);
            }
        }
    }
    builder_finish(b);
}

static void open_run(struct run *run, size_t count)
{
    run->set = (struct mt_trace_set){ run->traces, count };
    for (size_t i = 0; i < count; i++) {
        struct builder *b = &run->builders[i];
        build(b, &run->processes[i]);
        assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &run->traces[i], NULL), MT_OK);
    }
}

static void close_run(struct run *run)
{
    for (size_t i = 0; i < run->set.count; i++) {
        mt_trace_close(run->traces[i]);
        builder_fini(&run->builders[i]);
    }
}

static uint64_t below(uint64_t *seed, uint64_t limit)
{
    return builder_random(seed) % limit;
}

/* Processes that begin while the run goes on; the first is there from the beginning. Every moment has one event. */
static void make_random(struct run *run, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t start = i == 0 ? 0 : 10 + below(seed, 50000);
        struct process *p = &run->processes[i];
        *p = process_of(start, start + 1000 + below(seed, 60000));
        size_t blocks = below(seed, BLOCKS);
        for (size_t b = 0; b < blocks; b++) {
            uint64_t span = p->end_ns - start;
            uint64_t born = start + 1 + below(seed, span);
            uint64_t freed = born + 1 + below(seed, span);
            /* ns n of every thousand belongs to event n of the run */
            born = born / 1000 * 1000 + (i * BLOCKS + b) * 2 + 1000;
            freed = freed / 1000 * 1000 + (i * BLOCKS + b) * 2 + 2001;
            freed = below(seed, 3) == 0 || freed > p->end_ns ? UINT64_MAX : freed;
            if (born <= p->end_ns) {
                add_block(p, born, freed, below(seed, 10000), 1 + (uint32_t)below(seed, STACKS));
            }
        }
    }
    open_run(run, count);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

static uint64_t amount_at(const struct mt_analysis *a, size_t process, uint32_t stack, enum mt_measure measure)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < a->site_count; i++) {
        bool same = a->sites[i].trace_idx == process && a->sites[i].stack == stack;
        sum += same ? a->sites[i].amount[measure].bytes : 0;
    }
    return sum;
}

static void check_peak(const struct run *run)
{
    struct mt_analysis a;
    uint64_t when = peak_time(run);
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    uint64_t most = when == UINT64_MAX ? 0 : held(run, when);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, most);
    assert_int_equal(a.totals.duration_ns, end_of(run));
    assert_int_equal(a.totals.double_allocations, 0);
    for (size_t i = 0; i < run->set.count && most > 0; i++) {
        const struct process *p = &run->processes[i];
        for (uint32_t s = 1; s <= STACKS; s++) {
            assert_int_equal(amount_at(&a, i, s, MT_MEASURE_PEAK), held_by(p, s, when));
            assert_int_equal(amount_at(&a, i, s, MT_MEASURE_LIVE), held_by(p, s, p->end_ns));
        }
    }
    if (most > 0) {
        assert_int_equal(a.totals.peak_time_ns, when);
    }
    mt_analysis_fini(&a);
}

static void check_moment(const struct run *run, uint64_t now, uint64_t since)
{
    struct mt_analysis a;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.stop_ns = now;
    options.window_start_ns = since;
    assert_int_equal(mt_analyze(&run->set, &options, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, held(run, now));
    uint64_t window = 0;
    for (size_t i = 0; i < run->set.count; i++) {
        for (size_t b = 0; b < run->processes[i].count; b++) {
            const struct block *block = &run->processes[i].blocks[b];
            window += holds(&run->processes[i], block, now) && block->born_ns >= since ? block->bytes : 0;
        }
    }
    assert_int_equal(a.totals.heap[MT_MEASURE_WINDOW].bytes, since > 0 ? window : held(run, now));
    mt_analysis_fini(&a);
}

static void check_timeline(const struct run *run)
{
    struct mt_analysis a;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.timeline_points = 50;
    assert_int_equal(mt_analyze(&run->set, &options, &a), MT_OK);
    for (size_t i = 0; i < a.timeline_count; i++) {
        assert_int_equal(a.timeline[i].heap_bytes, held(run, a.timeline[i].time_ns));
    }
    mt_analysis_fini(&a);
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

static void test_random_processes_equal_what_each_holds_at_every_moment(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 200; round++) {
        struct run *run = calloc(1, sizeof *run);
        make_random(run, 1 + below(&seed, PROCESSES), &seed);
        check_peak(run);
        uint64_t end = end_of(run);
        for (int i = 0; i < 5; i++) {
            uint64_t now = below(&seed, end + 1);
            check_moment(run, now, below(&seed, now + 1));
        }
        check_moment(run, end, 0);
        check_timeline(run);
        close_run(run);
        free(run);
    }
}

static void test_workers_one_after_another_never_add_up(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    run->processes[0] = process_of(0, 1000);
    add_block(&run->processes[0], 1, UINT64_MAX, 7, 1);
    for (size_t i = 1; i < PROCESSES; i++) {
        run->processes[i] = process_of(100 * i, 100 * i + 90);
        add_block(&run->processes[i], 100 * i + 10, UINT64_MAX, 1000 + i, 2);
    }
    open_run(run, PROCESSES);
    struct mt_analysis a;
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 7 + 1000 + PROCESSES - 1);
    assert_int_equal(a.totals.peak_time_ns, 100 * (PROCESSES - 1) + 10);
    mt_analysis_fini(&a);
    close_run(run);
    free(run);
}

/* Two processes at one clock, as a coarse clock makes them: one ends while the other goes on. */
static void test_an_end_among_the_events_of_others_lets_go_in_time(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    struct mt_analysis a;
    run->processes[0] = process_of(0, 102);
    run->processes[1] = process_of(0, 110);
    add_block(&run->processes[0], 100, UINT64_MAX, 1000, 1);
    for (uint64_t i = 0; i < 8; i++) {
        add_block(&run->processes[1], 101 + i, UINT64_MAX, 10, 2);
    }
    open_run(run, 2);
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 1020);
    assert_int_equal(a.totals.peak_time_ns, 102);
    mt_analysis_fini(&a);
    close_run(run);
    free(run);
}

static void test_ages_end_with_the_process(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    struct mt_analysis a;
    struct mt_leaks leaks;
    run->processes[0] = process_of(0, 9000000000);
    run->processes[1] = process_of(2000000000, 5000000000);
    add_block(&run->processes[1], 3000000000, UINT64_MAX, 500, 1);
    open_run(run, 2);
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    assert_int_equal(mt_leaks_make(&run->set, &a, NULL, 0, 0, &leaks), MT_OK);
    assert_int_equal(leaks.count, 1);
    assert_true(leaks.rows[0].age_s > 1.999 && leaks.rows[0].age_s < 2.001);
    mt_leaks_fini(&leaks);
    mt_analysis_fini(&a);
    close_run(run);
    free(run);
}

/* A worker that is replaced by one of the same size: each holds its blocks for half of the run, and the run does not
 * grow. */
static void test_growth_is_that_of_the_run(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    struct mt_analysis a;
    double growth = 0;
    run->processes[0] = process_of(0, 1000000000);
    run->processes[1] = process_of(1000000001, 2000000001);
    add_block(&run->processes[0], 1, UINT64_MAX, 1000000, 1);
    add_block(&run->processes[1], 1000000002, UINT64_MAX, 1000000, 1);
    open_run(run, 2);
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    for (size_t i = 0; i < a.site_count; i++) {
        assert_true(a.sites[i].growth_bytes_per_s < -700000 || a.sites[i].growth_bytes_per_s > 700000);
        growth += a.sites[i].growth_bytes_per_s;
    }
    assert_true(growth > -1 && growth < 1);
    mt_analysis_fini(&a);
    close_run(run);
    free(run);
}

static void reopen_as(struct run *run, size_t process, uint64_t pid, uint32_t state)
{
    struct builder *b = &run->builders[process];
    struct mt_trace_header h;
    memcpy(&h, b->file, sizeof h);
    h.pid = pid;
    h.state = state;
    h.end_clock = state == MT_STATE_RECORDING ? 0 : h.end_clock;
    h.start_realtime_ns = mt_os_realtime_ns() - (mt_os_monotonic_ns() - h.start_clock); /* of this boot */
    memcpy(b->file, &h, sizeof h);
    mt_trace_close(run->traces[process]);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &run->traces[process], NULL), MT_OK);
}

/* A parent that waits makes no events; when the trace is read while the run goes on, it holds what it holds. */
static void test_a_process_that_still_records_holds_to_the_end(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    struct mt_analysis a;
    run->processes[0] = process_of(0, 20);
    run->processes[1] = process_of(100, 200);
    add_block(&run->processes[0], 10, UINT64_MAX, 1000, 1);
    add_block(&run->processes[1], 150, UINT64_MAX, 10, 2);
    open_run(run, 2);
    reopen_as(run, 0, (uint64_t)getpid(), MT_STATE_RECORDING);
    reopen_as(run, 1, 1, MT_STATE_ENDED);
    assert_int_equal(mt_analyze(&run->set, NULL, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 1010);
    assert_int_equal(a.totals.peak_time_ns, 150);
    assert_true(a.axis.spans[0].end_ns > 200); /* until now */
    assert_int_equal(a.axis.spans[0].end_ns, a.axis.duration_ns);
    mt_analysis_fini(&a);
    close_run(run);
    free(run);
}

static void test_traces_of_another_boot_are_placed_by_the_wall_clock(void **state)
{
    (void)state;
    struct run *run = calloc(1, sizeof *run);
    struct mt_axis axis;
    run->processes[0] = process_of(0, 1000);
    run->processes[1] = process_of(500, 2000);
    open_run(run, 2);
    struct builder *b = &run->builders[1];
    uint64_t later = 1700000000000000000u + 3600000000000u;
    memcpy(b->file + offsetof(struct mt_trace_header, start_realtime_ns), &later, sizeof later);
    mt_trace_close(run->traces[1]);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &run->traces[1], NULL), MT_OK);
    mt_axis_make(&run->set, &axis);
    assert_int_equal(axis.spans[0].start_ns, 0);
    assert_int_equal(axis.spans[1].start_ns, 3600000000000u);
    assert_int_equal(axis.duration_ns, 3600000000000u + 1500);
    assert_int_equal(mt_span_time(&axis.spans[1], BUILDER_START_CLOCK + 600), 3600000000100u);
    assert_int_equal(mt_span_clock(&axis.spans[1], 3600000000100u), BUILDER_START_CLOCK + 600);
    assert_int_equal(mt_span_clock(&axis.spans[1], 1000), 0);
    mt_axis_fini(&axis);
    close_run(run);
    free(run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_processes_equal_what_each_holds_at_every_moment),
    cmocka_unit_test(test_workers_one_after_another_never_add_up),
    cmocka_unit_test(test_an_end_among_the_events_of_others_lets_go_in_time),
    cmocka_unit_test(test_ages_end_with_the_process),
    cmocka_unit_test(test_growth_is_that_of_the_run),
    cmocka_unit_test(test_a_process_that_still_records_holds_to_the_end),
    cmocka_unit_test(test_traces_of_another_boot_are_placed_by_the_wall_clock),
};
MT_TEST_MAIN(tests)
