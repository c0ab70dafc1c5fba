/* modules.c: noticing modules and their end.
 *
 * Two sources: dl_iterate_phdr (complete for the caller's namespace, takes the loader's lock, so never in a hook) and
 * _dl_find_object (glibc >= 2.35, lock-free, any namespace, one address at a time). Finding by address always asks the
 * loader too (5-9 ns, and only on cold paths), so an object that was closed behind our back is never read, and one that
 * took its place is noticed at its first frame.
 * Invariants: every present module was told to the sink exactly once (plus replays); numbers are never reused; the
 * epoch changes before any stack can be captured with a new module at an old one's addresses.
 * Lock order: loader's lock, then ours (MT_RANK_MODULES), then the sink's; the loader is never called with ours held,
 * except for the lock-free _dl_find_object.
 * Contexts: as modules.h.
 */
#include "heap/modules.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/objects.h"
#include "base/os.h"
#include "heap/modules_elf.h"
#include "heap/modules_map.h"
#include "heap/rowcache.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

/* What _dl_find_object tells of an object: glibc's struct dl_find_object on 64-bit machines (dlfcn.h since 2.35), declared
 * here so that a build against older headers runs on newer systems too. Absent before 2.35. */
struct loader_object {
    unsigned long long dlfo_flags;
    void *dlfo_map_start;
    void *dlfo_map_end;
    struct link_map *dlfo_link_map;
    void *dlfo_eh_frame;
    unsigned long long reserved[7];
};
extern int loader_find(void *address, struct loader_object *ret_object) __asm__("_dl_find_object") __attribute__((weak));

static struct mt_spinlock g_lock = MT_SPINLOCK_INIT(MT_RANK_MODULES);
static const struct mt_module_sink *g_sink; /* under g_lock, like all below unless said */
static uint32_t g_last_number;
uint32_t mt_g_modules_epoch; /* atomic: readers anywhere */
static uint64_t g_seen;   /* atomic counter of refreshes and discoveries */
static bool g_complete;   /* adds and subs below are of a whole pass */
static uint64_t g_adds;
static uint64_t g_subs;
static bool g_prepared;
static uint64_t g_vdso;
static uint64_t g_main_headers;
static size_t g_main_header_count;
static char g_exe[MT_MODULE_PATH_MAX];
static char g_cwd[MT_MODULE_PATH_MAX];

static void prepare_locked(void)
{
    if (g_prepared) {
        return;
    }
    int saved_errno = errno; /* getauxval sets it for a missing entry */
    g_vdso = getauxval(AT_SYSINFO_EHDR);
    g_main_headers = getauxval(AT_PHDR);
    g_main_header_count = getauxval(AT_PHNUM);
    errno = saved_errno;
    if (mt_os_readlink("/proc/self/exe", g_exe, sizeof g_exe) == 0) { /* the first thread has ended */
        (void)mt_os_readlink("/proc/thread-self/exe", g_exe, sizeof g_exe);
    }
    g_prepared = true;
}

static bool ask_loader(uint64_t address, struct loader_object *ret_object)
{
    return loader_find != NULL && loader_find((void *)(uintptr_t)address, ret_object) == 0;
}

static bool is_loader_object(const struct mt_module_record *record, const struct loader_object *object)
{
    uint64_t eh_frame_hdr = (uint64_t)(uintptr_t)object->dlfo_eh_frame;
    return mt_load_relaxed(&record->link_map) == (uint64_t)(uintptr_t)object->dlfo_link_map &&
           (record->module.eh_frame_hdr == 0 || record->module.eh_frame_hdr == eh_frame_hdr);
}

/* True when the record's path can have been made from the loader's name. */
static bool is_named(const struct mt_module *module, const char *name)
{
    size_t bytes = strlen(name);
    return name[0] != '/' || (bytes == module->path_bytes && memcmp(name, module->path, bytes) == 0) ||
           bytes >= MT_MODULE_PATH_MAX;
}

/* True when record (or NULL) is what the loader has at its place. */
static bool is_known_as(const struct mt_module_record *record, const struct loader_object *object)
{
    return record != NULL && is_loader_object(record, object) &&
           is_named(&record->module, object->dlfo_link_map->l_name);
}

static bool covers(const struct mt_module *module, uint64_t address)
{
    return address >= module->low && address < module->high;
}

static void append_path(struct mt_module *module, const char *text)
{
    size_t room = MT_MODULE_PATH_MAX - 1 - module->path_bytes;
    size_t bytes = strlen(text);
    bytes = bytes < room ? bytes : room;
    memcpy(module->path + module->path_bytes, text, bytes);
    module->path_bytes += (uint32_t)bytes;
    module->path[module->path_bytes] = '\0';
}

/* Where the program was when the first object with such a name was met. */
static const char *folder_of_relative_names(void)
{
    if (g_cwd[0] == '\0') {
        (void)mt_os_readlink("/proc/self/cwd", g_cwd, sizeof g_cwd);
    }
    return g_cwd;
}

static void set_path_locked(struct mt_module *module, const char *name)
{
    module->path_bytes = 0;
    if (g_vdso != 0 && covers(module, g_vdso)) {
        append_path(module, "[vdso]");
    } else if (name[0] == '\0' || covers(module, g_main_headers)) {
        append_path(module, g_exe);
    } else {
        if (name[0] != '/') {
            append_path(module, folder_of_relative_names());
            append_path(module, "/");
        }
        append_path(module, name);
    }
}

static bool is_same_module(const struct mt_module *a, const struct mt_module *b)
{
    return a->low == b->low && a->high == b->high && a->bias == b->bias && a->eh_frame_hdr == b->eh_frame_hdr &&
           a->path_bytes == b->path_bytes && memcmp(a->path, b->path, a->path_bytes) == 0 &&
           a->build_id_bytes == b->build_id_bytes && memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

static void forget_locked(struct mt_module_record *record)
{
    uint64_t low = record->module.low;
    uint64_t high = record->module.high;
    mt_modulemap_remove_locked(record);
    mt_store_release(&mt_g_modules_epoch, mt_g_modules_epoch + 1);
    mt_rowcache_forget(low, high);
    if (g_sink != NULL) {
        g_sink->gone(&record->module);
    }
}

/* Takes a filled record: lists it, or finds that it is listed already. Returns the listed one, NULL: out of memory. */
static struct mt_module_record *settle_locked(struct mt_module_record *record)
{
    struct mt_module_record *other;
    while ((other = mt_modulemap_overlapping_locked(record->module.low, record->module.high)) != NULL) {
        if (is_same_module(&other->module, &record->module)) {
            other->seen = record->seen;
            mt_store_relaxed(&other->link_map, record->link_map);
            mt_modulemap_give_record_locked(record);
            return other;
        }
        uint32_t count = mt_modulemap_count_locked();
        forget_locked(other);
        if (mt_modulemap_count_locked() == count) {
            mt_modulemap_give_record_locked(record);
            return NULL; /* no memory to take it out */
        }
    }
    record->module.number = g_last_number + 1;
    if (mt_modulemap_insert_locked(record) != MT_OK) {
        mt_modulemap_give_record_locked(record);
        return NULL;
    }
    g_last_number++;
    if (g_sink != NULL) {
        g_sink->appeared(&record->module);
    }
    return record;
}

static uint64_t next_seen(void)
{
    return mt_fetch_add_relaxed(&g_seen, 1u) + 1;
}

/* ---- one address, in a hook -------------------------------------------------------------------------------------- */

static const ElfW(Phdr) *headers_of_locked(const struct loader_object *object, size_t *ret_count)
{
    uint64_t start = (uint64_t)(uintptr_t)object->dlfo_map_start;
    uint64_t end = (uint64_t)(uintptr_t)object->dlfo_map_end;
    if (g_main_headers >= start && g_main_headers < end) {
        *ret_count = g_main_header_count;
        return (const ElfW(Phdr) *)(uintptr_t)g_main_headers;
    }
    return mt_os_is_readable(start) ? mt_modules_headers_at(start, ret_count) : NULL;
}

static struct mt_module_record *discover_locked(uint64_t pc, const struct loader_object *object)
{
    size_t count = 0;
    prepare_locked();
    struct mt_module_record *record = mt_modulemap_at(pc); /* somebody else may have been faster */
    if (is_known_as(record, object)) {
        return record;
    }
    const ElfW(Phdr) *headers = headers_of_locked(object, &count);
    record = headers == NULL ? NULL : mt_modulemap_take_record_locked();
    if (record == NULL) {
        return NULL;
    }
    if (mt_modules_read_headers(headers, count, object->dlfo_link_map->l_addr, &record->module) != MT_OK ||
        !covers(&record->module, pc)) {
        mt_modulemap_give_record_locked(record);
        return NULL;
    }
    set_path_locked(&record->module, object->dlfo_link_map->l_name);
    record->link_map = (uint64_t)(uintptr_t)object->dlfo_link_map;
    record->seen = next_seen();
    return settle_locked(record);
}

static MT_COLD const struct mt_module *discover(uint64_t pc, const struct loader_object *object)
{
    if (!mt_spinlock_lock(&g_lock)) {
        return NULL;
    }
    struct mt_module_record *record = discover_locked(pc, object);
    mt_spinlock_unlock(&g_lock);
    return record == NULL ? NULL : &record->module;
}

const struct mt_module *mt_modules_find(uint64_t pc)
{
    struct mt_module_record *record = mt_modulemap_at(pc);
    struct loader_object object;
    if (loader_find == NULL) {
        return record == NULL ? NULL : &record->module;
    }
    if (!ask_loader(pc, &object)) {
        return record != NULL && mt_load_relaxed(&record->link_map) == 0 ? &record->module : NULL;
    }
    if (is_known_as(record, &object)) {
        return &record->module;
    }
    return discover(pc, &object);
}

const struct mt_module *mt_modules_peek(uint64_t pc)
{
    struct mt_module_record *record = mt_modulemap_at(pc);
    return record == NULL ? NULL : &record->module;
}

uint32_t mt_modules_epoch(void)
{
    return mt_load_acquire(&mt_g_modules_epoch);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

struct refresh {
    uint64_t seen;
    uint64_t adds;
    uint64_t subs;
    bool unchanged;
    bool started;
    bool failed;
};

static void visit_locked(const struct dl_phdr_info *info, struct refresh *refresh)
{
    prepare_locked();
    struct mt_module_record *record = mt_modulemap_take_record_locked();
    struct loader_object object;
    if (record == NULL) {
        refresh->failed = true;
        return;
    }
    if (mt_modules_read_headers(info->dlpi_phdr, info->dlpi_phnum, info->dlpi_addr, &record->module) != MT_OK) {
        mt_modulemap_give_record_locked(record);
        return;
    }
    set_path_locked(&record->module, info->dlpi_name == NULL ? "" : info->dlpi_name);
    record->link_map = 0;
    if (ask_loader(record->module.low, &object)) {
        record->link_map = (uint64_t)(uintptr_t)object.dlfo_link_map;
    }
    record->seen = refresh->seen;
    refresh->failed |= settle_locked(record) == NULL;
}

/* Called for each object with the loader's lock held. */
static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
    struct refresh *refresh = context;
    if (!mt_spinlock_lock(&g_lock)) {
        refresh->failed = true;
        return 1;
    }
    if (!refresh->started && size >= offsetof(struct dl_phdr_info, dlpi_tls_modid)) {
        refresh->started = true;
        refresh->adds = info->dlpi_adds;
        refresh->subs = info->dlpi_subs;
        refresh->unchanged = g_complete && g_adds == info->dlpi_adds && g_subs == info->dlpi_subs;
    }
    if (!refresh->unchanged) {
        visit_locked(info, refresh);
    }
    mt_spinlock_unlock(&g_lock);
    return refresh->unchanged ? 1 : 0;
}

/* True when the loader still has the object although dl_iterate_phdr did not show it (another namespace, or noticed
 * after the pass began). */
static bool is_still_loaded(const struct mt_module_record *record)
{
    struct loader_object object;
    return record->link_map != 0 && ask_loader(record->module.low, &object) && is_loader_object(record, &object);
}

static void sweep_locked(const struct refresh *refresh)
{
    for (uint32_t i = mt_modulemap_count_locked(); i-- > 0;) {
        struct mt_module_record *record = mt_modulemap_nth_locked(i);
        if (record->seen < refresh->seen && !is_still_loaded(record)) {
            forget_locked(record);
        }
    }
    g_complete = refresh->started;
    g_adds = refresh->adds;
    g_subs = refresh->subs;
}

void mt_modules_refresh(void)
{
    struct refresh refresh = { .seen = next_seen() };
    if (!mt_objects_walk(visit, &refresh)) {
        g_complete = true; /* a fork child that must not ask the loader: what the parent knew has to do */
        return;
    }
    if (refresh.unchanged || refresh.failed || !mt_spinlock_lock(&g_lock)) {
        return;
    }
    sweep_locked(&refresh);
    mt_spinlock_unlock(&g_lock);
}

static void replay_locked(void)
{
    uint32_t count = mt_modulemap_count_locked();
    for (uint32_t i = 0; g_sink != NULL && i < count; i++) {
        g_sink->appeared(&mt_modulemap_nth_locked(i)->module);
    }
}

mt_status mt_modules_init(const struct mt_module_sink *sink)
{
    if (!mt_spinlock_lock(&g_lock)) {
        return MT_E_BUSY;
    }
    prepare_locked();
    g_sink = sink;
    g_complete = false;
    replay_locked();
    mt_spinlock_unlock(&g_lock);
    mt_modules_refresh();
    if (!mt_spinlock_lock(&g_lock)) {
        return MT_E_BUSY;
    }
    bool complete = g_complete && mt_modulemap_count_locked() > 0;
    mt_spinlock_unlock(&g_lock);
    return complete ? MT_OK : MT_E_NOMEM;
}

void mt_modules_replay(void)
{
    if (mt_spinlock_lock(&g_lock)) {
        replay_locked();
        mt_spinlock_unlock(&g_lock);
    }
}

void mt_modules_after_fork(void)
{
    mt_spinlock_reset(&g_lock);
}
