/* offsets.c: which layout an interpreter has: a row of rows.h, corrected by the interpreter's own description of
 * itself.
 *
 * Alphas and betas are refused: their layouts change.
 * The layout of _Py_DebugOffsets itself (Include/internal/pycore_debug_offsets.h, in 3.13 pycore_runtime.h) grew in
 * 3.14 and 3.15, so there is one index table per minor version: the n-th u64 of that struct.
 */
#include "pystack/offsets.h"

#include "pystack/rows.h"

#include <stddef.h>
#include <string.h>

enum {
    OLDEST_LEVEL = 0xC0, /* release level nibble of PY_VERSION_HEX: 0xA alpha, 0xB beta, 0xC candidate, 0xF final */
};

static const struct mt_py_offsets *const g_rows[] = {
#define ROW_ADDRESS(row) &g_row_##row,
    MT_PY_ROW_TABLE(ROW_ADDRESS)
#undef ROW_ADDRESS
};

/* ---- the interpreter's own description, 3.13 and newer ----------------------------------------------------------- */

enum { FIRST_DESCRIBED_MINOR = 13, DESCRIBED_MINORS = 3, OFFSET_LIMIT = 8192 };
enum { WORD_VERSION = 1, WORD_FREE_THREADED = 2 }; /* after the cookie */
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
        if (g_rows[i]->minor == minor && g_rows[i]->free_threaded == free_threaded) {
            return g_rows[i];
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
        bool same_version = words[WORD_VERSION] >> 16 == version_hex >> 16;
        bool same_build = (words[WORD_FREE_THREADED] != 0) == free_threaded;
        if (!same_version || !same_build || !apply_description(words, &found)) {
            return false;
        }
    }
    *ret = found;
    return true;
}
