/* lsan.c: see lsan.h. Every offset is checked against the file: it is anybody's. */
#include "symbol/lsan.h"

#include "symbol/elf_file.h"
#include "symbol/symtab.h"

#include <elf.h>
#include <string.h>

enum { CODE_MAX = 32 };

/* The bytes of the file that are loaded at an address, up to the end of their segment; NULL: none. */
static const uint8_t *loaded_at(const struct mt_elf_file *file, uint64_t vaddr, size_t *ret_bytes)
{
    Elf64_Ehdr header;
    const uint8_t *image = file->image;
    if (file->bytes < sizeof header) {
        return NULL;
    }
    memcpy(&header, image, sizeof header);
    for (size_t i = 0; header.e_phentsize == sizeof(Elf64_Phdr) && i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = header.e_phoff + i * sizeof segment;
        if (header.e_phoff > file->bytes || at > file->bytes - sizeof segment) {
            return NULL;
        }
        memcpy(&segment, image + at, sizeof segment);
        bool inside = vaddr >= segment.p_vaddr && vaddr - segment.p_vaddr < segment.p_filesz;
        bool whole = segment.p_offset <= file->bytes && segment.p_filesz <= file->bytes - segment.p_offset;
        if (segment.p_type == PT_LOAD && inside && whole) {
            *ret_bytes = segment.p_filesz - (vaddr - segment.p_vaddr);
            return image + segment.p_offset + (vaddr - segment.p_vaddr);
        }
    }
    return NULL;
}

/* The length of code[at…] if it begins with these bytes, else 0. */
static size_t takes(const uint8_t *code, size_t bytes, size_t at, const char *text, size_t length)
{
    return bytes - at >= length && memcmp(code + at, text, length) == 0 ? length : 0;
}

/* [endbr64] [push %rbp; mov %rsp,%rbp] lea D(%rip),%rax | mov $A,%eax; [pop %rbp | leave] ret; the address, 0: not that. */
static uint64_t returned_address(const uint8_t *code, size_t bytes, uint64_t vaddr)
{
    size_t at = 0;
    int32_t number;
    at += takes(code, bytes, at, "\xF3\x0F\x1E\xFA", 4);
    at += takes(code, bytes, at, "\x55\x48\x89\xE5", 4);
    size_t lea = takes(code, bytes, at, "\x48\x8D\x05", 3);
    size_t opcode = lea != 0 ? lea : takes(code, bytes, at, "\xB8", 1);
    if (opcode == 0 || bytes - at < opcode + sizeof number) {
        return 0;
    }
    memcpy(&number, code + at + opcode, sizeof number);
    at += opcode + sizeof number;
    uint64_t address = lea != 0 ? vaddr + at + (uint64_t)(int64_t)number : (uint64_t)(uint32_t)number;
    at += takes(code, bytes, at, "\x5D", 1);
    at += takes(code, bytes, at, "\xC9", 1);
    return takes(code, bytes, at, "\xC3", 1) != 0 ? address : 0;
}

static char *text_at(const struct mt_elf_file *file, uint64_t address)
{
    size_t bytes = 0;
    const uint8_t *text = loaded_at(file, address, &bytes);
    const uint8_t *end = text != NULL ? memchr(text, '\0', bytes) : NULL;
    return end != NULL ? strndup((const char *)text, (size_t)(end - text)) : NULL;
}

static enum mt_lsan_found read_function(const struct mt_elf_file *file, uint64_t vaddr, char **ret_text)
{
    size_t bytes = 0;
    const uint8_t *code = loaded_at(file, vaddr, &bytes);
    uint64_t address = code != NULL ? returned_address(code, bytes < CODE_MAX ? bytes : CODE_MAX, vaddr) : 0;
    *ret_text = address != 0 ? text_at(file, address) : NULL;
    return *ret_text != NULL ? MT_LSAN_TEXT : MT_LSAN_UNKNOWN;
}

static const char FUNCTION[] = "__lsan_default_suppressions";

/* Most programs have no such name, and tables of symbols may be large. */
static bool has_name(const struct mt_elf_file *file, const char *section)
{
    size_t bytes = 0;
    const uint8_t *names = mt_elf_section_data(file, section, &bytes);
    return names != NULL && memmem(names, bytes, FUNCTION, sizeof FUNCTION) != NULL;
}

static enum mt_lsan_found find(const struct mt_elf_file *file, char **ret_text)
{
    struct mt_symtab table = { 0 };
    enum mt_lsan_found found = MT_LSAN_NONE;
    if (!has_name(file, ".strtab") && !has_name(file, ".dynstr")) {
        return MT_LSAN_NONE;
    }
    if (mt_symtab_add(&table, file, SHT_SYMTAB) == MT_OK && mt_symtab_add(&table, file, SHT_DYNSYM) == MT_OK) {
        for (size_t i = 0; i < table.count && found == MT_LSAN_NONE; i++) {
            if (strcmp(table.entries[i].raw, FUNCTION) == 0) {
                found = read_function(file, table.entries[i].low, ret_text);
            }
        }
    }
    mt_symtab_fini(&table);
    return found;
}

enum mt_lsan_found mt_lsan_default_suppressions(const struct mt_module_ref *program, char **ret_text)
{
    struct mt_elf_file *file = NULL;
    if (mt_elf_open(program->path, &file) != MT_OK) {
        return MT_LSAN_NONE;
    }
    bool same = program->build_id_bytes == 0 || mt_elf_has_build_id(file, program->build_id, program->build_id_bytes);
    enum mt_lsan_found found = same ? find(file, ret_text) : MT_LSAN_NONE;
    mt_elf_close(file);
    return found;
}
