/* stacks.c: look-ups in the dictionaries; any number is a fair question. Context: [tool]. */
#include "model/trace_private.h"

size_t mt_trace_string_count(const struct mt_trace *trace)
{
    return trace->string_count;
}

size_t mt_trace_module_count(const struct mt_trace *trace)
{
    return trace->module_count;
}

size_t mt_trace_code_count(const struct mt_trace *trace)
{
    return trace->code_count;
}

size_t mt_trace_native_count(const struct mt_trace *trace)
{
    return trace->native_count;
}

size_t mt_trace_python_count(const struct mt_trace *trace)
{
    return trace->python_count;
}

size_t mt_trace_stack_count(const struct mt_trace *trace)
{
    return trace->stack_count;
}

struct mt_text mt_trace_string(const struct mt_trace *trace, uint32_t number)
{
    return trace->strings[number < trace->string_count ? number : 0];
}

const struct mt_trace_module *mt_trace_module(const struct mt_trace *trace, uint32_t module_idx)
{
    return &trace->modules[module_idx < trace->module_count ? module_idx : MT_MODULE_UNKNOWN];
}

struct mt_trace_code mt_trace_code(const struct mt_trace *trace, uint32_t code)
{
    return trace->codes[code < trace->code_count ? code : 0];
}

struct mt_native_node mt_trace_native(const struct mt_trace *trace, uint32_t node)
{
    return trace->natives[node < trace->native_count ? node : 0];
}

struct mt_python_node mt_trace_python(const struct mt_trace *trace, uint32_t node)
{
    return trace->pythons[node < trace->python_count ? node : 0];
}

struct mt_stack mt_trace_stack(const struct mt_trace *trace, uint32_t stack)
{
    const struct mt_stack_row *row = &trace->stacks[stack < trace->stack_count ? stack : 0];
    return (struct mt_stack){ .native = row->native,
                              .python = row->python,
                              .anchors = row->anchor_count > 0 ? &trace->anchors[row->anchors] : NULL,
                              .anchor_count = row->anchor_count };
}

void mt_trace_eval_range(const struct mt_trace *trace, uint64_t *ret_low, uint64_t *ret_high)
{
    *ret_low = trace->eval_low;
    *ret_high = trace->eval_high;
}
