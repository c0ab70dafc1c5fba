/* builder.h: makes small traces in memory, record by record, for tests of readers.
 *
 * Events are given per stream with absolute values, metadata as records; builder_finish lays them out as a writer
 * would: slots and blocks of a chosen size, sealed with checksums, through wire/encode.h. `ends` says for every event
 * where its record ends in the file, which is the ground truth of the truncation tests. Everything is static: a test
 * includes it.
 */
#ifndef MT_TESTS_UNIT_MODEL_BUILDER_H
#define MT_TESTS_UNIT_MODEL_BUILDER_H

#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/records.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNUSED __attribute__((unused))

enum { BUILDER_START_CLOCK = 1000000 };

struct builder_end {
    uint64_t offset; /* one past the record in the file */
    size_t event;    /* index in builder.events */
};

struct builder {
    struct mt_event *events; /* all streams, in the order given */
    size_t event_count, event_capacity;
    uint8_t *meta;
    size_t meta_bytes, meta_capacity;
    /* layout */
    uint64_t flags;       /* header flags */
    uint64_t rate_bytes;  /* header and, per event, its own */
    uint32_t state;       /* default ended */
    uint64_t end_clock;   /* 0: last event's clock; none while recording */
    uint64_t begin;       /* the process starts this many ns after BUILDER_START_CLOCK; events stay where they are */
    uint32_t python_version;
    uint32_t clock_kind;   /* header */
    uint64_t clock_tick_ns;
    size_t block_events;  /* events a block; 0: 1000 */
    bool slots;           /* the last block of each stream is a slot, and so is the metadata */
    /* result */
    uint8_t *file;
    size_t file_bytes, file_capacity;
    struct builder_end *ends;
    size_t end_count;
    uint64_t counters[32];
};

UNUSED static void builder_init(struct builder *b)
{
    *b = (struct builder){ .flags = MT_TRACE_EXACT, .state = MT_STATE_ENDED };
}

UNUSED static void builder_fini(struct builder *b)
{
    free(b->events);
    free(b->meta);
    free(b->file);
    free(b->ends);
}

static void *builder_grow(void *array, size_t *capacity, size_t need, size_t bytes)
{
    if (need > *capacity) {
        *capacity = 2 * need + 64;
        array = realloc(array, *capacity * bytes);
        assert(array != NULL);
    }
    return array;
}

/* ---- events -------------------------------------------------------------------------------------------------- */

UNUSED static struct mt_event *builder_event(struct builder *b, uint32_t stream, unsigned kind, uint64_t clock)
{
    b->events = builder_grow(b->events, &b->event_capacity, b->event_count + 1, sizeof *b->events);
    struct mt_event *e = &b->events[b->event_count++];
    *e = (struct mt_event){ .kind = (uint8_t)kind, .stream = stream, .clock = BUILDER_START_CLOCK + clock };
    return e;
}

UNUSED static void builder_alloc(struct builder *b, uint32_t stream, uint64_t clock, uint64_t addr, uint64_t size,
                                 uint32_t stack)
{
    struct mt_event *e = builder_event(b, stream, MT_EVENT_ALLOC, clock);
    e->addr = addr;
    e->size = size;
    e->stack = stack;
    e->allocator = MT_ALLOCATOR_MALLOC;
}

UNUSED static void builder_free(struct builder *b, uint32_t stream, uint64_t clock, uint64_t addr)
{
    builder_event(b, stream, MT_EVENT_FREE, clock)->addr = addr;
}

UNUSED static void builder_resized(struct builder *b, uint32_t stream, uint64_t clock, uint64_t addr,
                                   uint64_t old_bytes, uint64_t size)
{
    struct mt_event *e = builder_event(b, stream, MT_EVENT_RESIZED, clock);
    e->addr = addr;
    e->old_bytes = old_bytes;
    e->size = size;
}

UNUSED static void builder_map(struct builder *b, uint32_t stream, uint64_t clock, unsigned kind, uint64_t addr,
                               uint64_t size, uint32_t stack)
{
    struct mt_event *e = builder_event(b, stream, MT_EVENT_MAP, clock);
    e->addr = addr;
    e->size = size;
    e->stack = stack;
    e->allocator = (uint8_t)kind;
}

UNUSED static void builder_unmap(struct builder *b, uint32_t stream, uint64_t clock, unsigned kind, uint64_t addr,
                                 uint64_t size)
{
    struct mt_event *e = builder_event(b, stream, MT_EVENT_UNMAP, clock);
    e->addr = addr;
    e->size = size;
    e->allocator = (uint8_t)kind;
}

/* ---- metadata ------------------------------------------------------------------------------------------------ */

UNUSED static void builder_record(struct builder *b, enum mt_meta_tag tag, const void *payload, size_t bytes)
{
    uint8_t head[MT_VARINT_MAX + 1];
    size_t head_bytes = mt_meta_head(head, tag, bytes);
    b->meta = builder_grow(b->meta, &b->meta_capacity, b->meta_bytes + head_bytes + bytes, 1);
    memcpy(b->meta + b->meta_bytes, head, head_bytes);
    memcpy(b->meta + b->meta_bytes + head_bytes, payload, bytes);
    b->meta_bytes += head_bytes + bytes;
}

UNUSED static void builder_string(struct builder *b, const char *text)
{
    builder_record(b, MT_META_STRING, text, strlen(text));
}

/* A record of plain varints. */
UNUSED static void builder_numbers(struct builder *b, enum mt_meta_tag tag, const uint64_t *values, size_t count)
{
    uint8_t buf[1024];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    for (size_t i = 0; i < count; i++) {
        mt_meta_u64(&m, values[i]);
    }
    assert(!m.overflow);
    builder_record(b, tag, buf, m.bytes);
}

UNUSED static void builder_module(struct builder *b, uint32_t number, uint64_t bias, const char *path, uint64_t vaddr,
                                  uint64_t bytes)
{
    uint8_t buf[1024];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_u64(&m, number);
    mt_meta_u64(&m, bias);
    mt_meta_string(&m, path, strlen(path));
    mt_meta_string(&m, "\x01\x02", 2);
    mt_meta_u64(&m, 1);
    mt_meta_u64(&m, vaddr);
    mt_meta_u64(&m, bytes);
    mt_meta_u64(&m, 0);
    mt_meta_u64(&m, 5);
    builder_record(b, MT_META_MODULE, buf, m.bytes);
}

UNUSED static void builder_thread(struct builder *b, uint32_t stream, uint64_t tid, const char *name)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_u64(&m, stream);
    mt_meta_u64(&m, tid);
    mt_meta_string(&m, name, strlen(name));
    mt_meta_u64(&m, BUILDER_START_CLOCK);
    builder_record(b, MT_META_THREAD, buf, m.bytes);
}

UNUSED static void builder_note(struct builder *b, const char *key, const char *value)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_string(&m, key, strlen(key));
    mt_meta_string(&m, value, strlen(value));
    builder_record(b, MT_META_NOTE, buf, m.bytes);
}

UNUSED static void builder_torch(struct builder *b, const struct mt_record_torch *torch)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_record_put_torch(&m, torch);
    builder_record(b, MT_META_TORCH, buf, m.bytes);
}

/* stack 0: none. */
UNUSED static void builder_mark_at(struct builder *b, uint64_t clock, uint32_t stream, uint32_t kind, uint64_t value,
                                   const char *text, uint32_t stack)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_u64(&m, BUILDER_START_CLOCK + clock);
    mt_meta_u64(&m, stream);
    mt_meta_u64(&m, kind);
    mt_meta_u64(&m, value);
    mt_meta_string(&m, text, strlen(text));
    if (stack != 0) {
        mt_meta_u64(&m, stack);
    }
    builder_record(b, MT_META_MARK, buf, m.bytes);
}

UNUSED static void builder_mark(struct builder *b, uint64_t clock, uint32_t stream, uint32_t kind, uint64_t value,
                                const char *text)
{
    builder_mark_at(b, clock, stream, kind, value, text, 0);
}

UNUSED static void builder_label_under(struct builder *b, uint32_t number, uint32_t kind, const char *text, uint32_t under)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    const struct mt_record_label put = { number, kind, { text, strlen(text) }, true, under };
    mt_meta_begin(&m, buf, sizeof buf);
    mt_record_put_label(&m, &put);
    builder_record(b, MT_META_LABEL, buf, m.bytes);
}

UNUSED static void builder_label(struct builder *b, uint32_t number, uint32_t kind, const char *text)
{
    uint8_t buf[256];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_u64(&m, number);
    mt_meta_u64(&m, kind);
    mt_meta_string(&m, text, strlen(text));
    builder_record(b, MT_META_LABEL, buf, m.bytes);
}

UNUSED static void builder_native(struct builder *b, uint32_t parent, uint64_t pc)
{
    builder_numbers(b, MT_META_NATIVE_NODE, (const uint64_t[]){ parent, pc }, 2);
}

UNUSED static void builder_python(struct builder *b, uint32_t parent, uint32_t code, int64_t lasti, unsigned flags)
{
    uint8_t buf[64];
    struct mt_meta_builder m;
    mt_meta_begin(&m, buf, sizeof buf);
    mt_meta_u64(&m, parent);
    mt_meta_u64(&m, code);
    mt_meta_s64(&m, lasti);
    mt_meta_u8(&m, (uint8_t)flags);
    builder_record(b, MT_META_PYTHON_NODE, buf, m.bytes);
}

UNUSED static void builder_code(struct builder *b, uint32_t number, uint32_t filename, uint32_t name, uint32_t qualname,
                                uint32_t line)
{
    builder_numbers(b, MT_META_CODE, (const uint64_t[]){ number, filename, name, qualname, line, 3 }, 6);
}

UNUSED static void builder_stack(struct builder *b, uint32_t native, uint32_t python, const uint64_t *anchors,
                                 size_t count)
{
    uint64_t values[64] = { native, python, count };
    assert(count < 60);
    for (size_t i = 0; i < count; i++) {
        values[3 + i] = anchors[i];
    }
    builder_numbers(b, MT_META_STACK, values, 3 + count);
}

/* count stacks, each one native frame of its own: stack i has native node i with pc 0x1000 i. */
UNUSED static void builder_plain_stacks(struct builder *b, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++) {
        builder_native(b, 0, 0x1000 * (uint64_t)i);
    }
    for (uint32_t i = 1; i <= count; i++) {
        builder_stack(b, i, 0, NULL, 0);
    }
}

/* ---- layout -------------------------------------------------------------------------------------------------- */

static void builder_encode(struct mt_event_encoder *e, const struct mt_event *v)
{
    switch ((unsigned)v->kind) {
    case MT_EVENT_ALLOC:
    case MT_EVENT_REALLOC_NEW:
        mt_encode_any_alloc(e, v->kind, v->allocator, v->clock, v->addr, v->size, v->stack);
        break;
    case MT_EVENT_FREE:
    case MT_EVENT_REALLOC_OLD:
        mt_encode_free(e, v->kind, v->clock, v->addr);
        break;
    case MT_EVENT_MAP:
        mt_encode_map(e, (enum mt_map_kind)v->allocator, v->clock, v->addr, v->size, v->stack);
        break;
    case MT_EVENT_UNMAP:
        mt_encode_unmap(e, (enum mt_map_kind)v->allocator, v->clock, v->addr, v->size);
        break;
    case MT_EVENT_RESIZED:
        mt_encode_resized(e, v->clock, v->addr, v->old_bytes, v->size);
        break;
    case MT_EVENT_REALLOC_FAILED:
        mt_encode_ext(e, MT_EXT_REALLOC_FAILED, v->clock, 0);
        break;
    case MT_EVENT_REALLOC_GONE:
        mt_encode_ext(e, MT_EXT_REALLOC_GONE, v->clock, 0);
        break;
    case MT_EVENT_REALLOC_THINNED:
        mt_encode_ext(e, MT_EXT_REALLOC_THINNED, v->clock, 0);
        break;
    case MT_EVENT_DROPPED:
        mt_encode_ext(e, MT_EXT_DROPPED, v->clock, v->size);
        break;
    default:
        assert(!"kind the builder cannot write");
    }
}

static uint8_t *builder_extent(struct builder *b, size_t payload_bytes)
{
    size_t extent = mt_block_extent(payload_bytes);
    b->file = builder_grow(b->file, &b->file_capacity, b->file_bytes + extent, 1);
    uint8_t *at = b->file + b->file_bytes;
    memset(at, 0, extent);
    b->file_bytes += extent;
    return at;
}

/* Writes a payload as a block or a slot with that sequence number. */
UNUSED static void builder_block(struct builder *b, unsigned type, uint32_t stream, uint32_t seq, bool slot,
                                 const uint8_t *payload, size_t bytes, uint64_t first, uint64_t last, uint32_t events)
{
    size_t capacity = slot ? bytes + 128 : bytes;
    uint8_t *at = builder_extent(b, capacity);
    struct mt_block_header h = { .magic = MT_BLOCK_MAGIC, .stream = stream, .clock_first = first };
    h.type = (uint8_t)(slot ? MT_BLOCK_SLOT : type);
    h.kind = (uint16_t)(slot ? type : 0);
    h.stored_bytes = (uint32_t)capacity;
    h.raw_bytes = slot ? 0 : (uint32_t)bytes;
    h.extent_bytes = mt_block_extent(capacity);
    h.clock_last = slot ? 0 : last;
    h.events = slot ? 0 : events;
    h.seq_committed = (uint64_t)seq << 32 | (slot ? bytes : 0);
    if (slot) {
        mt_slot_seal(&h);
    } else {
        mt_block_seal(&h, payload);
    }
    memcpy(at, &h, sizeof h);
    memcpy(at + sizeof h, payload, bytes);
}

static void builder_note_end(struct builder *b, size_t event, uint64_t offset)
{
    b->ends[b->end_count++] = (struct builder_end){ offset, event };
}

/* One block of events [from, to) of `order`, all of one stream. */
static void builder_event_block(struct builder *b, const size_t *order, size_t from, size_t to, uint32_t seq, bool slot)
{
    uint8_t *payload = malloc((to - from + 1) * 3 * MT_EVENT_MAX_BYTES);
    struct mt_event_encoder e;
    uint64_t first = b->events[order[from]].clock - 1;
    uint64_t rate = 0;
    uint32_t label = 0;
    mt_encode_begin(&e, payload, first);
    for (size_t i = from; i < to; i++) {
        const struct mt_event *v = &b->events[order[i]];
        if (v->kind != MT_EVENT_RESIZED && v->rate_bytes != rate) {
            rate = v->rate_bytes;
            mt_encode_ext(&e, MT_EXT_RATE, e.clock, rate);
        }
        if (v->label != label) {
            label = v->label;
            mt_encode_ext(&e, MT_EXT_LABEL, e.clock, label);
        }
        builder_encode(&e, v);
        builder_note_end(b, order[i], b->file_bytes + sizeof(struct mt_block_header) + (size_t)(e.at - payload));
    }
    builder_block(b, MT_BLOCK_EVENTS, b->events[order[from]].stream, seq, slot, payload, (size_t)(e.at - payload),
                  first, e.clock, e.events);
    free(payload);
}

static void builder_stream(struct builder *b, uint32_t stream)
{
    size_t *order = malloc((b->event_count + 1) * sizeof *order);
    size_t count = 0;
    for (size_t i = 0; i < b->event_count; i++) {
        if (b->events[i].stream == stream) {
            order[count++] = i;
        }
    }
    size_t step = b->block_events > 0 ? b->block_events : 1000;
    uint32_t seq = 0;
    for (size_t from = 0; from < count; from += step, seq++) {
        size_t to = from + step < count ? from + step : count;
        builder_event_block(b, order, from, to, seq, b->slots && to == count);
    }
    free(order);
}

/* Makes the file. Streams 1 … the largest used. */
UNUSED static void builder_finish(struct builder *b)
{
    uint32_t streams = 0;
    uint64_t last = BUILDER_START_CLOCK;
    for (size_t i = 0; i < b->event_count; i++) {
        streams = b->events[i].stream > streams ? b->events[i].stream : streams;
        last = b->events[i].clock > last ? b->events[i].clock : last;
    }
    free(b->ends);
    b->ends = calloc(b->event_count + 1, sizeof *b->ends);
    b->end_count = 0;
    b->file_bytes = 0;
    b->file = builder_grow(b->file, &b->file_capacity, MT_TRACE_HEADER_BYTES, 1);
    memset(b->file, 0, MT_TRACE_HEADER_BYTES);
    b->file_bytes = MT_TRACE_HEADER_BYTES;
    if (b->meta_bytes > 0) {
        builder_block(b, MT_BLOCK_META, MT_STREAM_META, 0, b->slots, b->meta, b->meta_bytes, 0, 0, 0);
    }
    for (uint32_t stream = 1; stream <= streams; stream++) {
        builder_stream(b, stream);
    }
    struct mt_trace_header h = { .major = MT_TRACE_MAJOR,
                                 .header_bytes = MT_TRACE_HEADER_BYTES,
                                 .flags = b->flags,
                                 .pid = 4242,
                                 .start_realtime_ns = 1700000000000000000u + b->begin,
                                 .start_clock = BUILDER_START_CLOCK + b->begin,
                                 .rate_bytes = b->rate_bytes,
                                 .file_tail = b->file_bytes,
                                 .end_clock = b->end_clock != 0 || b->state == MT_STATE_RECORDING ? b->end_clock : last,
                                 .state = b->state,
                                 .python_version = b->python_version,
                                 .clock_kind = b->clock_kind,
                                 .clock_tick_ns = b->clock_tick_ns,
                                 .command_bytes = 7 };
    memcpy(h.magic, MT_TRACE_MAGIC, sizeof h.magic);
    memcpy(h.command, "./a\0arg", 7);
    memcpy(h.counters, b->counters, sizeof h.counters);
    memcpy(b->file, &h, sizeof h);
}

/* Puts a whole trace behind this finished one, as that of another process. */
UNUSED static void builder_nest(struct builder *b, const uint8_t *trace, size_t bytes)
{
    struct mt_block_header h;
    size_t at = b->file_bytes + sizeof h, end = (at + bytes + MT_EXTENT_ALIGN - 1) / MT_EXTENT_ALIGN * MT_EXTENT_ALIGN;
    uint32_t header_bytes;
    memcpy(&header_bytes, trace + offsetof(struct mt_trace_header, header_bytes), sizeof header_bytes);
    mt_process_seal(&h, header_bytes, bytes);
    b->file = builder_grow(b->file, &b->file_capacity, end, 1);
    memset(b->file + at, 0, end - at);
    memcpy(b->file + at - sizeof h, &h, sizeof h);
    memcpy(b->file + at, trace, bytes);
    b->file_bytes = end;
    memcpy(b->file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ end }, sizeof(uint64_t));
}

/* ---- randomness ---------------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea and Flood 2014). */
UNUSED static uint64_t builder_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* MEMTAP_TEST_SEED or the time; printed, so that a failure can be repeated. */
UNUSED static uint64_t builder_seed(void)
{
    const char *given = getenv("MEMTAP_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed: MEMTAP_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
