/* module_files.c: see module_files.h. */
#include "symbol/module_files.h"

#include "symbol/dwarf.h"
#include "symbol/minidebug.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* Keeps the file for what it adds; true when nothing better can come. */
static bool keep(void *context, struct mt_elf_file *take_file)
{
    struct mt_module_files *files = context;
    bool dwarf = files->dwarf == NULL && mt_elf_section(take_file, ".debug_info") != NULL;
    bool symtab = files->symtab == NULL && mt_symtab_present(take_file, SHT_SYMTAB);
    bool dynsym = files->dynsym == NULL && mt_symtab_present(take_file, SHT_DYNSYM);
    if ((!dwarf && !symtab && !dynsym) || files->count == MT_MODULE_FILES_MAX) {
        mt_elf_close(take_file);
        return false;
    }
    files->kept[files->count++] = take_file;
    files->dwarf = dwarf ? take_file : files->dwarf;
    files->symtab = symtab ? take_file : files->symtab;
    files->dynsym = dynsym ? take_file : files->dynsym;
    return files->dwarf != NULL && files->symtab != NULL;
}

/* The section headers of the vDSO are its last part, so they say how long it is. */
static size_t vdso_bytes(const Elf64_Ehdr *header)
{
    enum { VDSO_MAX = 64 * 1024 };
    size_t bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && bytes <= VDSO_MAX ? bytes : 0;
}

static void find_vdso(struct mt_module_files *files, const struct mt_module_ref *module)
{
    const void *image = (const void *)getauxval(AT_SYSINFO_EHDR); // NOLINT: the kernel gives an address as a number
    size_t bytes = image != NULL ? vdso_bytes(image) : 0;
    void *copy = bytes > 0 ? malloc(bytes) : NULL;
    struct mt_elf_file *file = NULL;
    if (copy == NULL) {
        return;
    }
    memcpy(copy, image, bytes);
    if (mt_elf_open_memory(module->path, copy, bytes, &file) != MT_OK) {
        return;
    }
    if (module->build_id_bytes == 0 || !mt_elf_has_build_id(file, module->build_id, module->build_id_bytes)) {
        mt_elf_close(file);
        return;
    }
    (void)keep(files, file);
}

void mt_module_files_find(struct mt_module_files *files, struct mt_locator *locator, const struct mt_module_ref *module)
{
    if (module->path[0] == '[') {
        if (strcmp(module->path, "[vdso]") == 0) {
            find_vdso(files, module);
        }
        return;
    }
    mt_locate(locator, module, keep, files);
    const char *name = NULL;
    const uint8_t *build_id = NULL;
    size_t build_id_bytes = 0;
    if (files->dwarf != NULL && mt_dwarf_alt_link(files->dwarf, &name, &build_id, &build_id_bytes)) {
        files->alt = mt_locate_alt(locator, files->dwarf, name, build_id, build_id_bytes);
    }
    if (files->symtab == NULL && files->dynsym != NULL &&
        mt_minidebug_open(files->dynsym, &files->minidebug) != MT_OK) {
        files->minidebug = NULL;
    }
}

void mt_module_files_fini(struct mt_module_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        mt_elf_close(files->kept[i]);
    }
    mt_elf_close(files->alt);
    mt_elf_close(files->minidebug);
    memset(files, 0, sizeof *files);
}

mt_status mt_module_files_read_symbols(const struct mt_module_files *files, struct mt_symtab *table,
                                       struct mt_names *names)
{
    mt_status status = MT_OK;
    if (files->symtab != NULL) {
        status = mt_symtab_add(table, files->symtab, SHT_SYMTAB);
    }
    if (status == MT_OK && files->dynsym != NULL) {
        status = mt_symtab_add(table, files->dynsym, SHT_DYNSYM);
    }
    if (status == MT_OK && files->minidebug != NULL) {
        status = mt_symtab_add(table, files->minidebug, SHT_SYMTAB);
    }
    if (status == MT_OK && files->dynsym != NULL) {
        status = mt_symtab_add_plt(table, files->dynsym, names);
    }
    return status;
}
