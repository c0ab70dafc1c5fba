#!/bin/sh
# Prints the numbers of a row of src/pystack/offsets.c from an interpreter's own headers:
#   tools/py_offsets.sh ~/.pyenv/versions/3.12.1/include/python3.12 [-DPy_GIL_DISABLED] [more compiler flags]
# Needs the headers of Include/internal (pyenv and Debian's libpythonX.Y-dev have them).
set -eu
include=${1:?usage: tools/py_offsets.sh INCLUDE-FOLDER [FLAGS]}
shift
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cat >"$out/offsets.c" <<'EOF'
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_pystate.h>
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_dict.h>
#else
#include <frameobject.h>
#endif
#include <stddef.h>
#include <stdio.h>
#define P(name, type, field) printf("  %-28s %zu\n", name, offsetof(type, field))

int main(void)
{
    puts(PY_VERSION);
    P("tstate.interp", PyThreadState, interp);
    P("tstate.thread_id", PyThreadState, thread_id);
    P("runtime.interpreters_head", _PyRuntimeState, interpreters.head);
    P("runtime.interpreter_next", PyInterpreterState, next);
#if PY_VERSION_HEX < 0x03090000
    P("runtime.finalizing", _PyRuntimeState, finalizing);
#else
    P("runtime.finalizing", _PyRuntimeState, _finalizing);
#endif
#if PY_VERSION_HEX < 0x030B0000
    P("tstate.frame", PyThreadState, frame);
    P("frame.previous", PyFrameObject, f_back);
    P("frame.code", PyFrameObject, f_code);
    P("frame.instr", PyFrameObject, f_lasti);
#else
    P("frame.previous", _PyInterpreterFrame, previous);
    P("frame.owner", _PyInterpreterFrame, owner);
    P("code.qualname", PyCodeObject, co_qualname);
    P("code.bytecode", PyCodeObject, co_code_adaptive);
#endif
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030D0000
    P("tstate.frame", PyThreadState, cframe);
    P("tstate.cframe_current", _PyCFrame, current_frame);
    P("tstate.cframe_previous", _PyCFrame, previous);
    P("frame.code", _PyInterpreterFrame, f_code);
    P("frame.instr", _PyInterpreterFrame, prev_instr);
#endif
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
    P("frame.is_entry", _PyInterpreterFrame, is_entry);
#endif
#if PY_VERSION_HEX >= 0x030C0000
    P("code.version", PyCodeObject, co_version);
    P("code.first_traceable", PyCodeObject, _co_firsttraceable);
#endif
#if PY_VERSION_HEX >= 0x030D0000
    P("tstate.frame", PyThreadState, current_frame);
    P("frame.code", _PyInterpreterFrame, f_executable);
    P("frame.instr", _PyInterpreterFrame, instr_ptr);
#endif
#if PY_VERSION_HEX >= 0x030E0000 && defined(Py_GIL_DISABLED)
    P("frame.copy_index", _PyInterpreterFrame, tlbc_index);
    P("code.copies", PyCodeObject, co_tlbc);
    P("(copies.entries)", _PyCodeArray, entries);
#endif
#if PY_VERSION_HEX < 0x030A0000
    P("code.linetable", PyCodeObject, co_lnotab);
#else
    P("code.linetable", PyCodeObject, co_linetable);
#endif
#ifndef Py_GIL_DISABLED
    P("instance.type_size", PyTypeObject, tp_basicsize);
    P("instance.type_flags", PyTypeObject, tp_flags);
    P("instance.type_dict", PyTypeObject, tp_dictoffset);
    P("instance.type_keys", PyHeapTypeObject, ht_cached_keys);
    P("instance.dict_keys", PyDictObject, ma_keys);
    P("instance.dict_values", PyDictObject, ma_values);
#if PY_VERSION_HEX < 0x030B0000 /* keys are in no header: Objects/dict-common.h */
    P("instance.frame_locals", PyFrameObject, f_localsplus);
#else
    P("instance.frame_locals", _PyInterpreterFrame, localsplus);
    P("instance.keys_size", PyDictKeysObject, dk_log2_index_bytes);
    P("instance.keys_kind", PyDictKeysObject, dk_kind);
    P("instance.keys_count", PyDictKeysObject, dk_nentries);
    P("instance.keys_index", PyDictKeysObject, dk_indices);
    P("instance.values_first", PyDictValues, values);
#endif
#endif
    P("code.filename", PyCodeObject, co_filename);
    P("code.name", PyCodeObject, co_name);
    P("code.first_line", PyCodeObject, co_firstlineno);
    P("object.type", PyObject, ob_type);
    P("object.bytes_size", PyVarObject, ob_size);
    P("object.bytes_data", PyBytesObject, ob_sval);
    P("object.unicode_length", PyASCIIObject, length);
    P("object.unicode_state", PyASCIIObject, state);
    printf("  %-28s %zu\n  %-28s %zu\n", "object.unicode_ascii_data", sizeof(PyASCIIObject), "object.unicode_compact_data",
           sizeof(PyCompactUnicodeObject));
    PyASCIIObject text = { 0 };
    text.state.kind = 1;
    printf("  %-28s %d\n", "unicode_kind_shift", __builtin_ctz(*(unsigned *)&text.state));
    return 0;
}
EOF
cc -w "$@" -I"$include" -I"$include/internal" -o "$out/offsets" "$out/offsets.c"
"$out/offsets"
