/* modules_elf.c: reading program headers, build-id note and unwind table of an object where it is mapped.
 *
 * In memory and not from the file: the file may be deleted, replaced, in another mount namespace or a memfd, and
 * opening it in a hook would be visible to the program. What is read lies inside PT_LOAD segments that the loader
 * mapped.
 * Contexts: [hook], [agent]; no locks, no state.
 */
#include "heap/modules_elf.h"

#include <elf.h>
#include <string.h>

#ifndef NT_GNU_BUILD_ID
#define NT_GNU_BUILD_ID 3
#endif

static void add_segment(const ElfW(Phdr) *header, struct mt_module *module)
{
    uint64_t low = module->bias + header->p_vaddr;
    uint64_t high = low + header->p_memsz;
    module->low = module->high == 0 || low < module->low ? low : module->low;
    module->high = high > module->high ? high : module->high;
    if (module->segment_count < MT_MODULE_SEGMENTS_MAX) {
        module->segments[module->segment_count++] = (struct mt_module_segment){
            .vaddr = header->p_vaddr,
            .bytes = header->p_memsz,
            .offset = header->p_offset,
            .flags = header->p_flags,
        };
    }
}

/* True when [vaddr, vaddr + bytes) lies in the file part of a readable segment. */
static bool is_loaded(const ElfW(Phdr) *headers, size_t count, uint64_t vaddr, uint64_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *header = &headers[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_R) != 0 && vaddr >= header->p_vaddr &&
            vaddr - header->p_vaddr <= header->p_filesz && bytes <= header->p_filesz - (vaddr - header->p_vaddr)) {
            return true;
        }
    }
    return false;
}

static size_t aligned4(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

/* Finds the build-id in a note segment (gABI note layout: three 4-byte words, name, descriptor, 4-byte aligned). */
static void read_notes(const uint8_t *at, size_t bytes, struct mt_module *module)
{
    while (bytes >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        size_t name_bytes = aligned4(note.n_namesz);
        size_t total = sizeof note + name_bytes + aligned4(note.n_descsz);
        if (note.n_namesz > bytes || note.n_descsz > bytes || total > bytes) {
            return;
        }
        bool is_build_id = note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                           memcmp(at + sizeof note, "GNU", 4) == 0;
        if (is_build_id && note.n_descsz <= MT_BUILD_ID_MAX) {
            module->build_id_bytes = note.n_descsz;
            memcpy(module->build_id, at + sizeof note + name_bytes, note.n_descsz);
            return;
        }
        at += total;
        bytes -= total;
    }
}

static void read_special(const ElfW(Phdr) *headers, size_t count, struct mt_module *module)
{
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *header = &headers[i];
        bool wanted = header->p_type == PT_GNU_EH_FRAME || header->p_type == PT_NOTE;
        if (!wanted || !is_loaded(headers, count, header->p_vaddr, header->p_filesz)) {
            continue;
        }
        uint64_t address = module->bias + header->p_vaddr;
        if (header->p_type == PT_GNU_EH_FRAME) {
            module->eh_frame_hdr = address;
            module->eh_frame_hdr_bytes = header->p_filesz;
        } else if (module->build_id_bytes == 0) {
            read_notes((const uint8_t *)(uintptr_t)address, header->p_filesz, module);
        }
    }
}

mt_status mt_modules_read_headers(const ElfW(Phdr) *headers, size_t count, uint64_t bias, struct mt_module *ret_module)
{
    memset(ret_module, 0, sizeof *ret_module);
    ret_module->bias = bias;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_LOAD && headers[i].p_memsz > 0) {
            add_segment(&headers[i], ret_module);
        }
    }
    if (ret_module->segment_count == 0) {
        return MT_E_INVAL;
    }
    read_special(headers, count, ret_module);
    return MT_OK;
}

const ElfW(Phdr) *mt_modules_headers_at(uint64_t start, size_t *ret_count)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)(uintptr_t)start;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phentsize != sizeof(ElfW(Phdr)) ||
        header->e_phoff > 512 || header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) > 4096) {
        return NULL; /* only the page that was probed */
    }
    *ret_count = header->e_phnum;
    return (const ElfW(Phdr) *)(uintptr_t)(start + header->e_phoff);
}
