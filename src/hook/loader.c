/* loader.c: dlopen, dlmopen and dlclose.
 *
 * Decides: when the agent looks for new objects. After the real call, except where calling it from here would change what
 * it does: the loader takes the search path (DT_RUNPATH, DT_RPATH) and $ORIGIN from the object that holds the return
 * address. Names that are searched for that way are left to the real function by a tail jump, and the next safe point
 * finds what it loaded.
 * Invariant: the guard is not set while the real function runs: it runs constructors, and what those allocate is the
 * program's. Nothing here calls a dl* function of libc afterwards that would reset dlerror: dl_iterate_phdr does not.
 */
#include "hook/loader.h"

#include "base/atomic.h"
#include "base/objects.h"
#include "base/os.h"
#include "heap/engine.h"
#include "heap/modules.h"
#include "hook/elf.h"
#include "hook/got.h"
#include "hook/own.h"
#include "hook/owner.h"
#include "hook/pymem.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

static uint64_t g_seen_adds; /* dlpi_adds, dlpi_subs at the last safe point. Writers: any thread at a safe point */
static uint64_t g_seen_subs;
static void (*g_on_load)(void);

/* ---- threads --------------------------------------------------------------------------------------------------------- */

static uint64_t g_threads; /* asked for since the start; relaxed */

void mt_loader_count_thread(void)
{
    (void)mt_fetch_add_relaxed(&g_threads, 1u);
}

static uint64_t threads_asked_for(void)
{
    return mt_load_relaxed(&g_threads);
}

/* ---- safe points ---------------------------------------------------------------------------------------------------- */

struct generation {
    uint64_t adds, subs;
};

static int read_generation(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct generation *generation = context;
    generation->adds = info->dlpi_adds;
    generation->subs = info->dlpi_subs;
    return 1;
}

void mt_loader_start(void)
{
    struct generation now = { 0, 0 };
    (void)mt_objects_walk(read_generation, &now);
    mt_store_release(&g_seen_adds, now.adds);
    mt_store_release(&g_seen_subs, now.subs);
}

/* came_alone: see mt_own_rescan. */
static void look(bool came_alone)
{
    struct generation now = { 0, 0 };
    if (!mt_objects_walk(read_generation, &now)) {
        return;
    }
    bool came = mt_exchange_acq_rel(&g_seen_adds, now.adds) != now.adds;
    bool went = mt_exchange_acq_rel(&g_seen_subs, now.subs) != now.subs;
    if (!came && !went) {
        return;
    }
    int saved = errno;
    uint64_t from_ns = mt_engine_work_begins();
    mt_engine_enter();
    mt_modules_refresh();
    mt_own_rescan(came_alone);
    mt_got_rescan();
    mt_owner_find_allocators();
    if (went) {
        mt_pymem_objects_gone();
    }
    if (came) {
        mt_pymem_check();
        if (g_on_load != NULL) {
            g_on_load();
        }
    }
    mt_engine_leave();
    (void)mt_engine_work_ends(from_ns);
    errno = saved;
}

void mt_loader_safe_point(void)
{
    look(false);
}

void mt_loader_on_load(void (*callback)(void))
{
    g_on_load = callback;
}

/* ---- whose search path counts --------------------------------------------------------------------------------------- */

struct path_query {
    uint64_t caller;
    bool matters;
};

/* DT_RPATH of any object may be inherited by what it loaded, so it counts wherever it is. */
static int query_paths(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct path_query *query = context;
    struct mt_elf_object object;
    if (mt_elf_from_phdr(info, &object)) {
        query->matters = object.has_rpath || (object.has_search_path && mt_objects_hold(info, query->caller));
    }
    return query->matters;
}

static MT_NOINLINE bool caller_matters(const char *file, uint64_t caller)
{
    if (file == NULL || *file == '\0') {
        return false;
    }
    if (strchr(file, '/') != NULL) {
        return strchr(file, '$') != NULL;
    }
    struct path_query query = { caller, false };
    return !mt_objects_walk(query_paths, &query) || query.matters;
}

static uint64_t address_of(const void *pc)
{
    return (uint64_t)(uintptr_t)pc;
}

/* ---- constructors of what is being loaded ------------------------------------------------------------------------------ */

/* The thread inside a real dlopen, and the threads made before it began; one at a time, others go unnoticed. */
static struct {
    uint32_t thread; /* taken by CAS, given back by who has it */
    uint64_t created;
} g_opening;

static bool begin_opening(void)
{
    uint32_t nobody = 0;
    if (!mt_cas_acq_rel(&g_opening.thread, &nobody, (uint32_t)mt_os_tid())) {
        return false;
    }
    g_opening.created = threads_asked_for();
    return true;
}

/* Only for code that nobody else can run yet: an allocator in use may hold a lock here that another thread wants while it
 * holds the loader's. */
MT_NOINLINE static void look_at_constructor(uint64_t pc)
{
    if (mt_load_relaxed(&g_opening.thread) == (uint32_t)mt_os_tid() && !mt_own_has_seen(pc)) {
        int saved = errno;
        mt_engine_enter();
        mt_own_rescan(g_opening.created == threads_asked_for());
        mt_engine_leave();
        errno = saved;
    }
}

void mt_loader_before_map(uint64_t pc)
{
    if (MT_UNLIKELY(mt_load_relaxed(&g_opening.thread) != 0)) {
        look_at_constructor(pc);
    }
}

/* ---- hooks ---------------------------------------------------------------------------------------------------------- */

MT_NOINLINE void *mt_loader_open(const char *file, int mode, const struct mt_originals *real)
{
    mt_loader_safe_point();
    if (caller_matters(file, address_of(__builtin_return_address(0)))) {
        return real->dlopen(file, mode); /* a tail jump: the return address stays the program's */
    }
    uint64_t threads = threads_asked_for();
    bool first = begin_opening();
    void *handle = real->dlopen(file, mode);
    if (first) {
        mt_store_release(&g_opening.thread, 0u);
    }
    look(threads == threads_asked_for());
    return handle;
}

/* Its libc is a second one, whose functions no hook of ours precedes. */
static void note_namespace(const char *file, const char *what)
{
    char text[256] = "";
    const char *slash = strrchr(file, '/');
    const char *name = slash != NULL ? slash + 1 : file;
    size_t length = strlen(name);
    if (length + strlen(what) < sizeof text) {
        int saved = errno;
        memcpy(text, name, length);
        memcpy(text + length, what, strlen(what));
        mt_engine_enter();
        mt_engine_note("warning", text);
        mt_engine_leave();
        errno = saved;
    }
}

MT_NOINLINE void *mt_loader_open_in(long space, const char *file, int mode, const struct mt_originals *real)
{
    bool elsewhere = file != NULL && space != LM_ID_BASE;
    mt_loader_safe_point();
    if (caller_matters(file, address_of(__builtin_return_address(0)))) {
        if (elsewhere) { /* whether it is found is not seen from here: if not, nothing is allocated there either */
            note_namespace(file, " was asked for in a namespace of its own (dlmopen): what is allocated there is not recorded");
        }
        return real->dlmopen(space, file, mode);
    }
    void *handle = real->dlmopen(space, file, mode);
    if (handle != NULL && elsewhere) {
        note_namespace(file, " was loaded into a namespace of its own (dlmopen): what is allocated there is not recorded");
    }
    mt_loader_safe_point();
    return handle;
}

/* The hook for an original, when slots are all there is: a function found by dlsym would go past them. */
static MT_NOINLINE void *hook_found(void *handle, const char *name, const struct mt_originals *real)
{
    if (handle == RTLD_NEXT || !mt_got_stands_alone() || !mt_got_knows(name)) {
        return NULL;
    }
    void *found = real->dlsym(handle, name);
    return found != NULL ? mt_got_hook_for(name, found) : NULL;
}

/* What a tail-jumped dlopen loaded is usually asked for by name next: a good safe point. */
MT_NOINLINE void *mt_loader_symbol(void *handle, const char *name, const struct mt_originals *real)
{
    mt_loader_safe_point();
    void *hook = hook_found(handle, name, real);
    if (hook != NULL) {
        return hook;
    }
    return real->dlsym(handle, name); /* a tail jump: RTLD_NEXT and RTLD_DEFAULT depend on the caller */
}

MT_NOINLINE int mt_loader_close(void *handle, const struct mt_originals *real)
{
    int result = real->dlclose(handle);
    mt_loader_safe_point();
    return result;
}
