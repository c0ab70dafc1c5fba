/* dwarf_none.c: dwarf.h in a build without libdw: no file has debug information.
 *
 * The symbolizer then names functions from symbol tables, without lines and inlined calls. dwarf.c, dwarf_lines.c,
 * dwarf_names.c and dwarf_scopes.c otherwise. Context: [tool].
 */
#include "symbol/dwarf.h"

mt_status mt_dwarf_open(const struct mt_elf_file *file, const struct mt_elf_file *alt, struct mt_names *names,
                        struct mt_dwarf **ret)
{
    (void)file;
    (void)alt;
    (void)names;
    (void)ret;
    return MT_E_NOENT;
}

void mt_dwarf_close(struct mt_dwarf *dwarf)
{
    (void)dwarf;
}

size_t mt_dwarf_lookup(struct mt_dwarf *dwarf, uint64_t vaddr, struct mt_symbol_frame *frames)
{
    (void)dwarf;
    (void)vaddr;
    (void)frames;
    return 0;
}

bool mt_dwarf_alt_link(const struct mt_elf_file *file, const char **ret_name, const uint8_t **ret_build_id,
                       size_t *ret_build_id_bytes)
{
    (void)file;
    (void)ret_name;
    (void)ret_build_id;
    (void)ret_build_id_bytes;
    return false;
}

const char *mt_dwarf_origin(void)
{
    return NULL;
}
