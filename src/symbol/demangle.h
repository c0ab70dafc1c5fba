/* demangle.h: how a linker name becomes the name people read (mt_demangle itself is declared in symbol.h).
 *
 * Decides: functions are shown without return type, parameters, cv-qualifiers, hashes and clone suffixes; template
 * arguments stay. Two overloads then share a name, but every table also has file and line, and a name that fits a table
 * cell or a flame-graph box is worth more (docs/decisions/0005-symbols.md). Context: [tool].
 */
#ifndef MT_SYMBOL_DEMANGLE_H
#define MT_SYMBOL_DEMANGLE_H

#include "symbol/names.h"

/* Length of a symbol name without its version (`@@GLIBC_2.14`) and without the suffixes compilers add to clones
 * (`.cold`, `.part.0`, `.constprop.3`, `.llvm.123` …): debug information has neither, so names agree whatever the source. */
size_t mt_symbol_name_stem(const char *raw);
/* The interned readable form of a raw linker name; NULL when out of memory. */
const char *mt_symbol_name_pretty(struct mt_names *names, const char *raw);
/* What mt_demangle uses in this build, for people; NULL when there is nothing and names stay raw. */
const char *mt_demangle_origin(void);

#endif
