/* codes.c: noticing that a code object died.
 *
 * Decides: an address that was a code object is still the same one as long as no code object has died. Frames, code
 * objects and instructions are all reused at the same addresses (exec in a loop), so without this every frame of every
 * stack must be compared with a fingerprint of its code object, more work than all the rest of a walk. PyCode_Type's
 * tp_dealloc is replaced by a function that counts and goes on to the original; every death passes there in every
 * version (_Py_Dealloc reads the slot each time, the type cannot be subclassed from Python).
 * Rejected: code watchers (3.12+ only, keep the object alive through the callback), free hooks (small code objects come
 * from pymalloc, which is not always hooked). docs/decisions/0003-python-stacks.md.
 * Invariant: a death is counted before the memory is given back, so whoever finds another object there finds another
 * count (pairing Y2). If somebody else takes the slot, captures see that and trust nothing.
 * Contexts: mt_py_watch_codes [agent], one caller at a time; mt_py_code_dies wherever Python drops a code object.
 */
#include "base/atomic.h"
#include "pystack/layout.h"

typedef void (*deallocator)(void *object);

struct watched {
    uint64_t type; /* PyCode_Type */
    unsigned type_offset;
    deallocator original;
};

/* Writer: mt_py_watch_codes, an entry before the slot that leads to it and never again. */
static struct watched g_watched[MT_PY_MAX_ENABLED];
static unsigned g_watched_count;
static const uint64_t g_no_slot;

uint64_t mt_g_code_deaths;

void mt_py_code_dies(void *code)
{
    (void)mt_fetch_add_relaxed(&mt_g_code_deaths, 1);
    unsigned found = g_watched_count - 1;
    while (found > 0 &&
           mt_py_load_u64((uint64_t)(uintptr_t)code, g_watched[found].type_offset) != g_watched[found].type) {
        found--;
    }
    g_watched[found].original(code);
}

static struct watched *find_watched(uint64_t type, unsigned type_offset)
{
    for (unsigned i = 0; i < g_watched_count; i++) {
        if (g_watched[i].type == type && g_watched[i].type_offset == type_offset) {
            return &g_watched[i];
        }
    }
    return NULL;
}

/* tp_dealloc stands behind ob_size, tp_name, tp_basicsize and tp_itemsize (Include/cpython/object.h, 3.8 to 3.15). */
static uint64_t *slot_of(const struct mt_py_enabled *e)
{
    return (uint64_t *)((uintptr_t)e->info.code_type + e->offsets.object.bytes_size + 4 * sizeof(uint64_t));
}

const uint64_t *mt_py_watch_codes(const struct mt_py_enabled *e)
{
    if (e->info.code_type == NULL || e->info.unwatched || !e->info.frames_supported) {
        return &g_no_slot;
    }
    uint64_t *slot = slot_of(e);
    uint64_t type = (uint64_t)(uintptr_t)e->info.code_type;
    struct watched *w = find_watched(type, e->offsets.object.type);
    if (w == NULL && g_watched_count < MT_PY_MAX_ENABLED && *slot != 0) {
        w = &g_watched[g_watched_count];
        *w = (struct watched){ type, e->offsets.object.type, (deallocator)(uintptr_t)*slot };
        mt_store_release(&g_watched_count, g_watched_count + 1);
    }
    if (w != NULL && *slot == (uint64_t)(uintptr_t)w->original) {
        mt_store_release(slot, (uint64_t)(uintptr_t)mt_py_code_dies);
    }
    return slot;
}
