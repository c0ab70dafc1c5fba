/* ticks.c: see ticks.h. Context: [tool]. */
#include "model/ticks.h"

#include "base/atomic.h"
#include "model/payload.h"
#include "util/memory.h"
#include "wire/clocks.h"

#include <stdlib.h>

enum {
    SCALE_BITS = 32,
    COUNTED_UNITS = 2, /* a clock so few units behind the one before was not read: no event costs so little */
};
static const uint64_t LONGEST_TICK_NS = 1000000000;

/* The nth clock from first on, of count, is the time first + n * scale / 2^SCALE_BITS. */
struct stretch {
    uint64_t first;
    uint64_t scale; /* more than 1, so that no two have one time */
    uint64_t count;
};

struct stretches {
    size_t count, capacity;
    struct stretch *items; /* by first; disjoint, in clocks as in times. items[count].first is UINT64_MAX */
};

struct mt_ticks {
    const struct mt_reader *reader;
    struct stretches *found; /* NULL: not looked for yet. Stored once, by whoever is first */
    size_t hint;             /* of the last one asked for; shared, any value is good */
};

/* What is gone through. */
struct search {
    struct stretches *to;
    uint64_t tick_ns, counted_ns;
    uint64_t first, last; /* clocks of the count under way */
    bool begun;
};

bool mt_ticks_may_be_counted(const struct mt_trace_header *h)
{
    return h->clock_kind == MT_CLOCK_TICK && h->clock_tick_ns > 0 && h->clock_tick_ns <= LONGEST_TICK_NS &&
           h->horizon_clock == 0 && h->clock_shift <= MT_CLOCK_SHIFT_MAX;
}

struct mt_ticks *mt_ticks_new(const struct mt_reader *reader)
{
    struct mt_ticks *ticks = mt_alloc_zero(1, sizeof *ticks);
    ticks->reader = reader;
    return ticks;
}

static void free_stretches(struct stretches *s)
{
    if (s != NULL) {
        free(s->items);
        free(s);
    }
}

void mt_ticks_free(struct mt_ticks *ticks)
{
    if (ticks != NULL) {
        free_stretches(ticks->found);
        free(ticks);
    }
}

/* ---- finding them ------------------------------------------------------------------------------------------------- */

static void add(struct stretches *to, struct stretch stretch)
{
    to->items = mt_alloc_grow(to->items, &to->capacity, to->count + 2, sizeof *to->items);
    to->items[to->count++] = stretch;
    to->items[to->count] = (struct stretch){ .first = UINT64_MAX };
}

/* The count under way is over: the next event was not before `next`. */
static void end_count(struct search *s, uint64_t next)
{
    uint64_t count = s->last - s->first + 1;
    uint64_t span = next - s->first < s->tick_ns ? next - s->first : s->tick_ns;
    if (s->begun && count > 1 && span > count) {
        add(s->to, (struct stretch){ s->first, (span << SCALE_BITS) / count, count });
    }
}

static void take_run(void *context, uint64_t first, uint64_t last)
{
    struct search *s = context;
    if (s->begun && first <= s->last) {
        return; /* not of a stream whose clock increases, as all do */
    }
    if (!s->begun || first - s->last > s->counted_ns) {
        end_count(s, first);
        s->first = first;
        s->begun = true;
    }
    s->last = last;
}

static bool is_one_stream(const struct mt_extent *e, size_t count)
{
    uint32_t stream = MT_STREAM_NONE;
    for (size_t i = 0; i < count; i++) {
        if (e[i].type == MT_BLOCK_EVENTS) {
            if (stream != MT_STREAM_NONE && e[i].stream != stream) {
                return false;
            }
            stream = e[i].stream;
        }
    }
    return true;
}

static struct stretches *find(const struct mt_reader *reader)
{
    const struct mt_trace_header *h = mt_reader_header(reader);
    struct stretches *found = mt_alloc_zero(1, sizeof *found);
    struct search s = { .to = found, .tick_ns = h->clock_tick_ns, .counted_ns = (uint64_t)COUNTED_UNITS << h->clock_shift };
    size_t count;
    const struct mt_extent *e = mt_reader_extents(reader, &count);
    if (!mt_ticks_may_be_counted(h) || !is_one_stream(e, count)) {
        return found;
    }
    struct mt_payload *payload = mt_payload_new();
    for (size_t i = 0; i < count; i++) {
        if (e[i].type == MT_BLOCK_EVENTS) {
            mt_clocks_of_block(reader, &e[i], payload, take_run, &s);
        }
    }
    mt_payload_free(payload);
    end_count(&s, h->end_clock > s.last ? h->end_clock : s.last + 1); /* nothing is timed after the end that is known */
    return found;
}

static MT_NOINLINE const struct stretches *find_first(struct mt_ticks *ticks)
{
    struct stretches *none = NULL, *found = find(ticks->reader);
    if (!mt_cas_acq_rel(&ticks->found, &none, found)) {
        free_stretches(found); /* another thread was first */
        return mt_load_acquire(&ticks->found);
    }
    mt_memory_release(found->items); /* they are the trace's */
    mt_memory_release(found);
    return found;
}

MT_INLINE const struct stretches *stretches_of(struct mt_ticks *ticks)
{
    const struct stretches *found = mt_load_acquire(&ticks->found);
    return MT_LIKELY(found != NULL) ? found : find_first(ticks);
}

/* ---- asking ------------------------------------------------------------------------------------------------------- */

/* How many stretches begin at a clock (and time) or before. */
static MT_NOINLINE size_t search_for(const struct stretches *s, uint64_t at)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->items[middle].first <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The last of them; NULL: none does. Who goes through a trace asks for the same again, or for the next. */
MT_INLINE const struct stretch *stretch_at(struct mt_ticks *ticks, uint64_t at)
{
    const struct stretches *s = stretches_of(ticks);
    size_t hint = mt_load_relaxed(&ticks->hint);
    if (MT_LIKELY(hint < s->count && s->items[hint].first <= at && at < s->items[hint + 1].first)) {
        return &s->items[hint];
    }
    size_t before = search_for(s, at);
    if (before == 0) {
        return NULL;
    }
    mt_store_relaxed(&ticks->hint, before - 1);
    return &s->items[before - 1];
}

static uint64_t time_of(const struct stretch *s, uint64_t n)
{
    return s->first + (n * s->scale >> SCALE_BITS);
}

uint64_t mt_ticks_time(struct mt_ticks *ticks, uint64_t clock)
{
    const struct stretch *s = stretch_at(ticks, clock);
    if (s == NULL) {
        return clock;
    }
    uint64_t n = clock - s->first;
    if (MT_LIKELY(n < s->count)) {
        return time_of(s, n);
    }
    uint64_t last = time_of(s, s->count - 1); /* behind the count: what is no event was stamped with the time it was */
    return clock > last ? clock : last;
}

uint64_t mt_ticks_clock(struct mt_ticks *ticks, uint64_t time)
{
    const struct stretch *s = stretch_at(ticks, time);
    if (s == NULL) {
        return time;
    }
    uint64_t after = time - s->first;
    if (time < time_of(s, s->count - 1)) {
        return s->first + (((after + 1) << SCALE_BITS) - 1) / s->scale; /* the last n that is not later */
    }
    uint64_t last = s->first + s->count - 1;
    return time > last ? time : last;
}
