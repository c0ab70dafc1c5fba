/* elf_file.c: opening, mapping and the few questions asked of an ELF file; see elf_file.h.
 *
 * The mapping is private and writable because libelf decompresses sections "in place" (it then updates the header it
 * points to); nothing reaches the file. libelf gets memory and no descriptor, so libdw never opens files on its own
 * account: with a descriptor it would follow .gnu_debugaltlink to any path the file names, a named pipe included.
 * A file cut short by somebody while it is mapped is a SIGBUS; packages are replaced by rename, so this is accepted.
 */
#include "symbol/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Largest decompressed size believed, as a multiple of the stored size. Debug sections reach about 10, zlib's end is 1032. */
enum { MAX_EXPANSION = 64, EXPANSION_FREE_BYTES = 1 << 20 };

static void take_note(struct mt_elf_file *file, const Elf_Data *data, const GElf_Nhdr *note, size_t name_at,
                      size_t desc_at)
{
    const char *bytes = data->d_buf;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof "GNU" && note->n_descsz > 0 &&
        note->n_descsz <= MT_ELF_BUILD_ID_MAX && memcmp(bytes + name_at, "GNU", sizeof "GNU") == 0) {
        file->build_id_bytes = note->n_descsz;
        memcpy(file->build_id, bytes + desc_at, note->n_descsz);
    }
}

static void read_notes(struct mt_elf_file *file, Elf_Data *data)
{
    size_t at = 0, name_at = 0, desc_at = 0;
    GElf_Nhdr note;
    while (data != NULL && file->build_id_bytes == 0) {
        size_t next = gelf_getnote(data, at, &note, &name_at, &desc_at);
        if (next == 0) {
            return;
        }
        take_note(file, data, &note, name_at, desc_at);
        at = next;
    }
}

/* By section first: in a separate debug file the program headers point to contents that are not there. */
static void find_build_id(struct mt_elf_file *file)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(file->elf, section)) != NULL && file->build_id_bytes == 0) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_NOTE) {
            read_notes(file, elf_getdata(section, NULL));
        }
    }
    size_t count = 0;
    if (file->section_count > 1 || elf_getphdrnum(file->elf, &count) != 0) {
        return;
    }
    for (size_t i = 0; i < count && i < INT32_MAX && file->build_id_bytes == 0; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(file->elf, (int)i, &header) != NULL && header.p_type == PT_NOTE) {
            Elf_Type type = header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;
            read_notes(file, elf_getdata_rawchunk(file->elf, (int64_t)header.p_offset, header.p_filesz, type));
        }
    }
}

static void find_code(struct mt_elf_file *file)
{
    size_t count = 0;
    if (elf_getphdrnum(file->elf, &count) != 0) {
        return;
    }
    for (size_t i = 0; i < count && i < INT32_MAX && file->code_count < MT_ELF_CODE_RANGES_MAX; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(file->elf, (int)i, &header) != NULL && header.p_type == PT_LOAD &&
            (header.p_flags & PF_X) != 0 && header.p_memsz <= UINT64_MAX - header.p_vaddr) {
            file->code[file->code_count++] =
                (struct mt_elf_range){.low = header.p_vaddr, .high = header.p_vaddr + header.p_memsz};
        }
    }
}

/* Takes the image; on failure everything is released by mt_elf_close of the half-built file. */
static mt_status parse(struct mt_elf_file *file)
{
    elf_version(EV_CURRENT);
    file->elf = elf_memory(file->image, file->bytes);
    GElf_Ehdr header;
    if (file->elf == NULL || elf_kind(file->elf) != ELF_K_ELF || gelf_getehdr(file->elf, &header) == NULL) {
        return MT_E_CORRUPT;
    }
    if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
        return MT_E_UNSUPPORTED; /* section contents are read as they lie; memtap runs on little-endian machines */
    }
    if (elf_getshdrnum(file->elf, &file->section_count) != 0) {
        file->section_count = 0;
    }
    if (elf_getshdrstrndx(file->elf, &file->names_section) != 0) {
        file->names_section = 0;
    }
    find_build_id(file);
    find_code(file);
    return MT_OK;
}

static mt_status map_file(const char *path, void **ret_image, size_t *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return mt_status_from_errno(errno);
    }
    mt_status status = MT_OK;
    struct stat info;
    char magic[SELFMAG];
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = MT_E_INVAL;
    } else if (pread(fd, magic, sizeof magic, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0) {
        status = MT_E_CORRUPT;
    } else {
        size_t bytes = (size_t)info.st_size;
        void *image = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
        if (image == MAP_FAILED) {
            status = mt_status_from_errno(errno);
        } else {
            *ret_image = image;
            *ret_bytes = bytes;
        }
    }
    close(fd);
    return status;
}

static mt_status open_image(const char *name, void *image, size_t bytes, bool owned, struct mt_elf_file **ret)
{
    struct mt_elf_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        if (owned) {
            free(image);
        } else {
            munmap(image, bytes);
        }
        return MT_E_NOMEM;
    }
    file->image = image;
    file->bytes = bytes;
    file->owned_image = owned;
    file->path = strdup(name);
    mt_status status = file->path != NULL ? parse(file) : MT_E_NOMEM;
    if (status != MT_OK) {
        mt_elf_close(file);
        return status;
    }
    *ret = file;
    return MT_OK;
}

mt_status mt_elf_open(const char *path, struct mt_elf_file **ret)
{
    void *image = NULL;
    size_t bytes = 0;
    mt_status status = map_file(path, &image, &bytes);
    return status != MT_OK ? status : open_image(path, image, bytes, false, ret);
}

mt_status mt_elf_open_memory(const char *name, void *take_image, size_t bytes, struct mt_elf_file **ret)
{
    return open_image(name, take_image, bytes, true, ret);
}

void mt_elf_close(struct mt_elf_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->elf != NULL) {
        elf_end(file->elf);
    }
    if (file->owned_image) {
        free(file->image);
    } else if (file->image != NULL) {
        munmap(file->image, file->bytes);
    }
    free(file->path);
    free(file);
}

bool mt_elf_has_build_id(const struct mt_elf_file *file, const uint8_t *build_id, size_t bytes)
{
    return file->build_id_bytes == bytes && (bytes == 0 || memcmp(file->build_id, build_id, bytes) == 0);
}

bool mt_elf_is_code(const struct mt_elf_file *file, uint64_t address)
{
    for (size_t i = 0; i < file->code_count; i++) {
        if (address >= file->code[i].low && address < file->code[i].high) {
            return address != 0;
        }
    }
    return file->code_count == 0 && address != 0;
}

Elf_Scn *mt_elf_section(const struct mt_elf_file *file, const char *name)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(file->elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS || header.sh_size == 0) {
            continue;
        }
        const char *found = elf_strptr(file->elf, file->names_section, header.sh_name);
        if (found != NULL && strcmp(found, name) == 0) {
            return section;
        }
    }
    return NULL;
}

/* The one place that believes a size written inside a section. */
static bool section_plausible(Elf_Scn *section, const GElf_Shdr *header)
{
    GElf_Chdr compressed;
    if ((header->sh_flags & SHF_COMPRESSED) == 0) {
        return true;
    }
    return gelf_getchdr(section, &compressed) != NULL &&
           compressed.ch_size / MAX_EXPANSION <= header->sh_size + EXPANSION_FREE_BYTES / MAX_EXPANSION;
}

/* The old GNU form (.zdebug_*, a "ZLIB" and a size instead of a header) has been replaced since binutils 2.26 and is not
 * read: libdw must not meet it, because nothing checks its size. */
bool mt_elf_sections_plausible(const struct mt_elf_file *file)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(file->elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) {
            continue;
        }
        const char *name = elf_strptr(file->elf, file->names_section, header.sh_name);
        if (!section_plausible(section, &header) || (name != NULL && strncmp(name, ".zdebug", 7) == 0)) {
            return false;
        }
    }
    return true;
}

const uint8_t *mt_elf_section_data(const struct mt_elf_file *file, const char *name, size_t *ret_bytes)
{
    GElf_Shdr header;
    Elf_Scn *section = mt_elf_section(file, name);
    if (section == NULL || gelf_getshdr(section, &header) == NULL || !section_plausible(section, &header)) {
        return NULL;
    }
    if ((header.sh_flags & SHF_COMPRESSED) != 0 && elf_compress(section, 0, 0) < 0) {
        return NULL;
    }
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL || data->d_buf == NULL || data->d_size == 0) {
        return NULL;
    }
    *ret_bytes = data->d_size;
    return data->d_buf;
}
