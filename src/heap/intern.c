/* intern.c: see intern.h. Everything below mt_intern_stack runs under the metadata lock.
 *
 * A new stack is mostly one that was interned a moment ago with other inner frames. The nodes of the last one are kept as
 * a path from its root, and only what is not on it is looked up: a recursion of n levels costs n look-ups, not n * n.
 */
#include "heap/intern.h"

#include "base/hash.h"
#include "heap/account.h"
#include "heap/hashtab.h"
#include "heap/meta.h"
#include "heap/modules.h"

enum { TEXT_BYTES = 4096 };

/* Nodes of the stack interned last, outermost first. key: what tells a frame from another in the place after the same
 * outer ones. */
struct path_node {
    uint64_t key;
    uint32_t node;
};

static struct {
    uint32_t native_count;
    uint32_t native_root; /* node its first frame hangs on */
    uint32_t native_epoch;
    uint32_t python_count;
    struct path_node native[MT_UNWIND_MAX_FRAMES];
    struct path_node python[MT_PYSTACK_MAX_FRAMES];
} g_path;

static struct {
    struct mt_hashtab stacks;       /* capture key -> stack number */
    struct mt_hashtab native_nodes; /* hash(parent, pc, epoch) -> node */
    struct mt_hashtab python_nodes; /* hash(parent, code, offset) -> node */
    struct mt_hashtab codes;        /* hash(code address, fingerprint) -> code number */
    uint32_t stack_count, native_count, python_count, code_count;
    uint32_t folded; /* stack; 0: none yet */
    char text[TEXT_BYTES]; /* transcoding of non-ASCII names */
    uint32_t anchors[MT_PYSTACK_MAX_FRAMES]; /* of the stack being interned */
} g_intern = {
    .native_nodes = { .locked = true },
    .python_nodes = { .locked = true },
    .codes = { .locked = true },
};

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
    g_intern.folded = 0;
    g_path.native_count = 0;
    g_path.python_count = 0;
}

/* leaf: nothing hangs on the parent; true afterwards if that is so of the node that is returned: it has just been made. */
static uint32_t native_node_locked(uint32_t parent, uint64_t pc, bool *leaf)
{
    uint64_t key = mt_hash_step(mt_hash_pair(parent, pc), mt_modules_epoch()) | 1;
    uint32_t node;
    if (!*leaf && mt_hashtab_get(&g_intern.native_nodes, key, &node)) {
        return node;
    }
    *leaf = true;
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_native(record, &(struct mt_record_native){ .parent = parent, .pc = pc });
    if (!mt_meta_append_locked(MT_META_NATIVE_NODE, record)) {
        return 0;
    }
    node = ++g_intern.native_count;
    (void)mt_hashtab_put(&g_intern.native_nodes, key, node);
    mt_account_set(MT_COUNTER_NATIVE_NODES, node);
    return node;
}

/* Writes strings and a CODE record; 0 when the object cannot be read. */
static uint32_t describe_code_locked(uint64_t code)
{
    struct mt_code_description d;
    if (!mt_pystack_describe(code, g_intern.text, TEXT_BYTES, &d)) {
        return 0;
    }
    struct mt_record_code code_record = { .number = g_intern.code_count + 1,
                                          .first_line = d.first_line,
                                          .linetable_kind = d.linetable_kind,
                                          .linetable = { d.linetable, d.linetable_bytes } };
    code_record.filename = mt_meta_string_locked(d.filename, d.filename_bytes);
    code_record.name = mt_meta_string_locked(d.name, d.name_bytes);
    code_record.qualname = mt_meta_string_locked(d.qualname, d.qualname_bytes);
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_code(record, &code_record);
    if (record->overflow) { /* a table larger than the buffer: the first line must do */
        code_record.linetable.bytes = 0;
        record = mt_meta_new_locked();
        mt_record_put_code(record, &code_record);
    }
    if (!mt_meta_append_locked(MT_META_CODE, record)) {
        return 0;
    }
    g_intern.code_count = code_record.number;
    return code_record.number;
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

/* leaf: as native_node_locked. */
static uint32_t python_node_locked(const struct mt_record_python *wanted, bool *leaf)
{
    uint64_t key = mt_hash_step(mt_hash_pair(wanted->parent, wanted->code),
                                (uint64_t)wanted->flags << 32 | (uint32_t)wanted->offset) | 1;
    uint32_t node;
    if (!*leaf && mt_hashtab_get(&g_intern.python_nodes, key, &node)) {
        return node;
    }
    *leaf = true;
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_python(record, wanted);
    if (!mt_meta_append_locked(MT_META_PYTHON_NODE, record)) {
        return 0;
    }
    node = ++g_intern.python_count;
    (void)mt_hashtab_put(&g_intern.python_nodes, key, node);
    mt_account_set(MT_COUNTER_PYTHON_NODES, node);
    return node;
}

/* How many frames the path shares with this stack, which hangs on `root`. */
static uint32_t shared_native(const struct mt_unwinder *native, uint32_t root, uint32_t epoch)
{
    uint32_t most = g_path.native_count < native->count ? g_path.native_count : native->count;
    uint32_t shared = 0;
    if (g_path.native_root != root || g_path.native_epoch != epoch) {
        return 0;
    }
    while (shared < most && g_path.native[shared].key == native->frames[native->count - 1 - shared].pc) {
        shared++;
    }
    return shared;
}

static uint32_t native_leaf_locked(const struct mt_capture *capture)
{
    const struct mt_unwinder *native = capture->native;
    if (native == NULL || native->count == 0) {
        return 0;
    }
    bool leaf = false;
    uint32_t root = capture->native_truncated ? native_node_locked(0, 0, &leaf) : 0;
    uint32_t epoch = mt_modules_epoch();
    uint32_t at = shared_native(native, root, epoch);
    uint32_t node = at != 0 ? g_path.native[at - 1].node : root;
    g_path.native_root = root;
    g_path.native_epoch = epoch;
    g_path.native_count = at;
    while (at < native->count) {
        uint64_t pc = native->frames[native->count - 1 - at].pc;
        node = native_node_locked(node, pc, &leaf);
        if (node == 0) {
            return 0;
        }
        g_path.native[at] = (struct path_node){ pc, node };
        g_path.native_count = ++at;
    }
    return node;
}

/* As shared_native; running hashes agree only where all outer frames do. */
static uint32_t shared_python(const struct mt_pystack *python)
{
    uint32_t shared = g_path.python_count < python->count ? g_path.python_count : python->count;
    while (shared > 0 && g_path.python[shared - 1].key != python->frames[shared - 1].hash) {
        shared--;
    }
    return shared;
}

static uint32_t python_leaf_locked(const struct mt_capture *capture)
{
    const struct mt_pystack *python = capture->python;
    if (python == NULL || python->count == 0) {
        return 0;
    }
    bool leaf = false;
    uint32_t at = shared_python(python);
    uint32_t node = at != 0 ? g_path.python[at - 1].node : 0;
    if (at == 0 && capture->python_truncated) {
        node = python_node_locked(&(struct mt_record_python){ .offset = -1 }, &leaf);
    }
    g_path.python_count = at;
    while (at < python->count) {
        const struct mt_py_frame *frame = &python->frames[at];
        const struct mt_record_python wanted = { .parent = node, .code = code_number_locked(frame->code),
                                                 .offset = mt_pystack_lasti(frame), .flags = (uint8_t)frame->flags };
        node = python_node_locked(&wanted, &leaf);
        if (node == 0) {
            return 0;
        }
        g_path.python[at] = (struct path_node){ frame->hash, node };
        g_path.python_count = ++at;
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

/* Walks the entry frames innermost first and notes for each the native frame of its evaluation loop; returns how many. Both
 * lists run outwards, so one pass serves; an anchor outside all frames ends it. */
static uint32_t find_anchors(const struct mt_capture *capture, uint32_t *ret_frames)
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
        ret_frames[found++] = at;
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
    const struct mt_record_stack stack = { .native = native,
                                           .python = python,
                                           .anchors = find_anchors(capture, g_intern.anchors) };
    mt_record_put_stack(record, &stack);
    for (uint32_t i = 0; i < stack.anchors; i++) {
        mt_record_put_anchor(record, &(struct mt_record_anchor){ g_intern.anchors[i] });
    }
    if (!mt_meta_append_locked(MT_META_STACK, record)) {
        return 0;
    }
    uint32_t number = ++g_intern.stack_count;
    (void)mt_hashtab_put(&g_intern.stacks, key, number);
    mt_account_set(MT_COUNTER_STACKS, number);
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

/* ---- the stack that stands for others --------------------------------------------------------------------------------- */

static uint32_t new_folded_locked(void)
{
    static const char name[] = "(folded)";
    struct mt_record_code code = { .number = g_intern.code_count + 1, .name = mt_meta_string_locked(name, sizeof name - 1) };
    struct mt_meta_builder *record = mt_meta_new_locked();
    bool leaf = true;
    mt_record_put_code(record, &code);
    if (code.name == 0 || !mt_meta_append_locked(MT_META_CODE, record)) {
        return 0;
    }
    g_intern.code_count = code.number;
    uint32_t python = python_node_locked(&(struct mt_record_python){ .code = code.number, .offset = -1 }, &leaf);
    record = mt_meta_new_locked();
    mt_record_put_stack(record, &(struct mt_record_stack){ .python = python });
    if (python == 0 || !mt_meta_append_locked(MT_META_STACK, record)) {
        return 0;
    }
    mt_account_set(MT_COUNTER_STACKS, ++g_intern.stack_count);
    return g_intern.stack_count;
}

uint32_t mt_intern_folded(void)
{
    if (g_intern.folded == 0 && mt_meta_lock()) {
        g_intern.folded = new_folded_locked();
        mt_meta_unlock();
    }
    return g_intern.folded;
}
