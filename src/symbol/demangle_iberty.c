/* demangle_iberty.c: C++ (Itanium) and Rust (legacy, v0) names through libiberty, bounded in output, stack and time.
 *
 * Invariant: no name, however hostile, makes this slow or big. A 200-byte C++ name can stand for gigabytes (each
 * substitution may double the text), so the text is received through libiberty's callback and the demangler is left with
 * longjmp when it exceeds MAX_TEXT; the callback interfaces keep everything on the stack, so nothing leaks (a Rust v0
 * punycode identifier, 128 characters at most, is the exception). libiberty's own recursion limit also refuses every name
 * longer than 1,024 bytes, which real templates reach, so it is lifted and replaced by MAX_MANGLED: stack use is at most
 * 170 bytes a byte of name (measured: 1.3 MiB at 8,000 bytes).
 * Why libiberty: it is what c++filt, addr2line and gdb print, and reads both languages. In a build when CMake found it;
 * demangle_cxxabi.c otherwise. Context: [tool], any thread.
 */
#include "symbol/demangle.h"

#include "symbol/symbol.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MANGLED = 8 * 1024, MAX_TEXT = 64 * 1024, CPP_OPTIONS = DMGL_ANSI | DMGL_NO_RECURSE_LIMIT };

/* One demangling: the text so far, and the way out when it gets too long. */
struct sink {
    char *text; /* MAX_TEXT + 1 bytes, or NULL to only count */
    size_t bytes;
    jmp_buf too_long;
};

static void sink_put(const char *text, size_t bytes, void *opaque)
{
    struct sink *sink = opaque;
    if (bytes > MAX_TEXT - sink->bytes) {
        longjmp(sink->too_long, 1);
    }
    if (sink->text != NULL && bytes > 0) {
        memcpy(sink->text + sink->bytes, text, bytes);
    }
    sink->bytes += bytes;
}

enum outcome { NOT_MANGLED, DEMANGLED, TOO_LONG };

static enum outcome demangle_cpp(const char *name, int options, struct sink *sink)
{
    if (setjmp(sink->too_long) != 0) {
        return TOO_LONG;
    }
    return cplus_demangle_v3_callback(name, options, sink_put, sink) != 0 ? DEMANGLED : NOT_MANGLED;
}

static enum outcome demangle_rust(const char *name, struct sink *sink)
{
    if (setjmp(sink->too_long) != 0) {
        return TOO_LONG;
    }
    return rust_demangle_callback(name, DMGL_PARAMS | DMGL_ANSI, sink_put, sink) != 0 ? DEMANGLED : NOT_MANGLED;
}

/* Without DMGL_PARAMS libiberty leaves out return type and parameters, but also stops looking at the end of the function
 * name: `_ZN1a1bEvJUNK` would pass. The first run, whose text is only counted, parses to the end. */
static enum outcome demangle_any(const char *name, struct sink *sink)
{
    enum outcome outcome = demangle_rust(name, sink);
    if (outcome != NOT_MANGLED) {
        return outcome;
    }
    struct sink counter = {.text = NULL};
    if (demangle_cpp(name, CPP_OPTIONS | DMGL_PARAMS, &counter) == NOT_MANGLED) {
        return NOT_MANGLED;
    }
    sink->bytes = 0;
    return demangle_cpp(name, CPP_OPTIONS, sink);
}

static bool looks_mangled(const char *name)
{
    return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R') && strnlen(name, MAX_MANGLED + 1) <= MAX_MANGLED;
}

char *mt_demangle(const char *name)
{
    if (!looks_mangled(name)) {
        return NULL;
    }
    struct sink sink = {.text = malloc(MAX_TEXT + 1)};
    if (sink.text == NULL) {
        return NULL;
    }
    if (demangle_any(name, &sink) != DEMANGLED) {
        free(sink.text);
        return NULL;
    }
    sink.text[sink.bytes] = '\0';
    char *fitted = realloc(sink.text, sink.bytes + 1);
    return fitted != NULL ? fitted : sink.text;
}

const char *mt_demangle_origin(void)
{
    return "libiberty";
}
