/* dwarf.c: opening debug information, finding the unit of an address, and putting its frames together; see dwarf.h.
 *
 * Unit ranges come from the root entries (DW_AT_ranges, DW_AT_low_pc): they are complete with every compiler in use, where
 * .debug_aranges is missing from LLVM's output and covers only some units of a mixed link. Units whose root entry has no
 * range are completed from .debug_aranges. When the file names an alternate file that cannot be found, libdw gets an empty
 * stand-in, because left alone it would open the path that the file names (see elf_file.c).
 */
#include "symbol/dwarf_unit.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_MIN = 1 << 20, BUDGET_FILE_SHARE = 4 };

bool mt_dwarf_alt_link(const struct mt_elf_file *file, const char **ret_name, const uint8_t **ret_build_id,
                       size_t *ret_build_id_bytes)
{
    size_t bytes = 0;
    const uint8_t *data = mt_elf_section_data(file, ".gnu_debugaltlink", &bytes);
    const uint8_t *end = data != NULL ? memchr(data, '\0', bytes) : NULL;
    if (end == NULL || end + 1 == data + bytes) {
        return false;
    }
    *ret_name = (const char *)data;
    *ret_build_id = end + 1;
    *ret_build_id_bytes = bytes - (size_t)(end + 1 - data);
    return true;
}

const char *mt_dwarf_origin(void)
{
    return "libdw";
}

/* The smallest file libdw takes for debug information: a .debug_line section of one byte. */
struct stand_in {
    Elf64_Ehdr header;
    Elf64_Shdr sections[3];
    char names[24];
};

static void fill_stand_in(struct stand_in *image)
{
    static const char names[] = "\0.debug_line\0.shstrtab";
    memset(image, 0, sizeof *image);
    memcpy(image->header.e_ident, "\177ELF\2\1\1", 7);
    image->header.e_type = ET_DYN;
    image->header.e_machine = EM_X86_64;
    image->header.e_version = EV_CURRENT;
    image->header.e_ehsize = sizeof image->header;
    image->header.e_shoff = offsetof(struct stand_in, sections);
    image->header.e_shentsize = sizeof image->sections[0];
    image->header.e_shnum = 3;
    image->header.e_shstrndx = 2;
    image->sections[1] = (Elf64_Shdr){.sh_name = 1,
                                      .sh_type = SHT_PROGBITS,
                                      .sh_offset = offsetof(struct stand_in, names),
                                      .sh_size = 1,
                                      .sh_addralign = 1};
    image->sections[2] = (Elf64_Shdr){.sh_name = 13,
                                      .sh_type = SHT_STRTAB,
                                      .sh_offset = offsetof(struct stand_in, names),
                                      .sh_size = sizeof names,
                                      .sh_addralign = 1};
    memcpy(image->names, names, sizeof names);
}

static mt_status open_stand_in(struct mt_dwarf *dwarf)
{
    struct stand_in *image = malloc(sizeof *image);
    if (image == NULL) {
        return MT_E_NOMEM;
    }
    fill_stand_in(image);
    dwarf->alt_image = image;
    dwarf->alt_elf = elf_memory((char *)image, sizeof *image);
    dwarf->alt = dwarf->alt_elf != NULL ? dwarf_begin_elf(dwarf->alt_elf, DWARF_C_READ, NULL) : NULL;
    return dwarf->alt != NULL ? MT_OK : MT_E_NOMEM;
}

static mt_status attach_alt(struct mt_dwarf *dwarf, const struct mt_elf_file *alt)
{
    if (mt_elf_section(dwarf->file, ".gnu_debugaltlink") == NULL) {
        return MT_OK;
    }
    if (alt != NULL && mt_elf_sections_plausible(alt)) {
        dwarf->alt = dwarf_begin_elf(alt->elf, DWARF_C_READ, NULL);
        dwarf->alt_info.data = mt_elf_section_data(alt, ".debug_info", &dwarf->alt_info.bytes);
    }
    mt_status status = dwarf->alt != NULL ? MT_OK : open_stand_in(dwarf);
    if (status == MT_OK) {
        dwarf_setalt(dwarf->dw, dwarf->alt);
    }
    return status;
}

static bool language_mangles(Dwarf_Die *root)
{
    switch (dwarf_srclang(root)) {
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case 0x2b: /* C++17, C++20: assigned after DWARF 5 (dwarfstd.org/languages.html) */
    case 0x2c:
    case DW_LANG_Rust:
    case DW_LANG_ObjC_plus_plus:
    case DW_LANG_D:
    case DW_LANG_Swift:
        return true;
    default:
        return false;
    }
}

static mt_status add_unit(struct mt_dwarf *dwarf, Dwarf_Die *root)
{
    struct mt_unit *units = mt_array_reserve(dwarf->units, dwarf->unit_count, &dwarf->unit_capacity, sizeof *units);
    if (units == NULL || dwarf->unit_count >= MT_SEGMENT_NONE - 1) {
        return MT_E_NOMEM;
    }
    dwarf->units = units;
    memset(&units[dwarf->unit_count], 0, sizeof units[0]);
    units[dwarf->unit_count++].die = dwarf_dieoffset(root);
    return MT_OK;
}

static int by_die(const void *left, const void *right)
{
    const struct mt_unit *a = left, *b = right;
    return a->die < b->die ? -1 : a->die > b->die;
}

/* Ranges of .debug_aranges for units in `rangeless` (by number). */
static mt_status add_aranges(struct mt_dwarf *dwarf, const bool *rangeless, struct mt_intervals *list)
{
    Dwarf_Aranges *aranges = NULL;
    size_t count = 0;
    if (dwarf_getaranges(dwarf->dw, &aranges, &count) != 0) {
        return MT_OK;
    }
    for (size_t i = 0; i < count && mt_dwarf_spend(dwarf, 1); i++) {
        Dwarf_Addr low = 0;
        Dwarf_Word bytes = 0;
        struct mt_unit key = {0};
        Dwarf_Arange *arange = dwarf_onearange(aranges, i);
        if (arange == NULL || dwarf_getarangeinfo(arange, &low, &bytes, &key.die) != 0) {
            continue;
        }
        const struct mt_unit *unit = bsearch(&key, dwarf->units, dwarf->unit_count, sizeof key, by_die);
        if (unit == NULL || !rangeless[unit - dwarf->units] || bytes > UINT64_MAX - low ||
            !mt_elf_is_code(dwarf->file, low)) {
            continue;
        }
        struct mt_interval item = {.low = low, .high = low + bytes, .value = (uint32_t)(unit - dwarf->units)};
        mt_status status = mt_intervals_add(list, item);
        if (status != MT_OK) {
            return status;
        }
    }
    return MT_OK;
}

/* One pass over the root entries. A corrupt unit header hides the units behind it. */
static mt_status list_units(struct mt_dwarf *dwarf, struct mt_intervals *list)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Half version = 0;
    uint8_t type = 0;
    Dwarf_Die root;
    while (dwarf_get_units(dwarf->dw, unit, &unit, &version, &type, &root, NULL) == 0) {
        int tag = dwarf_tag(&root);
        if (tag != DW_TAG_compile_unit && tag != DW_TAG_skeleton_unit) {
            continue;
        }
        mt_status status = add_unit(dwarf, &root);
        if (status != MT_OK) {
            return status;
        }
        struct mt_unit *added = &dwarf->units[dwarf->unit_count - 1];
        added->mangled = language_mangles(&root);
        (void)mt_dwarf_add_ranges(dwarf, &root, (uint32_t)(dwarf->unit_count - 1), 0, list);
    }
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        uint64_t end = i + 1 < dwarf->unit_count ? dwarf->units[i + 1].die : dwarf->info.bytes;
        dwarf->units[i].bytes = end > dwarf->units[i].die ? end - dwarf->units[i].die : 0;
    }
    return MT_OK;
}

static mt_status complete_ranges(struct mt_dwarf *dwarf, struct mt_intervals *list)
{
    bool *rangeless = calloc(dwarf->unit_count + 1, sizeof *rangeless);
    if (rangeless == NULL) {
        return MT_E_NOMEM;
    }
    size_t missing = dwarf->unit_count;
    memset(rangeless, true, dwarf->unit_count);
    for (size_t i = 0; i < list->count; i++) {
        missing -= rangeless[list->items[i].value];
        rangeless[list->items[i].value] = false;
    }
    mt_status status = missing > 0 ? add_aranges(dwarf, rangeless, list) : MT_OK;
    free(rangeless);
    return status;
}

static mt_status index_units(struct mt_dwarf *dwarf)
{
    struct mt_intervals list = {0};
    mt_status status = list_units(dwarf, &list);
    if (status == MT_OK) {
        status = complete_ranges(dwarf, &list);
    }
    if (status == MT_OK) {
        status = mt_segments_build(&list, &dwarf->index);
    }
    mt_intervals_fini(&list);
    return status;
}

mt_status mt_dwarf_open(const struct mt_elf_file *file, const struct mt_elf_file *alt, struct mt_names *names,
                        struct mt_dwarf **ret)
{
    if (mt_elf_section(file, ".debug_info") == NULL) {
        return MT_E_NOENT;
    }
    if (!mt_elf_sections_plausible(file)) {
        return MT_E_CORRUPT;
    }
    struct mt_dwarf *dwarf = calloc(1, sizeof *dwarf);
    if (dwarf == NULL) {
        return MT_E_NOMEM;
    }
    dwarf->file = file;
    dwarf->names = names;
    dwarf->budget = file->bytes / BUDGET_FILE_SHARE > BUDGET_MIN ? file->bytes / BUDGET_FILE_SHARE : BUDGET_MIN;
    dwarf->dw = dwarf_begin_elf(file->elf, DWARF_C_READ, NULL);
    mt_status status = dwarf->dw != NULL ? attach_alt(dwarf, alt) : MT_E_CORRUPT;
    if (status == MT_OK) {
        dwarf->info.data = mt_elf_section_data(file, ".debug_info", &dwarf->info.bytes);
        dwarf->line.data = mt_elf_section_data(file, ".debug_line", &dwarf->line.bytes);
        dwarf->line_str.data = mt_elf_section_data(file, ".debug_line_str", &dwarf->line_str.bytes);
        dwarf->str.data = mt_elf_section_data(file, ".debug_str", &dwarf->str.bytes);
        status = index_units(dwarf);
    }
    if (status != MT_OK) {
        mt_dwarf_close(dwarf);
        return status;
    }
    *ret = dwarf;
    return MT_OK;
}

void mt_dwarf_close(struct mt_dwarf *dwarf)
{
    if (dwarf == NULL) {
        return;
    }
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        mt_scopes_fini(&dwarf->units[i].scopes);
        mt_lines_fini(&dwarf->units[i].lines);
    }
    free(dwarf->units);
    mt_segments_fini(&dwarf->index);
    dwarf_end(dwarf->dw);
    dwarf_end(dwarf->alt);
    elf_end(dwarf->alt_elf);
    free(dwarf->alt_image);
    free(dwarf);
}

size_t mt_dwarf_lookup(struct mt_dwarf *dwarf, uint64_t vaddr, struct mt_symbol_frame *frames)
{
    uint32_t number = mt_segments_find(&dwarf->index, vaddr);
    if (number == MT_SEGMENT_NONE) {
        return 0;
    }
    struct mt_unit *unit = &dwarf->units[number];
    mt_unit_read(dwarf, unit);
    const struct mt_line_row *row = mt_lines_find(&unit->lines, vaddr);
    struct mt_symbol_frame here = {0};
    if (row != NULL) {
        here.file = mt_lines_file(&unit->lines, row->file, dwarf->names);
        here.line = row->line;
    }
    size_t count = 0;
    uint32_t at = mt_segments_find(&unit->scopes.index, vaddr);
    while (at != MT_SEGMENT_NONE && count < MT_DWARF_DEPTH_MAX - 1) {
        struct mt_scope *scope = &unit->scopes.items[at];
        here.function = mt_scope_name(dwarf, unit, scope);
        here.inlined = scope->inlined;
        here.made = scope->made;
        frames[count++] = here;
        if (!scope->inlined) {
            return count;
        }
        here = (struct mt_symbol_frame){.file = mt_lines_file(&unit->lines, scope->call_file, dwarf->names),
                                        .line = scope->call_line};
        at = scope->parent;
    }
    if (count > 0 || here.file != NULL) {
        frames[count++] = here; /* code outside every known function: the symbol table may name it */
    }
    return count;
}
