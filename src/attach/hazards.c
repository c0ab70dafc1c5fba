/* hazards.c: see hazards.h. */
#include "attach/hazards.h"

#include "util/memory.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { RTLD_MODE_DLOPEN = (int)0x80000000 }; /* __RTLD_DLOPEN of glibc's include/dlfcn.h, asked of __libc_dlopen_mode */

struct kind {
    enum mt_hazard hazard;
    const char *const *names; /* NULL-terminated */
};

static const char *const allocator_names[] = { "malloc",         "free",          "calloc",        "realloc",         "memalign",
                                               "aligned_alloc",  "valloc",        "pvalloc",       "posix_memalign",  "malloc_usable_size",
                                               "malloc_trim",    "malloc_stats",  "malloc_info",   "mallopt",         "mallinfo",
                                               "mallinfo2",      "cfree",         "__libc_malloc", "__libc_free",     "__libc_calloc",
                                               "__libc_realloc", "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "__libc_mallopt",
                                               "__malloc_check_init", "malloc_get_state", "malloc_set_state", "brk", "sbrk", "__sbrk", "__morecore",
                                               "__default_morecore", "__malloc_hugepage_config", NULL };
static const char *const loader_names[] = { "dlopen",   "dlclose",  "dlsym",    "dlvsym",   "dladdr",   "dladdr1",  "dlinfo", "dlmopen",
                                            "dlerror",  "_dl_addr", "_dl_sym",  "_dl_vsym", "__libc_dlopen_mode", "__libc_dlclose",
                                            "__libc_dlsym", "__libc_dlvsym", "_dl_open_hook", "__libc_register_dl_open_hook", "_dl_mcount_wrapper", NULL };
static const char *const fork_names[] = { "fork", "__fork", "_Fork", "vfork", "__vfork", "__libc_fork", "pthread_atfork", "__register_atfork", NULL };
static const char *const calls_out_names[] = { "dl_iterate_phdr", NULL };
static const char *const thread_names[] = { "pthread_create", "thrd_create", "__nptl_create_event", "__nptl_death_event", "__nptl_deallocate_stack",
                                            "__nptl_free_tcb", "__nptl_free_stacks", "__nptl_stack_list_add", "__nptl_stack_list_del",
                                            "__free_tcb", NULL };

/* What a program calls to wait, in libc: they call neither allocator nor loader, and hold no lock of libc while they wait. */
static const char *const wait_names[] = {
    "pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait", "pthread_mutex_lock", "__pthread_mutex_lock",
    "pthread_mutex_timedlock", "pthread_mutex_clocklock", "pthread_rwlock_rdlock", "pthread_rwlock_wrlock", "__pthread_rwlock_rdlock",
    "__pthread_rwlock_wrlock", "pthread_rwlock_timedrdlock", "pthread_rwlock_timedwrlock", "pthread_rwlock_clockrdlock",
    "pthread_rwlock_clockwrlock", "pthread_join", "pthread_timedjoin_np", "pthread_clockjoin_np", "pthread_barrier_wait",
    "pthread_once", "__pthread_once", "call_once", "sem_wait", "sem_timedwait", "sem_clockwait", "cnd_wait", "cnd_timedwait", "mtx_lock",
    "mtx_timedlock", "thrd_join", "thrd_sleep", "nanosleep", "__nanosleep", "clock_nanosleep", "__clock_nanosleep", "usleep", "sleep", "read",
    "__read", "syscall", NULL };

static const struct kind kinds[] = {
    { MT_HAZARD_CALLS_OUT, calls_out_names }, { MT_HAZARD_ALLOCATOR, allocator_names }, { MT_HAZARD_LOADER, loader_names },
    { MT_HAZARD_FORK, fork_names },           { MT_HAZARD_THREADS, thread_names },
};

static void add(struct mt_hazards *hazards, uint64_t low, uint64_t high, enum mt_hazard hazard)
{
    hazards->items = mt_alloc_grow(hazards->items, &hazards->capacity, hazards->count + 1, sizeof *hazards->items);
    hazards->items[hazards->count++] = (struct mt_hazard_range){ low, high, hazard };
}

static bool is_wait(const char *name)
{
    for (const char *const *at = wait_names; *at != NULL; at++) {
        if (strcmp(*at, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum mt_hazard kind_of(const char *name)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (const char *const *at = kinds[k].names; *at != NULL; at++) {
            if (strcmp(*at, name) == 0) {
                return kinds[k].hazard;
            }
        }
    }
    return MT_HAZARD_NONE;
}

/* ---- ranges --------------------------------------------------------------------------------------------------------- */

/* From the last symbol of another kind below, which has no end that could be trusted (size 0, aliases), to the next one of another kind
 * above. What calls the program is told by return addresses into itself and not widened downward: nanosleep, where many threads are,
 * lies below fork. */
static void add_widened(struct mt_hazards *hazards, const struct mt_object *object, const struct mt_object_symbols *symbols, size_t i,
                        enum mt_hazard hazard)
{
    size_t below = i, above = i;
    while (below > 0 && kind_of(symbols->items[below - 1].name) == hazard) {
        below--;
    }
    while (above + 1 < symbols->count &&
           (kind_of(symbols->items[above + 1].name) == hazard || symbols->items[above + 1].address == symbols->items[i].address)) {
        above++;
    }
    bool exact = hazard == MT_HAZARD_CALLS_OUT || hazard == MT_HAZARD_FORK;
    uint64_t low = exact ? symbols->items[i].address : below > 0 ? symbols->items[below - 1].address : object->low;
    uint64_t high = above + 1 < symbols->count ? symbols->items[above + 1].address : object->high;
    add(hazards, low, high, hazard);
}

static void add_named_ranges(const struct mt_subject *subject, const struct mt_object *object, struct mt_hazards *hazards)
{
    struct mt_object_symbols symbols = { 0 };
    mt_object_symbols_read(&subject->remote, object, &symbols);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < symbols.count; i++) {
            if (kind_of(symbols.items[i].name) == kinds[k].hazard) {
                add_widened(hazards, object, &symbols, i, kinds[k].hazard);
            }
        }
    }
    for (size_t i = 0; i < symbols.count; i++) {
        if (is_wait(symbols.items[i].name)) {
            hazards->waits = mt_alloc_grow(hazards->waits, &hazards->wait_capacity, hazards->wait_count + 1, sizeof *hazards->waits);
            hazards->waits[hazards->wait_count++] = symbols.items[i].address;
        }
    }
    mt_object_symbols_clear(&symbols);
}

static bool is_agent(const struct mt_object *object)
{
    return strcmp(object->soname, "libmemtap-agent.so") == 0;
}

/* Of a whole object its code: pointers to its data lie on many stacks. */
static void add_code(const struct mt_subject *subject, const struct mt_object *object, struct mt_hazards *hazards, enum mt_hazard hazard)
{
    for (size_t i = 0; i < subject->mappings.count; i++) {
        const struct mt_mapping *mapping = &subject->mappings.items[i];
        if (mapping->executable && mapping->low < object->high && mapping->high > object->low) {
            add(hazards, mapping->low, mapping->high, hazard);
        }
    }
}

/* Objects that are one kind as a whole, or define an allocator. */
static void add_objects(const struct mt_subject *subject, struct mt_hazards *hazards)
{
    for (size_t i = 0; i < subject->objects.count; i++) {
        const struct mt_object *object = &subject->objects.items[i];
        if (is_agent(object)) {
            add_code(subject, object, hazards, MT_HAZARD_OWN);
            hazards->agent = mt_object_find(&subject->remote, object, "memtap_agent_api");
        } else if (object == subject->loader || strcmp(object->soname, "libdl.so.2") == 0) {
            add_code(subject, object, hazards, MT_HAZARD_LOADER);
        } else if (strcmp(object->soname, "linux-vdso.so.1") == 0) {
            add_code(subject, object, hazards, MT_HAZARD_KERNEL);
        } else if (strcmp(object->soname, "libpthread.so.0") == 0) {
            add_named_ranges(subject, object, hazards);
            add_code(subject, object, hazards, MT_HAZARD_LIBC);
        } else if (object != subject->libc && mt_object_find(&subject->remote, object, "malloc") != 0) {
            add_code(subject, object, hazards, MT_HAZARD_ALLOCATOR);
            hazards->program_is_allocator |= object->soname[0] == '\0';
        }
    }
    add_named_ranges(subject, subject->libc, hazards);
    add_code(subject, subject->libc, hazards, MT_HAZARD_LIBC);
}

/* ---- what is used --------------------------------------------------------------------------------------------------- */

static uint64_t find_bytes(const char *text, size_t bytes, uint64_t base, const char *wanted, size_t wanted_bytes)
{
    const char *found = memmem(text, bytes, wanted, wanted_bytes);
    return found != NULL ? base + (uint64_t)(found - text) : 0;
}

static void find_instructions(const struct mt_subject *subject, struct mt_hazards *hazards)
{
    static const char syscall_ret[] = { 0x0f, 0x05, (char)0xc3 };
    static const char restorer[] = { 0x48, (char)0xc7, (char)0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 }; /* mov $15, %rax; syscall */
    for (size_t i = 0; i < subject->mappings.count; i++) {
        const struct mt_mapping *mapping = &subject->mappings.items[i];
        if (!mapping->executable || mapping->low < subject->libc->low || mapping->high > subject->libc->high + 4096) {
            continue;
        }
        size_t bytes = (size_t)(mapping->high - mapping->low);
        char *text = mt_alloc(bytes);
        bytes = mt_remote_read_some(&subject->remote, mapping->low, text, bytes);
        hazards->syscall_return = find_bytes(text, bytes, mapping->low, syscall_ret, sizeof syscall_ret);
        hazards->signal_return = find_bytes(text, bytes, mapping->low, restorer, sizeof restorer);
        free(text);
    }
}

static uint64_t find_in(const struct mt_subject *subject, const char *soname, const char *name)
{
    const struct mt_object *object = mt_objects_named(&subject->objects, soname);
    return object != NULL ? mt_object_find(&subject->remote, object, name) : 0;
}

/* dlopen is in libc since 2.34; before that in libdl, if the program has it, and libc has one for itself. */
static void find_functions(const struct mt_subject *subject, struct mt_hazards *hazards)
{
    const char *home = find_in(subject, "libc.so.6", "dlopen") != 0 ? "libc.so.6" : "libdl.so.2";
    hazards->errno_location = find_in(subject, "libc.so.6", "__errno_location");
    hazards->dlopen = find_in(subject, home, "dlopen");
    hazards->dlsym = find_in(subject, home, "dlsym");
    hazards->dlerror = find_in(subject, home, "dlerror");
    hazards->dlopen_flags = RTLD_NOW | RTLD_LOCAL;
    if (hazards->dlopen == 0) {
        hazards->dlopen = find_in(subject, "libc.so.6", "__libc_dlopen_mode");
        hazards->dlsym = find_in(subject, "libc.so.6", "__libc_dlsym");
        hazards->dlerror = 0;
        hazards->dlopen_flags = RTLD_NOW | RTLD_MODE_DLOPEN;
    }
}

mt_status mt_hazards_find(const struct mt_subject *subject, struct mt_hazards *ret, struct mt_error *err)
{
    *ret = (struct mt_hazards){ 0 };
    add_objects(subject, ret);
    find_instructions(subject, ret);
    find_functions(subject, ret);
    const char *missing = ret->dlopen == 0 || ret->dlsym == 0 ? "dlopen"
                          : ret->errno_location == 0          ? "errno"
                          : ret->syscall_return == 0          ? "a way to make system calls"
                          : ret->signal_return == 0           ? "a way back from signals"
                                                              : NULL;
    if (missing != NULL) {
        mt_hazards_clear(ret);
        return mt_error_set(err, MT_E_UNSUPPORTED, "the libc of process %d has no %s that memtap knows: start the program under `memtap run`",
                            (int)subject->facts.pid, missing);
    }
    return MT_OK;
}

void mt_hazards_clear(struct mt_hazards *hazards)
{
    free(hazards->items);
    free(hazards->waits);
    *hazards = (struct mt_hazards){ 0 };
}

enum mt_hazard mt_hazard_of(const struct mt_hazards *hazards, uint64_t address)
{
    for (size_t i = 0; i < hazards->count; i++) {
        if (address >= hazards->items[i].low && address < hazards->items[i].high) {
            return hazards->items[i].hazard;
        }
    }
    return MT_HAZARD_NONE;
}

bool mt_hazard_is_wait(const struct mt_hazards *hazards, uint64_t start)
{
    for (size_t i = 0; i < hazards->wait_count; i++) {
        if (hazards->waits[i] == start) {
            return true;
        }
    }
    return false;
}
