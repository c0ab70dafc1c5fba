/* test_live_reports.c: reports of a trace that grows, asked of one handle again and again: they say to the letter what a reading
 * of the whole file says at that moment, and an event is read once for all of them. */
#include "model/live_play.h"

#include "memtap/profile.h"
#include "reader/reports.h"
#include "util/out.h"

enum { MOVES = 3000, ROUND = 1000, ROUNDS = 6 };

static void play_init(struct play *p, uint64_t flags)
{
    play_begin(p, 3);
    p->w.header->flags = flags;
    p->w.header->rate_bytes = p->rate_bytes = (flags & MT_TRACE_SAMPLE) != 0 ? 4096 : 0;
    p->w.header->pid = INT32_MAX; /* nobody's: read to the end of what there is, whatever the time */
}

static struct mt_recording *open_play(const struct play *p)
{
    struct mt_recording *r = NULL;
    const char *path = p->w.path;
    assert_int_equal(mt_recording_open(&path, 1, &r, NULL), MT_PROFILE_OK);
    return r;
}

static char *ask(struct mt_recording *r, enum mt_profile_report report, struct mt_profile_query query)
{
    struct mt_profile_failure failure = { 0 };
    char *text = NULL;
    size_t bytes;
    query.struct_bytes = sizeof query;
    if (mt_recording_report(r, report, &query, &text, &bytes, &failure) != MT_PROFILE_OK) {
        fail_msg("%s", failure.text);
    }
    return text;
}

/* What the command shows, which opens the file and reads all of it. */
static char *read_whole(const struct play *p, enum mt_profile_report report, enum mt_selected what)
{
    struct mt_error err = { 0 };
    struct mt_report_job job = { .selection = { .what = what, .temporary_max = 1 }, .shown = { .format = MT_FORMAT_JSON } };
    char path[sizeof p->w.path];
    char *operands[] = { path };
    size_t bytes;
    memcpy(path, p->w.path, sizeof path);
    assert_int_equal(mt_recording_make(operands, 1, &job.recording, &err), MT_OK);
    assert_int_equal(mt_report_load(&job, report, &err), MT_OK);
    struct mt_out *out = mt_out_open_memory();
    assert_int_equal(mt_report_write(out, &job, report, &err), MT_OK);
    char *text = strdup(mt_out_text(out, &bytes));
    mt_out_discard(out);
    mt_report_job_fini(&job);
    mt_recording_free(job.recording);
    return text;
}

static void assert_same(struct mt_recording *r, const struct play *p, enum mt_profile_report report, enum mt_selected what)
{
    static const char *const words[] = { "peak", "leaks", "temporary", "at", "between", "total" };
    char *kept = ask(r, report, (struct mt_profile_query){ .selection = words[what] });
    char *whole = read_whole(p, report, what);
    if (strcmp(kept, whole) != 0) {
        print_error("report %d of %s:\n%s\ninstead of\n%s\n", (int)report, words[what], kept, whole);
        fail();
    }
    mt_profile_release(kept);
    free(whole);
}

static void assert_all_same(struct mt_recording *r, const struct play *p)
{
    assert_same(r, p, MT_PROFILE_STATS, MT_SELECT_PEAK);
    assert_same(r, p, MT_PROFILE_TABLE, MT_SELECT_PEAK);
    assert_same(r, p, MT_PROFILE_TREE, MT_SELECT_TOTAL);
    assert_same(r, p, MT_PROFILE_TABLE, MT_SELECT_TEMPORARY);
    assert_same(r, p, MT_PROFILE_LEAKS, MT_SELECT_LEAKS);
    assert_same(r, p, MT_PROFILE_SUMMARY, MT_SELECT_PEAK);
}

/* Metadata, committed at once. */
static void write_meta(struct play *p, enum mt_meta_tag tag, const struct mt_meta_builder *m, const uint8_t *payload)
{
    struct slot *s = &p->w.slots[0];
    if (s->used + m->bytes + 16 > SLOT_ROOM) {
        slot_flush(&p->w, s, BUILDER_START_CLOCK);
    }
    uint8_t *at = s->extent + sizeof(struct mt_block_header) + s->used;
    size_t head = mt_meta_head(at, tag, m->bytes);
    memcpy(at + head, payload, m->bytes);
    slot_commit(s, s->used + (uint32_t)(head + m->bytes));
}

static void write_mark(struct play *p, uint64_t clock, uint32_t kind)
{
    uint8_t payload[64];
    struct mt_meta_builder m;
    mt_meta_begin(&m, payload, sizeof payload);
    mt_meta_u64(&m, clock);
    mt_meta_u64(&m, 1);
    mt_meta_u64(&m, kind);
    mt_meta_u64(&m, 0);
    mt_meta_string(&m, "", 0);
    write_meta(p, MT_META_MARK, &m, payload);
}

/* Marks, some of them late; and other things. */
static void move(struct play *p)
{
    if (chance(p, 60) == 0) {
        uint64_t late = chance(p, 3) == 0 ? chance(p, 40) : 0;
        write_mark(p, p->clock > BUILDER_START_CLOCK + late ? p->clock - late : p->clock, MT_MARK_SNAPSHOT);
    } else {
        play_move(p);
    }
}

static void check_reports(uint64_t flags)
{
    struct play *p = calloc(1, sizeof *p);
    play_init(p, flags);
    struct mt_recording *r = open_play(p);
    for (int i = 0; i < MOVES; i++) {
        move(p);
        if (chance(p, 60) == 0) {
            assert_all_same(r, p);
        }
    }
    assert_all_same(r, p);
    print_message("%llu events read by all looks\n", (unsigned long long)mt_recording_events_read(r));
    mt_recording_close(r);
    writer_end(&p->w);
    free(p);
}

static void test_reports_of_a_growing_trace_are_those_of_a_reading_of_all(void **state)
{
    (void)state;
    check_reports(MT_TRACE_EXACT);
    check_reports(MT_TRACE_SAMPLE);
    check_reports(MT_TRACE_SAMPLE | MT_TRACE_GROWTH);
}

static void write_alloc(struct play *p, uint64_t addr, uint64_t bytes)
{
    uint32_t stack = write_stack(&p->w);
    settle(p, 1);
    struct slot *slot = &p->w.slots[1];
    mt_encode_alloc(&slot->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++p->clock, addr, bytes, stack);
    slot_commit_encoded(slot);
}

static void write_free(struct play *p, uint64_t addr)
{
    settle(p, 1);
    mt_encode_free(&p->w.slots[1].encoder, MT_EVENT_FREE, ++p->clock, addr);
    slot_commit_encoded(&p->w.slots[1]);
}

static void write_round(struct play *p, uint64_t round)
{
    for (uint64_t i = 0; i < ROUND / 2; i++) {
        write_alloc(p, 4096 + 64 * (round * ROUND + i), 24);
        if (i % 2 == 1) {
            write_free(p, 4096 + 64 * (round * ROUND + i - 1));
            write_free(p, 4096 + 64 * (round * ROUND + i));
        }
    }
}

/* The first look of a handle at one of them, the others at what was read already. */
static void test_equal_looks_read_equal_numbers_of_events(void **state)
{
    static const enum mt_profile_report reports[] = { MT_PROFILE_STATS, MT_PROFILE_TABLE, MT_PROFILE_LEAKS, MT_PROFILE_TREE,
                                                      MT_PROFILE_SUMMARY };
    struct play *p = calloc(1, sizeof *p);
    (void)state;
    play_init(p, MT_TRACE_EXACT);
    struct mt_recording *r = open_play(p);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        write_round(p, round);
        for (size_t i = 0; i < MT_COUNTOF(reports); i++) {
            mt_profile_release(ask(r, reports[(i + round) % MT_COUNTOF(reports)], (struct mt_profile_query){ 0 }));
            assert_int_equal(mt_recording_events_read(r), (round + 1) * ROUND);
        }
        assert_same(r, p, MT_PROFILE_STATS, MT_SELECT_PEAK);
    }
    mt_recording_close(r);
    writer_end(&p->w);
    free(p);
}

/* One more reading when the second of them comes, and then one of all. */
static void test_reports_and_snapshots_share_what_is_read(void **state)
{
    struct play *p = calloc(1, sizeof *p);
    (void)state;
    play_init(p, MT_TRACE_EXACT);
    struct mt_recording *r = open_play(p);
    uint64_t read = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct mt_snapshot_options options = { .struct_bytes = sizeof options, .totals_only = true };
        struct mt_snapshot *snapshot = NULL;
        write_round(p, round);
        mt_profile_release(ask(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }));
        assert_int_equal(mt_recording_snapshot(r, 0, &options, &snapshot, NULL), MT_PROFILE_OK);
        read += round == 0 ? 2 * ROUND : ROUND;
        assert_int_equal(mt_recording_events_read(r), read);
        assert_int_equal(mt_snapshot_totals(snapshot)->total_samples, (round + 1) * ROUND / 2);
        mt_snapshot_free(snapshot);
    }
    mt_recording_close(r);
    writer_end(&p->w);
    free(p);
}

/* Questions that nothing kept answers, between others. */
static void test_other_questions_read_the_whole(void **state)
{
    struct play *p = calloc(1, sizeof *p);
    (void)state;
    play_init(p, MT_TRACE_EXACT);
    struct mt_recording *r = open_play(p);
    write_round(p, 0);
    write_alloc(p, 64, 5000);
    assert_same(r, p, MT_PROFILE_STATS, MT_SELECT_PEAK);
    char *at = ask(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "at", .time = "exit", .rows = 1 });
    assert_non_null(strstr(at, "5000"));
    mt_profile_release(at);
    write_alloc(p, 128, 7000);
    at = ask(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "temporary", .temporary_max = 9, .rows = 1 });
    assert_non_null(strstr(at, "[")); /* nothing that large went away again */
    mt_profile_release(at);
    assert_same(r, p, MT_PROFILE_LEAKS, MT_SELECT_LEAKS);
    assert_int_equal(mt_recording_events_read(r), ROUND + 2);
    mt_recording_close(r);
    writer_end(&p->w);
    free(p);
}

/* A program that says when it ended; then its file does. */
static void test_a_trace_that_ends_is_read_as_a_whole(void **state)
{
    struct play *p = calloc(1, sizeof *p);
    (void)state;
    play_init(p, MT_TRACE_EXACT);
    struct mt_recording *r = open_play(p);
    write_round(p, 0);
    write_alloc(p, 64, 5000);
    assert_all_same(r, p);
    write_mark(p, p->clock, MT_MARK_PROGRAM_END);
    write_free(p, 64);
    assert_all_same(r, p);
    p->w.header->state = MT_STATE_ENDED;
    p->w.header->end_clock = p->clock;
    assert_all_same(r, p);
    mt_recording_close(r);
    writer_end(&p->w);
    free(p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reports_of_a_growing_trace_are_those_of_a_reading_of_all),
    cmocka_unit_test(test_equal_looks_read_equal_numbers_of_events),
    cmocka_unit_test(test_reports_and_snapshots_share_what_is_read),
    cmocka_unit_test(test_other_questions_read_the_whole),
    cmocka_unit_test(test_a_trace_that_ends_is_read_as_a_whole),
};
MT_TEST_MAIN(tests)
