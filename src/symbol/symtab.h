/* symtab.h: function names from the symbol tables of a module, for addresses that debug information does not know.
 *
 * Decides: which symbol names an address. Functions (and code labels without a type) of .symtab or .dynsym and of an
 * embedded .gnu_debugdata; entries of the procedure linkage table as "name@plt". A symbol covers its stated size and no
 * more: an address behind the end of an exported function belongs to some static function whose name was stripped, and no
 * name is better than a wrong one. A symbol of size 0 (hand-written assembly) reaches to the next symbol or the end of its
 * section. Of several names for one address: exported before local, then fewest leading underscores, then shortest.
 * Context: [tool].
 */
#ifndef MT_SYMBOL_SYMTAB_H
#define MT_SYMBOL_SYMTAB_H

#include "symbol/elf_file.h"
#include "symbol/intervals.h"
#include "symbol/names.h"

struct mt_symtab_entry {
    uint64_t low, high;  /* high == low: size not stated */
    uint64_t limit;      /* end of its section */
    const char *raw;     /* linker name, in the file's memory (or the name set's, for "@plt") */
    const char *pretty;  /* interned on first use, NULL until then */
    bool local;
    bool typed;          /* STT_FUNC or STT_GNU_IFUNC, not a bare label */
};

struct mt_symtab {
    struct mt_symtab_entry *entries; /* sorted by low, one for each low */
    size_t count;
    size_t capacity;
    struct mt_segments index; /* values are indices into entries */
};

/* Adds the functions of one symbol table: type SHT_SYMTAB or SHT_DYNSYM. The file must outlive the table. */
mt_status mt_symtab_add(struct mt_symtab *table, const struct mt_elf_file *file, uint32_t section_type) MT_CHECKED;
/* Adds "name@plt" entries (plt.c). Needs the contents of the file that is mapped at run time. */
mt_status mt_symtab_add_plt(struct mt_symtab *table, const struct mt_elf_file *file, struct mt_names *names) MT_CHECKED;
mt_status mt_symtab_append(struct mt_symtab *table, const struct mt_symtab_entry *entry) MT_CHECKED;
/* To be called once after the last addition. */
mt_status mt_symtab_index(struct mt_symtab *table) MT_CHECKED;
void mt_symtab_fini(struct mt_symtab *table);
/* The readable name of the function at an address, or NULL. */
const char *mt_symtab_find(struct mt_symtab *table, uint64_t vaddr, struct mt_names *names);

/* Does the file have a symbol table of this type with contents? */
bool mt_symtab_present(const struct mt_elf_file *file, uint32_t section_type);

#endif
