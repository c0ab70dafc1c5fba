/* detect.c: which Python is in this process, and whether its frames can be read.
 *
 * Decides: the version, from the constant Py_Version (3.11+) or the text of Py_GetVersion (older; documented as
 * callable before Py_Initialize), and free-threading, from the interpreter's own description or that text. Nothing here
 * starts, stops or locks the interpreter. An interpreter that is not known exactly is reported with frames_supported =
 * false. The enabled state is published once and not changed in place, because captures on other threads read it
 * without a lock; a second interpreter version in the same process (dlmopen, embedding experiments) takes another slot.
 * Contexts: detect and enable [agent], one caller at a time; info any.
 */
#include "base/atomic.h"
#include "pystack/eval_range.h"
#include "pystack/layout.h"

#include <string.h>

enum { FINAL = 0xF0 };

static struct mt_py_enabled g_slots[MT_PY_MAX_ENABLED];
static unsigned g_slots_used;

const struct mt_python_info *mt_pystack_info(void)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    return e != NULL ? &e->info : NULL;
}

/* Reads decimal digits, at most three; the value stays 0 when there are none. */
static const char *read_number(const char *text, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (int digits = 0; digits < 3 && *text >= '0' && *text <= '9'; digits++) {
        value = value * 10 + (uint32_t)(*text++ - '0');
    }
    *ret_value = value;
    return text;
}

static uint32_t release_level(char letter)
{
    switch (letter) {
    case 'a':
        return 0xA0;
    case 'b':
        return 0xB0;
    case 'r': /* rcN */
        return 0xC0;
    default:
        return FINAL;
    }
}

/* "3.10.13 (main, ...)" or "3.9.0rc1+ (...)" -> PY_VERSION_HEX without the serial; 0 when it is not like that. */
static uint32_t parse_version(const char *text)
{
    uint32_t major, minor, micro = 0;
    text = read_number(text, &major);
    if (*text != '.') {
        return 0;
    }
    text = read_number(text + 1, &minor);
    if (*text == '.') {
        text = read_number(text + 1, &micro);
    }
    return major << 24 | (minor & 0xFF) << 16 | (micro & 0xFF) << 8 | release_level(*text);
}

static uint32_t find_version(mt_symbol_lookup lookup, const char *text)
{
    const unsigned long *constant = lookup("Py_Version");
    return constant != NULL ? (uint32_t)*constant : parse_version(text);
}

static const char *find_version_text(mt_symbol_lookup lookup)
{
    const char *(*get_version)(void) = (const char *(*)(void))(uintptr_t)lookup("Py_GetVersion");
    const char *text = get_version != NULL ? get_version() : NULL;
    return text != NULL ? text : "";
}

typedef void *(*tstate_getter)(void);

static tstate_getter find_getter(mt_symbol_lookup lookup, const char *name)
{
    return (tstate_getter)(uintptr_t)lookup(name);
}

static void find_eval_range(mt_symbol_lookup lookup, struct mt_python_info *info)
{
    bool one_loop_a_frame = (info->version_hex >> 16 & 0xFF) <= 10;
    uint64_t start = (uint64_t)(uintptr_t)lookup("_PyEval_EvalFrameDefault");
    if (one_loop_a_frame && start != 0) {
        info->eval_low = start;
        info->eval_high = mt_py_function_end(start);
    }
}

bool mt_pystack_detect(mt_symbol_lookup lookup, struct mt_python_info *ret)
{
    const char *text = find_version_text(lookup);
    struct mt_python_info info = {
        .version_hex = find_version(lookup, text),
        .get_tstate = find_getter(lookup, "PyGILState_GetThisThreadState"),
        .get_tstate_unchecked = find_getter(lookup, "_PyThreadState_UncheckedGet"),
        .runtime = lookup("_PyRuntime"),
        .version_text = text,
        .code_type = lookup("PyCode_Type"),
    };
    if (info.version_hex >> 24 < 2 || info.get_tstate == NULL) {
        return false;
    }
    if (info.get_tstate_unchecked == NULL) {
        info.get_tstate_unchecked = find_getter(lookup, "PyThreadState_GetUnchecked");
    }
    if (!mt_py_offsets_described(info.runtime, &info.free_threaded)) {
        info.free_threaded = strstr(text, "free-threading") != NULL;
    }
    struct mt_py_offsets unused;
    info.frames_supported = mt_py_offsets_find(info.version_hex, info.free_threaded, info.runtime, &unused);
    find_eval_range(lookup, &info);
    *ret = info;
    return true;
}

static bool is_same(const struct mt_python_info *a, const struct mt_python_info *b)
{
    return a->version_hex == b->version_hex && a->free_threaded == b->free_threaded && a->get_tstate == b->get_tstate &&
           a->runtime == b->runtime && a->code_type == b->code_type && a->unwatched == b->unwatched;
}

static void *no_tstate(void)
{
    return NULL;
}

/* The slot of an interpreter that was enabled before, or a new one filled; NULL when there are no more. */
static struct mt_py_enabled *take_slot(const struct mt_python_info *info)
{
    for (unsigned i = 0; i < g_slots_used; i++) {
        if (is_same(&g_slots[i].info, info)) {
            return &g_slots[i];
        }
    }
    if (g_slots_used == MT_PY_MAX_ENABLED) {
        return NULL;
    }
    struct mt_py_enabled *slot = &g_slots[g_slots_used++];
    slot->info = *info;
    slot->info.get_tstate_unchecked = info->get_tstate_unchecked != NULL ? info->get_tstate_unchecked : no_tstate;
    slot->info.frames_supported = info->frames_supported && mt_py_offsets_find(info->version_hex, info->free_threaded,
                                                                               info->runtime, &slot->offsets);
    slot->walk = mt_py_find_walk(slot->info.frames_supported ? &slot->offsets : NULL);
    return slot;
}

void mt_pystack_enable(const struct mt_python_info *info)
{
    struct mt_py_enabled *slot = take_slot(info);
    if (slot != NULL) {
        slot->dealloc_slot = mt_py_watch_codes(slot);
        (void)mt_fetch_add_relaxed(&mt_g_code_deaths, 1); /* what another interpreter had at an address means nothing */
        mt_store_release(&mt_g_py_enabled, slot);
    }
}
