/* symtab.c: see symtab.h. */
#include "hook/symtab.h"

#include "base/os.h"

#include <string.h>

enum { SECTIONS_MAX = 512, HEADERS_MAX = 64 };

/* A part of the file, mapped. */
struct view {
    const char *data;
    size_t bytes;
    void *base;
    size_t mapped;
};

bool mt_symtab_read(int fd, uint64_t offset, void *to, size_t bytes)
{
    size_t got = 0;
    return mt_os_read_at(fd, to, bytes, offset, &got) == MT_OK && got == bytes;
}

static bool is_loaded_file(int fd, const struct dl_phdr_info *info)
{
    ElfW(Ehdr) header;
    ElfW(Phdr) headers[HEADERS_MAX];
    size_t bytes = info->dlpi_phnum * sizeof headers[0];
    bool fits = mt_symtab_read(fd, 0, &header, sizeof header) && header.e_phnum == info->dlpi_phnum &&
                header.e_phentsize == sizeof headers[0] && info->dlpi_phnum <= HEADERS_MAX;
    return fits && mt_symtab_read(fd, header.e_phoff, headers, bytes) && memcmp(headers, info->dlpi_phdr, bytes) == 0;
}

/* The section lies in the file up to its last byte, so that looking at it cannot fault. */
static bool map_section(int fd, const ElfW(Shdr) *section, struct view *ret)
{
    uint64_t in_page = section->sh_offset & (mt_os_page_bytes() - 1);
    char last;
    if (section->sh_size == 0 || section->sh_size > UINT32_MAX || section->sh_offset > INT64_MAX - section->sh_size ||
        !mt_symtab_read(fd, section->sh_offset + section->sh_size - 1, &last, 1)) {
        return false;
    }
    ret->mapped = section->sh_size + in_page;
    ret->bytes = section->sh_size;
    if (mt_os_map_file(fd, section->sh_offset - in_page, ret->mapped, false, &ret->base) != MT_OK) {
        return false;
    }
    ret->data = (const char *)ret->base + in_page;
    return true;
}

static void visit_symbols(const struct view *symbols, const struct view *names, mt_symtab_visitor visit, void *context)
{
    if (names->data[names->bytes - 1] != '\0') {
        return;
    }
    for (size_t at = 0; at + sizeof(ElfW(Sym)) <= symbols->bytes; at += sizeof(ElfW(Sym))) {
        ElfW(Sym) symbol;
        memcpy(&symbol, symbols->data + at, sizeof symbol);
        if (symbol.st_name != 0 && symbol.st_name < names->bytes) {
            visit(&symbol, names->data + symbol.st_name, context);
        }
    }
}

/* The number of the section of type SHT_SYMTAB, 0 when there is none, and of its names. */
static bool find_tables(int fd, const ElfW(Ehdr) *header, ElfW(Shdr) *ret_symbols, ElfW(Shdr) *ret_names)
{
    size_t count = header->e_shentsize == sizeof(ElfW(Shdr)) && header->e_shnum <= SECTIONS_MAX ? header->e_shnum : 0;
    for (size_t i = 1; i < count; i++) {
        uint64_t offset = header->e_shoff + i * sizeof(ElfW(Shdr));
        if (!mt_symtab_read(fd, offset, ret_symbols, sizeof *ret_symbols)) {
            return false;
        }
        if (ret_symbols->sh_type == SHT_SYMTAB) {
            offset = header->e_shoff + ret_symbols->sh_link * sizeof(ElfW(Shdr));
            return ret_symbols->sh_link < count && mt_symtab_read(fd, offset, ret_names, sizeof *ret_names);
        }
    }
    return false;
}

static void visit_file(int fd, mt_symtab_visitor visit, void *context)
{
    ElfW(Ehdr) header;
    ElfW(Shdr) symbols;
    ElfW(Shdr) names;
    struct view symbol_view = { .base = NULL };
    struct view name_view = { .base = NULL };
    if (!mt_symtab_read(fd, 0, &header, sizeof header) || !find_tables(fd, &header, &symbols, &names)) {
        return;
    }
    if (map_section(fd, &symbols, &symbol_view) && map_section(fd, &names, &name_view)) {
        visit_symbols(&symbol_view, &name_view, visit, context);
    }
    mt_os_unmap(symbol_view.base, symbol_view.mapped);
    mt_os_unmap(name_view.base, name_view.mapped);
}

bool mt_symtab_open(const struct dl_phdr_info *info, bool executable, int *ret_fd)
{
    if (mt_os_open(executable ? "/proc/self/exe" : info->dlpi_name, MT_OPEN_READ, ret_fd) != MT_OK) {
        return false;
    }
    bool same = is_loaded_file(*ret_fd, info);
    if (!same) {
        mt_os_close(*ret_fd);
        *ret_fd = -1;
    }
    return same;
}

void mt_symtab_visit(const struct dl_phdr_info *info, bool executable, mt_symtab_visitor visit, void *context)
{
    int fd = -1;
    if (mt_symtab_open(info, executable, &fd)) {
        visit_file(fd, visit, context);
        mt_os_close(fd);
    }
}
