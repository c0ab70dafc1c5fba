/* test_follow.c: following a trace gives what reading all of it gives, at every moment, and costs what is new.
 *
 * A writer does the next thing by chance (live_play.h). Truth is a cursor over the whole file, opened at the same moment.
 */
#include "live_play.h"

#include "model/follow.h"

enum { MOVES = 6000, BATCH = 64, READ_MOST = 20000 };

struct follower {
    struct play p;
    uint64_t next_address;
    struct mt_follow *follow;
    struct mt_event *seen;
    size_t seen_count;
    uint64_t generation;
    uint64_t read; /* events delivered by all polls */
};

static void follower_init(struct follower *f, uint32_t streams)
{
    *f = (struct follower){ .next_address = 4096 };
    play_begin(&f->p, streams);
    f->follow = mt_follow_new(f->p.w.path, 0);
    f->seen = calloc(READ_MOST, sizeof *f->seen);
}

static void follower_fini(struct follower *f)
{
    mt_follow_free(f->follow);
    free(f->seen);
    writer_end(&f->p.w);
}

/* ---- the readers ------------------------------------------------------------------------------------------------ */

static mt_status read_on(struct follower *f, uint64_t stop_clock)
{
    size_t count = 0;
    mt_status status = mt_follow_begin(f->follow, stop_clock);
    do {
        struct mt_event batch[BATCH];
        status = status == MT_OK ? mt_follow_next(f->follow, batch, BATCH, &count) : status;
        count = status == MT_OK ? count : 0;
        assert_true(f->seen_count + count <= READ_MOST);
        memcpy(f->seen + f->seen_count, batch, count * sizeof *batch);
        f->seen_count += count;
        f->read += count;
    } while (count > 0);
    return status;
}

static void follow_up(struct follower *f, uint64_t stop_clock)
{
    mt_status status = MT_E_BUSY;
    for (int tries = 0; status == MT_E_BUSY && tries < 3; tries++) {
        assert_int_equal(mt_follow_poll(f->follow, NULL), MT_OK);
        if (f->generation != mt_follow_generation(f->follow)) {
            f->generation = mt_follow_generation(f->follow);
            f->seen_count = 0;
        }
        status = read_on(f, stop_clock);
    }
    assert_int_equal(status, MT_OK);
    mt_follow_rest(f->follow);
}

static void assert_same_metadata(const struct mt_trace *a, const struct mt_trace *b)
{
    assert_int_equal(mt_trace_stack_count(a), mt_trace_stack_count(b));
    assert_int_equal(mt_trace_info(a)->duration_ns, mt_trace_info(b)->duration_ns);
    assert_int_equal(mt_trace_info(a)->event_bytes, mt_trace_info(b)->event_bytes);
    assert_int_equal(mt_trace_info(a)->file_bytes, mt_trace_info(b)->file_bytes);
}

/* The whole file, read now. */
static void assert_as_read_whole(const struct follower *f, uint64_t stop_clock)
{
    struct mt_trace *t;
    struct mt_cursor *c;
    struct mt_event batch[BATCH];
    size_t at = 0, count;
    assert_int_equal(mt_trace_open(f->p.w.path, &t, NULL), MT_OK);
    assert_same_metadata(t, mt_follow_trace(f->follow));
    assert_int_equal(mt_cursor_new(t, stop_clock, &c), MT_OK);
    while ((count = mt_cursor_next(c, batch, BATCH)) > 0) {
        assert_true(at + count <= f->seen_count);
        for (size_t i = 0; i < count; i++) {
            assert_memory_equal(&batch[i], &f->seen[at + i], sizeof *batch);
        }
        at += count;
    }
    assert_int_equal(at, f->seen_count);
    mt_cursor_free(c);
    mt_trace_close(t);
}

static void test_a_follower_has_what_a_reading_of_all_shows(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 3);
    unsigned looks = 0;
    for (int i = 0; i < MOVES; i++) {
        play_move(&f->p);
        if (chance(&f->p, 12) == 0) {
            uint64_t stop = chance(&f->p, 3) == 0 ? UINT64_MAX : f->p.clock - chance(&f->p, 60);
            follow_up(f, stop);
            assert_as_read_whole(f, stop);
            looks++;
        }
    }
    print_message("%u looks, %llu times from the beginning, %llu events read for %zu\n", looks,
                  (unsigned long long)f->generation, (unsigned long long)f->read, f->seen_count);
    follower_fini(f);
    free(f);
}

static void write_round(struct follower *f, size_t events)
{
    for (size_t i = 0; i < events; i++) {
        struct slot *s = &f->p.w.slots[1 + i % f->p.streams];
        uint32_t stack = write_stack(&f->p.w);
        settle(&f->p, s->stream);
        mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++f->p.clock, f->next_address += 16, 8, stack);
        slot_commit_encoded(s);
    }
}

static void test_equal_rounds_read_equal_numbers_of_events(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 3);
    for (int round = 0; round < 6; round++) {
        uint64_t before = f->read;
        write_round(f, 3000);
        follow_up(f, f->p.clock);
        assert_int_equal(f->read - before, 3000);
    }
    assert_int_equal(f->generation, 1);
    assert_as_read_whole(f, f->p.clock);
    follower_fini(f);
    free(f);
}

static void test_the_last_block_of_a_file_has_no_padding(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 1);
    for (size_t round = 0; round < 64; round++) { /* blocks of all sizes modulo the alignment */
        write_round(f, 20 + round);
        slot_flush(&f->p.w, &f->p.w.slots[1], f->p.clock);
        assert_int_equal(ftruncate(f->p.w.fd, (off_t)f->p.w.written_to), 0);
        uint64_t before = f->read;
        follow_up(f, UINT64_MAX);
        assert_int_equal(f->read - before, 20 + round);
    }
    assert_int_equal(f->generation, 1);
    assert_as_read_whole(f, UINT64_MAX);
    follower_fini(f);
    free(f);
}

static void test_an_event_that_belongs_before_what_was_read_begins_anew(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 2);
    write_round(f, 10);
    struct slot *s = &f->p.w.slots[1];
    mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++f->p.clock, 64, 8, 1); /* stamped */
    struct slot *other = &f->p.w.slots[2];
    mt_encode_alloc(&other->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++f->p.clock, 128, 8, 1);
    slot_commit_encoded(other);
    follow_up(f, f->p.clock);
    assert_int_equal(f->seen_count, 11);
    slot_commit_encoded(s);
    follow_up(f, f->p.clock);
    assert_int_equal(f->generation, 2);
    assert_int_equal(f->seen_count, 12);
    assert_as_read_whole(f, f->p.clock);
    follower_fini(f);
    free(f);
}

static void test_a_realloc_goes_away_with_its_outcome(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 1);
    write_round(f, 4);
    struct slot *s = &f->p.w.slots[1];
    mt_encode_free(&s->encoder, MT_EVENT_REALLOC_OLD, ++f->p.clock, f->next_address);
    slot_commit_encoded(s);
    follow_up(f, f->p.clock);
    assert_int_equal(f->seen_count, 4);
    mt_encode_alloc(&s->encoder, MT_EVENT_REALLOC_NEW, MT_ALLOCATOR_MALLOC, ++f->p.clock, 64, 8, 1);
    slot_commit_encoded(s);
    follow_up(f, f->p.clock);
    assert_int_equal(f->generation, 1);
    assert_int_equal(f->seen_count, 6);
    assert_int_equal(f->seen[4].kind, MT_EVENT_FREE);
    assert_as_read_whole(f, f->p.clock);
    follower_fini(f);
    free(f);
}

static void test_a_trace_that_ended_is_read_once_more_and_then_kept(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 2);
    write_round(f, 500);
    follow_up(f, UINT64_MAX);
    f->p.w.header->state = MT_STATE_ENDED;
    follow_up(f, UINT64_MAX);
    assert_int_equal(f->generation, 2);
    assert_int_equal(f->seen_count, 500);
    follow_up(f, UINT64_MAX);
    assert_int_equal(f->generation, 2);
    assert_int_equal(f->read, 1000);
    follower_fini(f);
    free(f);
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
    struct follower *f = calloc(1, sizeof *f);
    follower_init(f, 2);
    size_t before = open_descriptors();
    write_round(f, 500);
    follow_up(f, UINT64_MAX);
    assert_int_equal(open_descriptors(), before);
    f->p.w.header->state = MT_STATE_ENDED;
    follow_up(f, UINT64_MAX);
    assert_int_equal(open_descriptors(), before);
    follower_fini(f);
    free(f);
}

static void test_a_file_that_is_gone_is_an_error_and_found_again(void **state)
{
    (void)state;
    struct follower *f = calloc(1, sizeof *f);
    char aside[80];
    follower_init(f, 1);
    write_round(f, 20);
    follow_up(f, UINT64_MAX);
    (void)snprintf(aside, sizeof aside, "%s.aside", f->p.w.path);
    assert_int_equal(rename(f->p.w.path, aside), 0);
    assert_int_equal(mt_follow_poll(f->follow, NULL), MT_E_NOENT);
    assert_null(mt_follow_trace(f->follow));
    assert_int_equal(rename(aside, f->p.w.path), 0);
    follow_up(f, UINT64_MAX);
    assert_int_equal(f->seen_count, 20);
    follower_fini(f);
    free(f);
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
