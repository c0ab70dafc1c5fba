/* role.c: see role.h. Context: [tool]. */
#include "model/role.h"

#include "util/memory.h"
#include "util/syslib.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Functions that hand memory on to their caller. An entry that ends in '*' stands for all names that begin so. */
static const char *const g_wrappers[] = {
    /* C library and common C */
    "malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc", "pvalloc",
    "__libc_malloc", "__libc_calloc", "__libc_realloc", "strdup", "strndup", "__strdup", "__strndup", "mmap", "mmap64",
    "mremap", "sbrk", "brk", "asprintf", "vasprintf", "__vasprintf_internal",
    "xmalloc*", "xcalloc*", "xrealloc*", "xstrdup", "xstrndup", "xmemdup*", "xnmalloc", "x2realloc*", "x2nrealloc",
    "emalloc", "ecalloc", "erealloc", "estrdup", "_emalloc*", "_ecalloc*", "_erealloc*", "_safe_malloc", "_safe_realloc",
    "safe_malloc*", "safe_calloc*", "safe_realloc*", "checked_malloc", "checked_calloc", "checked_realloc",
    "my_malloc", "my_realloc", "malloc_or_die", "xzalloc", "kmalloc", "kzalloc", "kcalloc", "krealloc",
    /* allocators that replace malloc */
    "je_*", "_rjem_*", "mi_*", "_mi_*", "tc_*", "rpmalloc", "rpcalloc", "rprealloc", "tcmalloc::*",
    /* redis, glib, libav, OpenSSL, APR, nginx, PostgreSQL, SQLite, libuv, libxml2, Ruby */
    "zmalloc*", "zcalloc*", "zrealloc*", "ztrymalloc*", "ztrycalloc*", "ztryrealloc*", "zstrdup", "ztryalloc*",
    "g_malloc*", "g_try_malloc*", "g_realloc*", "g_try_realloc*", "g_slice_*", "g_strdup", "g_strndup", "g_memdup*",
    "av_malloc*", "av_calloc", "av_realloc*", "av_strdup", "av_strndup", "av_memdup", "av_fast_malloc*",
    "av_fast_padded_malloc*", "av_fast_realloc",
    "CRYPTO_malloc", "CRYPTO_zalloc", "CRYPTO_realloc", "CRYPTO_clear_realloc", "CRYPTO_strdup", "CRYPTO_memdup",
    "apr_palloc*", "apr_pcalloc*", "ngx_alloc", "ngx_calloc", "ngx_palloc*", "ngx_pnalloc", "ngx_pcalloc", "ngx_memalign",
    "ngx_pmemalign", "ngx_create_pool", "palloc*", "repalloc*", "pstrdup", "MemoryContextAlloc*", "MemoryContextStrdup",
    "AllocSetAlloc*", "AllocSetRealloc", "AllocSetContextCreateInternal", "GenerationAlloc*", "SlabAlloc*",
    "sqlite3_malloc*", "sqlite3_realloc*", "sqlite3Malloc*", "sqlite3Realloc*", "sqlite3MemMalloc", "sqlite3MemRealloc",
    "sqlite3DbMalloc*", "sqlite3DbRealloc*", "sqlite3DbStrDup", "sqlite3DbStrNDup", "dbMallocRawFinish", "uv__malloc",
    "uv__calloc", "uv__realloc", "uv__strdup", "xmlMalloc*", "xmlRealloc*", "xmlStrdup", "xmlStrndup", "ruby_xmalloc*",
    "ruby_xcalloc*", "ruby_xrealloc*", "objspace_xmalloc*", "rb_xmalloc*",
    /* Python */
    "PyMem_*", "_PyMem_*", "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "_PyObject_Malloc",
    "_PyObject_Calloc", "_PyObject_Realloc", "_PyObject_GC_*", "_PyObject_New*", "PyType_GenericAlloc",
    "_PyType_AllocNoTrack", "pymalloc_*", "gc_alloc", "_PyObject_Arena*", "new_arena", "allocate_from_new_pool",
    /* Rust */
    "__rust_alloc*", "__rust_realloc", "__rdl_alloc*", "__rdl_realloc", "__rg_alloc*", "__rg_realloc", "exchange_malloc",
    "__rustc::__r*",
    /* C++ */
    "operator new*", "_Znwm", "_Znam",
};

/* Namespaces of standard libraries whose functions work for who called them. */
static const char *const g_wrapper_spaces[] = {
    "std::", "__gnu_cxx::", "__cxxabiv1::", "__cxa_", "alloc::", "core::", "hashbrown::", "allocator_api2::",
    "boost::pool", "tbb::", "absl::container_internal::", "absl::lts_", "folly::f14::", "fmt::", "Eigen::internal::",
};

static const char *const g_thread_starts[] = {
    "start_thread", "clone", "clone3", "__clone", "__clone3", "__clone_internal", "__GI___clone", "__GI___clone3",
    "thread_start", "pythread_wrapper", "thread_run", "t_bootstrap", "g_thread_proxy", "execute_native_thread_routine",
};

static const char *const g_process_starts[] = {
    "_start", "__libc_start_main*", "__libc_start_call_main*", "__libc_csu_init", "call_init*", "generic_start_main*",
    "_dl_start_user", "_dl_init", "__libc_start_main_impl",
};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t bytes = strlen(text), tail = strlen(suffix);
    return bytes >= tail && strcmp(text + bytes - tail, suffix) == 0;
}

static bool matches(const char *name, size_t bytes, const char *entry)
{
    size_t length = strlen(entry);
    if (length > 0 && entry[length - 1] == '*') {
        return bytes >= length - 1 && memcmp(name, entry, length - 1) == 0;
    }
    return bytes == length && memcmp(name, entry, length) == 0;
}

static bool is_listed(const char *name, size_t bytes, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (matches(name, bytes, list[i])) {
            return true;
        }
    }
    return false;
}

/* The end of what opens at *text: behind the bracket that closes it, or the end of the text. */
static const char *skip_brackets(const char *text)
{
    size_t depth = 0;
    for (const char *at = text; *at != '\0'; at++) {
        bool arrow = *at == '>' && at > text && at[-1] == '-';
        if (*at == '<' || *at == '(') {
            depth++;
        } else if ((*at == '>' && !arrow) || *at == ')') {
            if (--depth == 0) {
                return at + 1;
            }
        }
    }
    return text + strlen(text);
}

/* Where the qualified name begins: behind a return type, which only names of templates carry. What is in brackets is no
 * place to cut, and neither is what follows "operator". */
static const char *name_start(const char *function)
{
    static const char anonymous[] = "(anonymous namespace)";
    const char *start = function;
    for (const char *at = function; *at != '\0';) {
        if (begins_with(at, "operator") && (at == start || at[-1] == ':' || at[-1] == ' ')) {
            return start;
        }
        if (begins_with(at, anonymous)) {
            at += sizeof anonymous - 1;
        } else if (*at == '(') {
            return start; /* parameters */
        } else if (*at == '<') {
            at = skip_brackets(at);
        } else {
            start = *at == ' ' ? at + 1 : start;
            at++;
        }
    }
    return start;
}

/* "<alloc::vec::Vec<T> as core::clone::Clone>::clone" speaks of alloc::vec. */
static bool in_wrapper_space(const char *name)
{
    name += *name == '<' ? 1 : 0;
    name += *name == '&' ? 1 : 0;
    for (size_t i = 0; i < MT_COUNTOF(g_wrapper_spaces); i++) {
        if (begins_with(name, g_wrapper_spaces[i])) {
            return true;
        }
    }
    return false;
}

/* Bytes of a name up to its parameters; names that compilers split ("f.part.0", "f.cold") are f. */
static size_t plain_bytes(const char *name)
{
    size_t bytes = strcspn(name, "(.@");
    return bytes > 0 ? bytes : strlen(name);
}

static char *append(char *to, const char *text, size_t bytes)
{
    memcpy(to, text, bytes);
    to[bytes] = '\0';
    return to + bytes;
}

/* What a bracket at *at adds to the name, with *at behind it: nothing for template arguments, the characters of an operator,
 * the type that a Rust method belongs to. False: the name ends here. */
static bool take_bracket(const char **at, char *name, char **to)
{
    static const char anonymous[] = "(anonymous namespace)";
    bool is_operator = ends_with(name, "operator");
    if (begins_with(*at, anonymous)) {
        *to = append(*to, anonymous, sizeof anonymous - 1);
        *at += sizeof anonymous - 1;
    } else if (is_operator) {
        size_t bytes = **at == '(' ? strspn(*at, "()") : strspn(*at, "<=>");
        bytes = **at == '(' && bytes > 2 ? 2 : bytes;
        *to = append(*to, *at, bytes);
        *at += bytes;
    } else if (**at == '<' && name[0] == '\0') {
        (*at)++; /* "<alloc::vec::Vec<T> as …>::clone": the type first; what comes from " as " on is skipped at its end */
    } else if (**at == '<') {
        *at = skip_brackets(*at);
        *at += ends_with(name, "::") && begins_with(*at, "::") ? 2 : 0; /* "alloc::slice::<impl [T]>::repeat" */
    } else {
        return false;
    }
    return true;
}

char *mt_role_short_name(const char *function)
{
    bool method = function[0] == '<'; /* Rust */
    const char *at = method ? function : name_start(function);
    const char *end = method ? skip_brackets(function) - 1 : NULL;
    char *name = mt_alloc(strlen(at) + 1);
    char *to = name;
    name[0] = '\0';
    bool more = true;
    while (more && *at != '\0' && !begins_with(at, ".part.") && !begins_with(at, ".constprop.") && !begins_with(at, ".isra.")) {
        static const char inner[] = "__cxx11::"; /* an inline namespace says nothing to a reader */
        if (begins_with(at, inner)) {
            at += sizeof inner - 1;
            continue;
        }
        bool trait = method && (begins_with(at, " as ") || at == end);
        if (trait) {
            at = end + (*end != '\0' ? 1 : 0);
            method = false;
        } else if (*at == '<' || *at == '(') {
            more = take_bracket(&at, name, &to);
        } else {
            to = append(to, at++, 1);
        }
    }
    while (to > name && to[-1] == ' ') {
        *--to = '\0';
    }
    if (to - name > 2 && ends_with(name, "::")) { /* "do_call::<F, R>" */
        to[-2] = '\0';
    }
    return name;
}

char *mt_role_shown_name(const struct mt_frame *frame)
{
    static const char local[] = "<locals>.";
    if (frame->kind == MT_FRAME_NATIVE) {
        return mt_role_short_name(frame->function);
    }
    char *name = mt_strdup(frame->function);
    for (char *at = strstr(name, local); at != NULL; at = strstr(at, local)) {
        memmove(at, at + sizeof local - 1, strlen(at + sizeof local - 1) + 1);
    }
    return name;
}

/* ---- Python ------------------------------------------------------------------------------------------------------ */

/* Behind "/lib/python3.11/" of a path: a module of the standard library. */
static const char *behind_lib_python(const char *file)
{
    for (const char *at = strstr(file, "/python"); at != NULL; at = strstr(at + 1, "/python")) {
        const char *version = at + strlen("/python");
        size_t digits = strspn(version, "0123456789.t");
        bool lib = at - file >= 4 && memcmp(at - 4, "/lib", 4) == 0;
        lib = lib || (at - file >= 6 && memcmp(at - 6, "/lib64", 6) == 0);
        if (lib && digits > 0 && version[digits] == '/') {
            return version + digits + 1;
        }
    }
    return NULL;
}

const char *mt_role_library_path(const char *file)
{
    static const char *const roots[] = { "/site-packages/", "/dist-packages/", "/.cargo/registry/src/" };
    for (size_t i = 0; i < MT_COUNTOF(roots); i++) {
        const char *at = strstr(file, roots[i]);
        if (at != NULL) {
            return at + strlen(roots[i]);
        }
    }
    return behind_lib_python(file);
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_import_file(const char *file, const char *library)
{
    static const char *const frozen[] = { "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>",
                                          "<frozen zipimport>" };
    static const char *const files[] = { "importlib/__init__.py", "importlib/_bootstrap.py",
                                         "importlib/_bootstrap_external.py", "importlib/util.py", "zipimport.py",
                                         "_pytest/assertion/rewrite.py" };
    return is_one_of(file, frozen, MT_COUNTOF(frozen)) ||
           (library != NULL && is_one_of(library, files, MT_COUNTOF(files)));
}

static bool is_thread_start(const char *function, const char *library)
{
    static const struct {
        const char *file;
        const char *functions[4];
    } starts[] = {
        { "threading.py", { "Thread._bootstrap", "Thread._bootstrap_inner", "Thread.run", NULL } },
        { "threading.py", { "_bootstrap", "_bootstrap_inner", "run", NULL } }, /* no qualified names before 3.11 */
        { "concurrent/futures/thread.py", { "_worker", "_WorkItem.run", "run", NULL } },
        { "concurrent/futures/process.py", { "_process_worker", NULL } },
        { "multiprocessing/process.py", { "BaseProcess._bootstrap", "BaseProcess.run", "_bootstrap", "run" } },
        { "multiprocessing/pool.py", { "worker", "mapstar", "starmapstar", NULL } },
        { "multiprocessing/popen_fork.py", { "Popen.__init__", "Popen._launch", "__init__", "_launch" } },
    };
    for (size_t i = 0; i < MT_COUNTOF(starts) && library != NULL; i++) {
        for (size_t k = 0; k < 4 && strcmp(library, starts[i].file) == 0 && starts[i].functions[k] != NULL; k++) {
            if (strcmp(function, starts[i].functions[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_runpy(const char *file, const char *library)
{
    return strcmp(file, "<frozen runpy>") == 0 || (library != NULL && strcmp(library, "runpy.py") == 0);
}

bool mt_role_starts_python(const struct mt_frame *frame)
{
    static const char *const files[] = { "site.py", "encodings/__init__.py" };
    const char *library = mt_role_library_path(frame->file);
    return frame->kind == MT_FRAME_PYTHON && (strcmp(frame->file, "<frozen getpath>") == 0 ||
                                              (library != NULL && is_one_of(library, files, MT_COUNTOF(files))));
}

/* The package's modules that run in a recorded program; a person's own package may be called memtap too. */
static bool is_memtap_file(const char *file)
{
    static const char *const modules[] = { "_agent.py",   "_measure.py", "jupyter.py", "memprof.py", "pytest_plugin.py",
                                           "recording.py", "tracker.py",  "_tracing.py", "memsnap.py", "gcmonitor.py", "torch.py" };
    const char *name = strrchr(file, '/');
    return name != NULL && name - file >= 7 && memcmp(name - 7, "/memtap", 7) == 0 &&
           is_one_of(name + 1, modules, MT_COUNTOF(modules));
}

/* Code without a file is a library's: frozen modules, what numpy, attrs and others make as text. Not what a person typed. */
static bool is_made_file(const char *file)
{
    static const char *const typed[] = { "<string>", "<stdin>", "<console>", "<input>", "<ipython", "<doctest", "<cell", "<python-input" };
    for (size_t i = 0; i < MT_COUNTOF(typed); i++) {
        if (begins_with(file, typed[i])) {
            return false;
        }
    }
    return file[0] == '<';
}

static enum mt_role python_role(const struct mt_frame *f)
{
    const char *library = mt_role_library_path(f->file);
    if (is_memtap_file(f->file)) {
        return MT_ROLE_MEMTAP;
    }
    if (is_import_file(f->file, library)) {
        return MT_ROLE_IMPORT;
    }
    if (is_runpy(f->file, library)) {
        return MT_ROLE_RUNPY;
    }
    if (is_thread_start(f->function, library)) {
        return MT_ROLE_THREAD;
    }
    return library != NULL || is_made_file(f->file) ? MT_ROLE_LIBRARY : MT_ROLE_PROGRAM;
}

char *mt_role_module_name(const char *file)
{
    const char *from = mt_role_library_path(file);
    const char *slash = strrchr(file, '/');
    const char *package = "/__init__.py";
    static const char frozen[] = "<frozen ";
    if (begins_with(file, frozen)) {
        const char *frozen_name = file + sizeof frozen - 1;
        return mt_format("%.*s", (int)strcspn(frozen_name, ">"), frozen_name);
    }
    if (!ends_with(file, ".py") && strstr(file, ".so") == NULL) {
        return NULL;
    }
    if (from == NULL) { /* which folder is the package's root is not known: the last name is */
        from = slash != NULL ? slash + 1 : file;
        if (slash != NULL && ends_with(file, package)) {
            from = slash;
            while (from > file && from[-1] != '/') {
                from--;
            }
        }
    }
    char *name = mt_strdup(from);
    if (ends_with(name, package)) {
        name[strlen(name) - strlen(package)] = '\0';
    }
    char *base = strrchr(name, '/');
    base = base != NULL ? base + 1 : name;
    base[strcspn(base, ".")] = '\0';
    for (char *at = name; *at != '\0'; at++) {
        *at = *at == '/' ? '.' : *at;
    }
    return name;
}

/* ---- native code ------------------------------------------------------------------------------------------------- */

bool mt_role_is_interpreter(const struct mt_frame *frame)
{
    const char *name = mt_text_base_name(frame->module);
    return frame->kind == MT_FRAME_NATIVE && (begins_with(name, "python3") || begins_with(name, "libpython3"));
}

bool mt_role_is_c_library(const struct mt_frame *frame)
{
    enum mt_syslib library = mt_syslib_of(frame->module);
    return library == MT_SYSLIB_C || library == MT_SYSLIB_LOADER;
}

/* A shared library of the system; programs lie there too (/usr/lib/postgresql/15/bin/postgres). */
static bool is_system_library(const char *path)
{
    static const char *const roots[] = { "/lib/", "/lib64/", "/lib32/", "/usr/lib/", "/usr/lib64/", "/usr/lib32/" };
    bool shared = strstr(mt_text_base_name(path), ".so") != NULL;
    for (size_t i = 0; i < MT_COUNTOF(roots) && shared; i++) {
        if (begins_with(path, roots[i])) {
            return true;
        }
    }
    return path[0] == '['; /* [vdso] */
}

/* Code of headers and of the standard library that was compiled into the program. */
static bool is_library_source(const char *file)
{
    return begins_with(file, "/usr/include/") || begins_with(file, "/usr/lib/") || begins_with(file, "/rustc/") ||
           strstr(file, "/.cargo/registry/") != NULL || strstr(file, "/.rustup/") != NULL;
}

static bool is_library_module(const char *module)
{
    const char *name = mt_text_base_name(module);
    bool python = begins_with(name, "libpython3") || (begins_with(name, "python3") && strspn(name + 6, "0123456789.") > 0);
    return python || is_system_library(module) || mt_role_library_path(module) != NULL;
}

static enum mt_role native_role(const struct mt_frame *f)
{
    const char *name = name_start(f->function);
    size_t bytes = plain_bytes(name);
    if (begins_with(mt_text_base_name(f->module), "libmemtap-agent")) {
        return MT_ROLE_MEMTAP;
    }
    if (is_listed(name, bytes, g_process_starts, MT_COUNTOF(g_process_starts))) {
        return MT_ROLE_START;
    }
    if (is_listed(name, bytes, g_thread_starts, MT_COUNTOF(g_thread_starts)) && is_library_module(f->module)) {
        return MT_ROLE_THREAD;
    }
    if (f->made || is_listed(name, bytes, g_wrappers, MT_COUNTOF(g_wrappers)) || in_wrapper_space(name)) {
        return MT_ROLE_WRAPPER;
    }
    return is_library_module(f->module) || is_library_source(f->file) ? MT_ROLE_LIBRARY : MT_ROLE_PROGRAM;
}

enum mt_role mt_role_of(const struct mt_frame *frame)
{
    switch (frame->kind) {
    case MT_FRAME_PYTHON:
        return python_role(frame);
    case MT_FRAME_MARKER:
    case MT_FRAME_LABEL:
        return MT_ROLE_MARKER;
    case MT_FRAME_IMPORT:
        return MT_ROLE_IMPORT;
    case MT_FRAME_STARTER:
        return MT_ROLE_THREAD;
    case MT_FRAME_NATIVE:
    default:
        return native_role(frame);
    }
}
