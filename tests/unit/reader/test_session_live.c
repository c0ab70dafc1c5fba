/* test_session_live.c: a session on a trace that grows: what was read is not read again, and shows as if it were. */
#include "model/live_writer.h"

#include "memtap/profile.h"

enum { ROUND = 1000, ROUNDS = 6 };

struct scene {
    struct writer w;
    struct mt_recording *session;
    uint64_t clock;
};

static void scene_init(struct scene *s)
{
    *s = (struct scene){ .clock = BUILDER_START_CLOCK };
    writer_start(&s->w, 1);
    s->w.header->flags = MT_TRACE_EXACT;
    s->w.header->pid = INT32_MAX; /* nobody's: read to the end of what there is, whatever the time */
    assert_int_equal(mt_recording_open((const char *const[]){ s->w.path }, 1, &s->session, NULL), MT_PROFILE_OK);
}

static void scene_fini(struct scene *s)
{
    mt_recording_close(s->session);
    writer_end(&s->w);
}

static struct slot *slot_with_room(struct scene *s)
{
    struct slot *slot = &s->w.slots[1];
    if (slot->used + MT_EVENT_MAX_BYTES > SLOT_ROOM) {
        slot_flush(&s->w, slot, slot->encoder.clock);
    }
    return slot;
}

static void write_alloc(struct scene *s, uint64_t addr, uint64_t bytes)
{
    uint32_t stack = write_stack(&s->w);
    struct slot *slot = slot_with_room(s);
    mt_encode_alloc(&slot->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++s->clock, addr, bytes, stack);
    slot_commit_encoded(slot);
}

static void write_free(struct scene *s, uint64_t addr)
{
    struct slot *slot = slot_with_room(s);
    mt_encode_free(&slot->encoder, MT_EVENT_FREE, ++s->clock, addr);
    slot_commit_encoded(slot);
}

/* Half of what a round allocates stays. */
static void write_round(struct scene *s, uint64_t round)
{
    for (uint64_t i = 0; i < ROUND; i += 4) {
        uint64_t addr = 4096 + 64 * (round * ROUND + i);
        write_alloc(s, addr, 10);
        write_alloc(s, addr + 64, 20);
        write_free(s, addr);
        write_alloc(s, addr + 128, 30);
    }
}

static struct mt_snapshot_totals totals_of(struct mt_recording *session, struct mt_snapshot_options options)
{
    struct mt_snapshot *snapshot = NULL;
    options.struct_bytes = sizeof options;
    options.totals_only = true;
    assert_int_equal(mt_recording_snapshot(session, 0, &options, &snapshot, NULL), MT_PROFILE_OK);
    struct mt_snapshot_totals totals = *mt_snapshot_totals(snapshot);
    mt_snapshot_free(snapshot);
    return totals;
}

/* As somebody sees it who comes now. */
static void assert_as_anew(const struct scene *s, struct mt_snapshot_totals kept, struct mt_snapshot_options options)
{
    struct mt_recording *session;
    assert_int_equal(mt_recording_open((const char *const[]){ s->w.path }, 1, &session, NULL), MT_PROFILE_OK);
    struct mt_snapshot_totals anew = totals_of(session, options);
    assert_int_equal(anew.events_read, anew.events);
    anew.events_read = kept.events_read;
    assert_memory_equal(&anew, &kept, sizeof kept);
    mt_recording_close(session);
}

static void test_equal_rounds_read_equal_numbers_of_events(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        write_round(&s, round);
        struct mt_snapshot_totals totals = totals_of(s.session, (struct mt_snapshot_options){ 0 });
        assert_int_equal(totals.events_read, ROUND);
        assert_int_equal(totals.events, (round + 1) * ROUND);
        assert_int_equal(totals.live_samples, (round + 1) * ROUND / 2);
        assert_int_equal(totals.live_size_bytes, (round + 1) * ROUND / 4 * 50);
        assert_as_anew(&s, totals, (struct mt_snapshot_options){ 0 });
    }
    scene_fini(&s);
}

static void test_other_samples_are_counted_from_the_beginning(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    write_round(&s, 0);
    uint64_t middle = s.clock + 1;
    write_round(&s, 1);
    (void)totals_of(s.session, (struct mt_snapshot_options){ 0 });
    struct mt_snapshot_options since = { .since_ns = middle, .freed_limit = 10 };
    struct mt_snapshot_totals totals = totals_of(s.session, since);
    assert_int_equal(totals.events_read, 2 * ROUND);
    assert_int_equal(totals.live_samples, ROUND / 2);
    assert_as_anew(&s, totals, since);
    assert_int_equal(totals_of(s.session, since).events_read, 0);
    scene_fini(&s);
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void test_an_interrupted_reading_is_gone_on_with(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    for (uint64_t round = 0; round < 200; round++) {
        write_round(&s, round);
    }
    struct mt_snapshot *snapshot = NULL;
    struct mt_snapshot_options options = { .struct_bytes = sizeof options, .interrupted = always };
    assert_int_equal(mt_recording_snapshot(s.session, 0, &options, &snapshot, NULL), MT_PROFILE_INTERRUPTED);
    struct mt_snapshot_totals totals = totals_of(s.session, (struct mt_snapshot_options){ 0 });
    assert_true(totals.events_read > 0 && totals.events_read < 200 * ROUND);
    assert_as_anew(&s, totals, (struct mt_snapshot_options){ 0 });
    scene_fini(&s);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_a_handle_on_a_growing_trace_holds_no_descriptor(void **state)
{
    (void)state;
    struct scene s;
    size_t before = open_descriptors() + 1; /* the writer's */
    scene_init(&s);
    assert_int_equal(open_descriptors(), before);
    write_round(&s, 0);
    (void)totals_of(s.session, (struct mt_snapshot_options){ 0 });
    assert_int_equal(open_descriptors(), before);
    scene_fini(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_handle_on_a_growing_trace_holds_no_descriptor),
    cmocka_unit_test(test_equal_rounds_read_equal_numbers_of_events),
    cmocka_unit_test(test_other_samples_are_counted_from_the_beginning),
    cmocka_unit_test(test_an_interrupted_reading_is_gone_on_with),
};
MT_TEST_MAIN(tests)
