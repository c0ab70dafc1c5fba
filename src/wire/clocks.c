/* clocks.c: see clocks.h. Context: [tool]. */
#include "wire/clocks.h"

#include "base/varint.h"
#include "wire/columns.h"

enum { BATCH = 256 };

/* The run under way. */
struct runs {
    mt_clock_run *give;
    void *context;
    uint64_t first, last;
    bool begun;
};

static void give(struct runs *r)
{
    if (r->begun) {
        r->give(r->context, r->first, r->last);
    }
    r->begun = false;
}

/* Events at these clocks. */
MT_INLINE void add(struct runs *r, uint64_t first, uint64_t last)
{
    if (r->begun && first - r->last > 1) {
        give(r);
    }
    r->first = r->begun ? r->first : first;
    r->last = last;
    r->begun = true;
}

/* ---- columns ------------------------------------------------------------------------------------------------------ */

struct walk {
    struct runs runs;
    const uint8_t *clock_at, *clock_end, *ext_at, *ext_end;
    uint64_t clock;
    unsigned shift;
    bool bad;
};

static uint64_t take(struct walk *w, const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    w->bad = !mt_varint_get(at, end, &value) || w->bad;
    return value;
}

/* The clock of the record of this tag, after the one before. */
static void step(struct walk *w, unsigned tag)
{
    uint64_t units = (tag & MT_TAG_CLOCK) != 0 ? take(w, &w->clock_at, w->clock_end) : 0, before = w->clock;
    if ((tag & MT_TAG_CLOCK) == 0) {
        w->clock++;
    } else if (units > 0) {
        w->clock = ((before >> w->shift) + units) << w->shift;
    }
    w->bad = w->bad || w->clock < before;
}

/* The payload of an EXT record. True: it is an event. */
static bool step_ext(struct walk *w, unsigned number)
{
    uint64_t bytes = take(w, &w->ext_at, w->ext_end);
    if (w->bad || bytes > (uint64_t)(w->ext_end - w->ext_at)) {
        w->bad = true;
        return false;
    }
    const uint8_t *payload = w->ext_at;
    w->ext_at += bytes;
    if (number == MT_EXT_RESTART) {
        uint64_t clock = take(w, &payload, w->ext_at);
        w->bad = w->bad || clock < w->clock;
        w->clock = clock;
    }
    return number != MT_EXT_RESTART && number != MT_EXT_RATE && number != MT_EXT_LABEL && mt_decode_ext_fields(number) > 0;
}

/* Nothing but the next clock. */
static bool is_plain(unsigned tag)
{
    return (tag & MT_TAG_CLOCK) == 0 && (tag & MT_TAG_KIND_MASK) != MT_EVENT_EXT;
}

static void walk_tags(struct walk *w, const uint8_t *at, const uint8_t *end)
{
    while (at < end && !w->bad) {
        const uint8_t *from = at;
        while (at < end && is_plain(*at)) {
            at++;
        }
        if (at > from) {
            add(&w->runs, w->clock + 1, w->clock + (size_t)(at - from));
            w->clock += (size_t)(at - from);
            continue;
        }
        unsigned tag = *at++;
        step(w, tag);
        bool event = (tag & MT_TAG_KIND_MASK) != MT_EVENT_EXT || step_ext(w, tag >> MT_TAG_NIBBLE_SHIFT);
        if (event && !w->bad) {
            add(&w->runs, w->clock, w->clock);
        }
    }
}

static void walk_columns(const struct mt_reader *reader, const struct mt_extent *e, const struct mt_payload *columns,
                         struct runs *runs)
{
    const uint8_t *begin[MT_COLUMN__COUNT], *end[MT_COLUMN__COUNT];
    if (!mt_columns_find(columns->data, columns->bytes, MT_COLUMN__COUNT, begin, end)) {
        return;
    }
    struct walk w = { .runs = *runs,
                      .clock_at = begin[MT_COLUMN_CLOCK],
                      .clock_end = end[MT_COLUMN_CLOCK],
                      .ext_at = begin[MT_COLUMN_EXT],
                      .ext_end = end[MT_COLUMN_EXT],
                      .clock = e->clock_first,
                      .shift = mt_reader_header(reader)->clock_shift };
    walk_tags(&w, begin[MT_COLUMN_TAG], end[MT_COLUMN_TAG]);
    *runs = w.runs;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static void decode_rows(const struct mt_reader *reader, const struct mt_extent *e, const struct mt_payload *rows, struct runs *runs)
{
    struct mt_event events[BATCH];
    struct mt_event_decoder d;
    size_t count;
    mt_decode_begin_in_units(&d, rows->data, rows->bytes, e->clock_first, e->stream, mt_reader_header(reader)->clock_shift);
    while ((count = mt_decode_events(&d, UINT64_MAX, events, BATCH)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind != MT_EVENT_RATE && events[i].kind != MT_EVENT_LABEL) {
                add(runs, events[i].clock, events[i].clock);
            }
        }
    }
}

/* Each event of it is one clock behind the one before. */
static bool is_one_run(const struct mt_extent *e)
{
    return !e->slot && !e->cut && e->events > 0 && e->clock_last - e->clock_first == e->events;
}

void mt_clocks_of_block(const struct mt_reader *reader, const struct mt_extent *e, struct mt_payload *payload,
                        mt_clock_run *run, void *context)
{
    struct runs runs = { .give = run, .context = context };
    if (is_one_run(e)) {
        run(context, e->clock_first + 1, e->clock_last);
    } else if (mt_reader_load_columns(reader, e, payload) == MT_OK) {
        walk_columns(reader, e, payload, &runs);
    } else if (mt_reader_load(reader, e, payload, NULL) == MT_OK) {
        decode_rows(reader, e, payload, &runs);
    }
    give(&runs);
}
