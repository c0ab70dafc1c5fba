/* module_files.h: the files of one module and what each is good for.
 *
 * Decides: which of the files that locate.h offers are kept: the first with debug information, the first with .symtab,
 * the first with .dynsym (the image itself, which also has the linkage table). A file that adds nothing is closed. The
 * vDSO has no file; its image is this process's own, when the build-ids agree. Context: [tool].
 */
#ifndef MT_SYMBOL_MODULE_FILES_H
#define MT_SYMBOL_MODULE_FILES_H

#include "symbol/locate.h"
#include "symbol/symtab.h"

enum { MT_MODULE_FILES_MAX = 4 };

struct mt_module_files {
    struct mt_elf_file *kept[MT_MODULE_FILES_MAX]; /* owned; those below point into it */
    size_t count;
    struct mt_elf_file *dwarf;     /* NULL: none */
    struct mt_elf_file *symtab;
    struct mt_elf_file *dynsym;
    struct mt_elf_file *alt;       /* owned: what dwarf's .gnu_debugaltlink names */
    struct mt_elf_file *minidebug; /* owned: unpacked .gnu_debugdata, when there is no .symtab */
};

void mt_module_files_find(struct mt_module_files *files, struct mt_locator *locator, const struct mt_module_ref *module);
void mt_module_files_fini(struct mt_module_files *files);
/* Adds all functions the files name to a symbol table, not yet indexed. */
mt_status mt_module_files_read_symbols(const struct mt_module_files *files, struct mt_symtab *table,
                                       struct mt_names *names) MT_CHECKED;

#endif
