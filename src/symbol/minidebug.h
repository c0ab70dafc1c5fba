/* minidebug.h: the symbol table some distributions (Fedora, RHEL) leave, compressed, in .gnu_debugdata of stripped files.
 *
 * Decides: it is unpacked with liblzma, loaded when the first such file is met (libdw depends on it almost everywhere);
 * where it cannot be loaded the section is ignored. At most 256 MiB are unpacked. Context: [tool].
 */
#ifndef MT_SYMBOL_MINIDEBUG_H
#define MT_SYMBOL_MINIDEBUG_H

#include "symbol/elf_file.h"

/* The embedded ELF file. MT_E_NOENT without the section, MT_E_UNSUPPORTED without liblzma, MT_E_CORRUPT when it is not
 * what it says. The caller closes. */
mt_status mt_minidebug_open(const struct mt_elf_file *file, struct mt_elf_file **ret) MT_CHECKED;

#endif
