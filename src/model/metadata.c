/* metadata.c: reads the metadata stream into columns.
 *
 * Numbers are implicit in most records, so one lost record would shift all later names. After the first gap or
 * impossible record `broken` is set and records that take a number (strings, nodes, stacks) or name one beyond what is
 * known are not taken any more; records that stand for themselves (threads, modules, RSS, notes, rates) still are.
 * Memory: a record of n bytes makes at most about 16 n bytes of columns. Context: [tool].
 */
#include "base/hash.h"
#include "model/payload.h"
#include "model/trace_private.h"
#include "util/memory.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

struct loader {
    struct mt_trace *trace;
    const struct mt_extent *extent; /* being read */
    const uint8_t *payload;
    bool broken;
};

static void break_at(struct loader *l, const uint8_t *at, const char *text)
{
    if (l->broken) {
        return;
    }
    l->broken = true;
    bool packed = l->extent->codec != MT_CODEC_NONE;
    uint64_t inside = (uint64_t)(at - l->payload);
    uint64_t offset = packed ? inside : l->extent->offset + sizeof(struct mt_block_header) + inside;
    l->trace->completeness.metadata_broken = true;
    l->trace->completeness.metadata_error = (struct mt_wire_error){ offset, text, packed };
}

static struct mt_text keep_text(struct mt_trace *t, struct mt_piece text)
{
    return (struct mt_text){ mt_pool_text(&t->pool, text.data, text.bytes), text.bytes };
}

static bool load_string(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_string r;
    (void)mt_record_get_string(b, &r);
    t->strings = mt_alloc_grow(t->strings, &t->string_capacity, t->string_count + 1, sizeof *t->strings);
    t->strings[t->string_count++] = keep_text(t, r.text);
    return true;
}

static uint32_t module_by_number(const struct mt_trace *t, uint32_t number)
{
    size_t probe = 0;
    uint32_t at, found = MT_MODULE_UNKNOWN;
    while ((at = mt_index_next(&t->module_index, mt_hash_u64(number), &probe)) != MT_INDEX_NONE) {
        found = t->modules[at].number == number && at > found ? at : found; /* the latest with this number */
    }
    return found;
}

static void load_segments(struct mt_trace *t, struct mt_bytes *b, uint32_t claimed, struct mt_trace_module *m)
{
    size_t most = (size_t)(b->end - b->at) / 4; /* four varints each */
    if (claimed > most) {
        b->bad = true;
        return;
    }
    struct mt_module_segment_range *segments = mt_pool_take(&t->pool, claimed * sizeof *segments, 8);
    m->low = claimed > 0 ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < claimed && !b->bad; i++) {
        struct mt_record_segment s;
        (void)mt_record_get_segment(b, &s);
        segments[i] = (struct mt_module_segment_range){ s.vaddr, s.bytes, s.file_offset, s.flags };
        uint64_t low = m->bias + s.vaddr;
        uint64_t high = low + s.bytes;
        if (high >= low) {
            m->low = low < m->low ? low : m->low;
            m->high = high > m->high ? high : m->high;
        }
    }
    m->segments = segments;
    m->segment_count = claimed;
}

static bool load_module(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_module r;
    if (!mt_record_get_module(b, &r)) {
        return false;
    }
    struct mt_trace_module m = { .number = r.number, .bias = r.bias };
    m.path = keep_text(t, r.path);
    m.build_id = (const uint8_t *)keep_text(t, r.build_id).data;
    m.build_id_bytes = r.build_id.bytes;
    load_segments(t, b, r.segments, &m);
    if (b->bad) {
        return false;
    }
    t->modules = mt_alloc_grow(t->modules, &t->module_capacity, t->module_count + 1, sizeof *t->modules);
    t->modules[t->module_count] = m;
    uint32_t idx = (uint32_t)t->module_count++;
    mt_index_add(&t->module_index, mt_hash_u64(m.number), idx);
    mt_trace_place_module(t, idx);
    return true;
}

static bool load_module_gone(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_module_gone r;
    if (!mt_record_get_module_gone(b, &r)) {
        return false;
    }
    uint32_t idx = module_by_number(t, r.number);
    if (idx != MT_MODULE_UNKNOWN) {
        mt_trace_unplace_module(t, idx);
    }
    return true;
}

static struct mt_trace_thread *thread_of(const struct mt_trace *t, uint32_t stream)
{
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&t->thread_index, mt_hash_u64(stream), &probe)) != MT_INDEX_NONE) {
        if (t->threads[at].stream == stream) {
            return &t->threads[at];
        }
    }
    return NULL;
}

static bool load_thread(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_thread r;
    if (!mt_record_get_thread(b, &r)) {
        return false;
    }
    struct mt_trace_thread *thread = thread_of(t, r.stream);
    if (thread == NULL) {
        t->threads = mt_alloc_grow(t->threads, &t->thread_capacity, t->thread_count + 1, sizeof *t->threads);
        thread = &t->threads[t->thread_count];
        *thread = (struct mt_trace_thread){ .stream = r.stream, .first_ns = mt_trace_time(t, r.clock) };
        mt_index_add(&t->thread_index, mt_hash_u64(r.stream), (uint32_t)t->thread_count++);
    }
    thread->tid = r.tid;
    thread->name = keep_text(t, r.name);
    return true;
}

static bool load_code(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_code r;
    bool whole = mt_record_get_code(b, &r);
    bool forward = r.filename >= t->string_count || r.name >= t->string_count || r.qualname >= t->string_count;
    if (!whole || r.number == 0 || r.number > t->code_count || forward) {
        return false;
    }
    if (r.number == t->code_count) {
        t->codes = mt_alloc_grow(t->codes, &t->code_capacity, t->code_count + 1, sizeof *t->codes);
        t->code_count++;
    }
    t->codes[r.number] = (struct mt_trace_code){ .filename = r.filename,
                                                 .name = r.name,
                                                 .qualname = r.qualname,
                                                 .first_line = r.first_line,
                                                 .linetable_kind = r.linetable_kind,
                                                 .linetable = (const uint8_t *)keep_text(t, r.linetable).data,
                                                 .linetable_bytes = r.linetable.bytes };
    return true;
}

static bool load_native(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_native r;
    if (!mt_record_get_native(b, &r) || r.parent >= t->native_count) {
        return false;
    }
    struct mt_native_node node = { .parent = r.parent, .pc = r.pc };
    node.module_idx = node.pc != 0 ? mt_trace_module_at(t, node.pc) : MT_MODULE_UNKNOWN;
    t->natives = mt_alloc_grow(t->natives, &t->native_capacity, t->native_count + 1, sizeof *t->natives);
    t->natives[t->native_count++] = node;
    return true;
}

static bool load_python(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_python r;
    if (!mt_record_get_python(b, &r) || r.parent >= t->python_count || r.code >= t->code_count) {
        return false;
    }
    struct mt_python_node node = { .parent = r.parent, .code = r.code, .flags = r.flags };
    node.lasti = r.offset < -1 || r.offset > INT32_MAX ? -1 : (int32_t)r.offset;
    t->pythons = mt_alloc_grow(t->pythons, &t->python_capacity, t->python_count + 1, sizeof *t->pythons);
    t->pythons[t->python_count++] = node;
    return true;
}

static bool load_stack(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_stack r;
    if (!mt_record_get_stack(b, &r) || r.native >= t->native_count || r.python >= t->python_count ||
        r.anchors > (size_t)(b->end - b->at)) {
        return false;
    }
    t->anchors = mt_alloc_grow(t->anchors, &t->anchor_capacity, t->anchor_count + r.anchors, sizeof *t->anchors);
    for (uint32_t i = 0; i < r.anchors; i++) {
        struct mt_record_anchor anchor;
        (void)mt_record_get_anchor(b, &anchor);
        t->anchors[t->anchor_count + i] = anchor.frame;
    }
    if (b->bad) {
        return false;
    }
    t->stacks = mt_alloc_grow(t->stacks, &t->stack_capacity, t->stack_count + 1, sizeof *t->stacks);
    t->stacks[t->stack_count++] = (struct mt_stack_row){ r.native, r.python, t->anchor_count, r.anchors };
    t->anchor_count += r.anchors;
    return true;
}

static bool load_eval_range(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_eval_range r;
    if (!mt_record_get_eval_range(b, &r)) {
        return false;
    }
    t->eval_low = r.start;
    t->eval_high = r.end;
    return true;
}

static bool load_rss(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_rss r;
    if (!mt_record_get_rss(b, &r)) {
        return false;
    }
    t->rss = mt_alloc_grow(t->rss, &t->rss_capacity, t->rss_count + 1, sizeof *t->rss);
    t->rss[t->rss_count++] = (struct mt_trace_rss){ .time_ns = mt_trace_time(t, r.clock),
                                                      .bytes = r.bytes,
                                                      .parted = r.parted,
                                                      .file_bytes = r.parted ? r.file : 0,
                                                      .own_bytes = r.parted ? r.own : 0 };
    return true;
}

static bool load_note(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_note r;
    if (!mt_record_get_note(b, &r)) {
        return false;
    }
    t->notes = mt_alloc_grow(t->notes, &t->note_capacity, t->note_count + 1, sizeof *t->notes);
    t->notes[t->note_count++] = (struct mt_trace_note){ keep_text(t, r.key), keep_text(t, r.value) };
    return true;
}

static bool load_torch(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_torch r;
    bool whole = mt_record_get_torch(b, &r);
    if (!whole || r.module >= t->string_count || r.stage >= t->string_count || r.source >= t->string_count) {
        return false;
    }
    t->torch = mt_alloc_grow(t->torch, &t->torch_capacity, t->torch_count + 1, sizeof *t->torch);
    t->torch[t->torch_count++] = (struct mt_trace_torch){ .time_ns = mt_trace_time(t, r.clock),
                                                          .step = r.step,
                                                          .micro_step = r.micro_step,
                                                          .seq = r.seq,
                                                          .module = t->strings[r.module].data,
                                                          .stage = t->strings[r.stage].data,
                                                          .source = t->strings[r.source].data,
                                                          .allocated = r.allocated,
                                                          .max_allocated = r.max_allocated,
                                                          .cached = r.cached,
                                                          .max_cached = r.max_cached,
                                                          .offset_ns = r.offset_ns,
                                                          .duration_ns = r.duration_ns,
                                                          .allocated_delta = r.allocated_delta,
                                                          .max_allocated_delta = r.max_allocated_delta };
    return true;
}

static bool load_rate(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_rate r;
    if (!mt_record_get_rate(b, &r)) {
        return false;
    }
    t->rates = mt_alloc_grow(t->rates, &t->rate_capacity, t->rate_count + 1, sizeof *t->rates);
    t->rates[t->rate_count++] = (struct mt_trace_rate){ mt_trace_time(t, r.clock), r.rate_bytes };
    return true;
}

static bool load_mark(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_mark r;
    if (!mt_record_get_mark(b, &r)) {
        return false;
    }
    t->marks = mt_alloc_grow(t->marks, &t->mark_capacity, t->mark_count + 1, sizeof *t->marks);
    t->marks[t->mark_count++] = (struct mt_trace_mark){ .time_ns = mt_trace_time(t, r.clock),
                                                        .clock = r.clock,
                                                        .value = r.value,
                                                        .stream = r.stream,
                                                        .kind = r.kind,
                                                        .stack = r.placed ? r.stack : 0,
                                                        .text = keep_text(t, r.text) };
    return true;
}

static bool load_label(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_label r;
    if (!mt_record_get_label(b, &r) || r.number == 0) {
        return false;
    }
    bool nested = r.nested && r.under < r.number; /* no circles */
    struct mt_trace_label label = {
        .number = r.number, .kind = r.kind, .under = nested ? r.under : 0, .text = keep_text(t, r.text)
    };
    const struct mt_trace_label *known = mt_trace_label(t, label.number);
    if (known != NULL) {
        t->labels[known - t->labels] = label;
        return true;
    }
    t->labels = mt_alloc_grow(t->labels, &t->label_capacity, t->label_count + 1, sizeof *t->labels);
    t->labels[t->label_count] = label;
    mt_index_add(&t->label_index, mt_hash_u64(label.number), (uint32_t)t->label_count++);
    return true;
}

/* What to do with a tag. numbered: not taken once numbers are off. */
static const struct {
    bool (*load)(struct mt_trace *, struct mt_bytes *);
    bool numbered;
} g_records[] = {
    [MT_META_STRING] = { load_string, true },
    [MT_META_MODULE] = { load_module, false },
    [MT_META_MODULE_GONE] = { load_module_gone, false },
    [MT_META_THREAD] = { load_thread, false },
    [MT_META_CODE] = { load_code, true },
    [MT_META_NATIVE_NODE] = { load_native, true },
    [MT_META_PYTHON_NODE] = { load_python, true },
    [MT_META_STACK] = { load_stack, true },
    [MT_META_EVAL_RANGE] = { load_eval_range, false },
    [MT_META_RSS] = { load_rss, false },
    [MT_META_NOTE] = { load_note, false },
    [MT_META_RATE] = { load_rate, false },
    [MT_META_MARK] = { load_mark, false },
    [MT_META_LABEL] = { load_label, false },
    [MT_META_TORCH] = { load_torch, true },
    [MT_META_BEFORE] = { mt_trace_load_before, false },
    [MT_META_SITE] = { mt_trace_load_site, true },
    [MT_META_POINT] = { mt_trace_load_point, false },
};

/* The records of a payload from a byte on; returns where they end. */
static size_t load_payload(struct loader *l, const struct mt_payload *p, size_t from)
{
    struct mt_bytes b = mt_bytes_of(p->data + from, p->bytes - from);
    struct mt_bytes record;
    uint8_t tag;
    for (;;) {
        const uint8_t *at = b.at;
        if (!mt_bytes_record(&b, &tag, &record)) {
            break;
        }
        if (tag >= MT_COUNTOF(g_records) || g_records[tag].load == NULL || (l->broken && g_records[tag].numbered)) {
            continue;
        }
        if (!g_records[tag].load(l->trace, &record)) {
            break_at(l, at, "impossible metadata record: later names and stacks are not used");
        }
    }
    if (b.bad && !l->extent->cut) {
        break_at(l, b.at, "metadata record is cut off: later names and stacks are not used");
    }
    return (size_t)(b.at - p->data);
}

/* The number that the next block has to have. A base begins with any (trace.md 1.5). */
static uint64_t expected_seq(const struct loader *l)
{
    const struct mt_trace *t = l->trace;
    bool any = mt_reader_header(t->reader)->base_offset != 0;
    return t->meta_begun ? t->meta_seq + 1 : any ? l->extent->seq : 0;
}

/* An extent that goes on where the last one was read to, or comes after it. */
static mt_status load_extent(struct loader *l, struct mt_payload *p)
{
    struct mt_trace *t = l->trace;
    struct mt_wire_error error = { 0 };
    bool more = t->meta_begun && l->extent->seq == t->meta_seq; /* of what is read already */
    l->payload = p->data;
    if (!more && l->extent->seq != expected_seq(l)) {
        break_at(l, l->payload, "metadata block is missing before this one: later names and stacks are not used");
    }
    mt_status status = mt_reader_load(t->reader, l->extent, p, &error);
    if (status == MT_E_NOMEM || status == MT_E_IO || status == MT_E_BUSY) {
        return status;
    }
    l->payload = p->data;
    if (status != MT_OK) {
        break_at(l, l->payload, error.text != NULL ? error.text : "metadata block cannot be read");
        p->bytes = 0;
    }
    size_t from = more ? t->meta_bytes : 0;
    t->meta_begun = true;
    t->meta_seq = l->extent->seq;
    t->meta_bytes = from < p->bytes ? load_payload(l, p, from) : from;
    return MT_OK;
}

/* Is there anything in it that has not been read? */
static bool is_news(const struct mt_trace *t, const struct mt_extent *e)
{
    return e->type == MT_BLOCK_META && e->stored_bytes > 0 && /* index and aggregate blocks carry stream 0 too */
           (!t->meta_begun || e->seq > t->meta_seq || (e->seq == t->meta_seq && e->raw_bytes > t->meta_bytes));
}

/* Row 0 of every column. */
static void begin_columns(struct mt_trace *t)
{
    t->strings = mt_alloc_grow(NULL, &t->string_capacity, 1, sizeof *t->strings);
    t->strings[t->string_count++] = (struct mt_text){ "", 0 };
    t->modules = mt_alloc_grow(NULL, &t->module_capacity, 1, sizeof *t->modules);
    t->modules[t->module_count++] = (struct mt_trace_module){ .path = { "", 0 }, .build_id = (const uint8_t *)"" };
    t->codes = mt_alloc_grow(NULL, &t->code_capacity, 1, sizeof *t->codes);
    t->codes[t->code_count++] = (struct mt_trace_code){ .linetable = (const uint8_t *)"" };
    t->natives = mt_alloc_grow(NULL, &t->native_capacity, 1, sizeof *t->natives);
    t->natives[t->native_count++] = (struct mt_native_node){ 0 };
    t->pythons = mt_alloc_grow(NULL, &t->python_capacity, 1, sizeof *t->pythons);
    t->pythons[t->python_count++] = (struct mt_python_node){ 0 };
    t->stacks = mt_alloc_grow(NULL, &t->stack_capacity, 1, sizeof *t->stacks);
    t->stacks[t->stack_count++] = (struct mt_stack_row){ 0 };
}

mt_status mt_trace_load_metadata(struct mt_trace *trace)
{
    struct loader l = { .trace = trace, .broken = trace->completeness.metadata_broken };
    struct mt_payload *p = mt_payload_new();
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(trace->reader, &count);
    mt_status status = MT_OK;
    bool loaded = false;
    for (size_t i = 0; i < count && status == MT_OK && extents[i].stream == MT_STREAM_META; i++) {
        l.extent = &extents[i];
        if (is_news(trace, l.extent)) {
            status = load_extent(&l, p);
            loaded = true;
        }
    }
    mt_payload_free(p);
    if (loaded) {
        mt_trace_mark_interpreters(trace);
    }
    return status;
}

mt_status mt_trace_read_metadata(struct mt_trace *trace)
{
    begin_columns(trace);
    return mt_trace_load_metadata(trace);
}
