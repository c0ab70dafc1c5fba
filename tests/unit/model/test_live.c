/* test_live.c: a trace that is being written while it is opened, again and again.
 *
 * A writer thread keeps the protocol of trace.md section 1: records are committed by one store of seq_committed, a full
 * slot is written as a block at the tail and starts again with the next seq, metadata is committed before the event
 * that names it. Whatever the moment, a reader must see a prefix of each stream without a gap, and know every stack it
 * names.
 */
#include "harness.h"

#include "base/atomic.h"
#include "base/os.h"
#include "model/builder.h"
#include "model/cursor.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOT = 4096, STREAMS = 3, FILE_MOST = 64 << 20, EVENTS = 60000, CHAPTERS = 12 };

struct slot {
    uint8_t *extent;
    uint32_t seq, used;
    uint16_t kind;
    uint32_t stream;
    struct mt_event_encoder encoder;
};

struct writer {
    int fd;
    uint8_t *map; /* the whole file, mapped once */
    struct mt_trace_header *header;
    struct slot slots[STREAMS + 1];
    uint32_t stacks;
    uint32_t done;
    uint32_t opened; /* how often it was opened; writer: the reader */
};

static struct mt_block_header *header_of(struct slot *s)
{
    return (struct mt_block_header *)(void *)s->extent;
}

static void slot_open(struct writer *w, uint32_t stream)
{
    struct slot *s = &w->slots[stream];
    uint64_t offset = __atomic_fetch_add(&w->header->file_tail, SLOT, __ATOMIC_ACQ_REL);
    s->extent = w->map + offset;
    s->stream = stream;
    s->kind = stream == 0 ? MT_BLOCK_META : MT_BLOCK_EVENTS;
    struct mt_block_header h = { .magic = MT_BLOCK_MAGIC,
                                 .type = MT_BLOCK_SLOT,
                                 .kind = s->kind,
                                 .stored_bytes = SLOT - sizeof h,
                                 .stream = stream,
                                 .extent_bytes = SLOT,
                                 .clock_first = BUILDER_START_CLOCK };
    mt_slot_seal(&h);
    memcpy(s->extent, &h, sizeof h);
    mt_encode_begin(&s->encoder, s->extent + sizeof h, BUILDER_START_CLOCK);
}

static void slot_commit(struct slot *s, uint32_t used)
{
    s->used = used;
    mt_store_release(&header_of(s)->seq_committed, (uint64_t)s->seq << 32 | used);
}

static void slot_flush(struct writer *w, struct slot *s, uint64_t clock)
{
    struct mt_block_header h = { .magic = MT_BLOCK_MAGIC,
                                 .type = (uint8_t)s->kind,
                                 .stored_bytes = s->used,
                                 .raw_bytes = s->used,
                                 .stream = s->stream,
                                 .clock_first = header_of(s)->clock_first,
                                 .clock_last = s->encoder.clock,
                                 .seq_committed = (uint64_t)s->seq << 32,
                                 .events = s->encoder.events };
    h.extent_bytes = mt_block_extent(s->used);
    mt_block_seal(&h, s->extent + sizeof h);
    uint64_t offset = __atomic_fetch_add(&w->header->file_tail, h.extent_bytes, __ATOMIC_ACQ_REL);
    assert_true(offset + h.extent_bytes < FILE_MOST);
    uint8_t block[SLOT + 128];
    memcpy(block, &h, sizeof h);
    memcpy(block + sizeof h, s->extent + sizeof h, s->used);
    assert_int_equal(pwrite(w->fd, block, sizeof h + s->used, (off_t)offset), sizeof h + s->used);
    s->seq++;
    header_of(s)->clock_first = clock;
    mt_encode_begin(&s->encoder, s->extent + sizeof h, clock);
    slot_commit(s, 0);
}

/* The stack with the next number. */
static uint32_t write_stack(struct writer *w)
{
    struct slot *s = &w->slots[0];
    static const uint8_t payload[] = { 0, 0, 0 };
    if (s->used + 16 > SLOT - sizeof(struct mt_block_header)) {
        slot_flush(w, s, BUILDER_START_CLOCK);
    }
    uint8_t *at = s->extent + sizeof(struct mt_block_header) + s->used;
    size_t head = mt_meta_head(at, MT_META_STACK, sizeof payload);
    memcpy(at + head, payload, sizeof payload);
    slot_commit(s, s->used + (uint32_t)(head + sizeof payload));
    return ++w->stacks;
}

static uint64_t clock_of(uint32_t stream, uint64_t number)
{
    return BUILDER_START_CLOCK + STREAMS * number + stream;
}

static void write_event(struct writer *w, uint32_t stream, uint64_t number)
{
    struct slot *s = &w->slots[stream];
    uint32_t stack = write_stack(w);
    uint64_t clock = clock_of(stream, number);
    if (s->used + MT_EVENT_MAX_BYTES > SLOT - sizeof(struct mt_block_header)) {
        slot_flush(w, s, s->encoder.clock);
    }
    mt_encode_alloc(&s->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, clock, 8 * number + 8, 1, stack);
    slot_commit(s, (uint32_t)(s->encoder.at - s->extent) - (uint32_t)sizeof(struct mt_block_header));
}

static void *write_all(void *context)
{
    struct writer *w = context;
    for (uint64_t i = 0; i < EVENTS; i++) {
        while (mt_load_acquire(&w->opened) < i / (EVENTS / CHAPTERS)) { /* a chapter more only when it was looked at again */
            mt_os_yield();
        }
        write_event(w, 1 + (uint32_t)(i % STREAMS), i / STREAMS);
    }
    mt_store_release(&w->done, 1u);
    return NULL;
}

static void start(struct writer *w, const char *path)
{
    w->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ftruncate(w->fd, FILE_MOST), 0);
    w->map = mmap(NULL, FILE_MOST, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
    assert_ptr_not_equal(w->map, MAP_FAILED);
    w->header = (struct mt_trace_header *)(void *)w->map;
    *w->header = (struct mt_trace_header){ .major = 1,
                                           .header_bytes = MT_TRACE_HEADER_BYTES,
                                           .start_clock = BUILDER_START_CLOCK,
                                           .file_tail = MT_TRACE_HEADER_BYTES,
                                           .state = MT_STATE_RECORDING };
    memcpy(w->header->magic, MT_TRACE_MAGIC, 8);
    for (uint32_t s = 0; s <= STREAMS; s++) {
        slot_open(w, s);
    }
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
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/memtap-live-%d.mtap", (int)getpid());
    struct writer *w = calloc(1, sizeof *w);
    pthread_t thread;
    start(w, path);
    assert_int_equal(pthread_create(&thread, NULL, write_all, w), 0);
    size_t last = 0;
    while (mt_load_acquire(&w->done) == 0) {
        size_t now = check_prefix(path);
        assert_true(now >= last);
        last = now;
        mt_store_release(&w->opened, w->opened + 1);
    }
    pthread_join(thread, NULL);
    print_message("opened %u times while it grew\n", w->opened);
    assert_true(w->opened >= CHAPTERS - 1);
    assert_int_equal(check_prefix(path), EVENTS);
    munmap(w->map, FILE_MOST);
    close(w->fd);
    unlink(path);
    free(w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_live_trace_is_a_prefix_at_every_moment),
};
MT_TEST_MAIN(tests)
