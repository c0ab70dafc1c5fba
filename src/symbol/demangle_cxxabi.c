/* demangle_cxxabi.c: C++ names through the C++ runtime's __cxa_demangle, looked for when it is first needed.
 *
 * In a build without libiberty; demangle_iberty.c otherwise. The runtime knows the Itanium encoding only (Rust's legacy
 * names are such encodings and read with their hash and escapes; v0 names stay raw) and always prints parameters, which are
 * cut off here. Return types of templates stay: where they end cannot be told from text.
 * Invariant: a hostile name costs little. The runtime builds the whole text, each reference to an earlier part can double
 * it, and a reference is at least "S_" or "T_": so names are bounded in length and in underscores that can end one.
 * Context: [tool], any thread.
 */
#include "symbol/demangle.h"

#include "symbol/symbol.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MANGLED = 1024, MAX_REFERENCES = 24, MAX_TEXT = 64 * 1024 };

/* __cxa_demangle of the Itanium C++ ABI (section 3.4): malloc'ed text, or NULL with a status below 0. */
static char *(*g_demangle)(const char *mangled, char *output, size_t *length, int *status);
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static void look(void)
{
    void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library != NULL ? dlsym(library, "__cxa_demangle") : NULL;
    memcpy(&g_demangle, &symbol, sizeof g_demangle); /* ISO C has no cast from object to function pointer */
}

static bool is_affordable(const char *name)
{
    size_t references = 0, bytes = strnlen(name, MAX_MANGLED + 1);
    for (size_t i = 1; i < bytes; i++) {
        references += name[i] == '_' && (name[i - 1] == 'S' || name[i - 1] == 'T' ||
                                         (name[i - 1] >= '0' && name[i - 1] <= '9') ||
                                         (name[i - 1] >= 'A' && name[i - 1] <= 'Z'));
    }
    return bytes <= MAX_MANGLED && references <= MAX_REFERENCES;
}

/* Where the group that ends before `end` begins ("f(int (*)(char))": at the parenthesis behind f); NULL when unbalanced. */
static char *group_start(char *text, char *end)
{
    size_t depth = 0;
    for (char *at = end; at > text;) {
        at--;
        depth += *at == ')';
        if (*at == '(' && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

/* Cuts the parameters and what follows them ("const", "&") off; "operator()" and a text that is all parentheses stay. */
static void cut_parameters(char *text)
{
    static const char call[] = "operator()", clone[] = " [clone";
    char *cloned = strstr(text, clone);
    if (cloned != NULL) {
        *cloned = '\0';
    }
    char *close = strrchr(text, ')');
    if (close == NULL || strpbrk(close, ">:}") != NULL) {
        return; /* the last parenthesis belongs to a template argument or a scope: there are no parameters */
    }
    char *open = group_start(text, close + 1);
    size_t head = open != NULL ? (size_t)(open - text) : 0;
    bool is_call = head + 2 >= sizeof call && open + 1 == close &&
                   memcmp(open - (sizeof call - 3), call, sizeof call - 3) == 0;
    if (head > 0 && !is_call) {
        *open = '\0';
    }
}

char *mt_demangle(const char *name)
{
    (void)pthread_once(&g_once, look);
    if (g_demangle == NULL || name[0] != '_' || name[1] != 'Z' || !is_affordable(name)) {
        return NULL;
    }
    int status = 0;
    char *text = g_demangle(name, NULL, NULL, &status);
    if (text != NULL && strnlen(text, MAX_TEXT + 1) > MAX_TEXT) {
        free(text);
        return NULL;
    }
    if (text != NULL) {
        cut_parameters(text);
    }
    return text;
}

const char *mt_demangle_origin(void)
{
    (void)pthread_once(&g_once, look);
    return g_demangle != NULL ? "the C++ runtime found here" : NULL;
}
