/* own_stacks.c: see own_stacks.h. Nodes are numbered behind their parents: one pass over them decides all. */
#include "model/own_stacks.h"

#include "symbol/module_files.h"
#include "util/memory.h"
#include "util/syslib.h"

#include <stdlib.h>
#include <string.h>

/* Functions of libc that keep what they allocate; a name that ends in '*' stands for all that begin so. Exported ones stand
 * beside the hidden ones they call, as a stripped libc has no other names. */
static const char *const LIBC_KEEPS[] = {
    /* streams: their buffers */
    "_IO_file_doallocate", "_IO_wfile_doallocate", "_IO_default_doallocate",
    /* locales and character sets */
    "setlocale", "_nl_*", "bindtextdomain", "textdomain", "bind_textdomain_codeset", "gettext", "dgettext", "dcgettext", "ngettext",
    "dngettext", "dcngettext", "__dcigettext", "__gconv_*", "__wcsmbs_*", "btowc", "mbrtowc", "mbtowc", "mbsrtowcs", "mbstowcs",
    "wcrtomb", "wctomb", "wcsrtombs", "wcstombs",
    /* time zones */
    "tzset", "tzset_internal", "__tz*", "localtime", "localtime_r", "mktime", "timelocal", "strftime", "strftime_l", "ctime", "ctime_r",
    /* functions to be called at the end, or around fork */
    "atexit", "at_quick_exit", "on_exit", "__cxa_atexit", "__cxa_at_quick_exit", "__cxa_thread_atexit_impl", "__new_exitfn",
    "pthread_atfork", "__register_atfork",
    /* users, hosts, names: static results and modules that look them up */
    "__nss_*", "nss_*", "_nss_*", "__res_*", "__resolv_*", "res_init", "__libc_res*", "getpwnam", "getpwuid", "getpwent", "setpwent",
    "getgrnam", "getgrgid", "getgrent", "setgrent", "getspnam", "getspent", "gethostbyname", "gethostbyname2", "gethostbyaddr",
    "gethostent", "getservbyname", "getservbyport", "getservent", "getprotobyname", "getprotobynumber", "getnetbyname",
    "getnetbyaddr", "getlogin", "ttyname", "ptsname",
    /* messages, logs, traces */
    "strerror", "strerror_l", "strsignal", "perror", "openlog", "syslog", "vsyslog", "backtrace", "dlerror", "_dlerror_run",
    /* objects and threads */
    "dlopen", "dlmopen", "dlsym", "dlvsym", "dladdr", "dlinfo", "_dl_*", "__libc_dlopen*", "pthread_create", "__tls_get_addr",
};

/* The constructor of the C++ library's pool for exceptions, where that library is linked into something else; by the file it is
 * in, or by the first function of that file. */
static const char *const CXX_KEEPS[] = { "_GLOBAL__sub_I_eh_alloc.cc", "_GLOBAL__sub_I__ZN9__gnu_cxx9__freeresEv" };

/* Who calls constructors, in libc. */
static const char *const LIBC_CONSTRUCTS[] = { "call_init*", "__libc_start_main*", "__libc_csu_init" };

/* The names of one library; most processes of a run have the same. */
struct library {
    struct mt_module_ref module;
    struct mt_module_files files;
    struct mt_names names;
    struct mt_symtab symbols;
};

struct finder {
    struct mt_locator *locator;
    struct library **libraries;
    size_t count, capacity;
};

/* A module, as far as it matters. */
struct module {
    enum mt_syslib kind;
    struct library *library; /* NULL: not asked yet */
};

/* Tables of symbols are enough: what is listed is never inlined elsewhere, and debug information takes long to read. */
static void read_names(struct finder *f, struct library *l)
{
    mt_module_files_find(&l->files, f->locator, &l->module);
    mt_status status = mt_module_files_read_symbols(&l->files, &l->symbols, &l->names);
    status = status == MT_OK ? mt_symtab_index(&l->symbols) : status;
    if (status == MT_E_NOMEM) {
        mt_memory_out(0);
    }
    if (status != MT_OK) {
        mt_symtab_fini(&l->symbols);
        l->symbols = (struct mt_symtab){ 0 };
    }
}

static bool is_of(const struct mt_module_ref *known, const struct mt_trace_module *module)
{
    return strcmp(known->path, module->path.data) == 0 && known->build_id_bytes == module->build_id_bytes &&
           (known->build_id_bytes == 0 || memcmp(known->build_id, module->build_id, known->build_id_bytes) == 0);
}

static struct library *library_of(struct finder *f, const struct mt_trace_module *module)
{
    for (size_t i = 0; i < f->count; i++) {
        if (is_of(&f->libraries[i]->module, module)) {
            return f->libraries[i];
        }
    }
    f->libraries = mt_alloc_grow(f->libraries, &f->capacity, f->count + 1, sizeof *f->libraries);
    struct library *l = mt_alloc_zero(1, sizeof *l);
    l->module = (struct mt_module_ref){ module->path.data, module->build_id, module->build_id_bytes };
    mt_names_init(&l->names);
    f->libraries[f->count++] = l;
    read_names(f, l);
    return l;
}

static void finder_free(struct finder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct library *l = f->libraries[i];
        mt_symtab_fini(&l->symbols);
        mt_module_files_fini(&l->files);
        mt_names_fini(&l->names);
        free(l);
    }
    free(f->libraries);
    if (f->locator != NULL) {
        mt_locator_free(f->locator);
    }
    free(f);
}

static void undo_finder(void *finder, size_t bytes)
{
    (void)bytes;
    finder_free(finder);
}

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(list[i]);
        bool all = list[i][length - 1] == '*';
        if (all ? strncmp(name, list[i], length - 1) == 0 : strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* One trace, while its nodes are decided. */
struct search {
    struct finder *finder;
    const struct mt_trace *trace;
    struct module *modules;
    bool *innermost; /* by node: some stack ends in it */
    bool *own;
};

/* Is the node in a function of the list? */
static bool is_in(struct search *s, const struct mt_native_node *node, const char *const *list, size_t count)
{
    struct module *m = &s->modules[node->module_idx];
    const struct mt_trace_module *module = mt_trace_module(s->trace, node->module_idx);
    if (m->library == NULL) {
        m->library = library_of(s->finder, module);
    }
    struct library *l = m->library;
    const char *name =
        l->symbols.count > 0 ? mt_symtab_find(&l->symbols, node->pc - 1 - module->bias, &l->names) : NULL;
    return name != NULL && is_listed(name, list, count);
}

/* Is the node a constructor? */
static bool is_constructor(struct search *s, const struct mt_native_node *node)
{
    struct mt_native_node caller = mt_trace_native(s->trace, node->parent);
    enum mt_syslib kind = s->modules[caller.module_idx].kind;
    return node->parent != 0 && (kind == MT_SYSLIB_LOADER || (kind == MT_SYSLIB_C && is_in(s, &caller, LIBC_CONSTRUCTS,
                                                                                           MT_COUNTOF(LIBC_CONSTRUCTS))));
}

/* Only what allocates in a constructor itself is asked for its name: most programs then have their symbols left alone. */
static bool is_pool_inside(struct search *s, uint32_t number, const struct mt_native_node *node)
{
    return s->innermost[number] && node->module_idx != 0 && is_constructor(s, node) &&
           is_in(s, node, CXX_KEEPS, MT_COUNTOF(CXX_KEEPS));
}

static bool is_own(struct search *s, uint32_t number)
{
    struct mt_native_node node = mt_trace_native(s->trace, number);
    switch (s->modules[node.module_idx].kind) {
    case MT_SYSLIB_C:
        return s->own[node.parent] || is_in(s, &node, LIBC_KEEPS, MT_COUNTOF(LIBC_KEEPS));
    case MT_SYSLIB_LOADER:
        return true;
    case MT_SYSLIB_CXX:
        return s->own[node.parent];
    case MT_SYSLIB_NONE:
    default:
        return is_pool_inside(s, number, &node);
    }
}

static uint8_t *mark_stacks(const struct mt_trace *trace, const bool *own)
{
    size_t count = mt_trace_stack_count(trace);
    uint8_t *stacks = mt_alloc_zero(count / 8 + 1, 1);
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (own[mt_trace_stack(trace, i).native]) {
            stacks[i / 8] |= (uint8_t)(1u << (i % 8));
            any = true;
        }
    }
    if (!any) {
        free(stacks);
        stacks = NULL;
    }
    return stacks;
}

static uint8_t *find(struct finder *f, const struct mt_trace *trace)
{
    size_t modules = mt_trace_module_count(trace), nodes = mt_trace_native_count(trace), stacks = mt_trace_stack_count(trace);
    struct search s = { .finder = f,
                        .trace = trace,
                        .modules = mt_alloc_zero(modules + 1, sizeof *s.modules),
                        .innermost = mt_alloc_zero(nodes + 1, sizeof *s.innermost),
                        .own = mt_alloc_zero(nodes + 1, sizeof *s.own) };
    for (uint32_t i = 1; i < modules; i++) {
        s.modules[i].kind = mt_syslib_of(mt_trace_module(trace, i)->path.data);
    }
    for (uint32_t i = 0; i < stacks; i++) {
        s.innermost[mt_trace_stack(trace, i).native] = true;
    }
    for (uint32_t i = 1; i < nodes; i++) {
        s.own[i] = is_own(&s, i);
    }
    uint8_t *marks = mark_stacks(trace, s.own);
    free(s.own);
    free(s.innermost);
    free(s.modules);
    return marks;
}

uint8_t **mt_own_stacks_find(const struct mt_trace_set *set)
{
    struct finder *finder = mt_alloc_zero(1, sizeof *finder);
    mt_memory_hold(finder, sizeof *finder, undo_finder);
    if (mt_locator_new(NULL, &finder->locator) != MT_OK) {
        mt_memory_out(0);
    }
    uint8_t **stacks = mt_alloc_zero(set->count + 1, sizeof *stacks);
    for (size_t i = 0; i < set->count; i++) {
        stacks[i] = find(finder, set->traces[i]);
    }
    finder_free(finder);
    return stacks;
}

void mt_own_stacks_free(uint8_t **stacks, size_t trace_count)
{
    for (size_t i = 0; stacks != NULL && i < trace_count; i++) {
        free(stacks[i]);
    }
    free(stacks);
}
