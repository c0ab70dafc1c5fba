/* plt.c: names for the entries of the procedure linkage table ("malloc@plt"); part of symtab.h.
 *
 * Decides: an entry is named after the symbol whose address the entry's jump loads, found by reading the jump: on x86-64
 * `jmp *disp(%rip)` (ff 25) names a GOT slot, on AArch64 `adrp x16; ldr x17` does, and the slot's relocation names the
 * symbol. Counting entries against relocations would need to know every layout (.plt, .plt.sec, .plt.got, lazy or not,
 * with or without endbr64); the jump says it in all of them. Context: [tool].
 */
#include "symbol/demangle.h"
#include "symbol/symtab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SLOTS = 1 << 20, PLT_NAME_MAX = 4096 };

struct got_slot {
    uint64_t address;
    const char *name;
};

struct got {
    struct got_slot *slots; /* sorted by address once filled */
    size_t count;
    size_t capacity;
};

static int by_slot_address(const void *left, const void *right)
{
    const struct got_slot *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

static const char *got_find(const struct got *got, uint64_t address)
{
    struct got_slot key = {.address = address};
    const struct got_slot *found =
        got->count > 0 ? bsearch(&key, got->slots, got->count, sizeof key, by_slot_address) : NULL;
    return found != NULL ? found->name : NULL;
}

static mt_status got_add_section(struct got *got, const struct mt_elf_file *file, Elf_Scn *section,
                                 const GElf_Shdr *header)
{
    GElf_Shdr symbols_header;
    Elf_Scn *symbols_section = elf_getscn(file->elf, header->sh_link);
    Elf_Data *data = elf_getdata(section, NULL);
    if (symbols_section == NULL || data == NULL || header->sh_entsize == 0 ||
        gelf_getshdr(symbols_section, &symbols_header) == NULL || symbols_header.sh_type != SHT_DYNSYM) {
        return MT_OK;
    }
    Elf_Data *symbols = elf_getdata(symbols_section, NULL);
    size_t count = data->d_size / header->sh_entsize;
    for (size_t i = 0; symbols != NULL && i < count && got->count < MAX_SLOTS; i++) {
        GElf_Rela relocation;
        GElf_Sym symbol;
        if (gelf_getrela(data, (int)i, &relocation) == NULL) {
            break;
        }
        uint64_t number = GELF_R_SYM(relocation.r_info);
        if (number == 0 || number > INT32_MAX || gelf_getsym(symbols, (int)number, &symbol) == NULL) {
            continue;
        }
        const char *name = elf_strptr(file->elf, symbols_header.sh_link, symbol.st_name);
        struct got_slot *slots = mt_array_reserve(got->slots, got->count, &got->capacity, sizeof *slots);
        if (slots == NULL) {
            return MT_E_NOMEM;
        }
        got->slots = slots;
        if (name != NULL && name[0] != '\0') {
            slots[got->count++] = (struct got_slot){.address = relocation.r_offset, .name = name};
        }
    }
    return MT_OK;
}

static mt_status got_read(struct got *got, const struct mt_elf_file *file)
{
    Elf_Scn *section = NULL;
    mt_status status = MT_OK;
    while (status == MT_OK && (section = elf_nextscn(file->elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_RELA &&
            (header.sh_flags & (SHF_ALLOC | SHF_COMPRESSED)) == SHF_ALLOC) {
            status = got_add_section(got, file, section, &header);
        }
    }
    if (got->count > 0) {
        qsort(got->slots, got->count, sizeof *got->slots, by_slot_address);
    }
    return status;
}

/* The GOT slot an x86-64 entry jumps through, 0 when there is no such jump in its bytes. */
static uint64_t slot_x86_64(const uint8_t *entry, size_t bytes, uint64_t address)
{
    for (size_t i = 0; i + 6 <= bytes; i++) {
        if (entry[i] == 0xFF && entry[i + 1] == 0x25) {
            int32_t displacement;
            memcpy(&displacement, entry + i + 2, sizeof displacement);
            return address + i + 6 + (uint64_t)(int64_t)displacement;
        }
    }
    return 0;
}

/* adrp x16, page; ldr x17, [x16, #offset] (Arm ARM C6.2: immlo in bits 29-30, immhi in 5-23; imm12 in 10-21, scaled 8). */
static uint64_t slot_aarch64(const uint8_t *entry, size_t bytes, uint64_t address)
{
    for (size_t i = 0; i + 8 <= bytes; i += 4) {
        uint32_t adrp, ldr;
        memcpy(&adrp, entry + i, sizeof adrp);
        memcpy(&ldr, entry + i + 4, sizeof ldr);
        if ((adrp & 0x9F00001Fu) == 0x90000010u && (ldr & 0xFFC003FFu) == 0xF9400211u) {
            uint64_t pages = ((uint64_t)(adrp >> 5 & 0x7FFFF) << 2) | (adrp >> 29 & 3);
            uint64_t offset = (pages ^ 0x100000) - 0x100000; /* sign of 21 bits */
            return ((address + i) & ~(uint64_t)0xFFF) + (offset << 12) + ((ldr >> 10 & 0xFFF) * 8);
        }
    }
    return 0;
}

typedef uint64_t (*slot_reader)(const uint8_t *entry, size_t bytes, uint64_t address);

static mt_status add_entry(struct mt_symtab *table, uint64_t address, uint64_t bytes, const char *target,
                           struct mt_names *names)
{
    char text[PLT_NAME_MAX];
    const char *pretty = mt_symbol_name_pretty(names, target);
    snprintf(text, sizeof text, "%s@plt", pretty != NULL ? pretty : target);
    const char *name = mt_names_intern_text(names, text);
    if (name == NULL) {
        return MT_E_NOMEM;
    }
    struct mt_symtab_entry entry = {
        .low = address, .high = address + bytes, .limit = address + bytes, .raw = name, .pretty = name, .typed = true};
    return mt_symtab_append(table, &entry);
}

static mt_status add_section(struct mt_symtab *table, const struct got *got, const struct mt_elf_file *file,
                             const char *section_name, slot_reader read_slot, struct mt_names *names)
{
    GElf_Shdr header;
    size_t bytes = 0;
    Elf_Scn *section = mt_elf_section(file, section_name);
    const uint8_t *code = mt_elf_section_data(file, section_name, &bytes);
    if (code == NULL || gelf_getshdr(section, &header) == NULL) {
        return MT_OK;
    }
    size_t step = header.sh_entsize == 8 ? 8 : 16; /* .plt.got of old linkers has 8-byte entries */
    for (size_t at = 0; at + step <= bytes; at += step) {
        uint64_t slot = read_slot(code + at, step, header.sh_addr + at);
        const char *target = slot != 0 ? got_find(got, slot) : NULL;
        mt_status status = target != NULL ? add_entry(table, header.sh_addr + at, step, target, names) : MT_OK;
        if (status != MT_OK) {
            return status;
        }
    }
    return MT_OK;
}

mt_status mt_symtab_add_plt(struct mt_symtab *table, const struct mt_elf_file *file, struct mt_names *names)
{
    static const char *const sections[] = {".plt", ".plt.sec", ".plt.got"};
    GElf_Ehdr header;
    if (gelf_getehdr(file->elf, &header) == NULL || (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64)) {
        return MT_OK;
    }
    slot_reader read_slot = header.e_machine == EM_X86_64 ? slot_x86_64 : slot_aarch64;
    struct got got = {0};
    mt_status status = got_read(&got, file);
    for (size_t i = 0; i < MT_COUNTOF(sections) && status == MT_OK; i++) {
        status = add_section(table, &got, file, sections[i], read_slot, names);
    }
    free(got.slots);
    return status;
}
