/* intern.c: see intern.h. Everything below mt_intern_stack runs under the metadata lock. */
#include "heap/intern.h"

#include "base/hash.h"
#include "heap/engine.h"
#include "heap/hashtab.h"
#include "heap/meta.h"
#include "heap/modules.h"

enum { TEXT_BYTES = 4096 };

static struct {
    struct mt_hashtab stacks;       /* capture key -> stack number */
    struct mt_hashtab native_nodes; /* hash(parent, pc, epoch) -> node */
    struct mt_hashtab python_nodes; /* hash(parent, code, offset) -> node */
    struct mt_hashtab codes;        /* hash(code address, fingerprint) -> code number */
    uint32_t stack_count, native_count, python_count, code_count;
    char text[TEXT_BYTES]; /* transcoding of non-ASCII names */
} g_intern;

void mt_intern_clear(void)
{
    mt_hashtab_clear(&g_intern.stacks);
    mt_hashtab_clear(&g_intern.native_nodes);
    mt_hashtab_clear(&g_intern.python_nodes);
    mt_hashtab_clear(&g_intern.codes);
    g_intern.stack_count = 0;
    g_intern.native_count = 0;
    g_intern.python_count = 0;
    g_intern.code_count = 0;
}

static uint32_t native_node_locked(uint32_t parent, uint64_t pc)
{
    uint64_t key = mt_hash_step(mt_hash_pair(parent, pc), mt_modules_epoch()) | 1;
    uint32_t node;
    if (mt_hashtab_get(&g_intern.native_nodes, key, &node)) {
        return node;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, parent);
    mt_meta_u64(record, pc);
    if (!mt_meta_append_locked(MT_META_NATIVE_NODE, record)) {
        return 0;
    }
    node = ++g_intern.native_count;
    (void)mt_hashtab_put(&g_intern.native_nodes, key, node);
    mt_engine_count(MT_COUNTER_NATIVE_NODES, 1);
    return node;
}

/* Writes strings and a CODE record; 0 when the object cannot be read. */
static uint32_t describe_code_locked(uint64_t code)
{
    struct mt_code_description d;
    if (!mt_pystack_describe(code, g_intern.text, TEXT_BYTES, &d)) {
        return 0;
    }
    uint32_t filename = mt_meta_string_locked(d.filename, d.filename_bytes);
    uint32_t name = mt_meta_string_locked(d.name, d.name_bytes);
    uint32_t qualname = mt_meta_string_locked(d.qualname, d.qualname_bytes);
    uint32_t number = g_intern.code_count + 1;
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, number);
    mt_meta_u64(record, filename);
    mt_meta_u64(record, name);
    mt_meta_u64(record, qualname);
    mt_meta_u64(record, d.first_line);
    mt_meta_u64(record, d.linetable_kind);
    size_t before_table = record->bytes;
    mt_meta_bytes(record, d.linetable, d.linetable_bytes);
    if (record->overflow) { /* a table larger than the buffer: the first line must do */
        record->overflow = false;
        record->bytes = before_table;
    }
    if (!mt_meta_append_locked(MT_META_CODE, record)) {
        return 0;
    }
    g_intern.code_count = number;
    return number;
}

static uint32_t code_number_locked(uint64_t code)
{
    uint64_t key = mt_hash_pair(code, mt_pystack_fingerprint(code)) | 1;
    uint32_t number;
    if (mt_hashtab_get(&g_intern.codes, key, &number)) {
        return number;
    }
    number = describe_code_locked(code);
    if (number != 0) {
        (void)mt_hashtab_put(&g_intern.codes, key, number);
    }
    return number;
}

static uint32_t python_node_locked(uint32_t parent, uint32_t code, int32_t offset, uint32_t flags)
{
    uint64_t key = mt_hash_step(mt_hash_pair(parent, code), ((uint64_t)flags << 32) | (uint32_t)offset) | 1;
    uint32_t node;
    if (mt_hashtab_get(&g_intern.python_nodes, key, &node)) {
        return node;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, parent);
    mt_meta_u64(record, code);
    mt_meta_s64(record, offset);
    mt_meta_u8(record, (uint8_t)flags);
    if (!mt_meta_append_locked(MT_META_PYTHON_NODE, record)) {
        return 0;
    }
    node = ++g_intern.python_count;
    (void)mt_hashtab_put(&g_intern.python_nodes, key, node);
    mt_engine_count(MT_COUNTER_PYTHON_NODES, 1);
    return node;
}

static uint32_t native_leaf_locked(const struct mt_capture *capture)
{
    uint32_t node = 0;
    if (capture->native == NULL || capture->native->count == 0) {
        return 0;
    }
    if (capture->native_truncated) {
        node = native_node_locked(0, 0);
    }
    for (uint32_t i = capture->native->count; i-- > 0;) {
        node = native_node_locked(node, capture->native->frames[i].pc);
        if (node == 0) {
            return 0;
        }
    }
    return node;
}

static uint32_t python_leaf_locked(const struct mt_capture *capture)
{
    uint32_t node = 0;
    if (capture->python == NULL || capture->python->count == 0) {
        return 0;
    }
    if (capture->python_truncated) {
        node = python_node_locked(0, 0, -1, 0);
    }
    for (uint32_t i = 0; i < capture->python->count; i++) {
        const struct mt_py_frame *frame = &capture->python->frames[i];
        uint32_t code = code_number_locked(frame->code);
        node = python_node_locked(node, code, mt_pystack_lasti(frame), frame->flags);
        if (node == 0) {
            return 0;
        }
    }
    return node;
}

/* Index (0 = innermost) of the native frame [inner cfa, cfa) that holds the anchor, searching outwards from `from`;
 * count when no frame does. */
static uint32_t frame_holding(const struct mt_unwinder *native, uint32_t from, uint64_t anchor)
{
    while (from < native->count && native->frames[from].cfa <= anchor) {
        from++;
    }
    return from;
}

/* Walks the entry frames innermost first and calls for each the native frame of its evaluation loop. Both lists run
 * outwards, so one pass serves; an anchor outside all frames ends it. record NULL: only count. */
static uint32_t each_anchor(const struct mt_capture *capture, struct mt_meta_builder *record)
{
    uint32_t found = 0;
    uint32_t at = 0;
    if (capture->native == NULL || capture->python == NULL) {
        return 0;
    }
    for (uint32_t i = capture->python->count; i-- > 0;) {
        const struct mt_py_frame *frame = &capture->python->frames[i];
        if ((frame->flags & MT_PYTHON_ENTRY) == 0 || frame->anchor == 0) {
            continue;
        }
        at = frame_holding(capture->native, at, frame->anchor);
        if (at == capture->native->count) {
            break;
        }
        found++;
        if (record != NULL) {
            mt_meta_u64(record, at);
        }
    }
    return found;
}

static uint32_t new_stack_locked(uint64_t key, const struct mt_capture *capture)
{
    uint32_t native = native_leaf_locked(capture);
    uint32_t python = python_leaf_locked(capture);
    if (native == 0 && python == 0) {
        return 0;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, native);
    mt_meta_u64(record, python);
    mt_meta_u64(record, each_anchor(capture, NULL));
    (void)each_anchor(capture, record);
    if (!mt_meta_append_locked(MT_META_STACK, record)) {
        return 0;
    }
    uint32_t number = ++g_intern.stack_count;
    (void)mt_hashtab_put(&g_intern.stacks, key, number);
    mt_engine_count(MT_COUNTER_STACKS, 1);
    return number;
}

uint32_t mt_intern_stack(uint64_t key, const struct mt_capture *capture)
{
    uint32_t number = 0;
    if (mt_hashtab_get(&g_intern.stacks, key, &number)) {
        return number;
    }
    if (mt_meta_lock()) {
        if (!mt_hashtab_get(&g_intern.stacks, key, &number)) {
            number = new_stack_locked(key, capture);
        }
        mt_meta_unlock();
    }
    if (number == 0) {
        mt_engine_count(MT_COUNTER_UNKNOWN_STACKS, 1);
    }
    return number;
}
