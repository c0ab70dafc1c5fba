/* vdso.c: see vdso.h. An ELF image with a dynamic section that nobody has relocated; ELF gABI, GNU hash as written by ld. */
#include "base/vdso.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

struct image {
    uintptr_t bias;
    const ElfW(Dyn) *dynamic;
    const ElfW(Sym) *symbols;
    const char *strings;
    uint32_t symbol_count;
};

static const ElfW(Dyn) *entry_of(const struct image *image, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *entry = image->dynamic;
    while (entry->d_tag != DT_NULL && entry->d_tag != tag) {
        entry++;
    }
    return entry->d_tag == tag ? entry : NULL;
}

static const void *table_of(const struct image *image, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *entry = entry_of(image, tag);
    return entry != NULL ? (const void *)(image->bias + entry->d_un.d_ptr) : NULL;
}

/* A GNU hash section does not say how many symbols there are: the last chain ends with the last one. */
static uint32_t gnu_symbol_count(const uint32_t *hash)
{
    uint32_t buckets = hash[0], first = hash[1];
    const uint32_t *bucket = hash + 4 + hash[2] * (sizeof(ElfW(Addr)) / sizeof *hash);
    const uint32_t *chain = bucket + buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < buckets; i++) {
        last = bucket[i] > last ? bucket[i] : last;
    }
    while (last >= first && (chain[last - first] & 1) == 0) {
        last++;
    }
    return last < first ? first : last + 1;
}

static void find_tables(struct image *image)
{
    const uint32_t *sysv = table_of(image, DT_HASH);
    const uint32_t *gnu = table_of(image, DT_GNU_HASH);
    image->symbols = table_of(image, DT_SYMTAB);
    image->strings = table_of(image, DT_STRTAB);
    if (image->symbols != NULL && image->strings != NULL) {
        image->symbol_count = sysv != NULL ? sysv[1] : gnu != NULL ? gnu_symbol_count(gnu) : 0;
    }
}

static struct image read_image(uintptr_t base)
{
    struct image image = { .bias = base };
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)base;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(base + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD) {
            image.bias = base + segment[i].p_offset - segment[i].p_vaddr;
            break;
        }
    }
    for (int i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_DYNAMIC) {
            image.dynamic = (const ElfW(Dyn) *)(base + segment[i].p_offset);
            find_tables(&image);
        }
    }
    return image;
}

void *mt_vdso_find(const char *name)
{
    uintptr_t base = getauxval(AT_SYSINFO_EHDR);
    if (base == 0) {
        return NULL; /* none, or hidden by valgrind */
    }
    struct image image = read_image(base);
    for (uint32_t i = 0; i < image.symbol_count; i++) {
        const ElfW(Sym) *symbol = &image.symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && strcmp(image.strings + symbol->st_name, name) == 0) {
            return (void *)(image.bias + symbol->st_value);
        }
    }
    return NULL;
}
