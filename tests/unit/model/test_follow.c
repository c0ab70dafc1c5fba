/* test_follow.c: following a trace gives what reading all of it gives, at every moment, and costs what is new.
 *
 * A writer does the next thing by chance (live_writer.h): events of several streams with clocks that rise, reallocs whose outcome
 * comes later, records that are stamped and not committed yet, blocks that are claimed and not written yet, holes for good,
 * threads that begin. Truth is a cursor over the whole file, opened at the same moment.
 */
#include "live_writer.h"

#include "model/follow.h"

enum { MOVES = 6000, BATCH = 64, READ_MOST = 20000 };

struct play {
    struct writer w;
    uint64_t random, clock;
    uint32_t streams;
    bool in_realloc[SLOTS_MOST];
    bool stamped[SLOTS_MOST]; /* encoded, not committed */
    uint64_t next_address;
    /* what the follower has */
    struct mt_follow *follow;
    struct mt_event *seen;
    size_t seen_count;
    uint64_t generation;
    uint64_t read; /* events delivered by all polls */
};

static void play_init(struct play *p, uint32_t streams)
{
    *p = (struct play){ .random = builder_seed(), .clock = BUILDER_START_CLOCK, .streams = streams, .next_address = 4096 };
    writer_start(&p->w, streams);
    p->follow = mt_follow_new(p->w.path, 0);
    p->seen = calloc(READ_MOST, sizeof *p->seen);
}

static void play_fini(struct play *p)
{
    mt_follow_free(p->follow);
    free(p->seen);
    writer_end(&p->w);
}

static unsigned chance(struct play *p, unsigned of)
{
    return (unsigned)(builder_random(&p->random) % of);
}

/* ---- the writer ------------------------------------------------------------------------------------------------- */

static void settle(struct play *p, uint32_t stream)
{
    struct slot *s = &p->w.slots[stream];
    if (p->stamped[stream]) {
        slot_commit_encoded(s);
        p->stamped[stream] = false;
    }
    if (s->claimed != 0) {
        slot_write(&p->w, s, p->clock);
    }
    if (s->used + 2 * MT_EVENT_MAX_BYTES > SLOT_ROOM) {
        slot_flush(&p->w, s, p->clock);
    }
}

static struct mt_event next_event(struct play *p, uint32_t stream)
{
    static const unsigned outcomes[] = { MT_EVENT_REALLOC_NEW, MT_EVENT_REALLOC_FAILED, MT_EVENT_REALLOC_GONE };
    static const unsigned others[] = { MT_EVENT_ALLOC, MT_EVENT_ALLOC, MT_EVENT_FREE, MT_EVENT_RESIZED, MT_EVENT_REALLOC_OLD,
                                       MT_EVENT_DROPPED };
    struct mt_event e = { .clock = p->clock += 1 + chance(p, 9), .size = 1 + chance(p, 5000), .old_bytes = 7 };
    e.kind = (uint8_t)(p->in_realloc[stream] ? outcomes[chance(p, 3)] : others[chance(p, MT_COUNTOF(others))]);
    e.allocator = MT_ALLOCATOR_MALLOC;
    e.addr = 4096 + 16 * (uint64_t)chance(p, 500);
    p->in_realloc[stream] = e.kind == MT_EVENT_REALLOC_OLD;
    if (e.kind == MT_EVENT_ALLOC || e.kind == MT_EVENT_REALLOC_NEW) {
        e.stack = write_stack(&p->w);
    }
    return e;
}

/* commit: at once; else with the next thing that the stream does. */
static void write_event(struct play *p, uint32_t stream, bool commit)
{
    settle(p, stream);
    struct mt_event e = next_event(p, stream);
    builder_encode(&p->w.slots[stream].encoder, &e);
    p->stamped[stream] = true;
    if (commit) {
        settle(p, stream);
    }
}

static void move(struct play *p)
{
    uint32_t stream = 1 + chance(p, p->streams);
    unsigned what = chance(p, 200);
    if (what == 0 && p->streams + 1 < SLOTS_MOST) {
        slot_open(&p->w, ++p->streams);
    } else if (what == 1) {
        (void)claim(&p->w, 64 * (uint64_t)(1 + chance(p, 4)));
    } else if (what < 6) {
        settle(p, stream);
        slot_claim(&p->w, &p->w.slots[stream]);
    } else {
        write_event(p, stream, what >= 12);
    }
}

/* ---- the readers ------------------------------------------------------------------------------------------------ */

static mt_status read_on(struct play *p, uint64_t stop_clock)
{
    size_t count = 0;
    mt_status status = mt_follow_begin(p->follow, stop_clock);
    do {
        struct mt_event batch[BATCH];
        status = status == MT_OK ? mt_follow_next(p->follow, batch, BATCH, &count) : status;
        count = status == MT_OK ? count : 0;
        assert_true(p->seen_count + count <= READ_MOST);
        memcpy(p->seen + p->seen_count, batch, count * sizeof *batch);
        p->seen_count += count;
        p->read += count;
    } while (count > 0);
    return status;
}

static void follow_up(struct play *p, uint64_t stop_clock)
{
    mt_status status = MT_E_BUSY;
    for (int tries = 0; status == MT_E_BUSY && tries < 3; tries++) {
        assert_int_equal(mt_follow_poll(p->follow, NULL), MT_OK);
        if (p->generation != mt_follow_generation(p->follow)) {
            p->generation = mt_follow_generation(p->follow);
            p->seen_count = 0;
        }
        status = read_on(p, stop_clock);
    }
    assert_int_equal(status, MT_OK);
    mt_follow_rest(p->follow);
}

static void assert_same_metadata(const struct mt_trace *a, const struct mt_trace *b)
{
    assert_int_equal(mt_trace_stack_count(a), mt_trace_stack_count(b));
    assert_int_equal(mt_trace_info(a)->duration_ns, mt_trace_info(b)->duration_ns);
    assert_int_equal(mt_trace_info(a)->event_bytes, mt_trace_info(b)->event_bytes);
    assert_int_equal(mt_trace_info(a)->file_bytes, mt_trace_info(b)->file_bytes);
}

/* The whole file, read now. */
static void assert_as_read_whole(const struct play *p, uint64_t stop_clock)
{
    struct mt_trace *t;
    struct mt_cursor *c;
    struct mt_event batch[BATCH];
    size_t at = 0, count;
    assert_int_equal(mt_trace_open(p->w.path, &t, NULL), MT_OK);
    assert_same_metadata(t, mt_follow_trace(p->follow));
    assert_int_equal(mt_cursor_new(t, stop_clock, &c), MT_OK);
    while ((count = mt_cursor_next(c, batch, BATCH)) > 0) {
        assert_true(at + count <= p->seen_count);
        for (size_t i = 0; i < count; i++) {
            assert_memory_equal(&batch[i], &p->seen[at + i], sizeof *batch);
        }
        at += count;
    }
    assert_int_equal(at, p->seen_count);
    mt_cursor_free(c);
    mt_trace_close(t);
}

static void test_a_follower_has_what_a_reading_of_all_shows(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 3);
    unsigned looks = 0;
    for (int i = 0; i < MOVES; i++) {
        move(p);
        if (chance(p, 12) == 0) {
            uint64_t stop = chance(p, 3) == 0 ? UINT64_MAX : p->clock - chance(p, 60);
            follow_up(p, stop);
            assert_as_read_whole(p, stop);
            looks++;
        }
    }
    print_message("%u looks, %llu times from the beginning, %llu events read for %zu\n", looks,
                  (unsigned long long)p->generation, (unsigned long long)p->read, p->seen_count);
    play_fini(p);
    free(p);
}

static void write_round(struct play *p, size_t events)
{
    for (size_t i = 0; i < events; i++) {
        struct slot *s = &p->w.slots[1 + i % p->streams];
        uint32_t stack = write_stack(&p->w);
        settle(p, s->stream);
        mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++p->clock, p->next_address += 16, 8, stack);
        slot_commit_encoded(s);
    }
}

static void test_equal_rounds_read_equal_numbers_of_events(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 3);
    for (int round = 0; round < 6; round++) {
        uint64_t before = p->read;
        write_round(p, 3000);
        follow_up(p, p->clock);
        assert_int_equal(p->read - before, 3000);
    }
    assert_int_equal(p->generation, 1);
    assert_as_read_whole(p, p->clock);
    play_fini(p);
    free(p);
}

static void test_the_last_block_of_a_file_has_no_padding(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 1);
    for (size_t round = 0; round < 64; round++) { /* blocks of all sizes modulo the alignment */
        write_round(p, 20 + round);
        slot_flush(&p->w, &p->w.slots[1], p->clock);
        assert_int_equal(ftruncate(p->w.fd, (off_t)p->w.written_to), 0);
        uint64_t before = p->read;
        follow_up(p, UINT64_MAX);
        assert_int_equal(p->read - before, 20 + round);
    }
    assert_int_equal(p->generation, 1);
    assert_as_read_whole(p, UINT64_MAX);
    play_fini(p);
    free(p);
}

static void test_an_event_that_belongs_before_what_was_read_begins_anew(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 2);
    write_round(p, 10);
    struct slot *s = &p->w.slots[1];
    mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++p->clock, 64, 8, 1); /* stamped */
    struct slot *other = &p->w.slots[2];
    mt_encode_alloc(&other->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++p->clock, 128, 8, 1);
    slot_commit_encoded(other);
    follow_up(p, p->clock);
    assert_int_equal(p->seen_count, 11);
    slot_commit_encoded(s);
    follow_up(p, p->clock);
    assert_int_equal(p->generation, 2);
    assert_int_equal(p->seen_count, 12);
    assert_as_read_whole(p, p->clock);
    play_fini(p);
    free(p);
}

static void test_a_realloc_goes_away_with_its_outcome(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 1);
    write_round(p, 4);
    struct slot *s = &p->w.slots[1];
    mt_encode_free(&s->encoder, MT_EVENT_REALLOC_OLD, ++p->clock, p->next_address);
    slot_commit_encoded(s);
    follow_up(p, p->clock);
    assert_int_equal(p->seen_count, 4);
    mt_encode_alloc(&s->encoder, MT_EVENT_REALLOC_NEW, MT_ALLOCATOR_MALLOC, ++p->clock, 64, 8, 1);
    slot_commit_encoded(s);
    follow_up(p, p->clock);
    assert_int_equal(p->generation, 1);
    assert_int_equal(p->seen_count, 6);
    assert_int_equal(p->seen[4].kind, MT_EVENT_FREE);
    assert_as_read_whole(p, p->clock);
    play_fini(p);
    free(p);
}

static void test_a_trace_that_ended_is_read_once_more_and_then_kept(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 2);
    write_round(p, 500);
    follow_up(p, UINT64_MAX);
    p->w.header->state = MT_STATE_ENDED;
    follow_up(p, UINT64_MAX);
    assert_int_equal(p->generation, 2);
    assert_int_equal(p->seen_count, 500);
    follow_up(p, UINT64_MAX);
    assert_int_equal(p->generation, 2);
    assert_int_equal(p->read, 1000);
    play_fini(p);
    free(p);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_no_descriptor_is_held_between_polls(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    play_init(p, 2);
    size_t before = open_descriptors();
    write_round(p, 500);
    follow_up(p, UINT64_MAX);
    assert_int_equal(open_descriptors(), before);
    p->w.header->state = MT_STATE_ENDED;
    follow_up(p, UINT64_MAX);
    assert_int_equal(open_descriptors(), before);
    play_fini(p);
    free(p);
}

static void test_a_file_that_is_gone_is_an_error_and_found_again(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    char aside[80];
    play_init(p, 1);
    write_round(p, 20);
    follow_up(p, UINT64_MAX);
    (void)snprintf(aside, sizeof aside, "%s.aside", p->w.path);
    assert_int_equal(rename(p->w.path, aside), 0);
    assert_int_equal(mt_follow_poll(p->follow, NULL), MT_E_NOENT);
    assert_null(mt_follow_trace(p->follow));
    assert_int_equal(rename(aside, p->w.path), 0);
    follow_up(p, UINT64_MAX);
    assert_int_equal(p->seen_count, 20);
    play_fini(p);
    free(p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_follower_has_what_a_reading_of_all_shows),
    cmocka_unit_test(test_equal_rounds_read_equal_numbers_of_events),
    cmocka_unit_test(test_the_last_block_of_a_file_has_no_padding),
    cmocka_unit_test(test_an_event_that_belongs_before_what_was_read_begins_anew),
    cmocka_unit_test(test_a_realloc_goes_away_with_its_outcome),
    cmocka_unit_test(test_a_trace_that_ended_is_read_once_more_and_then_kept),
    cmocka_unit_test(test_no_descriptor_is_held_between_polls),
    cmocka_unit_test(test_a_file_that_is_gone_is_an_error_and_found_again),
};
MT_TEST_MAIN(tests)
