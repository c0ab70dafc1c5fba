/* test_live.c: a trace that is being written while it is opened, again and again.
 *
 * A writer thread keeps the protocol of trace.md section 1 (live_writer.h). Whatever the moment, a reader must see a prefix of
 * each stream without a gap, and know every stack it names.
 */
#include "live_writer.h"

#include "base/os.h"
#include "model/cursor.h"

#include <pthread.h>

enum { STREAMS = 3, EVENTS = 60000, CHAPTERS = 12 };

struct live {
    struct writer writer;
    uint32_t done;
    uint32_t opened; /* how often it was opened; written by the reader */
};

static uint64_t clock_of(uint32_t stream, uint64_t number)
{
    return BUILDER_START_CLOCK + STREAMS * number + stream;
}

static void write_event(struct writer *w, uint32_t stream, uint64_t number)
{
    struct slot *s = &w->slots[stream];
    uint32_t stack = write_stack(w);
    uint64_t clock = clock_of(stream, number);
    if (s->used + MT_EVENT_MAX_BYTES > SLOT_ROOM) {
        slot_flush(w, s, s->encoder.clock);
    }
    mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, clock, 8 * number + 8, 1, stack);
    slot_commit_encoded(s);
}

static void *write_all(void *context)
{
    struct live *live = context;
    for (uint64_t i = 0; i < EVENTS; i++) {
        while (mt_load_acquire(&live->opened) < i / (EVENTS / CHAPTERS)) { /* a chapter more only when it was looked at again */
            mt_os_yield();
        }
        write_event(&live->writer, 1 + (uint32_t)(i % STREAMS), i / STREAMS);
    }
    mt_store_release(&live->done, 1u);
    return NULL;
}

/* Reads what is there now; returns how many events. */
static size_t check_prefix(const char *path)
{
    struct mt_trace *t;
    struct mt_cursor *c;
    struct mt_event batch[512];
    uint64_t next[STREAMS + 1] = { 0 };
    size_t total = 0, count;
    assert_int_equal(mt_trace_open(path, &t, NULL), MT_OK);
    assert_int_equal(mt_trace_completeness(t)->lost_blocks, 0);
    assert_false(mt_trace_completeness(t)->metadata_broken);
    size_t stacks = mt_trace_stack_count(t);
    assert_int_equal(mt_cursor_new(t, UINT64_MAX, &c), MT_OK);
    while ((count = mt_cursor_next(c, batch, 512)) > 0) {
        for (size_t i = 0; i < count; i++) {
            uint64_t number = next[batch[i].stream]++;
            assert_int_equal(batch[i].addr, 8 * number + 8);
            assert_int_equal(batch[i].clock, clock_of(batch[i].stream, number));
            assert_true(batch[i].stack < stacks);
        }
        total += count;
    }
    assert_null(mt_cursor_losses(c)->first_error.text);
    mt_cursor_free(c);
    mt_trace_close(t);
    return total;
}

static void test_a_live_trace_is_a_prefix_at_every_moment(void **state)
{
    (void)state;
    struct live *live = calloc(1, sizeof *live);
    const char *path = live->writer.path;
    pthread_t thread;
    writer_start(&live->writer, STREAMS);
    assert_int_equal(pthread_create(&thread, NULL, write_all, live), 0);
    size_t last = 0;
    while (mt_load_acquire(&live->done) == 0) {
        size_t now = check_prefix(path);
        assert_true(now >= last);
        last = now;
        mt_store_release(&live->opened, live->opened + 1);
    }
    pthread_join(thread, NULL);
    print_message("opened %u times while it grew\n", live->opened);
    assert_true(live->opened >= CHAPTERS - 1);
    assert_int_equal(check_prefix(path), EVENTS);
    writer_end(&live->writer);
    free(live);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_live_trace_is_a_prefix_at_every_moment),
};
MT_TEST_MAIN(tests)
