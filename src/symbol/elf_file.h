/* elf_file.h: one ELF file, mapped and checked.
 *
 * Decides: what may be opened at all (regular files with an ELF header; never a pipe or device that could block), and
 * which of its addresses are code. libelf reads the mapping; every offset and count in the file is hostile until libelf
 * or this file has checked it against the size. Addresses are as linked. Context: [tool].
 */
#ifndef MT_SYMBOL_ELF_FILE_H
#define MT_SYMBOL_ELF_FILE_H

#include "base/status.h"

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_ELF_BUILD_ID_MAX = 64, MT_ELF_CODE_RANGES_MAX = 16 };

struct mt_elf_range {
    uint64_t low, high;
};

struct mt_elf_file {
    char *path;  /* as opened; "[vdso]" and the like for images that are no files */
    void *image; /* private mapping, or heap memory when owned_image */
    size_t bytes;
    bool owned_image;
    Elf *elf;
    size_t section_count;
    size_t names_section; /* index of the section name table */
    size_t build_id_bytes; /* 0: none */
    uint8_t build_id[MT_ELF_BUILD_ID_MAX];
    size_t code_count; /* executable PT_LOAD segments; 0: unknown, any address but 0 may be code */
    struct mt_elf_range code[MT_ELF_CODE_RANGES_MAX];
};

/* Opens and maps a file. MT_E_NOENT, MT_E_PERM … from the system, MT_E_INVAL when it is not a regular file,
 * MT_E_CORRUPT when it is not ELF, MT_E_UNSUPPORTED when it is big-endian. The caller closes. */
mt_status mt_elf_open(const char *path, struct mt_elf_file **ret) MT_CHECKED;
/* Same over heap memory, which now belongs to the file (freed also on failure). */
mt_status mt_elf_open_memory(const char *name, void *take_image, size_t bytes, struct mt_elf_file **ret) MT_CHECKED;
void mt_elf_close(struct mt_elf_file *file);

bool mt_elf_has_build_id(const struct mt_elf_file *file, const uint8_t *build_id, size_t bytes);
/* Could there be an instruction at this address? Debug information of functions the linker dropped starts at 0, 1 or -1. */
bool mt_elf_is_code(const struct mt_elf_file *file, uint64_t address);
/* The section of that name whose contents are in the file (not SHT_NOBITS, not empty), or NULL. */
Elf_Scn *mt_elf_section(const struct mt_elf_file *file, const char *name);
/* Its bytes, decompressed where SHF_COMPRESSED; NULL when absent, unreadable or implausibly large when decompressed.
 * Owned by the file. */
const uint8_t *mt_elf_section_data(const struct mt_elf_file *file, const char *name, size_t *ret_bytes);
/* False when a compressed debug section claims a size no real one has (a bomb). */
bool mt_elf_sections_plausible(const struct mt_elf_file *file);

#endif
