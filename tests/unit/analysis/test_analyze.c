/* test_analyze.c: one pass against the naive oracle on random events: exact mode must agree to the byte, sampled mode
 * to rounding; and the cases a person can check by hand. */
#include "harness.h"

#include "analysis/estimate.h"
#include "analysis/leaks.h"
#include "analysis/oracle.h"
#include "analysis/random_events.h"
#include "model/builder.h"

static void open_set(const struct builder *b, struct mt_trace_set *set)
{
    set->traces = malloc(sizeof *set->traces);
    set->count = 1;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &set->traces[0], NULL), MT_OK);
}

static void near(double got, double want, double slack)
{
    if (!(fabs(got - want) <= slack + 1e-9 * fabs(want))) {
        print_error("%.17g is not %.17g\n", got, want);
        fail();
    }
}

static void check_amount(const struct mt_amount *got, const struct oracle_sum *want, bool sampled, const struct oracle *o)
{
    double slack = sampled ? 0.51 + (double)o->life_count * 0.001 : 0; /* units of 1/1024, rounded once each */
    double rounding = 2e-13 * o->most_variance;
    near((double)got->bytes, want->bytes, slack);
    near((double)got->count, want->count, slack);
    near(got->bytes_variance, want->bytes_variance, 1e-3 + rounding + 1e-6 * fabs(want->bytes_variance));
    near(got->count_variance, want->count_variance, 1e-3 + 1e-6 * fabs(want->count_variance));
}

static const struct oracle_site *match(const struct oracle *o, const struct mt_site *site)
{
    for (size_t i = 0; i < o->site_count; i++) {
        const struct oracle_site *s = &o->sites[i];
        if (s->stack == site->stack && s->stream == site->stream && s->allocator == site->allocator &&
            s->storage == site->storage) {
            return s;
        }
    }
    fail_msg("a site the oracle does not know");
    return NULL;
}

static void compare(const struct mt_analysis *a, const struct oracle *o, bool sampled, uint64_t end_clock)
{
    assert_int_equal(a->site_count, o->site_count);
    double duration_s = (double)(end_clock - o->start_clock) * 1e-9;
    double peak = 0;
    for (size_t i = 0; i < a->site_count; i++) {
        const struct mt_site *site = &a->sites[i];
        const struct oracle_site *want = match(o, site);
        for (size_t m = 0; m < MT_MEASURE__COUNT; m++) {
            check_amount(&site->amount[m], &want->sum[m], sampled, o);
        }
        uint64_t oldest = want->oldest_clock == UINT64_MAX ? UINT64_MAX : want->oldest_clock - o->start_clock;
        assert_int_equal(site->oldest_ns, oldest);
        double slope = 12 * (want->moment - duration_s / 2 * want->area) / (duration_s * duration_s * duration_s);
        double rounding = sampled ? (double)o->life_count * 0.001 * 2 / duration_s : 0; /* of weights */
        near(site->growth_bytes_per_s, slope, 1e-4 * fabs(slope) + 1 + rounding);
        peak += want->storage == MT_STORAGE_HEAP ? want->sum[MT_MEASURE_PEAK].bytes : 0;
    }
    near((double)a->totals.heap[MT_MEASURE_PEAK].bytes, peak, sampled ? (double)o->life_count : 0);
    near(peak, o->peak, sampled ? 1e-3 : 0);
    assert_int_equal(a->totals.unknown_frees, o->unknown_frees);
    assert_int_equal(a->totals.double_allocations, o->doubles);
    double halves = 0.5 * (double)a->site_count; /* each place is rounded */
    near((double)a->totals.deallocations, o->deallocations, sampled ? (double)o->life_count * 0.01 + 1 + halves : 0);
    assert_true(a->totals.heap[MT_MEASURE_TEMPORARY].count <= a->totals.deallocations);
    if (o->peak > 0 && !sampled) {
        assert_int_equal(a->totals.peak_time_ns, o->peak_clock - o->start_clock);
    }
}

static void run_oracle(struct oracle *o, const struct builder *b, const struct mt_analysis_options *options)
{
    oracle_init(o, b->event_count);
    o->start_clock = BUILDER_START_CLOCK;
    o->window_clock = BUILDER_START_CLOCK + options->window_start_ns;
    o->temporary_max = options->temporary_max;
    o->arenas_counted = (b->flags & MT_TRACE_PYTHON_ALLOCATORS) == 0;
    uint64_t stop =
        options->stop_ns > UINT64_MAX - BUILDER_START_CLOCK ? UINT64_MAX : BUILDER_START_CLOCK + options->stop_ns;
    for (size_t i = 0; i < b->event_count && b->events[i].clock <= stop; i++) {
        struct mt_event e = b->events[i]; /* generated in order of the clock */
        e.stack = e.stack <= STACKS ? e.stack : 0;
        if (e.kind == MT_EVENT_UNMAP && ((e.addr | e.size) & 4095) != 0) {
            e.allocator = 0; /* WIDE_UNMAP has no kind */
        }
        oracle_apply(o, &e);
    }
    uint64_t end = b->event_count > 0 ? b->events[b->event_count - 1].clock : BUILDER_START_CLOCK;
    oracle_finish(o, end < stop ? end : stop);
}

/* The same sums when nobody looks at stacks; exact sites are then one a thread, allocator and storage. */
static void check_totals_only(const struct mt_trace_set *set, const struct mt_analysis *whole, bool sampled,
                              struct mt_analysis_options options)
{
    struct mt_analysis a;
    options.totals_only = true;
    assert_int_equal(mt_analyze(set, &options, &a), MT_OK);
    assert_memory_equal(&a.totals, &whole->totals, sizeof a.totals);
    assert_int_equal(a.thread_count, whole->thread_count);
    assert_memory_equal(a.threads, whole->threads, a.thread_count * sizeof *a.threads);
    for (size_t i = 0; i < a.site_count && !sampled; i++) {
        assert_int_equal(a.sites[i].stack, 0);
    }
    mt_analysis_fini(&a);
}

static void check_random(uint64_t *seed, size_t events, bool sampled)
{
    struct builder b;
    builder_init(&b);
    b.flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    b.flags |= builder_random(seed) % 2 ? MT_TRACE_PYTHON_ALLOCATORS : 0;
    b.rate_bytes = sampled ? 4096 : 0;
    b.block_events = 1 + builder_random(seed) % 50;
    builder_plain_stacks(&b, STACKS);
    random_events(&b, seed, events, sampled);
    builder_finish(&b);
    uint64_t last = b.events[b.event_count - 1].clock - BUILDER_START_CLOCK;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.temporary_max = (uint32_t)(builder_random(seed) % 4);
    options.window_start_ns = builder_random(seed) % last;
    options.stop_ns = builder_random(seed) % 3 == 0 ? builder_random(seed) % last : UINT64_MAX;
    struct oracle *o = malloc(sizeof *o);
    run_oracle(o, &b, &options);
    struct mt_trace_set set;
    struct mt_analysis a;
    open_set(&b, &set);
    assert_int_equal(mt_analyze(&set, &options, &a), MT_OK);
    uint64_t end = options.stop_ns < last ? options.stop_ns : last;
    compare(&a, o, sampled, BUILDER_START_CLOCK + end);
    check_totals_only(&set, &a, sampled, options);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    oracle_fini(o);
    free(o);
    builder_fini(&b);
}

static void test_exact_results_equal_the_naive_replay(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 300; round++) {
        check_random(&seed, 1 + builder_random(&seed) % 600, false);
    }
}

static void test_sampled_results_equal_the_naive_replay(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 150; round++) {
        check_random(&seed, 1 + builder_random(&seed) % 600, true);
    }
}

/* Analyses what was built; the caller frees both. */
static void analyze(struct builder *b, const struct mt_analysis_options *options, struct mt_trace_set *set,
                    struct mt_analysis *a)
{
    builder_finish(b);
    open_set(b, set);
    assert_int_equal(mt_analyze(set, options, a), MT_OK);
}

static void test_map_two_unmap_one_map_ten_peaks_at_eleven_pages(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    builder_init(&b);
    builder_map(&b, 1, 10, MT_MAP_ANONYMOUS, 0x7f0000000000, 2 * 4096, 0);
    builder_unmap(&b, 1, 20, 0, 0x7f0000001000, 4096);
    builder_map(&b, 1, 30, MT_MAP_ANONYMOUS, 0x7f0000100000, 10 * 4096, 0);
    analyze(&b, NULL, &set, &a);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 11 * 4096);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].count, 2);
    assert_int_equal(a.totals.heap[MT_MEASURE_TOTAL].bytes, 12 * 4096);
    assert_int_equal(a.totals.peak_time_ns, 30);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_files_stacks_arenas_and_reservations_are_not_heap(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    builder_init(&b);
    b.flags |= MT_TRACE_PYTHON_ALLOCATORS;
    builder_map(&b, 1, 10, MT_MAP_FILE, 0x10000000, 0x10000, 0);
    builder_map(&b, 1, 20, MT_MAP_STACK, 0x20000000, 0x20000, 0);
    builder_map(&b, 1, 30, MT_MAP_ARENA, 0x30000000, 0x40000, 0);
    builder_map(&b, 1, 35, MT_MAP_ALLOCATOR, 0x38000000, 0x100000, 0);
    builder_map(&b, 1, 37, MT_MAP_RESERVED, 0x3a000000, 0x200000, 0);
    builder_map(&b, 1, 40, MT_MAP_BRK, 0x40000010, 0x123, 0);
    analyze(&b, NULL, &set, &a);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 0x123);
    assert_int_equal(a.totals.storage[MT_STORAGE_FILE][MT_MEASURE_PEAK].bytes, 0x10000);
    assert_int_equal(a.totals.storage[MT_STORAGE_STACK][MT_MEASURE_LIVE].bytes, 0x20000);
    assert_int_equal(a.totals.storage[MT_STORAGE_ARENA][MT_MEASURE_TOTAL].bytes, 0x140000);
    assert_int_equal(a.totals.storage[MT_STORAGE_RESERVED][MT_MEASURE_LIVE].bytes, 0x200000);
    assert_int_equal(a.totals.allocator[MT_ALLOCATOR_SBRK][MT_MEASURE_LIVE].count, 1);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

/* 8 pages are reserved, 4 opened, 2 of them closed (and so held still) and then emptied. */
static void test_what_is_opened_of_a_reservation_is_heap_until_it_is_closed_and_emptied(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    builder_init(&b);
    builder_map(&b, 1, 10, MT_MAP_RESERVED, 0x10000000, 8 * 4096, 0);
    builder_map(&b, 1, 20, MT_MAP_OPENED, 0x10001000, 4 * 4096, 0);
    builder_map(&b, 1, 30, MT_MAP_OPENED, 0x10001000, 4 * 4096, 0);
    builder_map(&b, 1, 40, MT_MAP_CLOSED, 0x10003000, 2 * 4096, 0);
    builder_map(&b, 1, 50, MT_MAP_ANONYMOUS, 0x20000000, 4096, 0);
    builder_map(&b, 1, 60, MT_MAP_EMPTIED, 0x10003000, 8 * 4096, 0);
    analyze(&b, NULL, &set, &a);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 5 * 4096);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, 3 * 4096);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].count, 2);
    assert_int_equal(a.totals.storage[MT_STORAGE_RESERVED][MT_MEASURE_PEAK].bytes, 4 * 4096);
    assert_int_equal(a.totals.storage[MT_STORAGE_RESERVED][MT_MEASURE_LIVE].bytes, 6 * 4096);
    assert_int_equal(a.totals.peak_time_ns, 50);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_an_address_reused_by_another_thread_is_no_double_allocation(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    builder_init(&b);
    b.block_events = 3;
    for (uint64_t i = 0; i < 100; i++) { /* thread 1 allocates, thread 2 frees, and the other way round */
        builder_alloc(&b, 1 + (uint32_t)(i % 2), 10 * i + 1, 0x1000, 100, 0);
        builder_free(&b, 2 - (uint32_t)(i % 2), 10 * i + 5, 0x1000);
    }
    analyze(&b, NULL, &set, &a);
    assert_int_equal(a.totals.double_allocations, 0);
    assert_int_equal(a.totals.unknown_frees, 0);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 100);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].count, 0);
    assert_int_equal(a.totals.deallocations, 100);
    assert_int_equal(a.thread_count, 2);
    assert_int_equal(a.threads[0].deallocations, 50);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_one_thread_alone_has_a_peak_of_its_own(void **state)
{
    (void)state;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    options.only_tid = 11;
    builder_init(&b);
    builder_thread(&b, 1, 11, "one");
    builder_thread(&b, 2, 12, "two");
    builder_alloc(&b, 1, 10, 0x1000, 100, 0);
    builder_alloc(&b, 2, 20, 0x2000, 1000, 0); /* the peak of all is here */
    builder_free(&b, 1, 30, 0x1000);
    builder_free(&b, 1, 40, 0x2000);
    builder_alloc(&b, 1, 50, 0x3000, 300, 0);
    builder_free(&b, 2, 60, 0x3000);
    builder_map(&b, 1, 70, MT_MAP_ANONYMOUS, 0x10000000, 4096, 0);
    builder_map(&b, 2, 80, MT_MAP_ANONYMOUS, 0x10000000, 4096, 0); /* over it */
    builder_alloc(&b, 1, 90, 0x4000, 7, 0);
    builder_alloc(&b, 2, 95, 0x4000, 70, 0); /* its free was lost */
    analyze(&b, &options, &set, &a);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 4096);
    assert_int_equal(a.totals.peak_time_ns, 70);
    assert_int_equal(a.totals.heap[MT_MEASURE_TOTAL].bytes, 100 + 300 + 4096 + 7);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].count, 0);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_the_size_histogram_has_powers_of_two(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    builder_init(&b);
    static const uint64_t sizes[] = { 0, 1, 2, 3, 4, 7, 8, 1024, 1025 };
    for (uint64_t i = 0; i < MT_COUNTOF(sizes); i++) {
        builder_alloc(&b, 1, 10 * i + 10, 0x1000 * i + 0x1000, sizes[i], 0);
    }
    analyze(&b, NULL, &set, &a);
    static const uint64_t want[] = { 1, 1, 2, 2, 1, 0, 0, 0, 0, 0, 0, 2 };
    for (size_t i = 0; i < MT_COUNTOF(want); i++) {
        assert_int_equal(a.totals.size_histogram[i].count, want[i]);
    }
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_the_timeline_holds_ends_and_maxima_of_intervals(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.timeline_points = 10;
    builder_init(&b);
    b.end_clock = BUILDER_START_CLOCK + 1000;
    builder_alloc(&b, 1, 150, 0x1000, 100, 0);
    builder_alloc(&b, 1, 350, 0x2000, 1000, 0);
    builder_free(&b, 1, 360, 0x2000);
    builder_free(&b, 1, 950, 0x1000);
    analyze(&b, &options, &set, &a);
    static const uint64_t end[] = { 0, 100, 100, 100, 100, 100, 100, 100, 100, 0 };
    static const uint64_t most[] = { 0, 100, 100, 1100, 100, 100, 100, 100, 100, 100 };
    assert_int_equal(a.timeline_count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(a.timeline[i].time_ns, 100 * (i + 1));
        assert_int_equal(a.timeline[i].heap_bytes, end[i]);
        assert_int_equal(a.timeline[i].heap_max_bytes, most[i]);
    }
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_the_timeline_of_a_very_short_run_ends_at_what_is_alive(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    static const uint64_t ends[] = { 1, 7, 999, 1000, 1001, 1500, 123456 };
    options.timeline_points = 1000;
    for (size_t i = 0; i < MT_COUNTOF(ends); i++) {
        builder_init(&b);
        b.end_clock = BUILDER_START_CLOCK + ends[i];
        builder_alloc(&b, 1, 1, 0x1000, 100, 0);
        analyze(&b, &options, &set, &a);
        assert_in_range(a.timeline_count, 1, 1000);
        assert_int_equal(a.timeline[a.timeline_count - 1].time_ns, ends[i]);
        assert_int_equal(a.timeline[a.timeline_count - 1].heap_bytes, 100);
        mt_analysis_fini(&a);
        mt_trace_set_close(&set);
        builder_fini(&b);
    }
}

static void test_results_of_several_processes_add_up(void **state)
{
    (void)state;
    struct builder b;
    struct mt_analysis a;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 100, 0);
    builder_alloc(&b, 1, 20, 0x2000, 50, 0);
    builder_free(&b, 1, 30, 0x1000);
    builder_finish(&b);
    struct mt_trace *traces[2];
    struct mt_trace_set set = { traces, 2 };
    for (size_t i = 0; i < 2; i++) { /* the same addresses in both: they do not meet */
        assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &traces[i], NULL), MT_OK);
    }
    assert_int_equal(mt_analyze(&set, NULL, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 300);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, 100);
    assert_int_equal(a.totals.double_allocations, 0);
    assert_int_equal(a.site_count, 2);
    mt_analysis_fini(&a);
    mt_trace_close(traces[0]);
    mt_trace_close(traces[1]);
    builder_fini(&b);
}

static bool refuse(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    assert_true(done <= total);
    return false;
}

static void test_a_refused_progress_interrupts(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.progress = refuse;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 100, 0);
    builder_finish(&b);
    open_set(&b, &set);
    assert_int_equal(mt_analyze(&set, &options, &a), MT_E_INTERRUPTED);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_leaks_have_age_score_and_growth(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    struct mt_leaks leaks;
    builder_init(&b);
    builder_plain_stacks(&b, 2);
    enum { N = 1000 };
    for (uint64_t i = 0; i < N; i++) { /* stack 1 leaks steadily, stack 2 frees all but its last */
        uint64_t clock = (i + 1) * 1000000;
        builder_alloc(&b, 1, clock, 0x100000 + 64 * i, 64, 1);
        builder_alloc(&b, 1, clock + 1, 0x900000, 32, 2);
        if (i + 1 < N) {
            builder_free(&b, 1, clock + 2, 0x900000);
        }
    }
    analyze(&b, NULL, &set, &a);
    assert_int_equal(mt_leaks_make(&set, &a, NULL, 0, 0, &leaks), MT_OK);
    assert_int_equal(leaks.count, 2);
    assert_int_equal(leaks.rows[0].stack, 1);
    assert_int_equal(leaks.rows[0].live.bytes, 64 * N);
    near(leaks.rows[0].score, 1 - 1.0 / (N + 2), 1e-12);
    near(leaks.rows[0].age_s, 0.999, 1e-6);
    near(leaks.rows[0].growth_bytes_per_s, 64 * N, 0.01 * 64 * N);
    near(leaks.rows[1].score, 1 - (double)N / (N + 2), 1e-12);
    mt_leaks_fini(&leaks);
    assert_int_equal(mt_leaks_make(&set, &a, NULL, 0.5, 0, &leaks), MT_OK);
    assert_int_equal(leaks.count, 1);
    mt_leaks_fini(&leaks);
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    builder_fini(&b);
}

static void test_weights_are_horvitz_thompson(void **state)
{
    (void)state;
    struct mt_weight w = mt_weight_of(1000, 0);
    near(w.bytes, 1000, 0);
    near(w.count, 1, 0);
    near(w.bytes_variance, 0, 0);
    w = mt_weight_of(524288, 524288);
    double p = 1 - exp(-1.0);
    near(w.bytes, 524288 / p, 1e-6);
    near(w.count, 1 / p, 1e-12);
    near(w.count_variance, (1 - p) / (p * p), 1e-12);
    w = mt_weight_of(8, (uint64_t)1 << 40); /* tiny p without cancellation */
    near(w.bytes, (double)((uint64_t)1 << 40) + 4, 1);
    w = mt_weight_of((uint64_t)1 << 50, 1024); /* certain: exactly itself */
    near(w.bytes, (double)((uint64_t)1 << 50), 0);
    near(w.bytes_variance, 0, 0);
    w = mt_weight_of(0, 1000);
    near(w.bytes, 0, 0);
    near(w.count, 1000.5, 0.01);
    near(mt_estimate_ci95(4), 3.92, 1e-3);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_exact_results_equal_the_naive_replay),
    cmocka_unit_test(test_sampled_results_equal_the_naive_replay),
    cmocka_unit_test(test_map_two_unmap_one_map_ten_peaks_at_eleven_pages),
    cmocka_unit_test(test_files_stacks_arenas_and_reservations_are_not_heap),
    cmocka_unit_test(test_what_is_opened_of_a_reservation_is_heap_until_it_is_closed_and_emptied),
    cmocka_unit_test(test_an_address_reused_by_another_thread_is_no_double_allocation),
    cmocka_unit_test(test_one_thread_alone_has_a_peak_of_its_own),
        cmocka_unit_test(test_one_thread_alone_has_a_peak_of_its_own),
        cmocka_unit_test(test_the_size_histogram_has_powers_of_two),
    cmocka_unit_test(test_the_timeline_holds_ends_and_maxima_of_intervals),
    cmocka_unit_test(test_the_timeline_of_a_very_short_run_ends_at_what_is_alive),
    cmocka_unit_test(test_results_of_several_processes_add_up),
    cmocka_unit_test(test_a_refused_progress_interrupts),
    cmocka_unit_test(test_leaks_have_age_score_and_growth),
    cmocka_unit_test(test_weights_are_horvitz_thompson),
};
MT_TEST_MAIN(tests)
