/* gelf.c: see gelf.h beside it.
 *
 * Invariant: section and segment tables that do not lie in the image have no entries, contents that do not lie in it are
 * NULL. Section headers are copied once, so that they are aligned and stay as they were checked. Numbers beyond 16 bits
 * are in section 0 (ELF gABI, chapter 4: e_shnum 0, SHN_XINDEX, PN_XNUM). Context: [tool].
 */
#include "symbol/gelf/gelf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct mt_gelf_section {
    Elf *elf;
    size_t number;
    GElf_Shdr header;
    Elf_Data data;
};

struct mt_gelf {
    char *image;
    size_t bytes;
    GElf_Ehdr header;
    size_t section_count;
    struct mt_gelf_section *sections;
    size_t segment_count;
    Elf_Data chunk;
};

static bool is_inside(const Elf *elf, uint64_t offset, uint64_t bytes)
{
    return offset <= elf->bytes && bytes <= elf->bytes - offset;
}

/* Entries of `step` bytes that a table at an offset can have at most. */
static size_t room_for(const Elf *elf, uint64_t offset, size_t step)
{
    return offset > 0 && offset < elf->bytes ? (size_t)(elf->bytes - offset) / step : 0;
}

static bool read_sections(Elf *elf)
{
    GElf_Shdr first;
    size_t room = room_for(elf, elf->header.e_shoff, sizeof first);
    if (room == 0 || elf->header.e_shentsize != sizeof first) {
        return true;
    }
    memcpy(&first, elf->image + elf->header.e_shoff, sizeof first);
    uint64_t count = elf->header.e_shnum != 0 ? elf->header.e_shnum : first.sh_size;
    if (count == 0 || count > room) {
        return true;
    }
    elf->sections = calloc((size_t)count, sizeof *elf->sections);
    if (elf->sections == NULL) {
        return false;
    }
    elf->section_count = (size_t)count;
    for (size_t i = 0; i < elf->section_count; i++) {
        elf->sections[i].elf = elf;
        elf->sections[i].number = i;
        memcpy(&elf->sections[i].header, elf->image + elf->header.e_shoff + i * sizeof first, sizeof first);
    }
    return true;
}

static void count_segments(Elf *elf)
{
    size_t count = elf->header.e_phnum;
    if (count == PN_XNUM && elf->section_count > 0) {
        count = elf->sections[0].header.sh_info;
    }
    if (elf->header.e_phentsize == sizeof(GElf_Phdr) &&
        count <= room_for(elf, elf->header.e_phoff, sizeof(GElf_Phdr))) {
        elf->segment_count = count;
    }
}

unsigned elf_version(unsigned version)
{
    return version;
}

Elf *elf_memory(char *image, size_t bytes)
{
    if (bytes < sizeof(GElf_Ehdr) || memcmp(image, ELFMAG, SELFMAG) != 0 || image[EI_CLASS] != ELFCLASS64) {
        return NULL;
    }
    Elf *elf = calloc(1, sizeof *elf);
    if (elf == NULL) {
        return NULL;
    }
    elf->image = image;
    elf->bytes = bytes;
    memcpy(&elf->header, image, sizeof elf->header);
    if (elf->header.e_ident[EI_DATA] != ELFDATA2LSB) {
        return elf; /* the caller refuses it; its numbers mean nothing here */
    }
    if (!read_sections(elf)) {
        free(elf);
        return NULL;
    }
    count_segments(elf);
    return elf;
}

int elf_end(Elf *elf)
{
    if (elf != NULL) {
        free(elf->sections);
        free(elf);
    }
    return 0;
}

Elf_Kind elf_kind(Elf *elf)
{
    return elf != NULL ? ELF_K_ELF : ELF_K_NONE;
}

GElf_Ehdr *gelf_getehdr(Elf *elf, GElf_Ehdr *ret)
{
    *ret = elf->header;
    return ret;
}

int elf_getshdrnum(Elf *elf, size_t *ret)
{
    *ret = elf->section_count;
    return 0;
}

int elf_getshdrstrndx(Elf *elf, size_t *ret)
{
    size_t number = elf->header.e_shstrndx;
    if (number == SHN_XINDEX && elf->section_count > 0) {
        number = elf->sections[0].header.sh_link;
    }
    if (number >= elf->section_count) {
        return -1;
    }
    *ret = number;
    return 0;
}

int elf_getphdrnum(Elf *elf, size_t *ret)
{
    *ret = elf->segment_count;
    return 0;
}

GElf_Phdr *gelf_getphdr(Elf *elf, int number, GElf_Phdr *ret)
{
    if (number < 0 || (size_t)number >= elf->segment_count) {
        return NULL;
    }
    memcpy(ret, elf->image + elf->header.e_phoff + (size_t)number * sizeof *ret, sizeof *ret);
    return ret;
}

Elf_Scn *elf_getscn(Elf *elf, size_t number)
{
    return number < elf->section_count ? &elf->sections[number] : NULL;
}

/* Section 0 stands for "none" and is not shown. */
Elf_Scn *elf_nextscn(Elf *elf, Elf_Scn *section)
{
    return elf_getscn(elf, section != NULL ? section->number + 1 : 1);
}

size_t elf_ndxscn(Elf_Scn *section)
{
    return section->number;
}

GElf_Shdr *gelf_getshdr(Elf_Scn *section, GElf_Shdr *ret)
{
    *ret = section->header;
    return ret;
}

Elf_Data *elf_getdata(Elf_Scn *section, Elf_Data *must_be_null)
{
    const GElf_Shdr *header = &section->header;
    if (must_be_null != NULL || header->sh_type == SHT_NOBITS || header->sh_type == SHT_NULL ||
        !is_inside(section->elf, header->sh_offset, header->sh_size)) {
        return NULL;
    }
    section->data = (Elf_Data){
        .d_buf = section->elf->image + header->sh_offset,
        .d_size = (size_t)header->sh_size,
        .d_type = header->sh_type != SHT_NOTE ? ELF_T_BYTE : header->sh_addralign == 8 ? ELF_T_NHDR8 : ELF_T_NHDR,
    };
    return &section->data;
}

Elf_Data *elf_getdata_rawchunk(Elf *elf, int64_t offset, size_t bytes, Elf_Type type)
{
    if (offset < 0 || !is_inside(elf, (uint64_t)offset, bytes)) {
        return NULL;
    }
    elf->chunk = (Elf_Data){ .d_buf = elf->image + offset, .d_size = bytes, .d_type = type };
    return &elf->chunk;
}

char *elf_strptr(Elf *elf, size_t number, size_t offset)
{
    Elf_Scn *section = elf_getscn(elf, number);
    Elf_Data *data = section != NULL && section->header.sh_type == SHT_STRTAB &&
                             (section->header.sh_flags & SHF_COMPRESSED) == 0
                         ? elf_getdata(section, NULL)
                         : NULL;
    if (data == NULL || offset >= data->d_size) {
        return NULL;
    }
    char *text = (char *)data->d_buf + offset;
    return memchr(text, '\0', data->d_size - offset) != NULL ? text : NULL;
}

/* Offset of what follows, on its boundary; SIZE_MAX when there is no such number. */
static size_t padded(size_t at, size_t bytes, size_t boundary)
{
    return bytes <= SIZE_MAX / 2 - at ? (at + bytes + boundary - 1) & ~(boundary - 1) : SIZE_MAX;
}

size_t gelf_getnote(Elf_Data *data, size_t at, GElf_Nhdr *ret, size_t *ret_name_at, size_t *ret_desc_at)
{
    size_t boundary = data->d_type == ELF_T_NHDR8 ? 8 : 4;
    if (at > data->d_size || data->d_size - at < sizeof *ret) {
        return 0;
    }
    memcpy(ret, (char *)data->d_buf + at, sizeof *ret);
    size_t name_at = at + sizeof *ret;
    size_t desc_at = padded(name_at, ret->n_namesz, boundary);
    if (desc_at > data->d_size || ret->n_descsz > data->d_size - desc_at) {
        return 0;
    }
    *ret_name_at = name_at;
    *ret_desc_at = desc_at;
    return padded(desc_at, ret->n_descsz, boundary);
}

/* Copies entry `number` of a table of `step` bytes; false when there is none. */
static bool take_entry(const Elf_Data *data, int number, size_t step, void *ret)
{
    if (number < 0 || (size_t)number >= data->d_size / step) {
        return false;
    }
    memcpy(ret, (const char *)data->d_buf + (size_t)number * step, step);
    return true;
}

GElf_Sym *gelf_getsym(Elf_Data *data, int number, GElf_Sym *ret)
{
    return take_entry(data, number, sizeof *ret, ret) ? ret : NULL;
}

GElf_Rela *gelf_getrela(Elf_Data *data, int number, GElf_Rela *ret)
{
    return take_entry(data, number, sizeof *ret, ret) ? ret : NULL;
}

GElf_Chdr *gelf_getchdr(Elf_Scn *section, GElf_Chdr *ret)
{
    Elf_Data *data = elf_getdata(section, NULL);
    return data != NULL && take_entry(data, 0, sizeof *ret, ret) ? ret : NULL;
}

int elf_compress(Elf_Scn *section, int type, unsigned flags)
{
    (void)section;
    (void)type;
    (void)flags;
    return -1;
}
