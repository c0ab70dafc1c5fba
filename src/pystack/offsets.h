/* offsets.h: where CPython keeps what a stack walk reads, one row per (3.x, free-threaded).
 *
 * Decides: which interpreters can be walked at all, and with which rules. A row is a copy of offsetof() results, never
 * a computation; tools/py_offsets.sh prints them from an interpreter's own headers. From 3.13 on the interpreter
 * describes itself (_Py_DebugOffsets at the start of _PyRuntime) and its own words override the row.
 * Invariant: mt_py_offsets_find succeeds only for a version whose layout was printed and whose walk was tested, or
 * whose own description is complete and sane. Context: [agent].
 */
#ifndef MT_PYSTACK_OFFSETS_H
#define MT_PYSTACK_OFFSETS_H

#include "base/status.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* How frames are linked; the walk is compiled once per family. */
enum mt_py_family {
    MT_PY_FRAME_OBJECTS, /* 3.8 - 3.10: PyFrameObject list, one C evaluation frame for each */
    MT_PY_ENTRY_FLAG,    /* 3.11: interpreter frames, is_entry, a _PyCFrame on the C stack per evaluation loop */
    MT_PY_SHIM,          /* 3.12+: a shim interpreter frame on the C stack below each entry frame */
    MT_PY_SHIM_COPIES,   /* 3.14t+: as SHIM, bytecode copied per thread (code.copies) */
};

/* All byte offsets from the start of the named struct; 0 where the family has no such field, unless 0 is the offset. */
struct mt_py_offsets {
    uint16_t minor; /* 3.minor */
    bool free_threaded;
    uint8_t family;       /* enum mt_py_family */
    uint8_t lines;        /* enum mt_linetable_kind */
    uint8_t owner_shim;   /* frame.owner >= this: not a Python frame */
    uint8_t tag_bits;     /* low bits of frame.code that are no address */
    uint8_t lasti_scale;  /* bytes per unit of f_lasti (<= 3.10) */
    uint8_t unicode_kind_shift; /* PyASCIIObject.state: kind at this bit (3 bits), then compact, then ascii */
    uint8_t reserved;           /* 0; no padding: rows are compared as bytes */
    struct {
        uint16_t frame;  /* frame (<= 3.10), cframe (3.11, 3.12) or current_frame (3.13+) */
        uint16_t cframe_current, cframe_previous; /* of _PyCFrame */
        uint16_t has_cframe;                      /* 1: one more step through the cframe */
        uint16_t thread_id;                       /* pthread_t */
        uint16_t interp;
    } tstate;
    struct {
        uint16_t previous, code, instr, owner, is_entry, copy_index;
    } frame;
    struct {
        uint16_t first_line, filename, name, qualname, linetable;
        uint16_t bytecode; /* co_code_adaptive; 3.11+ */
        uint16_t version;  /* co_version, unique per code object; 3.12+ */
        uint16_t first_traceable; /* _co_firsttraceable, in code units; 3.12+ */
        uint16_t copies;   /* co_tlbc: array {size, entries[]} */
    } code;
    struct {
        uint16_t type, bytes_size, bytes_data, unicode_length, unicode_state, unicode_ascii_data, unicode_compact_data;
    } object;
    struct { /* attributes of an instance, for thread_name.c; all 0: not read */
        uint16_t frame_locals;                               /* of a frame: its arguments */
        uint16_t type_size, type_flags, type_dict, type_keys; /* of a type; type_keys: ht_cached_keys */
        uint16_t dict_keys, dict_values;
        uint16_t keys_size;  /* dk_size, from 3.11 dk_log2_index_bytes */
        uint16_t keys_kind;  /* dk_kind; 3.11+ */
        uint16_t keys_count; /* dk_nentries */
        uint16_t keys_index;
        uint16_t values_first;
    } instance;
    struct {
        uint16_t finalizing, interpreters_head; /* of _PyRuntime */
        uint16_t interpreter_next;              /* of PyInterpreterState */
    } runtime;
};

static_assert(sizeof(struct mt_py_offsets) == 10 + 2 * 43, "no padding");

/* Finds the layout of an interpreter. version_hex: PY_VERSION_HEX. runtime: &_PyRuntime or NULL; from 3.13 on its own
 * description overrides the row. False: not a version that can be walked (unknown minor, or the interpreter's own
 * description contradicts its version); *ret is then untouched. */
bool mt_py_offsets_find(uint32_t version_hex, bool free_threaded, const void *runtime, struct mt_py_offsets *ret);
/* True when runtime starts with the description that 3.13 and newer carry; ret_free_threaded is its word on that. */
bool mt_py_offsets_described(const void *runtime, bool *ret_free_threaded);

#endif
