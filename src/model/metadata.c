/* metadata.c: reads the metadata stream into columns.
 *
 * Numbers are implicit in most records, so one lost record would shift all later names. After the first gap or
 * impossible record `broken` is set and records that take a number (strings, nodes, stacks) or name one beyond what is
 * known are not taken any more; records that stand for themselves (threads, modules, RSS, notes, rates) still are.
 * Memory: a record of n bytes makes at most about 16 n bytes of columns. Context: [tool].
 */
#include "base/hash.h"
#include "model/trace_private.h"
#include "util/memory.h"

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

static struct mt_text keep_text(struct mt_trace *t, const uint8_t *data, size_t bytes)
{
    return (struct mt_text){ mt_pool_text(&t->pool, data, bytes), bytes };
}

static struct mt_text take_text(struct mt_trace *t, struct mt_bytes *b)
{
    size_t bytes;
    const uint8_t *data = mt_bytes_string(b, &bytes);
    return keep_text(t, data, bytes);
}

static bool load_string(struct mt_trace *t, struct mt_bytes *b)
{
    t->strings = mt_alloc_grow(t->strings, &t->string_capacity, t->string_count + 1, sizeof *t->strings);
    t->strings[t->string_count++] = keep_text(t, b->at, (size_t)(b->end - b->at));
    return true;
}

static uint64_t module_hash(const void *context, uint32_t position)
{
    const struct mt_trace *t = context;
    return mt_hash_u64(t->modules[position].number);
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

static void load_segments(struct mt_trace *t, struct mt_bytes *b, struct mt_trace_module *m)
{
    uint64_t claimed = mt_bytes_u64(b);
    size_t most = (size_t)(b->end - b->at) / 4; /* four varints each */
    if (claimed > most) {
        b->bad = true;
        return;
    }
    struct mt_module_segment_range *segments = mt_pool_take(&t->pool, claimed * sizeof *segments, 8);
    m->low = claimed > 0 ? UINT64_MAX : 0;
    for (uint64_t i = 0; i < claimed && !b->bad; i++) {
        struct mt_module_segment_range *s = &segments[i];
        *s = (struct mt_module_segment_range){ 0 };
        s->vaddr = mt_bytes_u64(b);
        s->bytes = mt_bytes_u64(b);
        s->file_offset = mt_bytes_u64(b);
        s->flags = mt_bytes_u32(b);
        uint64_t low = m->bias + s->vaddr;
        uint64_t high = low + s->bytes;
        if (high >= low) {
            m->low = low < m->low ? low : m->low;
            m->high = high > m->high ? high : m->high;
        }
    }
    m->segments = segments;
    m->segment_count = (size_t)claimed;
}

static bool load_module(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_module m = { .number = mt_bytes_u32(b), .bias = mt_bytes_u64(b) };
    m.path = take_text(t, b);
    struct mt_text build_id = take_text(t, b);
    m.build_id = (const uint8_t *)build_id.data;
    m.build_id_bytes = build_id.bytes;
    load_segments(t, b, &m);
    if (b->bad) {
        return false;
    }
    t->modules = mt_alloc_grow(t->modules, &t->module_capacity, t->module_count + 1, sizeof *t->modules);
    t->modules[t->module_count] = m;
    uint32_t idx = (uint32_t)t->module_count++;
    mt_index_add(&t->module_index, mt_hash_u64(m.number), idx, module_hash, t);
    mt_trace_place_module(t, idx);
    return true;
}

static bool load_module_gone(struct mt_trace *t, struct mt_bytes *b)
{
    uint32_t idx = module_by_number(t, mt_bytes_u32(b));
    if (b->bad) {
        return false;
    }
    if (idx != MT_MODULE_UNKNOWN) {
        mt_trace_unplace_module(t, idx);
    }
    return true;
}

static uint64_t thread_hash(const void *context, uint32_t position)
{
    const struct mt_trace *t = context;
    return mt_hash_u64(t->threads[position].stream);
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
    uint32_t stream = mt_bytes_u32(b);
    uint64_t tid = mt_bytes_u64(b);
    struct mt_text name = take_text(t, b);
    uint64_t clock = mt_bytes_u64(b);
    if (b->bad) {
        return false;
    }
    struct mt_trace_thread *thread = thread_of(t, stream);
    if (thread == NULL) {
        t->threads = mt_alloc_grow(t->threads, &t->thread_capacity, t->thread_count + 1, sizeof *t->threads);
        thread = &t->threads[t->thread_count];
        *thread = (struct mt_trace_thread){ .stream = stream, .first_ns = mt_trace_time(t, clock) };
        mt_index_add(&t->thread_index, mt_hash_u64(stream), (uint32_t)t->thread_count++, thread_hash, t);
    }
    thread->tid = tid;
    thread->name = name;
    return true;
}

static bool load_code(struct mt_trace *t, struct mt_bytes *b)
{
    uint32_t number = mt_bytes_u32(b);
    struct mt_trace_code code = { 0 };
    code.filename = mt_bytes_u32(b);
    code.name = mt_bytes_u32(b);
    code.qualname = mt_bytes_u32(b);
    code.first_line = mt_bytes_u32(b);
    code.linetable_kind = mt_bytes_u32(b);
    bool forward = code.filename >= t->string_count || code.name >= t->string_count || code.qualname >= t->string_count;
    if (b->bad || number == 0 || number > t->code_count || forward) {
        return false;
    }
    code.linetable_bytes = (size_t)(b->end - b->at);
    code.linetable = (const uint8_t *)keep_text(t, b->at, code.linetable_bytes).data;
    if (number == t->code_count) {
        t->codes = mt_alloc_grow(t->codes, &t->code_capacity, t->code_count + 1, sizeof *t->codes);
        t->code_count++;
    }
    t->codes[number] = code;
    return true;
}

static bool load_native(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_native_node node = { .parent = mt_bytes_u32(b), .pc = mt_bytes_u64(b) };
    if (b->bad || node.parent >= t->native_count) {
        return false;
    }
    node.module_idx = node.pc != 0 ? mt_trace_module_at(t, node.pc) : MT_MODULE_UNKNOWN;
    t->natives = mt_alloc_grow(t->natives, &t->native_capacity, t->native_count + 1, sizeof *t->natives);
    t->natives[t->native_count++] = node;
    return true;
}

static bool load_python(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_python_node node = { .parent = mt_bytes_u32(b), .code = mt_bytes_u32(b) };
    int64_t lasti = mt_bytes_s64(b);
    node.flags = mt_bytes_u8(b);
    if (b->bad || node.parent >= t->python_count || node.code >= t->code_count) {
        return false;
    }
    node.lasti = lasti < -1 || lasti > INT32_MAX ? -1 : (int32_t)lasti;
    t->pythons = mt_alloc_grow(t->pythons, &t->python_capacity, t->python_count + 1, sizeof *t->pythons);
    t->pythons[t->python_count++] = node;
    return true;
}

static bool load_stack(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_stack_row row = { .native = mt_bytes_u32(b), .python = mt_bytes_u32(b), .anchors = t->anchor_count };
    row.anchor_count = mt_bytes_u32(b);
    if (b->bad || row.native >= t->native_count || row.python >= t->python_count ||
        row.anchor_count > (size_t)(b->end - b->at)) {
        return false;
    }
    t->anchors = mt_alloc_grow(t->anchors, &t->anchor_capacity, t->anchor_count + row.anchor_count, sizeof *t->anchors);
    for (uint32_t i = 0; i < row.anchor_count; i++) {
        t->anchors[row.anchors + i] = mt_bytes_u32(b);
    }
    if (b->bad) {
        return false;
    }
    t->anchor_count += row.anchor_count;
    t->stacks = mt_alloc_grow(t->stacks, &t->stack_capacity, t->stack_count + 1, sizeof *t->stacks);
    t->stacks[t->stack_count++] = row;
    return true;
}

static bool load_eval_range(struct mt_trace *t, struct mt_bytes *b)
{
    uint64_t low = mt_bytes_u64(b);
    uint64_t high = mt_bytes_u64(b);
    if (b->bad) {
        return false;
    }
    t->eval_low = low;
    t->eval_high = high;
    return true;
}

static bool load_rss(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_rss row = { .time_ns = mt_trace_time(t, mt_bytes_u64(b)) };
    row.bytes = mt_bytes_u64(b);
    row.parted = !b->bad && b->at < b->end;
    if (row.parted) {
        row.file_bytes = mt_bytes_u64(b);
        row.own_bytes = mt_bytes_u64(b);
    }
    if (b->bad) {
        return false;
    }
    t->rss = mt_alloc_grow(t->rss, &t->rss_capacity, t->rss_count + 1, sizeof *t->rss);
    t->rss[t->rss_count++] = row;
    return true;
}

static bool load_note(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_note note = { .key = take_text(t, b) };
    note.value = take_text(t, b);
    if (b->bad) {
        return false;
    }
    t->notes = mt_alloc_grow(t->notes, &t->note_capacity, t->note_count + 1, sizeof *t->notes);
    t->notes[t->note_count++] = note;
    return true;
}

static bool load_rate(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_rate row = { .time_ns = mt_trace_time(t, mt_bytes_u64(b)) };
    row.rate_bytes = mt_bytes_u64(b);
    if (b->bad) {
        return false;
    }
    t->rates = mt_alloc_grow(t->rates, &t->rate_capacity, t->rate_count + 1, sizeof *t->rates);
    t->rates[t->rate_count++] = row;
    return true;
}

static bool load_mark(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_mark mark = { .time_ns = mt_trace_time(t, mt_bytes_u64(b)) };
    mark.stream = mt_bytes_u32(b);
    mark.kind = mt_bytes_u32(b);
    mark.value = mt_bytes_u64(b);
    mark.text = take_text(t, b);
    if (b->bad) {
        return false;
    }
    t->marks = mt_alloc_grow(t->marks, &t->mark_capacity, t->mark_count + 1, sizeof *t->marks);
    t->marks[t->mark_count++] = mark;
    return true;
}

static uint64_t label_hash(const void *context, uint32_t position)
{
    const struct mt_trace *t = context;
    return mt_hash_u64(t->labels[position].number);
}

static bool load_label(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_trace_label label = { .number = mt_bytes_u32(b), .kind = mt_bytes_u32(b) };
    label.text = take_text(t, b);
    if (b->bad || label.number == 0) {
        return false;
    }
    const struct mt_trace_label *known = mt_trace_label(t, label.number);
    if (known != NULL) {
        t->labels[known - t->labels] = label;
        return true;
    }
    t->labels = mt_alloc_grow(t->labels, &t->label_capacity, t->label_count + 1, sizeof *t->labels);
    t->labels[t->label_count] = label;
    mt_index_add(&t->label_index, mt_hash_u64(label.number), (uint32_t)t->label_count++, label_hash, t);
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
};

static void load_payload(struct loader *l, const struct mt_payload *p)
{
    struct mt_bytes b = mt_bytes_of(p->data, p->bytes);
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
}

static mt_status load_extent(struct loader *l, uint64_t expected_seq, struct mt_payload *p)
{
    struct mt_wire_error error = { 0 };
    l->payload = p->data;
    if (l->extent->seq != expected_seq) {
        break_at(l, l->payload, "metadata block is missing before this one: later names and stacks are not used");
    }
    mt_status status = mt_reader_load(l->trace->reader, l->extent, p, &error);
    if (status == MT_E_NOMEM || status == MT_E_IO) {
        return status;
    }
    l->payload = p->data;
    if (status != MT_OK) {
        break_at(l, l->payload, error.text != NULL ? error.text : "metadata block cannot be read");
        return MT_OK;
    }
    load_payload(l, p);
    return MT_OK;
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

mt_status mt_trace_read_metadata(struct mt_trace *trace)
{
    begin_columns(trace);
    struct loader l = { .trace = trace };
    struct mt_payload p = { 0 };
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(trace->reader, &count);
    uint64_t expected = 0;
    mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK && extents[i].stream == MT_STREAM_META; i++) {
        if (extents[i].type != MT_BLOCK_META) {
            continue; /* index and aggregate blocks carry stream 0 too */
        }
        l.extent = &extents[i];
        status = load_extent(&l, expected, &p);
        expected = (uint64_t)extents[i].seq + 1;
    }
    mt_payload_fini(&p);
    mt_trace_mark_interpreters(trace);
    return status;
}
