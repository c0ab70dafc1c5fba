/* records.c: every record of a trace as a line of text. Works on the raw decoder, not on the model, because it is for
 * looking at traces the model may not like. */
#include "export/records.h"

#include "export/report.h"
#include "util/text.h"

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
    "event TIME STREAM realloc-failed | realloc-gone | dropped N | rate N | label N (of those that follow)\n"
    "row stack N ALLOCATOR allocated N BYTES live N BYTES peak N BYTES of PEAK\n"
    "bad OFFSET WHY                                    damage; what follows in that block is skipped";

enum { BATCH = 256 };

struct writer {
    struct mt_out *out;
    const struct mt_reader *reader;
    uint64_t start_clock;
    uint64_t damage;
    uint32_t strings, codes, natives, pythons, stacks; /* numbers given so far */
};

static double seconds(const struct writer *w, uint64_t clock)
{
    return clock >= w->start_clock ? (double)(clock - w->start_clock) / 1e9 : -(double)(w->start_clock - clock) / 1e9;
}

static void put_quoted(struct mt_out *out, const uint8_t *text, size_t bytes)
{
    char *clean = mt_text_clean((const char *)text, bytes);
    mt_out_print(out, "\"%s\"", clean);
    free(clean);
}

static void put_string_field(struct writer *w, struct mt_bytes *b)
{
    size_t bytes;
    const uint8_t *text = mt_bytes_string(b, &bytes);
    put_quoted(w->out, text, bytes);
}

static void put_bad(struct writer *w, uint64_t offset, const char *why)
{
    w->damage++;
    mt_out_print(w->out, "bad %llu %s\n", (unsigned long long)offset, why);
}

/* ---- header ----------------------------------------------------------------------------------------------------- */

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
    mt_out_print(out, "header rate %llu\n", (unsigned long long)h->rate_bytes);
    mt_out_print(out, "header file-tail %llu\n", (unsigned long long)h->file_tail);
    mt_out_print(out, "header state %u\n", h->state);
    mt_out_print(out, "header python 0x%08x\n", h->python_version);
    mt_out_print(out, "header exit-status %llu\n", (unsigned long long)h->tool_exit_status);
    mt_out_print(out, "header rss-peak %llu\n", (unsigned long long)h->rss_peak_bytes);
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

static void put_module(struct writer *w, struct mt_bytes *b)
{
    unsigned long long number = U(b);
    size_t bytes;
    mt_out_print(w->out, "module %llu bias 0x%llx path ", number, U(b));
    put_string_field(w, b);
    const uint8_t *build_id = mt_bytes_string(b, &bytes);
    mt_out_string(w->out, " build-id ");
    for (size_t i = 0; i < bytes; i++) {
        mt_out_print(w->out, "%02x", build_id[i]);
    }
    uint64_t segments = mt_bytes_u64(b);
    for (uint64_t i = 0; i < segments && !b->bad; i++) {
        unsigned long long vaddr = U(b);
        unsigned long long length = U(b);
        unsigned long long offset = U(b);
        mt_out_print(w->out, "\nsegment 0x%llx %llu offset %llu flags %llu", vaddr, length, offset, U(b));
    }
}

static void put_thread(struct writer *w, struct mt_bytes *b)
{
    unsigned long long stream = U(b);
    mt_out_print(w->out, "thread %llu tid %llu name ", stream, U(b));
    put_string_field(w, b);
    mt_out_print(w->out, " at %.9f", seconds(w, mt_bytes_u64(b)));
}

static void put_code(struct writer *w, struct mt_bytes *b)
{
    unsigned long long v[6];
    for (size_t i = 0; i < MT_COUNTOF(v); i++) {
        v[i] = U(b);
    }
    mt_out_print(w->out, "code %llu file %llu name %llu qualname %llu line %llu kind %llu table %zu", v[0], v[1], v[2],
                 v[3], v[4], v[5], (size_t)(b->end - b->at));
    w->codes++;
}

static void put_python_node(struct writer *w, struct mt_bytes *b)
{
    unsigned long long parent = U(b);
    unsigned long long code = U(b);
    long long offset = mt_bytes_s64(b);
    mt_out_print(w->out, "python %u parent %llu code %llu offset %lld flags %u", ++w->pythons, parent, code, offset,
                 mt_bytes_u8(b));
}

static void put_native_node(struct writer *w, struct mt_bytes *b)
{
    unsigned long long parent = U(b);
    mt_out_print(w->out, "native %u parent %llu pc 0x%llx", ++w->natives, parent, U(b));
}

static void put_stack(struct writer *w, struct mt_bytes *b)
{
    unsigned long long native = U(b);
    unsigned long long python = U(b);
    uint64_t anchors = mt_bytes_u64(b);
    mt_out_print(w->out, "stack %u native %llu python %llu anchors", ++w->stacks, native, python);
    for (uint64_t i = 0; i < anchors && !b->bad; i++) {
        mt_out_print(w->out, " %llu", U(b));
    }
}

static void put_pair(struct writer *w, const char *word, const char *format, struct mt_bytes *b)
{
    unsigned long long first = U(b);
    unsigned long long second = U(b);
    if (strcmp(format, "range") == 0) {
        mt_out_print(w->out, "%s 0x%llx 0x%llx", word, first, second);
    } else {
        mt_out_print(w->out, "%s %.9f %llu", word, seconds(w, first), second);
    }
}

static void put_mark(struct writer *w, struct mt_bytes *b)
{
    static const char *const kinds[] = {
#define MARK_NAME(name, value, text) [value] = text,
        MT_MARK_TABLE(MARK_NAME)
#undef MARK_NAME
    };
    double at = seconds(w, mt_bytes_u64(b));
    unsigned long long stream = U(b), kind = U(b), value = U(b);
    mt_out_print(w->out, "mark %.9f %llu ", at, stream);
    if (kind < MT_COUNTOF(kinds) && kinds[kind] != NULL) {
        mt_out_print(w->out, "%s %llu ", kinds[kind], value);
    } else {
        mt_out_print(w->out, "%llu %llu ", kind, value);
    }
    put_string_field(w, b);
}

static void put_label(struct writer *w, struct mt_bytes *b)
{
    unsigned long long number = U(b);
    mt_out_print(w->out, "label %llu kind %llu ", number, U(b));
    put_string_field(w, b);
}

static void put_rss_parts(struct writer *w, struct mt_bytes *b)
{
    if (b->at < b->end) {
        unsigned long long file = U(b);
        mt_out_print(w->out, " file %llu own %llu", file, U(b));
    }
}

static void put_meta(struct writer *w, uint8_t tag, struct mt_bytes *b)
{
    switch (tag) {
    case MT_META_STRING:
        mt_out_print(w->out, "string %u ", ++w->strings);
        put_quoted(w->out, b->at, (size_t)(b->end - b->at));
        break;
    case MT_META_MODULE:
        put_module(w, b);
        break;
    case MT_META_MODULE_GONE:
        mt_out_print(w->out, "module-gone %llu", U(b));
        break;
    case MT_META_THREAD:
        put_thread(w, b);
        break;
    case MT_META_CODE:
        put_code(w, b);
        break;
    case MT_META_NATIVE_NODE:
        put_native_node(w, b);
        break;
    case MT_META_PYTHON_NODE:
        put_python_node(w, b);
        break;
    case MT_META_STACK:
        put_stack(w, b);
        break;
    case MT_META_EVAL_RANGE:
        put_pair(w, "eval-range", "range", b);
        break;
    case MT_META_RSS:
        put_pair(w, "rss", "time", b);
        put_rss_parts(w, b);
        break;
    case MT_META_NOTE:
        mt_out_string(w->out, "note ");
        put_string_field(w, b);
        mt_out_byte(w->out, ' ');
        put_string_field(w, b);
        break;
    case MT_META_RATE:
        put_pair(w, "rate", "time", b);
        break;
    case MT_META_MARK:
        put_mark(w, b);
        break;
    case MT_META_LABEL:
        put_label(w, b);
        break;
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

static void put_alloc(struct writer *w, const struct mt_event *e, const char *word)
{
    mt_out_print(w->out, "%s %s 0x%llx %llu stack %u", word, mt_report_allocator(e->allocator),
                 (unsigned long long)e->addr, (unsigned long long)e->size, e->stack);
    if (e->rate_bytes > 0) {
        mt_out_print(w->out, " rate %llu", (unsigned long long)e->rate_bytes);
    }
}

static void put_event(struct writer *w, const struct mt_event *e)
{
    unsigned long long addr = e->addr;
    unsigned long long size = e->size;
    mt_out_print(w->out, "event %.9f %u ", seconds(w, e->clock), e->stream);
    switch (e->kind) {
    case MT_EVENT_ALLOC:
        put_alloc(w, e, "alloc");
        break;
    case MT_EVENT_REALLOC_NEW:
        put_alloc(w, e, "realloc-new");
        break;
    case MT_EVENT_FREE:
        mt_out_print(w->out, "free 0x%llx", addr);
        break;
    case MT_EVENT_REALLOC_OLD:
        mt_out_print(w->out, "realloc-old 0x%llx", addr);
        break;
    case MT_EVENT_MAP:
        mt_out_print(w->out, "map %s 0x%llx %llu stack %u", mt_report_map_kind(e->allocator), addr, size, e->stack);
        break;
    case MT_EVENT_UNMAP:
        mt_out_print(w->out, "unmap %s 0x%llx %llu", mt_report_map_kind(e->allocator), addr, size);
        break;
    case MT_EVENT_REALLOC_FAILED:
        mt_out_string(w->out, "realloc-failed");
        break;
    case MT_EVENT_REALLOC_GONE:
        mt_out_string(w->out, "realloc-gone");
        break;
    case MT_EVENT_RESIZED:
        mt_out_print(w->out, "resized 0x%llx %llu %llu", addr, (unsigned long long)e->old_bytes, size);
        break;
    case MT_EVENT_LABEL:
        mt_out_print(w->out, "label %llu", size);
        break;
    case MT_EVENT_DROPPED:
        mt_out_print(w->out, "dropped %llu", size);
        break;
    case MT_EVENT_RATE:
        mt_out_print(w->out, "rate %llu", size);
        break;
    default:
        mt_out_print(w->out, "unknown-event %u", e->kind);
        break;
    }
    mt_out_byte(w->out, '\n');
}

static void put_events(struct writer *w, const struct mt_extent *extent, const struct mt_payload *payload)
{
    struct mt_event_decoder decoder;
    mt_decode_begin(&decoder, payload->data, payload->bytes, extent->clock_first, extent->stream);
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

mt_status mt_records_write(struct mt_out *out, const struct mt_reader *reader, struct mt_error *err)
{
    struct writer w = { .out = out, .reader = reader, .start_clock = mt_reader_header(reader)->start_clock };
    struct mt_payload payload = { 0 };
    const struct mt_reader_report *report = mt_reader_report(reader);
    size_t count;
    put_header(&w);
    const struct mt_extent *extents = mt_reader_extents(reader, &count);
    for (size_t i = 0; i < count && !mt_out_failed(out); i++) {
        put_extent(&w, &extents[i], &payload);
    }
    mt_payload_fini(&payload);
    if (report->holes > 0) {
        put_bad(&w, report->first_hole, "no valid block here");
    }
    if (report->truncated_at > 0) {
        put_bad(&w, report->truncated_at, "the file ends too early");
    }
    return w.damage == 0 ? MT_OK
                         : mt_error_set(err, MT_E_CORRUPT, "%llu damaged places (lines that begin with \"bad\")",
                                        (unsigned long long)w.damage);
}
