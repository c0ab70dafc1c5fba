/* stacks.h: the dictionaries of one trace, in columns: strings, modules, code objects, frame nodes, stacks.
 *
 * Decides: how numbers in events become stacks. Every number is checked on the way in: a parent is smaller than its
 * node, a stack names nodes that exist, so walks end and need no checks of their own. When the metadata stream has a
 * gap or a record that cannot be, the numbered records after it are not taken (their numbers would be off: wrong names
 * are worse than none) and events that name them have the unknown stack.
 * A native node's module is decided when the node is read, because modules come and go (epochs).
 * Context: [tool]; immutable once the trace is open.
 */
#ifndef MT_MODEL_STACKS_H
#define MT_MODEL_STACKS_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text in the trace: NUL-terminated copy, but bytes counts what was recorded (may hold NULs; never trusted as UTF-8).
 * */
struct mt_text {
    const char *data;
    size_t bytes;
};

enum { MT_MODULE_UNKNOWN = 0 };

struct mt_module_segment_range {
    uint64_t vaddr, bytes, file_offset;
    uint32_t flags; /* PF_R | PF_W | PF_X */
};

/* A module at one place in memory; _idx 0 is "no module". */
struct mt_trace_module {
    uint32_t number;     /* as recorded */
    bool gone;           /* unmapped before the end */
    uint64_t bias;       /* address in memory = vaddr + bias */
    uint64_t low, high;  /* absolute addresses covered; 0, 0 when no segment */
    struct mt_text path;
    const uint8_t *build_id; /* raw bytes */
    size_t build_id_bytes;
    const struct mt_module_segment_range *segments;
    size_t segment_count;
    bool interpreter;    /* CPython itself: libpython*.so or the python executable (by EVAL_RANGE or by name) */
};

struct mt_trace_code {
    uint32_t filename, name, qualname; /* string numbers, 0 none */
    uint32_t first_line;
    uint32_t linetable_kind;
    const uint8_t *linetable;
    size_t linetable_bytes;
};

struct mt_native_node {
    uint32_t parent; /* 0 root (base of the stack) */
    uint32_t module_idx;
    uint64_t pc;     /* return address; 0: the stack was truncated here */
};

struct mt_python_node {
    uint32_t parent;
    uint32_t code;     /* 0: truncated here */
    int32_t lasti;     /* byte offset of the instruction, -1 before the first */
    uint32_t flags;    /* enum mt_python_node_flag */
};

struct mt_stack {
    uint32_t native; /* innermost node, 0 none */
    uint32_t python;
    const uint32_t *anchors; /* per entry frame, innermost first: index of its native evaluation frame (0 innermost) */
    uint32_t anchor_count;
};

struct mt_trace;

/* Counts include the reserved number 0, so numbers run 0 … count-1. */
size_t mt_trace_string_count(const struct mt_trace *trace);
size_t mt_trace_module_count(const struct mt_trace *trace);
size_t mt_trace_code_count(const struct mt_trace *trace);
size_t mt_trace_native_count(const struct mt_trace *trace);
size_t mt_trace_python_count(const struct mt_trace *trace);
size_t mt_trace_stack_count(const struct mt_trace *trace);

/* Every look-up takes any number: one that does not exist gives the empty string, module 0, code 0 (empty names), node
 * 0 or stack 0. Borrowed from the trace. */
struct mt_text mt_trace_string(const struct mt_trace *trace, uint32_t number);
const struct mt_trace_module *mt_trace_module(const struct mt_trace *trace, uint32_t module_idx);
struct mt_trace_code mt_trace_code(const struct mt_trace *trace, uint32_t code);
struct mt_native_node mt_trace_native(const struct mt_trace *trace, uint32_t node);
struct mt_python_node mt_trace_python(const struct mt_trace *trace, uint32_t node);
struct mt_stack mt_trace_stack(const struct mt_trace *trace, uint32_t stack);

/* Addresses of the interpreter's evaluation function, [*ret_low, *ret_high); both 0 when the trace does not say. */
void mt_trace_eval_range(const struct mt_trace *trace, uint64_t *ret_low, uint64_t *ret_high);

#endif
