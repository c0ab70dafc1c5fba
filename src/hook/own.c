/* own.c: see own.h.
 *
 * A patched object has a few pages of ours near it, a slot for each function:
 *     0  push $number; jmp *address_of(mt_own_entry)      where the function's first instruction now jumps to
 *    32  the instructions that made room for the jump, and a jump to the rest of the function
 * All state is changed under the loader's own lock, inside dl_iterate_phdr.
 */
#include "hook/own.h"

#include "base/atomic.h"
#include "base/objects.h"
#include "base/os.h"
#include "heap/engine.h"
#include "hook/gotload.h"
#include "hook/moments.h"
#include "hook/owncall.h"
#include "hook/owner.h"
#include "hook/ownscan.h"
#include "hook/patch.h"

#include <string.h>

enum {
    UNSEEN_MAX = 8,
    NAME_MAX_BYTES = 64,
};

struct seen {
    uint64_t identity, low, high;
};

static struct {
    bool installed;
    uint32_t functions; /* numbers in use */
    uint64_t entries[MT_OWN_FUNCTIONS_MAX];
    struct seen seen[2][MT_LOADED_MAX]; /* objects looked at: at the last walk, and at the present one */
    uint32_t seen_count[2];
    char unseen[UNSEEN_MAX][NAME_MAX_BYTES]; /* names of objects; shown when unseen_count is */
    uint32_t unseen_count;
} g_own;

/* One walk. Static memory of it is used under the loader's lock. */
struct walk {
    bool came_alone;
    bool asked, one_thread; /* asked the kernel, which is not free, and what it said */
    uint32_t index;
};
static struct mt_own_scan g_scan;
static struct mt_patch g_patches[MT_OWN_NAMES_MAX];

/* ---- saying so ---------------------------------------------------------------------------------------------------------- */

static void note_unseen(const char *name)
{
    static const char rest[] = " has an allocator of its own that memtap does not see";
    char text[NAME_MAX_BYTES + sizeof rest];
    size_t length = strlen(name);
    memcpy(text, name, length);
    memcpy(text + length, rest, sizeof rest);
    mt_engine_note("warning", text);
}

static void note_from(uint32_t first)
{
    uint32_t count = mt_load_acquire(&g_own.unseen_count);
    for (uint32_t i = first; i < count; i++) {
        note_unseen(g_own.unseen[i]);
    }
}

void mt_own_note(void)
{
    note_from(0);
}

static void remember_unseen(const struct dl_phdr_info *info, bool executable)
{
    char path[4096];
    const char *name = info->dlpi_name;
    if (executable) {
        name = mt_os_readlink("/proc/self/exe", path, sizeof path) > 0 ? path : "the program";
    }
    const char *slash = strrchr(name, '/');
    name = slash != NULL ? slash + 1 : name;
    size_t length = strlen(name);
    if (g_own.unseen_count == UNSEEN_MAX) {
        return;
    }
    length = length < NAME_MAX_BYTES ? length : NAME_MAX_BYTES - 1;
    char *to = g_own.unseen[g_own.unseen_count];
    memcpy(to, name, length);
    to[length] = '\0';
    mt_store_release(&g_own.unseen_count, g_own.unseen_count + 1);
}

/* ---- new code --------------------------------------------------------------------------------------------------------- */

static struct seen look_at(const struct dl_phdr_info *info)
{
    struct seen seen = { .identity = mt_loaded_identity(info) };
    mt_objects_extent(info, &seen.low, &seen.high);
    return seen;
}

static void write_stub(uint8_t *slot, uint32_t number)
{
    static const uint8_t jump_to_next_word[] = { 0xFF, 0x25, 0, 0, 0, 0 };
    uint64_t entry = (uint64_t)(uintptr_t)mt_own_entry;
    *slot++ = 0x68; /* push $number */
    memcpy(slot, &number, sizeof number);
    memcpy(slot + sizeof number, jump_to_next_word, sizeof jump_to_next_word);
    memcpy(slot + sizeof number + sizeof jump_to_next_word, &entry, sizeof entry);
}

/* Prepares one function; false when its first instructions cannot be moved. */
static bool prepare(const struct mt_own_entry_point *point, uint8_t *slot, uint32_t number, struct mt_patch *ret)
{
    if (!mt_patch_plan(point->address, point->bytes, slot, ret)) {
        return false;
    }
    write_stub(slot, number);
    mt_g_own_functions[number] = (struct mt_own_function){ point->name, (uint64_t)(uintptr_t)slot + MT_PATCH_MOVED_AT };
    g_own.entries[number] = point->address;
    return true;
}

/* A free that does nothing gives no block back: there is nothing to see, and often no room for a jump. */
static bool frees_nothing(const struct mt_own_entry_point *point)
{
    return point->name->shape == MT_OWN_FREE &&
           mt_detour_is_empty((const uint8_t *)(uintptr_t)point->address, point->bytes);
}

/* Prepares a slot for each function. Returns how many; 0 when one cannot be moved. */
static size_t prepare_all(const struct mt_own_scan *scan, uint8_t *pages)
{
    size_t count = 0;
    for (size_t i = 0; i < scan->count; i++) {
        uint32_t number = g_own.functions + (uint32_t)count;
        if (prepare(&scan->found[i], pages + count * MT_PATCH_SLOT_BYTES, number, &g_patches[count])) {
            count++;
        } else if (!frees_nothing(&scan->found[i])) {
            return 0;
        }
    }
    return count;
}

/* ---- patching --------------------------------------------------------------------------------------------------------- */

static bool patch_object(const struct dl_phdr_info *info, const struct mt_own_scan *scan)
{
    size_t bytes = scan->count * MT_PATCH_SLOT_BYTES;
    if (scan->unsure || g_own.functions + scan->count > MT_OWN_FUNCTIONS_MAX) {
        return false;
    }
    uint8_t *pages = mt_patch_map_near(info, bytes);
    if (pages == NULL) {
        return false;
    }
    size_t count = prepare_all(scan, pages);
    if (count == 0 || !mt_os_make_executable(pages, bytes) || !mt_patch_write(g_patches, count)) {
        mt_os_unmap(pages, bytes);
        return false;
    }
    mt_store_release(&g_own.functions, g_own.functions + (uint32_t)count);
    for (size_t i = 0; i < MT_OWN_INSIDES; i++) {
        mt_owner_add_inside(scan->insides[i].low, scan->insides[i].high);
    }
    return true;
}

bool mt_own_is_patched(uint64_t address)
{
    uint32_t count = mt_load_acquire(&g_own.functions);
    for (uint32_t i = 0; i < count; i++) {
        if (g_own.entries[i] == address) {
            return true;
        }
    }
    return false;
}

/* ---- objects ---------------------------------------------------------------------------------------------------------- */

static bool was_seen(uint64_t identity, uint32_t hint)
{
    for (uint32_t i = 0; i < g_own.seen_count[0]; i++) {
        if (g_own.seen[0][(hint + i) % g_own.seen_count[0]].identity == identity) {
            return true;
        }
    }
    return false;
}

/* Asked only when there is something new to patch. */
static bool nobody_runs_new_code(struct walk *walk)
{
    if (!walk->came_alone && !walk->asked) {
        walk->one_thread = mt_os_has_one_thread();
        walk->asked = true;
    }
    return walk->came_alone || walk->one_thread;
}

static int visit(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct walk *walk = context;
    struct seen seen = look_at(info);
    uint32_t index = walk->index++;
    if (index >= MT_LOADED_MAX) {
        return 1;
    }
    g_own.seen[1][index] = seen;
    g_own.seen_count[1] = index + 1;
    if (was_seen(seen.identity, index)) {
        return 0;
    }
    bool executable = index == 0;
    if (nobody_runs_new_code(walk)) {
        mt_moments_patch(info);
    }
    mt_own_scan(info, executable, &g_scan);
    bool patched = g_scan.count > 0 && nobody_runs_new_code(walk) && patch_object(info, &g_scan);
    if (g_scan.nameless || (g_scan.count > 0 && !patched)) {
        remember_unseen(info, executable);
    }
    return 0;
}

static int end(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)info;
    (void)bytes;
    (void)context;
    memcpy(g_own.seen[0], g_own.seen[1], g_own.seen_count[1] * sizeof g_own.seen[1][0]);
    g_own.seen_count[0] = g_own.seen_count[1];
    return 1;
}

bool mt_own_has_seen(uint64_t pc)
{
    for (uint32_t i = 0; i < g_own.seen_count[0]; i++) {
        if (pc >= g_own.seen[0][i].low && pc < g_own.seen[0][i].high) {
            return true;
        }
    }
    return false;
}

void mt_own_rescan(bool came_alone)
{
    struct walk walk = { .came_alone = came_alone };
    if (!g_own.installed) {
        return;
    }
    uint32_t said = mt_load_acquire(&g_own.unseen_count);
    if (mt_objects_walk(visit, &walk)) {
        (void)mt_objects_walk(end, NULL);
    }
    note_from(said); /* where no trace has begun, mt_own_note does it later */
}

void mt_own_install(void)
{
    g_own.installed = true;
    mt_own_rescan(false);
}
