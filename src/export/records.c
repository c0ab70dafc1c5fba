/* records.c: every record of a trace as a line of text. Works on the raw decoder, not on the model, because it is for
 * looking at traces the model may not like. */
#include "export/records.h"

#include "export/records_json.h"
#include "export/report.h"
#include "model/payload.h"
#include "model/run_marks.h"
#include "util/memory.h"
#include "util/text.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

const char mt_records_wording[] =
    "header KEY VALUE                                  one line a field; counters that are not 0\n"
    "block OFFSET TYPE stream N seq N stored N raw N   then its records:\n"
    "string N \"TEXT\"\n"
    "module N bias ADDR path \"TEXT\" build-id HEX       and a line `segment ADDR LENGTH offset N flags N` each\n"
    "module-gone N\n"
    "thread STREAM tid N name \"TEXT\" at TIME\n"
    "code N file S name S qualname S line N kind N table N     S: string numbers\n"
    "native N parent N pc ADDR\n"
    "python N parent N code N offset N flags N\n"
    "stack N native N python N anchors N…\n"
    "mark TIME STREAM KIND VALUE \"TEXT\" | label N kind N \"TEXT\"\n"
    "eval-range ADDR ADDR | rss TIME BYTES [file BYTES own BYTES] | note \"KEY\" \"VALUE\" | rate TIME BYTES | unknown-meta TAG BYTES\n"
    "event TIME STREAM alloc|realloc-new ALLOCATOR ADDR BYTES stack N [rate N]\n"
    "event TIME STREAM free|realloc-old ADDR\n"
    "event TIME STREAM map KIND ADDR BYTES stack N | unmap KIND ADDR BYTES\n"
    "event TIME STREAM resized ADDR FROM TO\n"
    "event TIME STREAM realloc-failed | realloc-gone | realloc-thinned | dropped N | rate N | label N (of those that follow)\n"
    "row stack N ALLOCATOR allocated N BYTES live N BYTES peak N BYTES of PEAK\n"
    "bad OFFSET WHY                                    damage; what follows in that block is skipped\n"
    "TIME is that of the clock by which events are merged: with one thread it goes\n"
    "on by 1 ns an event between two ticks, where reports interpolate.\n"
    "In TEXT, \\\" and \\\\ are a quote and a backslash.";

enum { BATCH = 256 };

struct writer {
    struct mt_out *out;   /* lines */
    struct mt_out *to;    /* where they go in the end */
    struct mt_json *json; /* NULL: as they are */
    const struct mt_reader *reader;
    uint64_t start_clock;
    uint64_t damage;
    uint32_t numbers[UINT8_MAX]; /* given so far, by tag */
};

static double seconds(const struct writer *w, uint64_t clock)
{
    return clock >= w->start_clock ? (double)(clock - w->start_clock) / 1e9 : -(double)(w->start_clock - clock) / 1e9;
}

/* Nothing in a name ends the text, and no name is written as another one: a quote and a backslash have a backslash before them. */
static void put_quoted(struct mt_out *out, const uint8_t *text, size_t bytes)
{
    const char *at = (const char *)text, *end = at + bytes;
    mt_out_byte(out, '"');
    while (at < end) {
        const char *plain = at;
        while (at < end && *at != '"' && *at != '\\') {
            at++;
        }
        char *clean = mt_text_clean(plain, (size_t)(at - plain));
        mt_out_string(out, clean);
        free(clean);
        if (at < end) {
            mt_out_byte(out, '\\');
            mt_out_byte(out, *at++);
        }
    }
    mt_out_byte(out, '"');
}

static void put_bad(struct writer *w, uint64_t offset, const char *why)
{
    w->damage++;
    mt_out_print(w->out, "bad %llu %s\n", (unsigned long long)offset, why);
}

/* ---- header ----------------------------------------------------------------------------------------------------- */

static void put_memory(struct mt_out *out, const struct mt_trace_memory *memory)
{
    if (memory->limit_bytes != 0) {
        mt_out_print(out, "header memory-limit %llu kind %u charged %llu clock %llu kills %u\n", (unsigned long long)memory->limit_bytes,
                     memory->limit_kind, (unsigned long long)memory->charged_bytes, (unsigned long long)memory->clock, memory->kills);
    }
}

static void put_header(struct writer *w)
{
    static const char *const counters[] = {
#define COUNTER_KEY(name, key, text) key,
        MT_COUNTER_TABLE(COUNTER_KEY)
#undef COUNTER_KEY
    };
    const struct mt_trace_header *h = mt_reader_header(w->reader);
    struct mt_out *out = w->out;
    size_t command_bytes = h->command_bytes < MT_TRACE_COMMAND_MAX ? h->command_bytes : MT_TRACE_COMMAND_MAX;
    mt_out_print(out, "header version %u.%u\n", h->major, h->minor);
    mt_out_print(out, "header flags 0x%llx\n", (unsigned long long)h->flags);
    mt_out_print(out, "header pid %llu\n", (unsigned long long)h->pid);
    mt_out_print(out, "header parent %llu\n", (unsigned long long)h->parent_pid);
    mt_out_print(out, "header start-realtime-ns %llu\n", (unsigned long long)h->start_realtime_ns);
    mt_out_print(out, "header start-clock %llu\n", (unsigned long long)h->start_clock);
    mt_out_print(out, "header end-clock %llu\n", (unsigned long long)h->end_clock);
    mt_out_print(out, "header end-within-ns %llu\n", (unsigned long long)h->end_within_ns);
    mt_out_print(out, "header rate %llu\n", (unsigned long long)h->rate_bytes);
    mt_out_print(out, "header file-tail %llu\n", (unsigned long long)h->file_tail);
    mt_out_print(out, "header state %u\n", h->state);
    mt_out_print(out, "header python 0x%08x\n", h->python_version);
    mt_out_print(out, "header exit-status %llu\n", (unsigned long long)h->tool_exit_status);
    mt_out_print(out, "header clock-kind %u\n", h->clock_kind);
    mt_out_print(out, "header clock-shift %u\n", h->clock_shift);
    mt_out_print(out, "header clock-tick-ns %llu\n", (unsigned long long)h->clock_tick_ns);
    mt_out_print(out, "header rss-peak %llu\n", (unsigned long long)h->rss_peak_bytes);
    put_memory(out, &h->memory);
    for (size_t i = 0; i < MT_COUNTOF(counters); i++) {
        if (h->counters[i] != 0) {
            mt_out_print(out, "header %s %llu\n", counters[i], (unsigned long long)h->counters[i]);
        }
    }
    mt_out_string(out, "header command ");
    put_quoted(out, h->command, command_bytes);
    mt_out_byte(out, '\n');
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

#define U(b) ((unsigned long long)mt_bytes_u64(b))
#define SHOW_U8(w, b) mt_out_print((w)->out, "%u", mt_bytes_u8(b))
#define SHOW_U32(w, b) mt_out_print((w)->out, "%llu", U(b))
#define SHOW_U64(w, b) mt_out_print((w)->out, "%llu", U(b))
#define SHOW_S64(w, b) mt_out_print((w)->out, "%lld", (long long)mt_bytes_s64(b))
#define SHOW_ADDRESS(w, b) mt_out_print((w)->out, "0x%llx", U(b))
#define SHOW_CLOCK(w, b) mt_out_print((w)->out, "%.9f", seconds(w, mt_bytes_u64(b)))
#define SHOW_MARK(w, b) put_mark_kind(w, mt_bytes_u64(b))
#define SHOW_TEXT(w, b) put_piece(w, mt_piece_get(b))
#define SHOW_BYTES(w, b) put_hex(w, mt_piece_get(b))
#define SHOW_REST_TEXT(w, b) put_piece(w, mt_piece_rest(b))
#define SHOW_REST_BYTES(w, b) mt_out_print((w)->out, "%zu", mt_piece_rest(b).bytes)
#define HEAD_PLAIN(w, tag, name) put_name(w, name)
#define HEAD_NUMBERED(w, tag, name) (put_name(w, name), mt_out_print((w)->out, " %u", ++(w)->numbers[tag]))

static void put_piece(struct writer *w, struct mt_piece text)
{
    put_quoted(w->out, text.data, text.bytes);
}

static void put_hex(struct writer *w, struct mt_piece bytes)
{
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.bytes; i++) {
        mt_out_print(w->out, "%02x", data[i]);
    }
}

static void put_mark_kind(struct writer *w, uint64_t kind)
{
    const char *word = kind <= UINT32_MAX ? mt_mark_word((uint32_t)kind) : NULL;
    if (word != NULL) {
        mt_out_string(w->out, word);
    } else {
        mt_out_print(w->out, "%llu", (unsigned long long)kind);
    }
}

static void put_name(struct writer *w, const char *name)
{
    for (; *name != '\0'; name++) {
        mt_out_byte(w->out, *name == '_' ? '-' : *name);
    }
}

static void put_word(struct writer *w, const char *word)
{
    if (*word != '\0') {
        mt_out_byte(w->out, ' ');
        mt_out_string(w->out, word);
    }
}

static void put_label(struct writer *w, const char *word)
{
    put_word(w, word);
    mt_out_byte(w->out, ' ');
}

/* A function for each record and item. */
#define MT_META(NAME, name, tag, counting)                                                                             \
    static void record_##name(struct writer *w, struct mt_bytes *b)                                                    \
    {                                                                                                                  \
        HEAD_##counting(w, tag, #name);
#define MT_ITEM(name, head)                                                                                            \
    static void record_##name(struct writer *w, struct mt_bytes *b)                                                    \
    {                                                                                                                  \
        mt_out_string(w->out, head);
#define MT_FIELD(type, member, word) put_label(w, word), SHOW_##type(w, b);
#define MT_TAIL(member) if (b->at < b->end) {
#define MT_TAIL_DONE }
#define MT_LIST(item, member, word)                                                                                    \
    put_word(w, word);                                                                                                 \
    for (uint64_t left = mt_bytes_u64(b); left > 0 && !b->bad; left--) {                                               \
        record_##item(w, b);                                                                                           \
    }
#define MT_META_DONE(name) }
#define MT_ITEM_DONE(name) }
#include "wire/records.def"

static void put_meta(struct writer *w, uint8_t tag, struct mt_bytes *b)
{
    switch (tag) {
#define MT_META(NAME, name, tag, counting)                                                                             \
    case tag:                                                                                                          \
        record_##name(w, b);                                                                                           \
        break;
#include "wire/records.def"
    default:
        mt_out_print(w->out, "unknown-meta %u %zu", tag, (size_t)(b->end - b->at));
        break;
    }
    mt_out_byte(w->out, '\n');
}

static void put_metadata(struct writer *w, const struct mt_extent *extent, const struct mt_payload *payload)
{
    struct mt_bytes all = mt_bytes_of(payload->data, payload->bytes);
    struct mt_bytes record;
    uint8_t tag;
    while (!mt_out_failed(w->out) && mt_bytes_record(&all, &tag, &record)) {
        put_meta(w, tag, &record);
        if (record.bad) {
            put_bad(w, extent->offset, "a metadata record is cut short");
        }
    }
    if (all.bad) {
        put_bad(w, extent->offset, "the block ends inside a metadata record");
    }
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

#define NIBBLE_NONE(w, e)
#define NIBBLE_EXT(w, e)
#define NIBBLE_RECENT(w, e)
#define NIBBLE_ALLOCATOR(w, e) mt_out_print((w)->out, " %s", mt_report_allocator((e)->allocator))
#define NIBBLE_MAP_KIND(w, e) mt_out_print((w)->out, " %s", mt_report_map_kind((e)->allocator))
#define FORM_allocator " %llu"
#define FORM_addr " 0x%llx"
#define FORM_size " %llu"
#define FORM_old_bytes " %llu"
#define FORM_clock " %llu"
#define FORM_stack " stack %llu"
#define PUT_MEMBER(member) mt_out_print(w->out, FORM_##member, (unsigned long long)e->member)

/* Events that only an extended record makes. */
static void put_extended(struct writer *w, const struct mt_event *e)
{
#define MT_EXT(NAME, number, event, word)                                                                              \
    if (e->kind == (event)) {                                                                                          \
        mt_out_string(w->out, word);
#define MT_WIDE(NAME, number, EVENT) if (false) {
#define MT_VALUE(type, member, name) PUT_MEMBER(member);
#define MT_EXT_DONE }
#include "wire/records.def"
}

static void put_rate(struct writer *w, const struct mt_event *e)
{
    if ((e->kind == MT_EVENT_ALLOC || e->kind == MT_EVENT_REALLOC_NEW) && e->rate_bytes > 0) {
        mt_out_print(w->out, " rate %llu", (unsigned long long)e->rate_bytes);
    }
}

static void put_event(struct writer *w, const struct mt_event *e)
{
    mt_out_print(w->out, "event %.9f %u ", seconds(w, e->clock), e->stream);
    switch (e->kind) {
#define MT_EVENT(NAME, kind, nibble, word)                                                                             \
    case kind:                                                                                                         \
        mt_out_string(w->out, word);                                                                                   \
        NIBBLE_##nibble(w, e);
#define MT_CODED(member, coding, column) PUT_MEMBER(member);
#define MT_EVENT_DONE break;
#include "wire/records.def"
    default:
        put_extended(w, e);
        break;
    }
    put_rate(w, e);
    mt_out_byte(w->out, '\n');
}

static void put_events(struct writer *w, const struct mt_extent *extent, const struct mt_payload *payload)
{
    struct mt_event_decoder decoder;
    mt_decode_begin_in_units(&decoder, payload->data, payload->bytes, extent->clock_first, extent->stream,
                             mt_reader_header(w->reader)->clock_shift);
    while (decoder.state == MT_DECODE_MORE && !mt_out_failed(w->out)) {
        struct mt_event batch[BATCH];
        size_t count = mt_decode_events(&decoder, UINT64_MAX, batch, BATCH);
        for (size_t i = 0; i < count; i++) {
            put_event(w, &batch[i]);
        }
    }
    if (decoder.state == MT_DECODE_CUT || decoder.state == MT_DECODE_BAD) {
        put_bad(w, extent->offset,
                decoder.state == MT_DECODE_CUT ? "the block ends inside an event" : "an event that cannot be");
    }
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

static void put_row(struct writer *w, const struct mt_aggregate_row *r)
{
    mt_out_print(w->out, "row stack %u %s allocated %llu %llu live %llu %llu peak %llu %llu of %llu\n", r->stack,
                 mt_report_allocator(r->allocator), (unsigned long long)r->allocations,
                 (unsigned long long)r->allocated_bytes, (unsigned long long)r->live_count,
                 (unsigned long long)r->live_bytes, (unsigned long long)r->peak_count,
                 (unsigned long long)r->peak_bytes, (unsigned long long)r->peak_number);
}

static void put_aggregate(struct writer *w, const struct mt_extent *extent)
{
    struct mt_aggregate_row rows[64];
    uint64_t at = extent->offset + sizeof(struct mt_block_header);
    uint64_t end = at + extent->stored_bytes;
    while (at + sizeof rows[0] <= end && !mt_out_failed(w->out)) {
        size_t got = 0;
        size_t wanted = end - at < sizeof rows ? (size_t)(end - at) : sizeof rows;
        if (mt_reader_read(w->reader, at, rows, wanted, &got) != MT_OK || got < sizeof rows[0]) {
            put_bad(w, at, "the aggregate table cannot be read");
            return;
        }
        size_t count = got / sizeof rows[0];
        for (size_t i = 0; i < count; i++) {
            if (rows[i].used != 0) {
                put_row(w, &rows[i]);
            }
        }
        at += count * sizeof rows[0];
    }
}

static void put_extent(struct writer *w, const struct mt_extent *extent, struct mt_payload *payload)
{
    static const char *const types[] = { "?", "meta", "events", "slot", "aggregate", "index" };
    struct mt_wire_error error = { 0 };
    mt_out_print(w->out, "block %llu %s stream %u seq %u stored %u raw %u\n", (unsigned long long)extent->offset,
                 extent->type < MT_COUNTOF(types) ? types[extent->type] : "?", extent->stream, extent->seq,
                 extent->stored_bytes, extent->raw_bytes);
    if (extent->type == MT_BLOCK_AGGREGATE) {
        put_aggregate(w, extent);
        return;
    }
    if (extent->type != MT_BLOCK_META && extent->type != MT_BLOCK_EVENTS) {
        return;
    }
    mt_status status = mt_reader_load(w->reader, extent, payload, &error);
    if (status != MT_OK) {
        put_bad(w, extent->offset, error.text != NULL ? error.text : mt_status_text(status));
    } else if (extent->type == MT_BLOCK_META) {
        put_metadata(w, extent, payload);
    } else {
        put_events(w, extent, payload);
    }
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

/* Of lines that are wanted as JSON: those so far. */
static void settle(struct writer *w)
{
    if (w->json != NULL) {
        mt_records_json_lines(w->json, mt_out_text(w->out, NULL));
        mt_out_discard(w->out);
        w->out = mt_out_open_memory();
    }
}

static mt_status write_trace(struct writer *w, const struct mt_reader *reader, struct mt_error *err)
{
    struct mt_payload *payload = mt_payload_new();
    const struct mt_reader_report *report = mt_reader_report(reader);
    size_t count;
    w->reader = reader;
    w->start_clock = mt_reader_header(reader)->start_clock;
    put_header(w);
    const struct mt_extent *extents = mt_reader_extents(reader, &count);
    for (size_t i = 0; i < count && !mt_out_failed(w->to); i++) {
        put_extent(w, &extents[i], payload);
        settle(w);
    }
    mt_payload_free(payload);
    if (report->holes > 0) {
        put_bad(w, report->first_hole, "no valid block here");
    }
    if (report->truncated_at > 0) {
        put_bad(w, report->truncated_at, "the file ends too early");
    }
    settle(w);
    return w->damage == 0 ? MT_OK
                          : mt_error_set(err, MT_E_CORRUPT, "%llu damaged places (%s)", (unsigned long long)w->damage,
                                         w->json != NULL ? "records \"bad\"" : "lines that begin with \"bad\"");
}

mt_status mt_records_write(struct mt_out *out, const struct mt_reader *reader, struct mt_error *err)
{
    struct writer w = { .out = out, .to = out };
    return write_trace(&w, reader, err);
}

static mt_status write_run(struct mt_out *out, const struct mt_trace_set *set, struct mt_json *json, struct mt_error *err)
{
    mt_status found = MT_OK;
    for (size_t i = 0; i < set->count; i++) {
        struct writer w = { .out = json != NULL ? mt_out_open_memory() : out, .to = out, .json = json };
        mt_out_print(w.out, "process %llu\n", (unsigned long long)mt_trace_info(set->traces[i])->pid);
        mt_status status = write_trace(&w, mt_trace_reader(set->traces[i]), found == MT_OK ? err : NULL);
        found = found == MT_OK ? status : found;
        if (json != NULL) {
            mt_out_discard(w.out);
        }
    }
    return found;
}

mt_status mt_records_write_run(struct mt_out *out, const struct mt_trace_set *set, bool json, struct mt_error *err)
{
    struct mt_json lines;
    if (!json) {
        return write_run(out, set, NULL, err);
    }
    mt_json_init(&lines, out, 1);
    mt_json_array(&lines);
    mt_status status = write_run(out, set, &lines, err);
    mt_json_array_end(&lines);
    mt_out_byte(out, '\n');
    return status;
}
