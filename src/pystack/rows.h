/* rows.h: the layouts of CPython, one constant a version.
 *
 * Every number was printed by tools/py_offsets.sh from the headers of the interpreter named above its row
 * (Py_BUILD_CORE, offsetof), is compared with them by tests/integration/test_pystack.py, and is the same in every other
 * micro version at hand (3.11.2 and 3.11.7; 3.13.0, 3.13.15 and 3.13.18). Layouts do not change within a minor version
 * once it is final. In a header so that capture.c can compile a walk for each row with its numbers as constants.
 */
#ifndef MT_PYSTACK_ROWS_H
#define MT_PYSTACK_ROWS_H

#include "pystack/offsets.h"
#include "wire/format.h"

enum { NEVER_A_SHIM = 255 };

/* X(name) for each g_row_name. */
#define MT_PY_ROW_TABLE(X) \
    X(3_8) X(3_9) X(3_10) X(3_11) X(3_12) X(3_13) X(3_13t) X(3_14) X(3_14t) X(3_15) X(3_15t)

/* clang-format off */

/* 3.8.18 */
static const struct mt_py_offsets g_row_3_8 = {
    .minor = 8, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_LNOTAB, .owner_shim = NEVER_A_SHIM,
    .lasti_scale = 1, .unicode_kind_shift = 2,
    .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
    .frame = { .previous = 24, .code = 32, .instr = 104 },
    .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 48, .unicode_compact_data = 72 },
    .instance = { .frame_locals = 360, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 872,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 8, .keys_count = 32, .keys_index = 40 },
    .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
};

/* 3.9.18 */
static const struct mt_py_offsets g_row_3_9 = {
    .minor = 9, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_LNOTAB, .owner_shim = NEVER_A_SHIM,
    .lasti_scale = 1, .unicode_kind_shift = 2,
    .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
    .frame = { .previous = 24, .code = 32, .instr = 104 },
    .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 48, .unicode_compact_data = 72 },
    .instance = { .frame_locals = 360, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 864,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 8, .keys_count = 32, .keys_index = 40 },
    .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
};

/* 3.10.13 */
static const struct mt_py_offsets g_row_3_10 = {
    .minor = 10, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_310, .owner_shim = NEVER_A_SHIM,
    .lasti_scale = 2, .unicode_kind_shift = 2,
    .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
    .frame = { .previous = 24, .code = 32, .instr = 96 },
    .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 48, .unicode_compact_data = 72 },
    .instance = { .frame_locals = 352, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 872,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 8, .keys_count = 32, .keys_index = 40 },
    .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
};

/* 3.11.7 */
static const struct mt_py_offsets g_row_3_11 = {
    .minor = 11, .family = MT_PY_ENTRY_FLAG, .lines = MT_LINETABLE_311, .owner_shim = NEVER_A_SHIM,
    .unicode_kind_shift = 2,
    .tstate = { .frame = 56, .cframe_current = 8, .cframe_previous = 16, .has_cframe = 1, .thread_id = 152,
                .interp = 16 },
    .frame = { .previous = 48, .code = 32, .instr = 56, .owner = 69, .is_entry = 68 },
    .code = { .first_line = 72, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 184 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 48, .unicode_compact_data = 72 },
    .instance = { .frame_locals = 72, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 872,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 9, .keys_kind = 10, .keys_count = 24, .keys_index = 32 },
    .runtime = { .finalizing = 24, .interpreters_head = 40, .interpreter_next = 0 },
};

/* 3.12.1 */
static const struct mt_py_offsets g_row_3_12 = {
    .minor = 12, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .unicode_kind_shift = 2,
    .tstate = { .frame = 56, .cframe_current = 0, .cframe_previous = 8, .has_cframe = 1, .thread_id = 136,
                .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
    .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 192,
              .version = 92, .first_traceable = 176 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 40, .unicode_compact_data = 56 },
    .instance = { .frame_locals = 72, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 880,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 9, .keys_kind = 10, .keys_count = 24, .keys_index = 32 },
    .runtime = { .finalizing = 24, .interpreters_head = 40, .interpreter_next = 0 },
};

/* 3.13.0 */
static const struct mt_py_offsets g_row_3_13 = {
    .minor = 13, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .unicode_kind_shift = 2,
    .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
    .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 200,
              .version = 92, .first_traceable = 184 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 40, .unicode_compact_data = 56 },
    .instance = { .frame_locals = 72, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 880,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 9, .keys_kind = 10, .keys_count = 24, .keys_index = 32, .values_first = 8 },
    .runtime = { .finalizing = 608, .interpreters_head = 632, .interpreter_next = 7264 },
};

/* 3.13.15t */
static const struct mt_py_offsets g_row_3_13t = {
    .minor = 13, .free_threaded = true, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3,
    .unicode_kind_shift = 2,
    .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
    .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 216,
              .version = 108, .first_traceable = 200 },
    .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                .unicode_ascii_data = 56, .unicode_compact_data = 72 },
    .runtime = { .finalizing = 608, .interpreters_head = 632, .interpreter_next = 7264 },
};

/* 3.14.10: references are tagged, shims are owned by INTERPRETER = 3 or CSTACK = 4 */
static const struct mt_py_offsets g_row_3_14 = {
    .minor = 14, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .tag_bits = 7,
    .unicode_kind_shift = 2,
    .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 74 },
    .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 208,
              .version = 92, .first_traceable = 192 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 40, .unicode_compact_data = 56 },
    .instance = { .frame_locals = 80, .type_size = 32, .type_flags = 168, .type_dict = 288, .type_keys = 880,
                  .dict_keys = 32, .dict_values = 40, .keys_size = 9, .keys_kind = 10, .keys_count = 24, .keys_index = 32, .values_first = 8 },
    .runtime = { .finalizing = 784, .interpreters_head = 808, .interpreter_next = 7272 },
};

/* 3.14.10t, from the headers with -DPy_GIL_DISABLED */
static const struct mt_py_offsets g_row_3_14t = {
    .minor = 14, .free_threaded = true, .family = MT_PY_SHIM_COPIES, .lines = MT_LINETABLE_311, .owner_shim = 3,
    .tag_bits = 7, .unicode_kind_shift = 8,
    .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 78, .copy_index = 72 },
    .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 232,
              .version = 108, .first_traceable = 208, .copies = 224 },
    .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                .unicode_ascii_data = 56, .unicode_compact_data = 72 },
    .runtime = { .finalizing = 784, .interpreters_head = 808, .interpreter_next = 7272 },
};

/* 3.15.2: the chain ends in a base frame of owner INTERPRETER inside the thread state */
static const struct mt_py_offsets g_row_3_15 = {
    .minor = 15, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .tag_bits = 7,
    .unicode_kind_shift = 2,
    .tstate = { .frame = 72, .thread_id = 176, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 74 },
    .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 208,
              .version = 92, .first_traceable = 192 },
    .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                .unicode_ascii_data = 40, .unicode_compact_data = 56 },
    .runtime = { .finalizing = 912, .interpreters_head = 936, .interpreter_next = 7264 },
};

/* 3.15.2t, from the headers with -DPy_GIL_DISABLED */
static const struct mt_py_offsets g_row_3_15t = {
    .minor = 15, .free_threaded = true, .family = MT_PY_SHIM_COPIES, .lines = MT_LINETABLE_311, .owner_shim = 3,
    .tag_bits = 7, .unicode_kind_shift = 8,
    .tstate = { .frame = 72, .thread_id = 176, .interp = 16 },
    .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 78, .copy_index = 72 },
    .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 232,
              .version = 108, .first_traceable = 208, .copies = 224 },
    .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                .unicode_ascii_data = 56, .unicode_compact_data = 72 },
    .runtime = { .finalizing = 912, .interpreters_head = 936, .interpreter_next = 7264 },
};

/* clang-format on */

#endif
