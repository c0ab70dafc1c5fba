/* symbol.h: (module, address) -> source frames, outside the target.
 *
 * Decides: where symbols come from, in this order: the recorded path if its build-id matches, /usr/lib/debug/.build-id,
 * .gnu_debuglink, directories given by the user (MEMTAP_DEBUG_PATH, --symbols DIR), the file's own DWARF, .gnu_debugdata,
 * .symtab, .dynsym. libdw and libelf live in this folder and nowhere else. A file whose build-id differs from the recorded
 * one is never used: wrong names are worse than none.
 * Everything is indexed once per module (sorted functions with inline trees, line table) so that a look-up costs about a
 * microsecond. Names are demangled (C++ and Rust). Context: [tool].
 */
#ifndef MT_SYMBOL_SYMBOL_H
#define MT_SYMBOL_SYMBOL_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_symbolizer;

/* What the trace knows of a module; borrowed strings. */
struct mt_module_ref {
    const char *path;
    const uint8_t *build_id;
    size_t build_id_bytes;
};

struct mt_symbol_frame {
    const char *function; /* demangled; never NULL ("0x1234" style when unknown is the caller's business: then NULL) */
    const char *file;     /* NULL when unknown */
    uint32_t line;        /* 0 when unknown */
    bool inlined;         /* this frame was inlined into the next one */
    bool made;            /* a member function that the compiler made: nobody wrote its lines */
};

struct mt_symbol_frames {
    const struct mt_symbol_frame *frames; /* innermost first; owned by the symbolizer, valid until it is freed */
    size_t count;                          /* 0: nothing known */
};

enum mt_symbol_quality { MT_SYMBOLS_NONE, MT_SYMBOLS_DYNSYM, MT_SYMBOLS_SYMTAB, MT_SYMBOLS_DWARF };

/* search_dirs: NULL-terminated extra directories, may be NULL. */
mt_status mt_symbolizer_new(const char *const *search_dirs, struct mt_symbolizer **ret) MT_CHECKED;
void mt_symbolizer_free(struct mt_symbolizer *s);
/* vaddr: address as linked (absolute address - load bias), of an instruction, i.e. return address - 1 already applied. */
struct mt_symbol_frames mt_symbolize(struct mt_symbolizer *s, const struct mt_module_ref *module, uint64_t vaddr);
/* How good the symbols of a module are, for "what you could install" hints. */
enum mt_symbol_quality mt_symbolizer_quality(struct mt_symbolizer *s, const struct mt_module_ref *module);
/* Has the module no symbols because the file at its path was built anew since the recording? */
bool mt_symbolizer_replaced(struct mt_symbolizer *s, const struct mt_module_ref *module);
/* Demangles C++ (Itanium) and Rust (legacy and v0); returns malloc'ed text, or NULL when name is not mangled. */
char *mt_demangle(const char *name);

#endif
