/* alive.c: see alive.h. */
#include "heap/alive.h"

#include "heap/maplog.h"

enum {
    SPARE = 4096,          /* items and streams that may come between the count and the copy */
    ITEM_BYTES_MAX = 60,   /* a record, and the rate and label that may have to be said before it */
    BLOCK_BYTES = 48 * 1024,
};

struct mt_alive_item {
    uint64_t clock, addr, bytes, rate;
    uint32_t stream, stack, label;
    uint8_t kind, what; /* enum mt_event_kind; allocator or kind of mapping */
};

struct mt_alive_stream {
    uint32_t stream, next_seq;
};

static void *map(size_t count, size_t bytes)
{
    void *base = NULL;
    return mt_os_map_anonymous(count * bytes, &base) == MT_OK ? base : NULL;
}

static size_t count_threads(void)
{
    size_t count = 0;
    if (mt_spinlock_lock(&g_mt.threads_lock)) {
        for (const struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
            count++;
        }
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
    return count;
}

bool mt_alive_begin(struct mt_alive *alive)
{
    size_t threads = count_threads();
    *alive = (struct mt_alive){ .complete = true };
    alive->capacity = 2 * (mt_livetab_count() + mt_maplog_count() + threads) + SPARE;
    alive->stream_capacity = 2 * threads + SPARE;
    alive->items = map(alive->capacity, sizeof *alive->items);
    alive->streams = map(alive->stream_capacity, sizeof *alive->streams);
    alive->named = map(alive->capacity + alive->stream_capacity, sizeof *alive->named);
    return alive->items != NULL && alive->streams != NULL && alive->named != NULL;
}

static void unmap(void *base, size_t count, size_t bytes)
{
    if (base != NULL) {
        mt_os_unmap(base, count * bytes);
    }
}

void mt_alive_free(struct mt_alive *alive)
{
    unmap(alive->items, alive->capacity, sizeof *alive->items);
    unmap(alive->streams, alive->stream_capacity, sizeof *alive->streams);
    unmap(alive->named, alive->capacity + alive->stream_capacity, sizeof *alive->named);
}

/* ---- copying -------------------------------------------------------------------------------------------------------- */

static void take(struct mt_alive *alive, const struct mt_alive_item *item)
{
    if (alive->count < alive->capacity) {
        alive->items[alive->count++] = *item;
    } else {
        alive->complete = false;
    }
}

static void take_sample(void *context, uint64_t ptr, const struct mt_sample *sample)
{
    const struct mt_birth *birth = &sample->birth;
    take(context, &(struct mt_alive_item){ .clock = birth->clock,
                                           .addr = ptr,
                                           .bytes = sample->size,
                                           .rate = sample->rate_bytes,
                                           .stream = birth->stream,
                                           .stack = birth->stack,
                                           .label = birth->label,
                                           .kind = MT_EVENT_ALLOC,
                                           .what = (uint8_t)birth->allocator });
}

static void take_mapping(void *context, const struct mt_mapping_record *record)
{
    take(context, &(struct mt_alive_item){ .clock = record->clock,
                                           .addr = record->low,
                                           .bytes = record->bytes,
                                           .stream = record->stream,
                                           .stack = record->stack,
                                           .label = record->label,
                                           .kind = record->ends ? MT_EVENT_UNMAP : MT_EVENT_MAP,
                                           .what = (uint8_t)record->kind });
}

/* Its block has left the table, and lives until the realloc is done. */
static void take_realloc(struct mt_alive *alive, const struct mt_thread *t, uint64_t clock)
{
    take_sample(alive, t->realloc_old, &t->realloc_sample);
    take(alive, &(struct mt_alive_item){ .clock = clock,
                                         .addr = t->realloc_old,
                                         .stream = t->journal.stream,
                                         .kind = MT_EVENT_REALLOC_OLD });
}

bool mt_alive_take_thread(struct mt_alive *alive, const struct mt_thread *t, uint64_t clock)
{
    if (alive->stream_count == alive->stream_capacity) {
        return false;
    }
    if (t->journal.seq > 0) {
        alive->streams[alive->stream_count++] = (struct mt_alive_stream){ t->journal.stream, t->journal.seq };
    }
    if (t->realloc_begun && t->realloc_old != 0) {
        take_realloc(alive, t, clock);
    }
    return alive->complete;
}

bool mt_alive_take_all(struct mt_alive *alive)
{
    return mt_livetab_each(take_sample, alive) && mt_maplog_each(take_mapping, alive) && alive->complete;
}

uint64_t mt_alive_room(const struct mt_alive *alive)
{
    uint64_t blocks = mt_alive_blocks(alive);
    return alive->count * ITEM_BYTES_MAX + blocks * (sizeof(struct mt_block_header) + MT_EXTENT_ALIGN);
}

size_t mt_alive_blocks(const struct mt_alive *alive)
{
    size_t threads = mt_load_relaxed(&g_mt.next_stream); /* that have ended: each may have left something */
    size_t ended = alive->count < threads ? alive->count : threads;
    return alive->stream_count + ended + alive->count * ITEM_BYTES_MAX / BLOCK_BYTES + 1;
}

/* ---- sorting -------------------------------------------------------------------------------------------------------- */

static bool comes_before(const struct mt_alive_item *a, const struct mt_alive_item *b)
{
    return a->stream != b->stream ? a->stream < b->stream : a->clock < b->clock;
}

static void sift_items(struct mt_alive_item *items, size_t at, size_t count)
{
    struct mt_alive_item moving = items[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && comes_before(&items[child], &items[child + 1]);
        if (!comes_before(&moving, &items[child])) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = moving;
}

static void sort_items(struct mt_alive_item *items, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_items(items, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        struct mt_alive_item last = items[end];
        items[end] = items[0];
        items[0] = last;
        sift_items(items, 0, end);
    }
}

static void sift_streams(struct mt_alive_stream *streams, size_t at, size_t count)
{
    struct mt_alive_stream moving = streams[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && streams[child].stream < streams[child + 1].stream;
        if (moving.stream >= streams[child].stream) {
            break;
        }
        streams[at] = streams[child];
        at = child;
    }
    streams[at] = moving;
}

static void sort_streams(struct mt_alive_stream *streams, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_streams(streams, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        struct mt_alive_stream last = streams[end];
        streams[end] = streams[0];
        streams[0] = last;
        sift_streams(streams, 0, end);
    }
}

const uint32_t *mt_alive_sort(struct mt_alive *alive, size_t *ret_count)
{
    size_t item = 0, stream = 0;
    sort_items(alive->items, alive->count);
    sort_streams(alive->streams, alive->stream_count);
    while (item < alive->count || stream < alive->stream_count) {
        bool by_item = stream == alive->stream_count ||
                       (item < alive->count && alive->items[item].stream <= alive->streams[stream].stream);
        uint32_t next = by_item ? alive->items[item].stream : alive->streams[stream].stream;
        while (item < alive->count && alive->items[item].stream == next) {
            item++;
        }
        stream += stream < alive->stream_count && alive->streams[stream].stream == next;
        alive->named[alive->named_count++] = next;
    }
    *ret_count = alive->named_count;
    return alive->named;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

struct out {
    struct mt_base *base;
    uint8_t *buffer;
    struct mt_event_encoder encoder;
    uint32_t stream;
    uint64_t clock_first, rate;
    uint32_t label;
};

static void begin_block(struct out *o, uint64_t clock)
{
    o->clock_first = clock > 0 ? clock - 1 : 0;
    o->rate = 0;
    o->label = 0;
    mt_encode_begin(&o->encoder, o->buffer, o->clock_first);
    o->encoder.clock_shift = MT_CLOCK_SHIFT;
}

static void end_block(struct out *o)
{
    const struct mt_block_header header = { .type = MT_BLOCK_EVENTS,
                                            .stream = o->stream,
                                            .clock_first = o->clock_first,
                                            .clock_last = o->encoder.clock,
                                            .events = o->encoder.events };
    mt_base_put(o->base, &header, o->buffer, (size_t)(o->encoder.at - o->buffer));
}

static void encode(struct out *o, const struct mt_alive_item *item)
{
    struct mt_event_encoder *e = &o->encoder;
    uint64_t clock = item->clock > e->clock ? item->clock : e->clock + 1;
    switch (item->kind) {
    case MT_EVENT_ALLOC: mt_encode_any_alloc(e, MT_EVENT_ALLOC, item->what, clock, item->addr, item->bytes, item->stack); break;
    case MT_EVENT_MAP: mt_encode_map(e, (enum mt_map_kind)item->what, clock, item->addr, item->bytes, item->stack); break;
    case MT_EVENT_UNMAP: mt_encode_unmap(e, (enum mt_map_kind)item->what, clock, item->addr, item->bytes); break;
    default: mt_encode_free(e, MT_EVENT_REALLOC_OLD, clock, item->addr); break;
    }
}

static void put_item(struct out *o, const struct mt_alive_item *item)
{
    if (item->kind == MT_EVENT_ALLOC && item->rate != o->rate) {
        o->rate = item->rate;
        mt_encode_ext(&o->encoder, MT_EXT_RATE, o->encoder.clock, item->rate);
    }
    if (item->kind != MT_EVENT_REALLOC_OLD && item->label != o->label) {
        o->label = item->label;
        mt_encode_ext(&o->encoder, MT_EXT_LABEL, o->encoder.clock, item->label);
    }
    encode(o, item);
}

/* The items of one stream; also when there are none: its block says with which number the stream goes on. */
static void put_stream(struct out *o, const struct mt_alive_item *items, size_t count, uint32_t next_seq)
{
    size_t first = o->base->count;
    begin_block(o, count > 0 ? items[0].clock : 1);
    for (size_t i = 0; i < count; i++) {
        if (o->encoder.at - o->buffer > BLOCK_BYTES) {
            uint64_t clock = o->encoder.clock;
            end_block(o);
            begin_block(o, clock + 1);
        }
        put_item(o, &items[i]);
    }
    end_block(o);
    mt_base_number(o->base, first, next_seq);
}

void mt_alive_put(struct mt_alive *alive, struct mt_base *base, uint8_t *buffer)
{
    struct out o = { .base = base, .buffer = buffer };
    size_t item = 0, stream = 0;
    for (size_t i = 0; i < alive->named_count && base->status == MT_OK; i++) {
        size_t first = item;
        o.stream = alive->named[i];
        while (item < alive->count && alive->items[item].stream == o.stream) {
            item++;
        }
        bool goes_on = stream < alive->stream_count && alive->streams[stream].stream == o.stream;
        put_stream(&o, &alive->items[first], item - first, goes_on ? alive->streams[stream].next_seq : 0);
        stream += goes_on;
    }
}
