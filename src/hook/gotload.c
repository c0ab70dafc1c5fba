/* gotload.c: see gotload.h. */
#include "hook/gotload.h"

#include "base/hash.h"
#include "base/os.h"

#include <string.h>

static void take_segment(struct mt_loaded *loaded, const struct dl_phdr_info *info, const ElfW(Phdr) *header)
{
    uint64_t start = info->dlpi_addr + header->p_vaddr;
    uint64_t end = start + header->p_memsz;
    uint64_t mask = mt_os_page_bytes() - 1;
    if (header->p_type == PT_LOAD) {
        loaded->low = start < loaded->low ? start : loaded->low;
        loaded->high = end > loaded->high ? end : loaded->high;
    } else if (header->p_type == PT_GNU_RELRO) {
        loaded->sealed_low = start & ~mask; /* as the loader rounds: both down */
        loaded->sealed_high = end & ~mask;
    } else if (header->p_type == PT_DYNAMIC) {
        loaded->self = mt_elf_is_self((const ElfW(Dyn) *)start);
    }
}

uint64_t mt_loaded_identity(const struct dl_phdr_info *info)
{
    uint64_t hash = mt_hash_pair(info->dlpi_addr, (uint64_t)(uintptr_t)info->dlpi_phdr);
    hash = mt_hash_pair(hash, mt_hash_bytes(info->dlpi_name, strlen(info->dlpi_name)));
    hash = mt_hash_pair(hash, mt_hash_bytes(info->dlpi_phdr, info->dlpi_phnum * sizeof(ElfW(Phdr))));
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_NOTE) {
            hash = mt_hash_pair(hash, mt_hash_bytes((const void *)(info->dlpi_addr + header->p_vaddr), header->p_memsz));
        }
    }
    return hash;
}

void mt_loaded_add(struct mt_loaded_list *list, const struct dl_phdr_info *info)
{
    list->adds = info->dlpi_adds;
    list->subs = info->dlpi_subs;
    if (list->count >= MT_LOADED_MAX) {
        return;
    }
    struct mt_loaded loaded = { .low = UINT64_MAX };
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        take_segment(&loaded, info, &info->dlpi_phdr[i]);
    }
    list->seen_self = list->seen_self || loaded.self;
    loaded.executable = list->count == 0;
    loaded.before_self = !list->seen_self;
    loaded.readable = mt_elf_from_phdr(info, &loaded.elf);
    loaded.identity = mt_loaded_identity(info);
    list->objects[list->count++] = loaded;
}

const struct mt_loaded *mt_loaded_find(const struct mt_loaded_list *list, uint64_t address)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (address >= list->objects[i].low && address < list->objects[i].high) {
            return &list->objects[i];
        }
    }
    return NULL;
}

uint64_t mt_loaded_define(const struct mt_loaded_list *list, const char *name, uint32_t hash,
                          const struct mt_loaded **ret_object)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct mt_loaded *loaded = &list->objects[i];
        uint32_t symbol = loaded->readable ? mt_elf_find(&loaded->elf, name, hash) : 0;
        if (symbol != 0) {
            if (ret_object != NULL) {
                *ret_object = loaded;
            }
            return mt_elf_address(&loaded->elf, symbol);
        }
    }
    return 0;
}
