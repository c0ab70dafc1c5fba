/* symtab.c: reading, ordering and asking symbol tables; see symtab.h. A table of 100,000 symbols is indexed in about
 * 30 ms and asked in about 100 ns. */
#include "symbol/symtab.h"

#include "symbol/demangle.h"

#include <stdlib.h>
#include <string.h>

static Elf_Scn *table_section(const struct mt_elf_file *file, uint32_t type, GElf_Shdr *ret_header)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(file->elf, section)) != NULL) {
        if (gelf_getshdr(section, ret_header) != NULL && ret_header->sh_type == type && ret_header->sh_entsize > 0 &&
            ret_header->sh_size > ret_header->sh_entsize && (ret_header->sh_flags & SHF_COMPRESSED) == 0) {
            return section;
        }
    }
    return NULL;
}

bool mt_symtab_present(const struct mt_elf_file *file, uint32_t section_type)
{
    GElf_Shdr header;
    return table_section(file, section_type, &header) != NULL;
}

mt_status mt_symtab_append(struct mt_symtab *table, const struct mt_symtab_entry *entry)
{
    struct mt_symtab_entry *entries =
        mt_array_reserve(table->entries, table->count, &table->capacity, sizeof *table->entries);
    if (entries == NULL) {
        return MT_E_NOMEM;
    }
    table->entries = entries;
    entries[table->count++] = *entry;
    return MT_OK;
}

/* Section bounds, so that a symbol does not cost a header look-up. */
static struct mt_elf_range *code_sections(const struct mt_elf_file *file)
{
    struct mt_elf_range *ranges = calloc(file->section_count + 1, sizeof *ranges);
    Elf_Scn *section = NULL;
    while (ranges != NULL && (section = elf_nextscn(file->elf, section)) != NULL) {
        GElf_Shdr header;
        size_t number = elf_ndxscn(section);
        if (number < file->section_count && gelf_getshdr(section, &header) != NULL &&
            (header.sh_flags & (SHF_ALLOC | SHF_EXECINSTR)) == (SHF_ALLOC | SHF_EXECINSTR) &&
            header.sh_size <= UINT64_MAX - header.sh_addr) {
            ranges[number] = (struct mt_elf_range){.low = header.sh_addr, .high = header.sh_addr + header.sh_size};
        }
    }
    return ranges;
}

/* True when the symbol names code; "$x" and "$d" are ARM's marks for code and data in between. */
static bool wanted(const GElf_Sym *symbol, const char *name)
{
    int type = GELF_ST_TYPE(symbol->st_info);
    if (name == NULL || name[0] == '\0' || name[0] == '$') {
        return false;
    }
    return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

static bool make_entry(const GElf_Sym *symbol, const char *name, const struct mt_elf_range *section,
                       struct mt_symtab_entry *ret)
{
    if (symbol->st_value < section->low || symbol->st_value >= section->high) {
        return false;
    }
    uint64_t room = section->high - symbol->st_value;
    *ret = (struct mt_symtab_entry){
        .low = symbol->st_value,
        .high = symbol->st_value + (symbol->st_size < room ? symbol->st_size : room),
        .limit = section->high,
        .raw = name,
        .local = GELF_ST_BIND(symbol->st_info) == STB_LOCAL,
        .typed = GELF_ST_TYPE(symbol->st_info) != STT_NOTYPE,
    };
    return true;
}

static mt_status add_symbols(struct mt_symtab *table, const struct mt_elf_file *file, Elf_Data *data,
                             const GElf_Shdr *header, const struct mt_elf_range *sections)
{
    size_t count = data->d_size / header->sh_entsize;
    for (size_t i = 1; i < count && i < INT32_MAX; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL) {
            break;
        }
        if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= file->section_count) {
            continue;
        }
        const char *name = elf_strptr(file->elf, header->sh_link, symbol.st_name);
        struct mt_symtab_entry entry;
        if (!wanted(&symbol, name) || !make_entry(&symbol, name, &sections[symbol.st_shndx], &entry)) {
            continue;
        }
        mt_status status = mt_symtab_append(table, &entry);
        if (status != MT_OK) {
            return status;
        }
    }
    return MT_OK;
}

mt_status mt_symtab_add(struct mt_symtab *table, const struct mt_elf_file *file, uint32_t section_type)
{
    GElf_Shdr header;
    Elf_Scn *section = table_section(file, section_type, &header);
    Elf_Data *data = section != NULL ? elf_getdata(section, NULL) : NULL;
    if (data == NULL || data->d_buf == NULL) {
        return MT_OK;
    }
    struct mt_elf_range *sections = code_sections(file);
    if (sections == NULL) {
        return MT_E_NOMEM;
    }
    mt_status status = add_symbols(table, file, data, &header, sections);
    free(sections);
    return status;
}

static size_t underscores(const char *name)
{
    return strspn(name, "_");
}

/* Negative when a names the address better than b. */
static int better(const struct mt_symtab_entry *a, const struct mt_symtab_entry *b)
{
    if (a->typed != b->typed) {
        return a->typed ? -1 : 1;
    }
    if (a->local != b->local) {
        return a->local ? 1 : -1;
    }
    bool clone_a = a->raw[mt_symbol_name_stem(a->raw)] == '.', clone_b = b->raw[mt_symbol_name_stem(b->raw)] == '.';
    if (clone_a != clone_b) {
        return clone_a ? 1 : -1;
    }
    size_t dunder_a = underscores(a->raw), dunder_b = underscores(b->raw);
    if (dunder_a != dunder_b) {
        return dunder_a < dunder_b ? -1 : 1;
    }
    size_t bytes_a = strlen(a->raw), bytes_b = strlen(b->raw);
    if (bytes_a != bytes_b) {
        return bytes_a < bytes_b ? -1 : 1;
    }
    return strcmp(a->raw, b->raw);
}

/* Where an entry lies, and which it is: names are compared only where there are several for an address. */
struct place {
    uint64_t low, entry;
};

static int by_address(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    return (a->low > b->low) - (a->low < b->low);
}

/* Puts the entries into the order of their places. One that was in the way lies where the one went that took its place. */
static void permute(struct mt_symtab_entry *entries, const struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t at = places[i].entry;
        while (at < i) {
            at = places[at].entry;
        }
        struct mt_symtab_entry in_the_way = entries[i];
        entries[i] = entries[at];
        entries[at] = in_the_way;
    }
}

static mt_status sort(struct mt_symtab *table)
{
    struct place *places = reallocarray(NULL, table->count, sizeof *places);
    if (places == NULL) {
        return MT_E_NOMEM;
    }
    for (size_t i = 0; i < table->count; i++) {
        places[i] = (struct place){ table->entries[i].low, i };
    }
    qsort(places, table->count, sizeof *places, by_address);
    permute(table->entries, places, table->count);
    free(places);
    return MT_OK;
}

/* Keeps the best name for each address, with the largest size any of its names states. */
static void merge_aliases(struct mt_symtab *table)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct mt_symtab_entry *entry = &table->entries[i];
        struct mt_symtab_entry *last = kept > 0 ? &table->entries[kept - 1] : NULL;
        if (last == NULL || last->low != entry->low) {
            table->entries[kept++] = *entry;
            continue;
        }
        uint64_t high = last->high > entry->high ? last->high : entry->high;
        *last = better(entry, last) < 0 ? *entry : *last;
        last->high = high;
    }
    table->count = kept;
}

/* A label inside a sized function does not end it; one outside reaches to the next symbol or its section's end. */
static mt_status add_interval(const struct mt_symtab *table, size_t i, uint64_t covered, struct mt_intervals *list)
{
    const struct mt_symtab_entry *entry = &table->entries[i];
    uint64_t high = entry->high;
    if (high == entry->low) {
        if (entry->low < covered) {
            return MT_OK;
        }
        uint64_t next = i + 1 < table->count ? table->entries[i + 1].low : UINT64_MAX;
        high = next < entry->limit ? next : entry->limit;
    }
    return mt_intervals_add(list, (struct mt_interval){.low = entry->low, .high = high, .value = (uint32_t)i});
}

mt_status mt_symtab_index(struct mt_symtab *table)
{
    if (table->count == 0) {
        return MT_OK;
    }
    if (table->count >= UINT32_MAX) {
        return MT_E_FULL;
    }
    struct mt_intervals list = {0};
    mt_status status = sort(table);
    if (status != MT_OK) {
        return status;
    }
    merge_aliases(table);
    uint64_t covered = 0; /* end of the furthest sized symbol so far */
    for (size_t i = 0; i < table->count && status == MT_OK; i++) {
        status = add_interval(table, i, covered, &list);
        covered = covered > table->entries[i].high ? covered : table->entries[i].high;
    }
    if (status == MT_OK) {
        status = mt_segments_build(&list, &table->index);
    }
    mt_intervals_fini(&list);
    return status;
}

void mt_symtab_fini(struct mt_symtab *table)
{
    free(table->entries);
    mt_segments_fini(&table->index);
    memset(table, 0, sizeof *table);
}

const char *mt_symtab_find(struct mt_symtab *table, uint64_t vaddr, struct mt_names *names)
{
    uint32_t found = mt_segments_find(&table->index, vaddr);
    if (found == MT_SEGMENT_NONE) {
        return NULL;
    }
    struct mt_symtab_entry *entry = &table->entries[found];
    if (entry->pretty == NULL) {
        entry->pretty = mt_symbol_name_pretty(names, entry->raw);
    }
    return entry->pretty;
}
