/* own_stacks.c: see own_stacks.h. Nodes are numbered behind their parents: one pass over them decides all. */
#include "model/own_stacks.h"

#include "symbol/module_files.h"
#include "util/memory.h"
#include "util/text.h"

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

enum kind { ELSEWHERE, LIBC, LOADER };

/* The names of one libc; most processes of a run have the same. */
struct library {
    struct mt_module_ref module;
    struct mt_module_files files;
    struct mt_names names;
    struct mt_symtab symbols;
};

struct finder {
    struct mt_locator *locator; /* NULL: no memory; there are no names */
    struct library **libraries;
    size_t count, capacity;
};

/* A module, as far as it matters. */
struct module {
    enum kind kind;
    struct library *library; /* of libc */
};

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static enum kind kind_of(const struct mt_trace_module *module)
{
    const char *name = mt_text_base_name(module->path.data);
    if (begins(name, "ld-linux") || begins(name, "ld-2.") || begins(name, "ld64.so")) {
        return LOADER;
    }
    bool libc = begins(name, "libc.so.6") || begins(name, "libc-2.") || begins(name, "libpthread.so.0") ||
                begins(name, "libpthread-2.") || begins(name, "libdl.so.2") || begins(name, "libdl-2.");
    return libc ? LIBC : ELSEWHERE;
}

/* Tables of symbols are enough: what is listed is never inlined elsewhere, and debug information takes long to read. */
static void read_names(struct finder *f, struct library *l)
{
    mt_names_init(&l->names);
    if (f->locator == NULL) {
        return;
    }
    mt_module_files_find(&l->files, f->locator, &l->module);
    if (mt_module_files_read_symbols(&l->files, &l->symbols, &l->names) != MT_OK || mt_symtab_index(&l->symbols) != MT_OK) {
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
    struct library *l = mt_alloc_zero(1, sizeof *l);
    l->module = (struct mt_module_ref){ module->path.data, module->build_id, module->build_id_bytes };
    read_names(f, l);
    f->libraries = mt_alloc_grow(f->libraries, &f->capacity, f->count + 1, sizeof *f->libraries);
    f->libraries[f->count++] = l;
    return l;
}

static void finder_fini(struct finder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct library *l = f->libraries[i];
        mt_symtab_fini(&l->symbols);
        mt_module_files_fini(&l->files);
        mt_names_fini(&l->names);
        free(l);
    }
    free(f->libraries);
    mt_locator_free(f->locator);
}

static bool is_listed(const char *name)
{
    for (size_t i = 0; i < MT_COUNTOF(LIBC_KEEPS); i++) {
        size_t length = strlen(LIBC_KEEPS[i]);
        bool all = LIBC_KEEPS[i][length - 1] == '*';
        if (all ? strncmp(name, LIBC_KEEPS[i], length - 1) == 0 : strcmp(name, LIBC_KEEPS[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Is the node a place of libc's that keeps what it allocates? */
static bool keeps(struct library *l, const struct mt_trace_module *module, const struct mt_native_node *node)
{
    const char *name =
        l->symbols.count > 0 ? mt_symtab_find(&l->symbols, node->pc - 1 - module->bias, &l->names) : NULL;
    return name != NULL && is_listed(name);
}

static void decide_nodes(const struct mt_trace *trace, const struct module *modules, bool *own)
{
    size_t count = mt_trace_native_count(trace);
    for (uint32_t i = 1; i < count; i++) {
        struct mt_native_node node = mt_trace_native(trace, i);
        const struct module *m = &modules[node.module_idx];
        if (m->kind == LIBC) {
            own[i] = own[node.parent] || keeps(m->library, mt_trace_module(trace, node.module_idx), &node);
        } else {
            own[i] = m->kind == LOADER;
        }
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
    size_t count = mt_trace_module_count(trace);
    struct module *modules = mt_alloc_zero(count + 1, sizeof *modules);
    bool *own = mt_alloc_zero(mt_trace_native_count(trace) + 1, sizeof *own);
    for (uint32_t i = 1; i < count; i++) {
        const struct mt_trace_module *module = mt_trace_module(trace, i);
        modules[i].kind = kind_of(module);
        modules[i].library = modules[i].kind == LIBC ? library_of(f, module) : NULL;
    }
    decide_nodes(trace, modules, own);
    uint8_t *stacks = mark_stacks(trace, own);
    free(own);
    free(modules);
    return stacks;
}

uint8_t **mt_own_stacks_find(const struct mt_trace_set *set)
{
    struct finder finder = { 0 };
    if (mt_locator_new(NULL, &finder.locator) != MT_OK) {
        finder.locator = NULL;
    }
    uint8_t **stacks = mt_alloc_zero(set->count + 1, sizeof *stacks);
    for (size_t i = 0; i < set->count; i++) {
        stacks[i] = find(&finder, set->traces[i]);
    }
    finder_fini(&finder);
    return stacks;
}

void mt_own_stacks_free(uint8_t **stacks, size_t trace_count)
{
    for (size_t i = 0; stacks != NULL && i < trace_count; i++) {
        free(stacks[i]);
    }
    free(stacks);
}
