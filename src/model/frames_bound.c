/* frames_bound.c: see frames_bound.h. Context: [tool]. */
#include "model/frames_bound.h"

#include "util/memory.h"

#include <stdlib.h>

static const uint64_t NAME_BYTES_A_RECORD = 4096, NAME_BYTES_FREE = 64u << 20, NAME_BYTES_LEAST = 32u << 10;

static uint64_t bytes_of_python(const struct mt_trace *trace, const struct mt_python_node *node)
{
    struct mt_trace_code code = mt_trace_code(trace, node->code);
    uint32_t name = code.qualname != 0 ? code.qualname : code.name;
    return mt_trace_string(trace, name).bytes + mt_trace_string(trace, code.filename).bytes;
}

static void begin(struct mt_bound_chain *chain, size_t count)
{
    chain->count = count;
    chain->depth = mt_alloc_zero(count, sizeof *chain->depth);
    chain->bytes = mt_alloc_zero(count, sizeof *chain->bytes);
}

static void add(struct mt_bound_chain *chain, uint32_t node, uint32_t parent, uint64_t bytes)
{
    chain->depth[node] = chain->depth[parent] + 1;
    chain->bytes[node] = chain->bytes[parent] + bytes;
}

static void measure(const struct mt_trace *trace, struct mt_bound_chain *native, struct mt_bound_chain *python)
{
    begin(native, mt_trace_native_count(trace));
    begin(python, mt_trace_python_count(trace));
    for (uint32_t i = 1; i < native->count; i++) {
        add(native, i, mt_trace_native(trace, i).parent, 0); /* names of binaries do not come from the trace */
    }
    for (uint32_t i = 1; i < python->count; i++) {
        struct mt_python_node node = mt_trace_python(trace, i);
        add(python, i, node.parent, bytes_of_python(trace, &node));
    }
}

struct sums {
    uint64_t frames, bytes, records, stacks;
};

static void sum_up(const struct mt_trace *trace, const struct mt_bound_chain *native, const struct mt_bound_chain *python,
                   struct sums *sums)
{
    size_t count = mt_trace_stack_count(trace);
    sums->stacks += count;
    sums->records += count + native->count + python->count;
    for (uint32_t i = 1; i < count; i++) {
        struct mt_stack stack = mt_trace_stack(trace, i);
        sums->frames += native->depth[stack.native] + python->depth[stack.python];
        sums->bytes += python->bytes[stack.python];
    }
}

/* By node: the deepest of it and its callers that lies in the outer part. */
static void find_outer(struct mt_bound_chain *chain, const struct mt_bound *bound, const struct mt_trace *trace, bool python)
{
    chain->outer = mt_alloc_zero(chain->count, sizeof *chain->outer);
    for (uint32_t i = 1; i < chain->count; i++) {
        uint32_t parent = python ? mt_trace_python(trace, i).parent : mt_trace_native(trace, i).parent;
        bool outer = chain->depth[i] <= MT_BOUND_OUTER && chain->bytes[i] <= bound->bytes / 4;
        chain->outer[i] = outer ? i : chain->outer[parent];
    }
}

void mt_bound_make(const struct mt_trace_set *set, struct mt_bound *ret)
{
    struct sums sums = { 0 };
    *ret = (struct mt_bound){ .traces = set->count };
    ret->native = mt_alloc_zero(set->count, sizeof *ret->native);
    ret->python = mt_alloc_zero(set->count, sizeof *ret->python);
    for (size_t i = 0; i < set->count; i++) {
        measure(set->traces[i], &ret->native[i], &ret->python[i]);
        sum_up(set->traces[i], &ret->native[i], &ret->python[i], &sums);
    }
    uint64_t frames = sums.records * MT_BOUND_FRAMES_A_RECORD + MT_BOUND_FRAMES_FREE;
    uint64_t bytes = sums.records * NAME_BYTES_A_RECORD + NAME_BYTES_FREE;
    if (sums.frames <= frames && sums.bytes <= bytes) {
        mt_bound_fini(ret);
        return;
    }
    uint64_t frames_each = frames / sums.stacks;
    uint64_t bytes_each = bytes / sums.stacks;
    ret->frames = (uint32_t)(frames_each > MT_BOUND_FRAMES_LEAST ? frames_each : MT_BOUND_FRAMES_LEAST);
    ret->bytes = bytes_each > NAME_BYTES_LEAST ? bytes_each : NAME_BYTES_LEAST;
    for (size_t i = 0; i < set->count; i++) {
        find_outer(&ret->native[i], ret, set->traces[i], false);
        find_outer(&ret->python[i], ret, set->traces[i], true);
    }
}

static void release(struct mt_bound_chain *chains, size_t count)
{
    for (size_t i = 0; chains != NULL && i < count; i++) {
        free(chains[i].depth);
        free(chains[i].bytes);
        free(chains[i].outer);
    }
    free(chains);
}

void mt_bound_fini(struct mt_bound *bound)
{
    release(bound->native, bound->traces);
    release(bound->python, bound->traces);
    *bound = (struct mt_bound){ 0 };
}
