/* symtab.h: the full symbol table of a loaded object, read from its file.
 *
 * Decides: that the file at the object's name is still the one that was loaded: its program headers are the same.
 * Nothing of the file is trusted: every extent is checked before it is mapped. Context: [agent] start, loader hooks.
 */
#ifndef MT_HOOK_SYMTAB_H
#define MT_HOOK_SYMTAB_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: NUL-terminated, valid during the call. */
typedef void (*mt_symtab_visitor)(const ElfW(Sym) *symbol, const char *name, void *context);

/* Calls visit for every symbol; nothing when the file is gone, another one, or stripped. */
void mt_symtab_visit(const struct dl_phdr_info *info, bool executable, mt_symtab_visitor visit, void *context);
/* The file, to read; false when it is gone or another one. */
bool mt_symtab_open(const struct dl_phdr_info *info, bool executable, int *ret_fd);
bool mt_symtab_read(int fd, uint64_t offset, void *to, size_t bytes); /* all of them, or false */

#endif
