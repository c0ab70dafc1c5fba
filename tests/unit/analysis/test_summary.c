/* test_summary.c: a summary says exactly what the pass says, and a damaged one is not believed. */
#include "harness.h"

#include "analysis/analyze.h"
#include "analysis/summary.h"
#include "model/builder.h"
#include "wire/pack.h"

#include <unistd.h>

static char g_path[64];

static void write_file(const struct builder *b)
{
    (void)snprintf(g_path, sizeof g_path, "/tmp/memtap-summary-%d.mtap", (int)getpid());
    FILE *f = fopen(g_path, "wb");
    assert_int_equal(fwrite(b->file, 1, b->file_bytes, f), b->file_bytes);
    fclose(f);
}

static void build(struct builder *b, uint64_t *seed, size_t events, bool sampled, bool labelled)
{
    builder_init(b);
    b->flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    builder_plain_stacks(b, 20);
    for (size_t i = 0; i < events; i++) {
        uint64_t r = builder_random(seed);
        uint32_t stream = 1 + (uint32_t)(r % 3);
        if (r >> 60 == 0) {
            builder_map(b, stream, 10 * i + 10, (unsigned)(r >> 10) % 8, (r >> 20) % 64 << 12, 8192, (uint32_t)(r >> 30) % 20);
        } else if ((r >> 8) % 2) {
            builder_alloc(b, stream, 10 * i + 10, 64 + 16 * ((r >> 20) % 50), (r >> 40) % 5000, (uint32_t)(r >> 30) % 21);
        } else {
            builder_free(b, stream, 10 * i + 10, 64 + 16 * ((r >> 20) % 50));
        }
        b->events[b->event_count - 1].rate_bytes = sampled ? 1000 : 0;
        b->events[b->event_count - 1].label = labelled ? (uint32_t)(r >> 50) % 4 : 0;
    }
    builder_finish(b);
}

/* One thread, whose events were counted between two readings of the clock; the program's code ends before its last events. */
static void build_counted(struct builder *b, uint64_t *seed)
{
    uint64_t clock = 10;
    builder_init(b);
    b->clock_kind = MT_CLOCK_TICK;
    b->clock_tick_ns = 4000;
    builder_plain_stacks(b, 20);
    for (size_t i = 0; i < 500; i++) {
        uint64_t r = builder_random(seed);
        clock += r % 8 == 0 ? 500 + (r >> 8) % 9000 : 1;
        if ((r >> 30) % 2) {
            builder_alloc(b, 1, clock, 64 + 16 * ((r >> 20) % 50), (r >> 40) % 5000, (uint32_t)(r >> 33) % 21);
        } else {
            builder_free(b, 1, clock, 64 + 16 * ((r >> 20) % 50));
        }
    }
    builder_mark(b, b->events[450].clock - BUILDER_START_CLOCK, 1, MT_MARK_PROGRAM_END, 1, "");
    builder_finish(b);
}

/* Always worth it. */
static mt_status summarize(const char *path, uint64_t events, uint8_t **ret_data, size_t *ret_bytes)
{
    struct mt_trace *t;
    struct mt_analysis a;
    assert_int_equal(mt_trace_open(path, &t, NULL), MT_OK);
    struct mt_trace_set set = { &t, 1 };
    assert_int_equal(mt_analyze(&set, NULL, &a), MT_OK);
    assert_true(a.totals.events <= events);
    mt_summary_encode(&a, 1, ret_data, ret_bytes);
    mt_analysis_fini(&a);
    mt_trace_close(t);
    return MT_OK;
}

static int compare_sites(const void *a, const void *b)
{
    return memcmp(a, b, offsetof(struct mt_site, amount));
}

static void analyze(struct mt_trace_set *set, struct mt_analysis *a)
{
    set->traces = malloc(sizeof *set->traces);
    set->count = 1;
    assert_int_equal(mt_trace_open(g_path, &set->traces[0], NULL), MT_OK);
    assert_int_equal(mt_analyze(set, NULL, a), MT_OK);
    qsort(a->sites, a->site_count, sizeof *a->sites, compare_sites);
}

static void test_a_summary_equals_the_pass(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 20; round++) {
        struct builder b;
        struct mt_trace_set before, after;
        struct mt_analysis want, got;
        build(&b, &seed, 500, round % 2 == 1, round % 4 >= 2);
        write_file(&b);
        analyze(&before, &want);
        struct mt_pack_options options = { .summarize = summarize };
        assert_int_equal(mt_pack(g_path, NULL, &options, NULL, NULL), MT_OK);
        /* again, repacked: the summary is copied */
        assert_int_equal(mt_pack(g_path, g_path, &options, NULL, NULL), MT_OK);
        analyze(&after, &got);
        struct mt_analysis again;
        mt_analysis_begin(&after, &again);
        struct mt_analysis_options defaults = MT_ANALYSIS_DEFAULTS;
        assert_true(mt_summary_read(after.traces[0], &defaults, &again));
        assert_int_equal(again.totals.peak_time_ns, want.totals.peak_time_ns);
        mt_analysis_fini(&again);
        assert_int_equal(got.site_count, want.site_count);
        assert_memory_equal(got.sites, want.sites, want.site_count * sizeof *want.sites);
        assert_int_equal(got.thread_count, want.thread_count);
        assert_memory_equal(got.threads, want.threads, want.thread_count * sizeof *want.threads);
        assert_int_equal(got.sampled, want.sampled);
        assert_memory_equal(&got.totals, &want.totals, sizeof want.totals);
        mt_analysis_fini(&want);
        mt_analysis_fini(&got);
        mt_trace_set_close(&before);
        mt_trace_set_close(&after);
        unlink(g_path);
        builder_fini(&b);
    }
}

static void test_times_between_ticks_are_the_same_packed(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 20; round++) {
        struct builder b;
        struct mt_trace_set before, after;
        struct mt_analysis want, got;
        build_counted(&b, &seed);
        write_file(&b);
        analyze(&before, &want);
        uint64_t end = b.events[450].clock;
        assert_int_equal(want.live_at[0].time_ns, mt_trace_event_time(before.traces[0], end));
        assert_int_equal(mt_pack(g_path, NULL, &(struct mt_pack_options){ .summarize = round % 2 ? summarize : NULL }, NULL, NULL), MT_OK);
        analyze(&after, &got);
        assert_memory_equal(got.sites, want.sites, want.site_count * sizeof *want.sites);
        assert_memory_equal(&got.totals, &want.totals, sizeof want.totals);
        assert_int_equal(got.live_at[0].time_ns, want.live_at[0].time_ns);
        assert_int_equal(got.live_at[0].moment, MT_MOMENT_END);
        for (size_t i = 0; i < b.event_count; i++) {
            uint64_t clock = b.events[i].clock;
            assert_int_equal(mt_trace_event_time(after.traces[0], clock), mt_trace_event_time(before.traces[0], clock));
        }
        mt_analysis_fini(&want);
        mt_analysis_fini(&got);
        mt_trace_set_close(&before);
        mt_trace_set_close(&after);
        unlink(g_path);
        builder_fini(&b);
    }
}

/* ret (may be NULL): its last site. */
static bool read_summary(const uint8_t *data, size_t bytes, struct mt_site *ret)
{
    struct builder b;
    struct mt_trace *t;
    struct mt_analysis a;
    builder_init(&b);
    builder_plain_stacks(&b, 20);
    builder_finish(&b);
    builder_block(&b, MT_BLOCK_SUMMARY, MT_STREAM_NONE, 0, false, data, bytes, 0, 0, 0);
    memcpy(b.file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ b.file_bytes }, 8);
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
    struct mt_analysis_options defaults = MT_ANALYSIS_DEFAULTS;
    struct mt_trace_set set = { &t, 1 };
    mt_analysis_begin(&set, &a);
    bool usable = mt_summary_read(t, &defaults, &a);
    for (size_t i = 0; i < a.site_count; i++) {
        assert_true(a.sites[i].stack < mt_trace_stack_count(t) && a.sites[i].storage < MT_STORAGE__COUNT &&
                    a.sites[i].allocator < MT_ALLOCATOR__COUNT);
    }
    if (ret != NULL && a.site_count > 0) {
        *ret = a.sites[a.site_count - 1];
    }
    mt_analysis_fini(&a);
    mt_trace_close(t);
    builder_fini(&b);
    return usable;
}

/* Version 1 has one field of four bits each for the allocator and the storage. */
static void test_a_summary_of_version_1_is_read(void **state)
{
    (void)state;
    uint8_t data[1024];
    struct mt_meta_builder m;
    mt_meta_begin(&m, data, sizeof data);
    mt_meta_u64(&m, 1);
    mt_meta_u64(&m, 0);
    mt_meta_u64(&m, 1); /* temporary_max */
    for (int i = 0; i < 10 + 3 * MT_HISTOGRAM_BUCKETS; i++) {
        mt_meta_u64(&m, 0);
    }
    mt_meta_u64(&m, 0); /* threads */
    mt_meta_u64(&m, 1); /* sites */
    mt_meta_s64(&m, 2);
    mt_meta_u64(&m, 7);
    mt_meta_u64(&m, MT_ALLOCATOR_MMAP | MT_STORAGE_ARENA << 4);
    for (int i = 0; i < 9; i++) {
        mt_meta_u64(&m, 0);
    }
    mt_meta_bytes(&m, "\0\0\0\0\0\0\0", 8);
    assert_false(m.overflow);
    struct mt_site site;
    assert_true(read_summary(data, m.bytes, &site));
    assert_int_equal(site.allocator, MT_ALLOCATOR_MMAP);
    assert_int_equal(site.storage, MT_STORAGE_ARENA);
    data[0] = 5; /* a version not known yet */
    assert_false(read_summary(data, m.bytes, NULL));
}

static void test_other_questions_make_the_pass(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct builder b;
    struct mt_trace_set set;
    struct mt_analysis a;
    build(&b, &seed, 500, false, false);
    write_file(&b);
    struct mt_pack_options options = { .summarize = summarize };
    assert_int_equal(mt_pack(g_path, NULL, &options, NULL, NULL), MT_OK);
    analyze(&set, &a);
    struct mt_analysis_options o[4] = { MT_ANALYSIS_DEFAULTS, MT_ANALYSIS_DEFAULTS, MT_ANALYSIS_DEFAULTS,
                                        MT_ANALYSIS_DEFAULTS };
    o[0].stop_ns = 2000;
    o[1].window_start_ns = 100;
    o[2].temporary_max = 2;
    o[3].timeline_points = 10;
    for (size_t i = 0; i < 4; i++) {
        struct mt_analysis other = { 0 };
        assert_false(mt_summary_read(set.traces[0], &o[i], &other));
        assert_int_equal(other.site_count, 0);
    }
    mt_analysis_fini(&a);
    mt_trace_set_close(&set);
    unlink(g_path);
    builder_fini(&b);
}

static void test_damage_is_noticed_or_harmless(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct builder b;
    uint8_t *data;
    size_t bytes;
    build(&b, &seed, 300, false, false);
    write_file(&b);
    assert_int_equal(summarize(g_path, UINT64_MAX, &data, &bytes), MT_OK);
    assert_true(read_summary(data, bytes, NULL));
    for (size_t cut = 0; cut < bytes; cut += cut < 200 ? 1 : 37) {
        assert_false(read_summary(data, cut, NULL));
    }
    for (int round = 0; round < 2000; round++) {
        uint8_t *copy = malloc(bytes);
        memcpy(copy, data, bytes);
        for (uint64_t n = 1 + builder_random(&seed) % 4; n > 0; n--) {
            copy[builder_random(&seed) % bytes] = (uint8_t)builder_random(&seed);
        }
        (void)read_summary(copy, bytes, NULL);
        free(copy);
    }
    free(data);
    unlink(g_path);
    builder_fini(&b);
}

static void test_small_traces_get_none(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct builder b;
    uint8_t *data;
    size_t bytes;
    build(&b, &seed, 500, false, false);
    write_file(&b);
    assert_int_equal(mt_summary_make(g_path, UINT64_MAX, &data, &bytes), MT_OK);
    assert_null(data);
    assert_int_equal(mt_summary_make("/nonexistent", UINT64_MAX, &data, &bytes), MT_E_NOENT);
    /* known to be small: nobody looks */
    assert_int_equal(mt_summary_make("/nonexistent", 500, &data, &bytes), MT_OK);
    assert_null(data);
    unlink(g_path);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_summary_equals_the_pass),
    cmocka_unit_test(test_times_between_ticks_are_the_same_packed),
    cmocka_unit_test(test_a_summary_of_version_1_is_read),
    cmocka_unit_test(test_other_questions_make_the_pass),
    cmocka_unit_test(test_damage_is_noticed_or_harmless),
    cmocka_unit_test(test_small_traces_get_none),
};
MT_TEST_MAIN(tests)
