/* frames_merge.c: the order of a stack's frames.
 *
 *     native (innermost first):  malloc-caller  foo.so:f  EVAL  call helpers  EVAL  main  _start
 *     Python groups:                                      g0                  g1
 *     merged:                    malloc-caller  foo.so:f  g0                  g1
 *
 * A group is the Python frames that one evaluation loop runs: everything up to and including an entry frame. Where its
 * loop is comes from the recorded anchors or, without any, from the native frames that are evaluation loops. Groups
 * keep their order whatever the anchors say (they come from a file); those without a place follow at the end. Context:
 * [tool].
 */
#include "model/frames_private.h"
#include "util/syslib.h"

struct merge {
    struct mt_frames *f;
    const struct mt_trace *trace;
    uint32_t trace_idx;
    const struct mt_stack *stack;
    struct mt_numbers *out;
    size_t next_python; /* first Python frame not yet emitted */
    size_t next_anchor;
    bool hide_interpreter;
};

static uint32_t parent_of(const struct mt_trace *trace, uint32_t node, bool python)
{
    return python ? mt_trace_python(trace, node).parent : mt_trace_native(trace, node).parent;
}

/* Appends node and its callers up to the root. */
static void collect(struct mt_frames *f, struct mt_numbers *out, const struct mt_trace *trace, uint32_t node, bool python)
{
    for (; node != 0; node = parent_of(trace, node, python)) {
        mt_numbers_push(out, node);
        f->visited++;
    }
}

/* The same of a stack that has more than its share: its innermost frames, node 0 (which is shown as a marker), its outermost
 * frames. */
static void collect_ends(struct mt_frames *f, const struct mt_bound_chain *chain, struct mt_numbers *out,
                         const struct mt_trace *trace, uint32_t node, bool python)
{
    uint32_t outer = chain->outer[node];
    uint64_t all = chain->bytes[node];
    uint32_t inner = f->bound.frames - MT_BOUND_OUTER;
    for (; node != outer && inner > 0 && all - chain->bytes[node] <= f->bound.bytes / 4 * 3; inner--) {
        mt_numbers_push(out, node);
        f->visited++;
        node = parent_of(trace, node, python);
    }
    if (node != outer) {
        mt_numbers_push(out, 0);
        f->shortened++;
    }
    collect(f, out, trace, outer, python);
}

static bool is_too_much(const struct mt_bound *bound, const struct mt_bound_chain *chain, uint32_t node)
{
    bool deep = chain->depth[node] > bound->frames && chain->depth[node] > MT_BOUND_FRAMES_WHOLE;
    return deep || chain->bytes[node] > bound->bytes;
}

static void collect_bounded(struct mt_frames *f, const struct mt_bound_chain *chains, struct mt_numbers *out,
                            uint32_t trace_idx, uint32_t node, bool python)
{
    const struct mt_trace *trace = f->set->traces[trace_idx];
    const struct mt_bound_chain *chain = chains != NULL && trace_idx < f->bound.traces ? &chains[trace_idx] : NULL;
    bool measured = chain != NULL && node < chain->count; /* a trace that is being written may have grown */
    out->count = 0;
    if (measured && is_too_much(&f->bound, chain, node)) {
        collect_ends(f, chain, out, trace, node, python);
    } else {
        collect(f, out, trace, node, python);
    }
}

/* Appends a frame; two equal markers in a row say no more than one. */
static void emit(struct merge *m, uint32_t spot, uint32_t python_node)
{
    uint32_t truncated = m->f->truncated;
    bool repeated = m->out->count > 0 && m->f->spots[spot].id == truncated &&
                    m->f->spots[m->out->data[m->out->count - 1]].id == truncated;
    if (!repeated) {
        mt_numbers_push(m->out, spot);
        mt_numbers_push(&m->f->origins, python_node);
    }
}

/* One group: up to and including the next entry frame. Without anchors (<= 3.10) every frame has a loop of its own. */
static void emit_group(struct merge *m)
{
    while (m->next_python < m->f->python.count) {
        uint32_t number = m->f->python.data[m->next_python++];
        struct mt_python_node node = mt_trace_python(m->trace, number);
        emit(m, mt_frames_python(m->f, m->trace_idx, number, &node), number);
        if (node.flags & MT_PYTHON_ENTRY) {
            break;
        }
    }
}

/* Code that only starts a program or a thread. */
static bool is_startup_module(const struct mt_trace_module *module)
{
    enum mt_syslib library = mt_syslib_of(module->path.data);
    return module->interpreter || library == MT_SYSLIB_C || library == MT_SYSLIB_LOADER;
}

static const struct mt_trace_module *module_of(const struct merge *m, size_t native_idx)
{
    return mt_trace_module(m->trace, mt_trace_native(m->trace, m->f->native.data[native_idx]).module_idx);
}

static void emit_native(struct merge *m, size_t native_idx)
{
    if (m->hide_interpreter && (m->f->options.python_only || module_of(m, native_idx)->interpreter)) {
        return;
    }
    struct mt_native_node node = mt_trace_native(m->trace, m->f->native.data[native_idx]);
    const struct mt_location *l = mt_frames_native(m->f, m->trace_idx, &node);
    for (size_t i = 0; i < l->count; i++) {
        emit(m, (uint32_t)(l->first + i), 0);
    }
}

/* Is this native frame the evaluation loop of the next group? */
static bool is_loop(struct merge *m, size_t native_idx)
{
    if (m->next_python == m->f->python.count) {
        return false;
    }
    if (m->stack->anchor_count > 0) {
        return m->next_anchor < m->stack->anchor_count && m->stack->anchors[m->next_anchor] <= native_idx;
    }
    struct mt_native_node node = mt_trace_native(m->trace, m->f->native.data[native_idx]);
    return node.pc != 0 && mt_frames_native(m->f, m->trace_idx, &node)->evaluates;
}

/* Number of native frames without the outermost ones that only start things. */
static size_t without_startup(const struct merge *m, size_t from)
{
    size_t count = m->f->native.count;
    while (m->hide_interpreter && count > from && is_startup_module(module_of(m, count - 1))) {
        count--;
    }
    return count;
}

/* Neither anchors nor a recognisable loop: Python runs where the interpreter is first seen. */
static bool loops_are_known(struct merge *m)
{
    bool known = m->stack->anchor_count > 0;
    for (size_t i = 0; i < m->f->native.count && !known; i++) {
        known = is_loop(m, i);
    }
    return known;
}

static void merge_both(struct merge *m)
{
    size_t i = 0;
    bool known = loops_are_known(m);
    for (; i < m->f->native.count && m->next_python < m->f->python.count; i++) {
        if (!known && is_startup_module(module_of(m, i))) {
            break;
        }
        if (known && is_loop(m, i)) {
            emit_group(m);
            m->next_anchor++;
        } else {
            emit_native(m, i);
        }
    }
    while (m->next_python < m->f->python.count) {
        emit_group(m);
    }
    for (size_t end = without_startup(m, i); i < end; i++) {
        emit_native(m, i);
    }
}

void mt_frames_merge(struct mt_frames *f, uint32_t trace_idx, const struct mt_stack *stack, struct mt_numbers *out)
{
    struct merge m = { .f = f,
                       .trace = f->set->traces[trace_idx],
                       .trace_idx = trace_idx,
                       .stack = stack,
                       .out = out };
    collect_bounded(f, f->bound.python, &f->python, trace_idx, stack->python, true);
    bool needs_native = f->python.count == 0 || !f->options.python_only;
    collect_bounded(f, f->bound.native, &f->native, trace_idx, needs_native ? stack->native : 0, false);
    m.hide_interpreter = f->python.count > 0 && (!f->options.interpreter || f->options.python_only);
    merge_both(&m);
}
