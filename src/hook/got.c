/* got.c: see got.h.
 *
 * A scan takes two passes over the loader's list: the first takes a picture of all objects, the second, in its first
 * callback and so still under the loader's lock, checks that the picture is current and does all the work. Only one thread
 * scans; another that comes meanwhile leaves a request and goes on (waiting for our lock while the loader's is held would
 * invert the order).
 * A slot's value is one of: NULL (weak, stays), one of our hooks (done), a definition of the name in some object, the PLT
 * stub that a non-PIE executable exports as the function's address, an address inside the object itself that is no
 * definition (its lazy binding stub), or another tool's hook (company.h; left alone with a preloaded agent).
 */
#include "hook/got.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/objects.h"
#include "base/os.h"
#include "hook/gotload.h"
#include "hook/gotscan.h"
#include "hook/own.h"

#include <string.h>

enum { PATCHES_MAX = 64 * 1024, SCAN_ATTEMPTS = 5, VERSIONS_MAX = 4 };

struct patch {
    uint64_t *slot;
    uint64_t old_value;
    uint64_t hook;
    uint32_t known; /* index of the object the slot is in */
};

/* An object already scanned. */
struct known {
    uint64_t identity;
    uint32_t renumbered; /* its index after objects that are gone were dropped */
    bool incomplete;     /* not scanned, or while it was being relocated: scan it again */
    bool present;
};

static struct {
    struct mt_loaded_list *list; /* the picture; memory is mapped at install */
    struct patch *patches;
    struct known *known;
    uint32_t patch_count;
    uint32_t known_count;
    uint64_t unbanked;
    bool installed;
    bool preloaded;
    bool removing;
    uint32_t taken; /* objects whose slots somebody took, since it was last asked */
    uint64_t taker; /* an address in his object, 0: not known */
} g_got;
static struct mt_spinlock g_lock = MT_SPINLOCK_INIT(MT_RANK_AGENT);
static uint32_t g_requested; /* a thread found the lock taken. Writers: any; the holder looks again before it ends */

/* ---- deciding ------------------------------------------------------------------------------------------------------- */

/* The function a slot calls. target 0: not understood, leave it. */
struct binding {
    uint64_t target;
    const struct mt_loaded *definer;
};

static struct binding first_definition(const struct mt_hook_row *row)
{
    struct binding binding = { 0, NULL };
    binding.target = mt_loaded_define(g_got.list, row->name, row->hash, &binding.definer);
    return binding;
}

/* A non-PIE executable gives the function's address out as its own PLT stub: an undefined symbol with a value. */
static bool is_exported_stub(const struct mt_loaded *holder, const struct mt_hook_row *row, uint64_t value)
{
    uint32_t symbols[VERSIONS_MAX];
    size_t count = mt_elf_named(&holder->elf, row->name, row->hash, symbols, VERSIONS_MAX);
    for (size_t i = 0; holder->executable && i < count; i++) {
        const ElfW(Sym) *entry = &holder->elf.symbols[symbols[i]];
        if (entry->st_shndx == SHN_UNDEF && holder->elf.base + entry->st_value == value) {
            return true;
        }
    }
    return false;
}

static struct binding resolve(const struct mt_loaded *object, const struct mt_slot *slot, uint64_t value)
{
    const struct mt_hook_row *row = mt_hook_row(slot->index);
    struct binding none = { 0, NULL };
    const struct mt_loaded *holder = value != 0 ? mt_loaded_find(g_got.list, value) : NULL;
    if (holder == NULL || !holder->readable) {
        return none;
    }
    if (mt_elf_defines_at(&holder->elf, row->name, row->hash, value)) {
        return (struct binding){ value, holder };
    }
    bool lazy = holder == object && slot->kind == MT_SLOT_CALL;
    if (lazy || is_exported_stub(holder, row, value)) {
        return first_definition(row);
    }
    if (!g_got.preloaded && slot->kind == MT_SLOT_CALL && !holder->executable) {
        g_got.taker = value;
        return (struct binding){ value, holder }; /* another tool's hook: it takes what the function takes */
    }
    return none;
}

/* With a preloaded agent, a definition between the executable and us belongs to a library preloaded before us: it may well
 * forward to us, and the call would be counted twice. A function whose entry is patched counts by itself. And dlsym finds
 * the exported hooks. */
static bool may_replace(enum mt_hook_index index, const struct binding *binding)
{
    bool earlier_preload = binding->definer->before_self && !binding->definer->executable;
    if (g_got.preloaded && (earlier_preload || index == MT_HOOK_dlsym || index == MT_HOOK_dl_iterate_phdr || mt_own_is_patched(binding->target))) {
        return false;
    }
    return !mt_hook_is_cxx(index) || mt_elf_find(&binding->definer->elf, "malloc", mt_elf_gnu_hash("malloc")) != 0;
}

/* The bank whose hook forwards to target; MT_BANKS when all are taken by others. */
static unsigned bank_for(enum mt_hook_index index, uint64_t target)
{
    for (unsigned bank = 0; bank < MT_BANKS; bank++) {
        uint64_t original = mt_originals_get(bank, index);
        if (original == 0) {
            mt_originals_set(bank, index, target);
            return bank;
        }
        if (original == target) {
            return bank;
        }
    }
    return MT_BANKS;
}

/* ---- writing slots -------------------------------------------------------------------------------------------------- */

/* One object's work. */
struct session {
    const struct mt_loaded *object;
    uint32_t known;
    bool again;      /* it was scanned before: slots may be on record */
    bool opened;     /* we made its sealed pages writable, and close them again */
    bool incomplete; /* the loader is not done with it */
};

/* Makes the slot writable; false when that is not possible. */
static bool open_slot(struct session *session, const uint64_t *slot)
{
    const struct mt_loaded *object = session->object;
    uint64_t address = (uint64_t)(uintptr_t)slot;
    if (session->opened || address < object->sealed_low || address >= object->sealed_high) {
        return true;
    }
    if (mt_os_is_writable((void *)address)) {
        session->incomplete = true;
        return true;
    }
    session->opened = mt_os_protect((void *)object->sealed_low, object->sealed_high - object->sealed_low, true);
    return session->opened;
}

static void close_session(struct session *session)
{
    const struct mt_loaded *object = session->object;
    if (session->opened) {
        (void)mt_os_protect((void *)object->sealed_low, object->sealed_high - object->sealed_low, false);
        session->opened = false;
    }
}

static void remember(const struct session *session, const struct patch *patch)
{
    for (uint32_t i = 0; session->again && i < g_got.patch_count; i++) {
        if (g_got.patches[i].slot == patch->slot) {
            g_got.patches[i] = *patch;
            return;
        }
    }
    g_got.patches[g_got.patch_count] = *patch;
    mt_store_relaxed(&g_got.patch_count, g_got.patch_count + 1);
}

static void visit_slot(const struct mt_slot *slot, void *context)
{
    struct session *session = context;
    uint64_t value = mt_load_relaxed(slot->address);
    struct binding binding = resolve(session->object, slot, value);
    if (binding.target == 0) {
        session->incomplete |= value != 0 && mt_loaded_find(g_got.list, value) == NULL; /* not relocated yet */
        return;
    }
    if (!may_replace(slot->index, &binding) || g_got.patch_count >= PATCHES_MAX) {
        return;
    }
    unsigned bank = bank_for(slot->index, binding.target);
    if (bank == MT_BANKS) {
        mt_store_relaxed(&g_got.unbanked, g_got.unbanked + 1);
        return;
    }
    struct patch patch = { slot->address, value, (uint64_t)(uintptr_t)mt_originals_hook(bank, slot->index),
                           session->known };
    if (open_slot(session, slot->address)) {
        remember(session, &patch);
        mt_store_release(slot->address, patch.hook);
    }
}

/* ---- objects -------------------------------------------------------------------------------------------------------- */

/* hint: where to look first; objects keep their order. */
static struct known *find_known(uint64_t identity, uint32_t hint)
{
    for (uint32_t i = 0; i < g_got.known_count; i++) {
        struct known *known = &g_got.known[(hint + i) % g_got.known_count];
        if (known->identity == identity) {
            return known;
        }
    }
    return NULL;
}

static void scan_object(const struct mt_loaded *object, uint32_t hint)
{
    struct known *known = find_known(object->identity, hint);
    bool again = known != NULL;
    if (!again) {
        if (g_got.known_count >= MT_LOADED_MAX) {
            return;
        }
        known = &g_got.known[g_got.known_count++];
        *known = (struct known){ .identity = object->identity, .incomplete = true, .present = true };
    }
    if (known->incomplete) {
        struct session session = { .object = object, .known = (uint32_t)(known - g_got.known), .again = again };
        mt_got_scan(&object->elf, visit_slot, &session);
        close_session(&session);
        known->incomplete = session.incomplete;
    }
}

/* A slot that no longer leads to our hook: bound late, of an object loaded anew, or, once that was done, taken. */
static void mark_overwritten(void)
{
    for (uint32_t i = 0; i < g_got.patch_count; i++) {
        const struct patch *patch = &g_got.patches[i];
        struct known *known = &g_got.known[patch->known];
        if (mt_load_relaxed(patch->slot) != patch->hook) {
            g_got.taken += !known->incomplete;
            known->incomplete = true;
        }
    }
}

static void mark_present(void)
{
    for (uint32_t i = 0; i < g_got.known_count; i++) {
        g_got.known[i].present = false;
    }
    for (uint32_t i = 0; i < g_got.list->count; i++) {
        struct known *known = find_known(g_got.list->objects[i].identity, i);
        if (known != NULL) {
            known->present = true;
        }
    }
}

static void drop_gone(void)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g_got.known_count; i++) {
        g_got.known[i].renumbered = kept;
        kept += g_got.known[i].present;
    }
    uint32_t patches = 0;
    for (uint32_t i = 0; i < g_got.patch_count; i++) {
        const struct known *known = &g_got.known[g_got.patches[i].known];
        if (known->present) {
            g_got.patches[patches] = g_got.patches[i];
            g_got.patches[patches++].known = known->renumbered;
        }
    }
    mt_store_relaxed(&g_got.patch_count, patches);
    for (uint32_t i = 0; i < g_got.known_count; i++) {
        if (g_got.known[i].present) {
            g_got.known[g_got.known[i].renumbered] = g_got.known[i];
        }
    }
    g_got.known_count = kept;
}

static void update_all(void)
{
    mark_present();
    drop_gone();
    mark_overwritten();
    for (uint32_t i = 0; i < g_got.list->count; i++) {
        if (g_got.list->objects[i].readable) {
            scan_object(&g_got.list->objects[i], i);
        }
    }
}

static void remove_from(const struct mt_loaded *object, uint32_t known)
{
    struct session session = { .object = object };
    for (uint32_t i = 0; i < g_got.patch_count; i++) {
        const struct patch *patch = &g_got.patches[i];
        bool ours = patch->known == known && mt_load_relaxed(patch->slot) == patch->hook;
        if (ours && open_slot(&session, patch->slot)) {
            mt_store_release(patch->slot, patch->old_value);
        }
    }
    close_session(&session);
}

/* Puts the old values back; slots somebody else rewrote since are his. */
static void remove_all(void)
{
    for (uint32_t i = 0; i < g_got.list->count; i++) {
        const struct known *known = find_known(g_got.list->objects[i].identity, i);
        if (known != NULL) {
            remove_from(&g_got.list->objects[i], (uint32_t)(known - g_got.known));
        }
    }
    mt_store_relaxed(&g_got.patch_count, 0);
    g_got.known_count = 0;
}

/* ---- scanning ------------------------------------------------------------------------------------------------------- */

static int take_picture(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    mt_loaded_add(context, info);
    return 0;
}

static int work_if_current(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    bool *done = context;
    if (info->dlpi_adds == g_got.list->adds && info->dlpi_subs == g_got.list->subs) {
        if (g_got.removing) {
            remove_all();
        } else {
            update_all();
        }
        *done = true;
    }
    return 1;
}

static void scan_locked(void)
{
    bool done = false;
    for (int attempt = 0; attempt < SCAN_ATTEMPTS && !done; attempt++) {
        g_got.list->count = 0;
        g_got.list->seen_self = false;
        if (!mt_objects_walk(take_picture, g_got.list) || !mt_objects_walk(work_if_current, &done)) {
            return;
        }
    }
}

void mt_got_rescan(void)
{
    mt_store_release(&g_requested, 1u);
    while (mt_load_relaxed(&g_requested) != 0 && mt_spinlock_try(&g_lock)) {
        mt_store_release(&g_requested, 0u);
        if (g_got.installed) {
            scan_locked();
        }
        mt_spinlock_unlock(&g_lock);
    }
}

/* ---- company -------------------------------------------------------------------------------------------------------- */

/* Patches are those of the objects in the picture: when it is not current, the answer is to look again. */
static int look_for_taken(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    bool *taken = context;
    *taken = info->dlpi_adds != g_got.list->adds || info->dlpi_subs != g_got.list->subs;
    for (uint32_t i = 0; !*taken && i < g_got.patch_count; i++) {
        *taken = mt_load_relaxed(g_got.patches[i].slot) != g_got.patches[i].hook;
    }
    return 1;
}

uint32_t mt_got_retake(uint64_t *ret_taker)
{
    bool wanted = false;
    if (!mt_got_stands_alone() || !mt_spinlock_try(&g_lock)) {
        return 0;
    }
    if (mt_objects_walk(look_for_taken, &wanted) && wanted) {
        scan_locked();
    }
    uint32_t taken = g_got.taken;
    g_got.taken = 0;
    *ret_taker = g_got.taker;
    mt_spinlock_unlock(&g_lock);
    return taken;
}

/* ---- lifecycle ------------------------------------------------------------------------------------------------------ */

static mt_status map_state(void)
{
    void *list = NULL;
    void *patches = NULL;
    void *known = NULL;
    mt_status status = mt_os_map_anonymous(sizeof *g_got.list, &list);
    if (status == MT_OK) {
        status = mt_os_map_anonymous(PATCHES_MAX * sizeof(struct patch), &patches);
    }
    if (status == MT_OK) {
        status = mt_os_map_anonymous(MT_LOADED_MAX * sizeof(struct known), &known);
    }
    if (status != MT_OK) {
        mt_os_unmap(list, sizeof *g_got.list);
        mt_os_unmap(patches, PATCHES_MAX * sizeof(struct patch));
        return status;
    }
    g_got.list = list;
    g_got.patches = patches;
    g_got.known = known;
    return MT_OK;
}

mt_status mt_got_install(bool preloaded)
{
    mt_status status = g_got.list == NULL ? map_state() : MT_OK;
    if (status != MT_OK) {
        return status;
    }
    g_got.preloaded = preloaded;
    g_got.removing = false;
    g_got.installed = true;
    mt_got_rescan();
    return MT_OK;
}

void mt_got_uninstall(void)
{
    if (!g_got.installed || !mt_spinlock_lock(&g_lock)) {
        return;
    }
    g_got.removing = true;
    scan_locked();
    g_got.installed = false;
    mt_spinlock_unlock(&g_lock);
}

void mt_got_after_fork(void)
{
    mt_spinlock_reset(&g_lock);
}

bool mt_got_stands_alone(void)
{
    return g_got.installed && !g_got.preloaded;
}

bool mt_got_leads(unsigned index)
{
    bool leads = false;
    for (unsigned bank = 0; g_got.installed && bank < MT_BANKS; bank++) {
        leads = leads || mt_originals_get(bank, (enum mt_hook_index)index) != 0;
    }
    return leads;
}

/* MT_HOOK__COUNT when the name is none of ours. */
static enum mt_hook_index index_of(const char *name)
{
    int index = 0;
    while (index < MT_HOOK__COUNT && strcmp(mt_hook_row((enum mt_hook_index)index)->name, name) != 0) {
        index++;
    }
    return (enum mt_hook_index)index;
}

bool mt_got_knows(const char *name)
{
    return index_of(name) != MT_HOOK__COUNT;
}

void *mt_got_hook_for(const char *name, const void *address)
{
    enum mt_hook_index index = index_of(name);
    for (unsigned bank = 0; index != MT_HOOK__COUNT && !mt_hook_is_cxx(index) && bank < MT_BANKS; bank++) {
        if (mt_originals_get(bank, index) == (uint64_t)(uintptr_t)address) {
            return (void *)(uintptr_t)mt_originals_hook(bank, index);
        }
    }
    return NULL;
}

size_t mt_got_patched_count(void)
{
    return mt_load_relaxed(&g_got.patch_count);
}

size_t mt_got_unbanked_count(void)
{
    return mt_load_relaxed(&g_got.unbanked);
}
