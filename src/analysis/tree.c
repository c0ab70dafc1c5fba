/* tree.c: see tree.h.
 *
 * Built unsorted with a hash index on (parent, frame), then laid out again breadth first with the children of a node
 * next to each other in order of bytes, so that walking a tree is walking an array. by_function uses one id for all
 * lines of a function: the first one seen. Context: [tool].
 */
#include "analysis/tree.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct maker {
    struct mt_frames *frames;
    const struct mt_tree_options *options;
    struct mt_tree_node *nodes;
    size_t count, capacity;
    struct mt_index index; /* (parent, frame) -> node */
    uint32_t *function_of; /* frame -> frame that stands for its function; by_function only */
    size_t function_count, function_capacity;
    struct mt_index functions;
};

static uint64_t node_hash(uint32_t parent, uint32_t frame)
{
    return mt_hash_u64((uint64_t)parent << 32 | frame);
}

static uint64_t function_hash(const struct mt_frame *f)
{
    return mt_hash_step(mt_hash_step(mt_hash_bytes(f->function, strlen(f->function)),
                                     mt_hash_bytes(f->file, strlen(f->file))),
                        mt_hash_bytes(f->module, strlen(f->module)));
}

static bool same_function(const struct mt_frame *a, const struct mt_frame *b)
{
    return strcmp(a->function, b->function) == 0 && strcmp(a->file, b->file) == 0 && strcmp(a->module, b->module) == 0;
}

static uint32_t find_function(struct maker *m, uint32_t frame)
{
    const struct mt_frame *f = mt_frames_frame(m->frames, frame);
    uint64_t hash = function_hash(f);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&m->functions, hash, &probe)) != MT_INDEX_NONE) {
        if (same_function(mt_frames_frame(m->frames, at), f)) {
            return at;
        }
    }
    mt_index_add(&m->functions, hash, frame);
    return frame;
}

/* The frame that stands for this one in the tree. */
static uint32_t standing(struct maker *m, uint32_t frame)
{
    if (m->options == NULL || !m->options->by_function) {
        return frame;
    }
    if (frame >= m->function_count) {
        m->function_of = mt_alloc_grow(m->function_of, &m->function_capacity, (size_t)frame + 1, sizeof(uint32_t));
        memset(m->function_of + m->function_count, 0xFF, (frame + 1 - m->function_count) * sizeof(uint32_t));
        m->function_count = (size_t)frame + 1;
    }
    if (m->function_of[frame] == UINT32_MAX) {
        m->function_of[frame] = find_function(m, frame);
    }
    return m->function_of[frame];
}

static uint32_t new_node(struct maker *m, uint32_t parent, uint32_t frame)
{
    m->nodes = mt_alloc_grow(m->nodes, &m->capacity, m->count + 1, sizeof *m->nodes);
    m->nodes[m->count] = (struct mt_tree_node){ .frame = frame,
                                                .parent = parent,
                                                .first_child = MT_TREE_NONE,
                                                .next_sibling = MT_TREE_NONE,
                                                .depth = parent == MT_TREE_NONE ? 0 : m->nodes[parent].depth + 1 };
    return (uint32_t)m->count++;
}

static uint32_t child_of(struct maker *m, uint32_t parent, uint32_t frame)
{
    uint64_t hash = node_hash(parent, frame);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&m->index, hash, &probe)) != MT_INDEX_NONE) {
        if (m->nodes[at].parent == parent && m->nodes[at].frame == frame) {
            return at;
        }
    }
    at = new_node(m, parent, frame);
    m->nodes[parent].child_count++;
    mt_index_add(&m->index, hash, at);
    return at;
}

static uint32_t label_frame(struct maker *m, const struct mt_profile_row *row)
{
    const struct mt_trace *trace = m->options->labels_of->traces[row->trace_idx];
    struct mt_text text = mt_trace_label_text(trace, row->label, m->options->tasks);
    return mt_frames_label(m->frames, text.data, text.bytes);
}

static void add_row(struct maker *m, const struct mt_profile_row *row)
{
    struct mt_frame_list list = mt_frames_stack(m->frames, row->trace_idx, row->stack);
    bool inverted = m->options != NULL && m->options->inverted;
    uint32_t at = 0;
    mt_amount_add(&m->nodes[0].amount, &row->amount);
    if (m->options != NULL && m->options->labels_of != NULL) {
        at = child_of(m, at, label_frame(m, row));
        mt_amount_add(&m->nodes[at].amount, &row->amount);
    }
    for (size_t i = 0; i < list.count; i++) {
        uint32_t frame = standing(m, list.ids[inverted ? i : list.count - 1 - i]);
        at = child_of(m, at, frame);
        mt_amount_add(&m->nodes[at].amount, &row->amount);
    }
    mt_amount_add(&m->nodes[at].self, &row->amount);
}

/* What a node is sorted by among its siblings. */
struct rank {
    uint64_t bytes, count;
    uint32_t node;
};

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Children of every old node next to each other: starts[n] is the first. */
static struct rank *group_children(const struct maker *m, size_t *starts)
{
    struct rank *ranks = mt_alloc(m->count * sizeof *ranks);
    size_t next = 0;
    for (size_t n = 0; n < m->count; n++) {
        starts[n] = next;
        next += m->nodes[n].child_count;
    }
    size_t *fill = mt_alloc(m->count * sizeof *fill);
    memcpy(fill, starts, m->count * sizeof *fill);
    for (size_t n = 1; n < m->count; n++) {
        const struct mt_tree_node *node = &m->nodes[n];
        ranks[fill[node->parent]++] = (struct rank){ node->amount.bytes, node->amount.count, (uint32_t)n };
    }
    free(fill);
    return ranks;
}

static void lay_out(const struct maker *m, struct mt_tree *tree)
{
    size_t *starts = mt_alloc(m->count * sizeof *starts);
    struct rank *ranks = group_children(m, starts);
    uint32_t *old_of = mt_alloc(m->count * sizeof *old_of);
    struct mt_tree_node *out = mt_alloc(m->count * sizeof *out);
    out[0] = m->nodes[0];
    old_of[0] = 0;
    size_t count = 1;
    for (size_t n = 0; n < count; n++) {
        uint32_t children = out[n].child_count;
        struct rank *first = ranks + starts[old_of[n]];
        qsort(first, children, sizeof *first, compare_ranks);
        out[n].first_child = children > 0 ? (uint32_t)count : MT_TREE_NONE;
        for (uint32_t i = 0; i < children; i++) {
            old_of[count] = first[i].node;
            out[count] = m->nodes[first[i].node];
            out[count].parent = (uint32_t)n;
            out[count].next_sibling = i + 1 < children ? (uint32_t)count + 1 : MT_TREE_NONE;
            count++;
        }
    }
    free(starts);
    free(ranks);
    free(old_of);
    *tree = (struct mt_tree){ .nodes = out, .count = count };
}

mt_status mt_tree_make(const struct mt_profile *profile, struct mt_frames *frames,
                       const struct mt_tree_options *options, struct mt_tree *ret)
{
    struct maker m = { .frames = frames, .options = options };
    (void)new_node(&m, MT_TREE_NONE, MT_TREE_NONE);
    for (size_t i = 0; i < profile->count; i++) {
        add_row(&m, &profile->rows[i]);
    }
    lay_out(&m, ret);
    mt_index_fini(&m.index);
    mt_index_fini(&m.functions);
    free(m.function_of);
    free(m.nodes);
    return MT_OK;
}

void mt_tree_fini(struct mt_tree *tree)
{
    free(tree->nodes);
    *tree = (struct mt_tree){ 0 };
}
