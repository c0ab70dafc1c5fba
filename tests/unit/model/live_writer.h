/* live_writer.h: a trace file with live slots, written as the agent does: a record is committed by one store of seq_committed; a
 * full slot is written as a block at the tail and starts again with the next seq; metadata is committed before the event that
 * names it. Everything is static: a test includes it. The test says what is written when.
 */
#ifndef MT_TESTS_UNIT_MODEL_LIVE_WRITER_H
#define MT_TESTS_UNIT_MODEL_LIVE_WRITER_H

#include "harness.h"

#include "base/atomic.h"
#include "model/builder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOT = 4096, SLOT_ROOM = SLOT - (int)sizeof(struct mt_block_header), SLOTS_MOST = 16, FILE_MOST = 64 << 20 };

struct slot {
    uint8_t *extent;
    uint32_t seq, used;
    uint16_t kind;
    uint32_t stream;
    struct mt_event_encoder encoder;
    uint64_t claimed; /* where the block will be that its content becomes; 0: not claimed */
};

struct writer {
    int fd;
    uint8_t *map; /* the whole file, mapped once */
    struct mt_trace_header *header;
    struct slot slots[SLOTS_MOST]; /* by stream; 0: metadata */
    uint32_t stacks;
    uint64_t written_to; /* where the block written last ends, without its padding */
    char path[64];
};

static struct mt_block_header *slot_header(struct slot *s)
{
    return (struct mt_block_header *)(void *)s->extent;
}

static uint64_t claim(struct writer *w, uint64_t bytes)
{
    uint64_t offset = __atomic_fetch_add(&w->header->file_tail, bytes, __ATOMIC_ACQ_REL);
    assert_true(offset + bytes < FILE_MOST);
    return offset;
}

static void slot_open(struct writer *w, uint32_t stream)
{
    struct slot *s = &w->slots[stream];
    uint64_t offset = claim(w, SLOT);
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
    mt_store_release(&slot_header(s)->seq_committed, (uint64_t)s->seq << 32 | used);
}

/* Commits what was encoded. */
static void slot_commit_encoded(struct slot *s)
{
    slot_commit(s, (uint32_t)(s->encoder.at - s->extent) - (uint32_t)sizeof(struct mt_block_header));
}

/* The first half of a flush: from here on there is a hole in the file. */
static void slot_claim(struct writer *w, struct slot *s)
{
    s->claimed = claim(w, mt_block_extent(s->used));
}

/* The second half; the next content begins at clock. */
static void slot_write(struct writer *w, struct slot *s, uint64_t clock)
{
    struct mt_block_header h = { .magic = MT_BLOCK_MAGIC,
                                 .type = (uint8_t)s->kind,
                                 .stored_bytes = s->used,
                                 .raw_bytes = s->used,
                                 .stream = s->stream,
                                 .clock_first = slot_header(s)->clock_first,
                                 .clock_last = s->encoder.clock,
                                 .seq_committed = (uint64_t)s->seq << 32,
                                 .events = s->encoder.events };
    h.extent_bytes = mt_block_extent(s->used);
    mt_block_seal(&h, s->extent + sizeof h);
    uint8_t block[SLOT + 128];
    memcpy(block, &h, sizeof h);
    memcpy(block + sizeof h, s->extent + sizeof h, s->used);
    assert_int_equal(pwrite(w->fd, block, sizeof h + s->used, (off_t)s->claimed), sizeof h + s->used);
    w->written_to = s->claimed + sizeof h + s->used;
    s->claimed = 0;
    s->seq++;
    slot_header(s)->clock_first = clock;
    mt_encode_begin(&s->encoder, s->extent + sizeof h, clock);
    slot_commit(s, 0);
}

static void slot_flush(struct writer *w, struct slot *s, uint64_t clock)
{
    slot_claim(w, s);
    slot_write(w, s, clock);
}

/* The stack with the next number. */
static uint32_t write_stack(struct writer *w)
{
    struct slot *s = &w->slots[0];
    static const uint8_t payload[] = { 0, 0, 0 };
    if (s->used + 16 > SLOT_ROOM) {
        slot_flush(w, s, BUILDER_START_CLOCK);
    }
    uint8_t *at = s->extent + sizeof(struct mt_block_header) + s->used;
    size_t head = mt_meta_head(at, MT_META_STACK, sizeof payload);
    memcpy(at + head, payload, sizeof payload);
    slot_commit(s, s->used + (uint32_t)(head + sizeof payload));
    return ++w->stacks;
}

/* A new file with slots for the metadata and streams 1 … streams. */
static void writer_start(struct writer *w, uint32_t streams)
{
    (void)snprintf(w->path, sizeof w->path, "/tmp/memtap-live-%d.mtap", (int)getpid());
    w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ftruncate(w->fd, FILE_MOST), 0);
    w->map = mmap(NULL, FILE_MOST, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
    assert_ptr_not_equal(w->map, MAP_FAILED);
    w->header = (struct mt_trace_header *)(void *)w->map;
    *w->header = (struct mt_trace_header){ .major = 1,
                                           .header_bytes = MT_TRACE_HEADER_BYTES,
                                           .pid = (uint64_t)getpid(),
                                           .start_clock = BUILDER_START_CLOCK,
                                           .file_tail = MT_TRACE_HEADER_BYTES,
                                           .state = MT_STATE_RECORDING };
    memcpy(w->header->magic, MT_TRACE_MAGIC, 8);
    for (uint32_t s = 0; s <= streams; s++) {
        slot_open(w, s);
    }
}

static void writer_end(struct writer *w)
{
    munmap(w->map, FILE_MOST);
    close(w->fd);
    unlink(w->path);
}

#endif
