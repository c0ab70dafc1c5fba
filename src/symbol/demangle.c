/* demangle.c: from the linker's name to the name shown: cut what compilers append, demangle, intern. See demangle.h; the
 * demangler itself is demangle_iberty.c or demangle_cxxabi.c. Context: [tool].
 */
#include "symbol/demangle.h"

#include "symbol/symbol.h"

#include <stdlib.h>
#include <string.h>

/* True when the component of a symbol name that starts after a dot is one a compiler adds to a copy of a function. */
static bool is_clone_word(const char *component)
{
    static const char *const words[] = {"cold", "part", "constprop", "isra",       "lto_priv", "llvm", "clone",
                                        "warm", "hot",  "unlikely",  "localalias", "cfi",      "sra",  "specialized"};
    size_t bytes = strcspn(component, ".@");
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        if (strlen(words[i]) == bytes && memcmp(words[i], component, bytes) == 0) {
            return true;
        }
    }
    return false;
}

size_t mt_symbol_name_stem(const char *raw)
{
    size_t at = 0;
    while (raw[at] != '\0') {
        if (at > 0 && (raw[at] == '@' || (raw[at] == '.' && is_clone_word(raw + at + 1)))) {
            return at;
        }
        at++;
    }
    return at;
}

const char *mt_symbol_name_pretty(struct mt_names *names, const char *raw)
{
    size_t bytes = mt_symbol_name_stem(raw);
    const char *stem = mt_names_intern(names, raw, bytes);
    if (stem == NULL || stem[0] != '_') {
        return stem;
    }
    char *text = mt_demangle(stem);
    if (text == NULL) {
        return stem;
    }
    const char *pretty = mt_names_intern_text(names, text);
    free(text);
    return pretty;
}
