/* modules_elf.h: what a mapped ELF object says about itself. Private to modules_*.c. */
#ifndef MT_HEAP_MODULES_ELF_H
#define MT_HEAP_MODULES_ELF_H

#include "heap/modules.h"

#include <link.h>

/* Fills everything but number and path from program headers in memory. MT_E_INVAL: it loads nothing.
 * Context: the object can not be unloaded meanwhile (loader lock held, or its code is on our stack). */
mt_status mt_modules_read_headers(const ElfW(Phdr) *headers, size_t count, uint64_t bias,
                                  struct mt_module *ret_module) MT_CHECKED;
/* Program headers of the object whose first byte is mapped at start; NULL when there is no ELF header. */
const ElfW(Phdr) *mt_modules_headers_at(uint64_t start, size_t *ret_count);

#endif
