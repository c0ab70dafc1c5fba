/* offsets.c: the table of CPython layouts and the interpreter's own description of itself.
 *
 * Every number below was printed by tools/py_offsets.sh from the headers of the interpreter named in the row's comment
 * (Py_BUILD_CORE, offsetof), and is the same in every other micro version at hand (3.11.2 and 3.11.7, 3.13.0, 3.13.15
 * and 3.13.18). Layouts do not change within a minor version once it is final; alphas and betas are refused.
 * The layout of _Py_DebugOffsets itself (Include/internal/pycore_debug_offsets.h, in 3.13 pycore_runtime.h) grew in 3.14
 * and 3.15, so there is one index table per minor version: the n-th u64 of that struct.
 */
#include "pystack/offsets.h"

#include "base/status.h"
#include "wire/format.h"

#include <stddef.h>
#include <string.h>

enum {
    NEVER_A_SHIM = 255,
    OLDEST_LEVEL = 0xC0, /* release level nibble of PY_VERSION_HEX: 0xA alpha, 0xB beta, 0xC candidate, 0xF final */
};

/* clang-format off */
static const struct mt_py_offsets g_rows[] = {
    { /* 3.8.18 */
        .minor = 8, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_LNOTAB, .owner_shim = NEVER_A_SHIM,
        .lasti_scale = 1, .unicode_kind_shift = 2,
        .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
        .frame = { .previous = 24, .code = 32, .instr = 104 },
        .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 48, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
    },
    { /* 3.9.18 */
        .minor = 9, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_LNOTAB, .owner_shim = NEVER_A_SHIM,
        .lasti_scale = 1, .unicode_kind_shift = 2,
        .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
        .frame = { .previous = 24, .code = 32, .instr = 104 },
        .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 48, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
    },
    { /* 3.10.13 */
        .minor = 10, .family = MT_PY_FRAME_OBJECTS, .lines = MT_LINETABLE_310, .owner_shim = NEVER_A_SHIM,
        .lasti_scale = 2, .unicode_kind_shift = 2,
        .tstate = { .frame = 24, .thread_id = 176, .interp = 16 },
        .frame = { .previous = 24, .code = 32, .instr = 96 },
        .code = { .first_line = 40, .filename = 104, .name = 112, .linetable = 120 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 48, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 16, .interpreters_head = 32, .interpreter_next = 0 },
    },
    { /* 3.11.7 */
        .minor = 11, .family = MT_PY_ENTRY_FLAG, .lines = MT_LINETABLE_311, .owner_shim = NEVER_A_SHIM,
        .unicode_kind_shift = 2,
        .tstate = { .frame = 56, .cframe_current = 8, .cframe_previous = 16, .has_cframe = 1, .thread_id = 152,
                    .interp = 16 },
        .frame = { .previous = 48, .code = 32, .instr = 56, .owner = 69, .is_entry = 68 },
        .code = { .first_line = 72, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 184 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 48, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 24, .interpreters_head = 40, .interpreter_next = 0 },
    },
    { /* 3.12.1 */
        .minor = 12, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .unicode_kind_shift = 2,
        .tstate = { .frame = 56, .cframe_current = 0, .cframe_previous = 8, .has_cframe = 1, .thread_id = 136,
                    .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
        .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 192,
                  .version = 92, .first_traceable = 176 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 40, .unicode_compact_data = 56 },
        .runtime = { .finalizing = 24, .interpreters_head = 40, .interpreter_next = 0 },
    },
    { /* 3.13.0 */
        .minor = 13, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .unicode_kind_shift = 2,
        .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
        .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 200,
                  .version = 92, .first_traceable = 184 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 40, .unicode_compact_data = 56 },
        .runtime = { .finalizing = 608, .interpreters_head = 632, .interpreter_next = 7264 },
    },
    { /* 3.13.15t */
        .minor = 13, .free_threaded = true, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3,
        .unicode_kind_shift = 2,
        .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 70 },
        .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 216,
                  .version = 108, .first_traceable = 200 },
        .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                    .unicode_ascii_data = 56, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 608, .interpreters_head = 632, .interpreter_next = 7264 },
    },
    { /* 3.14.10: references are tagged, shims are owned by INTERPRETER = 3 or CSTACK = 4 */
        .minor = 14, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .tag_bits = 7,
        .unicode_kind_shift = 2,
        .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 74 },
        .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 208,
                  .version = 92, .first_traceable = 192 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 40, .unicode_compact_data = 56 },
        .runtime = { .finalizing = 784, .interpreters_head = 808, .interpreter_next = 7272 },
    },
    { /* 3.14.10t, from the headers with -DPy_GIL_DISABLED */
        .minor = 14, .free_threaded = true, .family = MT_PY_SHIM_COPIES, .lines = MT_LINETABLE_311, .owner_shim = 3,
        .tag_bits = 7, .unicode_kind_shift = 8,
        .tstate = { .frame = 72, .thread_id = 152, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 78, .copy_index = 72 },
        .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 232,
                  .version = 108, .first_traceable = 208, .copies = 224 },
        .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                    .unicode_ascii_data = 56, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 784, .interpreters_head = 808, .interpreter_next = 7272 },
    },
    { /* 3.15.2: the chain ends in a base frame of owner INTERPRETER inside the thread state */
        .minor = 15, .family = MT_PY_SHIM, .lines = MT_LINETABLE_311, .owner_shim = 3, .tag_bits = 7,
        .unicode_kind_shift = 2,
        .tstate = { .frame = 72, .thread_id = 176, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 74 },
        .code = { .first_line = 68, .filename = 112, .name = 120, .qualname = 128, .linetable = 136, .bytecode = 208,
                  .version = 92, .first_traceable = 192 },
        .object = { .type = 8, .bytes_size = 16, .bytes_data = 32, .unicode_length = 16, .unicode_state = 32,
                    .unicode_ascii_data = 40, .unicode_compact_data = 56 },
        .runtime = { .finalizing = 912, .interpreters_head = 936, .interpreter_next = 7264 },
    },
    { /* 3.15.2t, from the headers with -DPy_GIL_DISABLED */
        .minor = 15, .free_threaded = true, .family = MT_PY_SHIM_COPIES, .lines = MT_LINETABLE_311, .owner_shim = 3,
        .tag_bits = 7, .unicode_kind_shift = 8,
        .tstate = { .frame = 72, .thread_id = 176, .interp = 16 },
        .frame = { .previous = 8, .code = 0, .instr = 56, .owner = 78, .copy_index = 72 },
        .code = { .first_line = 84, .filename = 128, .name = 136, .qualname = 144, .linetable = 152, .bytecode = 232,
                  .version = 108, .first_traceable = 208, .copies = 224 },
        .object = { .type = 24, .bytes_size = 32, .bytes_data = 48, .unicode_length = 32, .unicode_state = 48,
                    .unicode_ascii_data = 56, .unicode_compact_data = 72 },
        .runtime = { .finalizing = 912, .interpreters_head = 936, .interpreter_next = 7264 },
    },
};
/* clang-format on */

/* ---- the interpreter's own description, 3.13 and newer --------------------------------------------------------------- */

enum { FIRST_DESCRIBED_MINOR = 13, DESCRIBED_MINORS = 3, WORD_VERSION = 1, WORD_FREE_THREADED = 2, OFFSET_LIMIT = 8192 };
#define DESCRIPTION_COOKIE "xdebugpy"

/* Where a field of the row stands in the description: n-th u64 for 3.13, 3.14, 3.15; 0: not there. */
struct described {
    uint16_t field;
    uint8_t word[DESCRIBED_MINORS];
};
#define FIELD(name) (uint16_t) offsetof(struct mt_py_offsets, name)

static const struct described g_described[] = {
    { FIELD(runtime.finalizing), { 4, 4, 4 } },
    { FIELD(runtime.interpreters_head), { 5, 5, 5 } },
    { FIELD(runtime.interpreter_next), { 8, 8, 8 } },
    { FIELD(tstate.interp), { 22, 25, 25 } },
    { FIELD(tstate.frame), { 23, 26, 26 } },
    { FIELD(tstate.thread_id), { 24, 27, 30 } },
    { FIELD(frame.previous), { 29, 32, 40 } },
    { FIELD(frame.code), { 30, 33, 41 } },
    { FIELD(frame.instr), { 31, 34, 42 } },
    { FIELD(frame.owner), { 33, 36, 44 } },
    { FIELD(frame.copy_index), { 0, 38, 46 } },
    { FIELD(code.filename), { 35, 40, 48 } },
    { FIELD(code.name), { 36, 41, 49 } },
    { FIELD(code.qualname), { 37, 42, 50 } },
    { FIELD(code.linetable), { 38, 43, 51 } },
    { FIELD(code.first_line), { 39, 44, 52 } },
    { FIELD(code.bytecode), { 43, 48, 56 } },
    { FIELD(code.copies), { 0, 49, 57 } },
    { FIELD(object.type), { 45, 51, 59 } },
    { FIELD(object.bytes_size), { 65, 75, 87 } },
    { FIELD(object.bytes_data), { 66, 76, 88 } },
    { FIELD(object.unicode_state), { 68, 78, 90 } },
    { FIELD(object.unicode_length), { 69, 79, 91 } },
    { FIELD(object.unicode_ascii_data), { 70, 80, 92 } },
};

static bool has_cookie(const void *runtime)
{
    return runtime != NULL && memcmp(runtime, DESCRIPTION_COOKIE, sizeof DESCRIPTION_COOKIE - 1) == 0;
}

bool mt_py_offsets_described(const void *runtime, bool *ret_free_threaded)
{
    if (!has_cookie(runtime)) {
        return false;
    }
    *ret_free_threaded = ((const uint64_t *)runtime)[WORD_FREE_THREADED] != 0;
    return true;
}

/* Takes the interpreter's words over the row's; false when they make no sense. */
static bool apply_description(const uint64_t *words, struct mt_py_offsets *row)
{
    unsigned column = row->minor - (unsigned)FIRST_DESCRIBED_MINOR;
    for (size_t i = 0; i < MT_COUNTOF(g_described); i++) {
        unsigned word = g_described[i].word[column];
        if (word == 0) {
            continue;
        }
        if (words[word] >= OFFSET_LIMIT) {
            return false;
        }
        uint16_t value = (uint16_t)words[word];
        memcpy((char *)row + g_described[i].field, &value, sizeof value);
    }
    return true;
}

static const struct mt_py_offsets *find_row(unsigned minor, bool free_threaded)
{
    for (size_t i = 0; i < MT_COUNTOF(g_rows); i++) {
        if (g_rows[i].minor == minor && g_rows[i].free_threaded == free_threaded) {
            return &g_rows[i];
        }
    }
    return NULL;
}

bool mt_py_offsets_find(uint32_t version_hex, bool free_threaded, const void *runtime, struct mt_py_offsets *ret)
{
    bool released = (version_hex & 0xF0u) >= OLDEST_LEVEL;
    const struct mt_py_offsets *row = find_row((version_hex >> 16) & 0xFFu, free_threaded);
    if (version_hex >> 24 != 3 || !released || row == NULL) {
        return false;
    }
    struct mt_py_offsets found = *row;
    if (found.minor >= FIRST_DESCRIBED_MINOR && has_cookie(runtime)) {
        const uint64_t *words = runtime;
        bool agrees = words[WORD_VERSION] >> 16 == version_hex >> 16 && (words[WORD_FREE_THREADED] != 0) == free_threaded;
        if (!agrees || !apply_description(words, &found)) {
            return false;
        }
    }
    *ret = found;
    return true;
}
