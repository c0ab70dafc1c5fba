/* object.c: see object.h. ELF-64 and the GNU hash table: the System V gABI, and binutils' bfd/elflink.c for the latter. */
#include "attach/object.h"

#include "base/hash.h"
#include "util/memory.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096, PHDRS_MAX = 64, DYNAMIC_MAX = 256, NAME_BYTES = 256 };
enum { CHAIN_MAX = 1 << 16, BUCKETS_MAX = 1 << 22, SYMBOLS_MAX = 1 << 20 };

/* ---- where an object is --------------------------------------------------------------------------------------------- */

static bool is_ours_to_read(const Elf64_Ehdr *header)
{
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_machine == EM_X86_64 && header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum > 0 &&
           header->e_phnum <= PHDRS_MAX;
}

/* Addresses in a dynamic section are relocated in place by glibc; the vDSO's and musl's are not. */
static uint64_t absolute(const struct mt_object *object, uint64_t value)
{
    return value < object->bias ? value + object->bias : value;
}

static void read_dynamic(const struct mt_remote *remote, uint64_t address, uint64_t bytes, struct mt_object *object)
{
    Elf64_Dyn entries[DYNAMIC_MAX];
    uint64_t soname = UINT64_MAX;
    size_t most = bytes < sizeof entries ? (size_t)bytes : sizeof entries;
    size_t count = mt_remote_read_some(remote, address, entries, most) / sizeof *entries;
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        uint64_t value = entries[i].d_un.d_val;
        switch (entries[i].d_tag) {
        case DT_SYMTAB:
            object->symbols = absolute(object, value);
            break;
        case DT_STRTAB:
            object->strings = absolute(object, value);
            break;
        case DT_GNU_HASH:
            object->gnu_hash = absolute(object, value);
            break;
        case DT_SONAME:
            soname = value;
            break;
        default:
            break;
        }
    }
    if (soname != UINT64_MAX && object->strings != 0 &&
        !mt_remote_read_text(remote, object->strings + soname, object->soname, sizeof object->soname)) {
        object->soname[0] = '\0';
    }
}

/* The frames' tables, if they are loaded. */
static void place_unwind(const Elf64_Phdr *phdrs, size_t count, struct mt_object *object)
{
    const Elf64_Phdr *tables = NULL;
    for (size_t i = 0; i < count; i++) {
        tables = phdrs[i].p_type == PT_GNU_EH_FRAME ? &phdrs[i] : tables;
    }
    for (size_t i = 0; tables != NULL && i < count; i++) {
        if (phdrs[i].p_type == PT_LOAD && (phdrs[i].p_flags & PF_R) != 0 && tables->p_vaddr >= phdrs[i].p_vaddr &&
            tables->p_vaddr - phdrs[i].p_vaddr < phdrs[i].p_filesz) {
            object->unwind = object->bias + tables->p_vaddr;
            object->unwind_low = object->bias + phdrs[i].p_vaddr;
            object->unwind_high = object->unwind_low + phdrs[i].p_filesz;
        }
    }
}

uint64_t mt_object_print(const struct mt_remote *remote, uint64_t low)
{
    char page[PAGE_BYTES];
    return mt_remote_read(remote, low, page, sizeof page) ? mt_hash_bytes(page, sizeof page) : 0;
}

bool mt_object_is_there(const struct mt_remote *remote, const struct mt_object *object)
{
    return object->print != 0 && mt_object_print(remote, object->low) == object->print;
}

/* False: no object begins at this mapping. */
static bool read_object(const struct mt_remote *remote, const struct mt_mapping *mapping, struct mt_object *ret)
{
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[PHDRS_MAX];
    const Elf64_Phdr *dynamic = NULL, *first = NULL;
    if (!mt_remote_read(remote, mapping->low, &header, sizeof header) || !is_ours_to_read(&header) ||
        !mt_remote_read(remote, mapping->low + header.e_phoff, phdrs, header.e_phnum * sizeof *phdrs)) {
        return false;
    }
    *ret = (struct mt_object){ .low = mapping->low, .path = mapping->path, .print = mt_object_print(remote, mapping->low) };
    for (size_t i = 0; i < header.e_phnum; i++) {
        first = phdrs[i].p_type == PT_LOAD && first == NULL ? &phdrs[i] : first;
        dynamic = phdrs[i].p_type == PT_DYNAMIC ? &phdrs[i] : dynamic;
    }
    if (dynamic == NULL || first == NULL) {
        return false;
    }
    ret->bias = mapping->low - (first->p_vaddr - first->p_offset);
    for (size_t i = 0; i < header.e_phnum; i++) {
        uint64_t end = ret->bias + phdrs[i].p_vaddr + phdrs[i].p_memsz;
        ret->high = phdrs[i].p_type == PT_LOAD && end > ret->high ? end : ret->high;
    }
    place_unwind(phdrs, header.e_phnum, ret);
    read_dynamic(remote, ret->bias + dynamic->p_vaddr, dynamic->p_memsz, ret);
    return true;
}

void mt_objects_read(const struct mt_remote *remote, const struct mt_mappings *mappings, struct mt_objects *ret)
{
    struct mt_object object;
    for (size_t i = 0; i < mappings->count; i++) {
        const struct mt_mapping *mapping = &mappings->items[i];
        if (mapping->readable && mapping->offset == 0 && mapping->path[0] != '\0' && read_object(remote, mapping, &object)) {
            ret->items = mt_alloc_grow(ret->items, &ret->capacity, ret->count + 1, sizeof *ret->items);
            ret->items[ret->count++] = object;
        }
    }
}

void mt_objects_clear(struct mt_objects *objects)
{
    free(objects->items);
    *objects = (struct mt_objects){ 0 };
}

const struct mt_object *mt_objects_named(const struct mt_objects *objects, const char *soname)
{
    for (size_t i = 0; i < objects->count; i++) {
        if (strcmp(objects->items[i].soname, soname) == 0) {
            return &objects->items[i];
        }
    }
    return NULL;
}

const struct mt_object *mt_objects_at(const struct mt_objects *objects, uint64_t address)
{
    for (size_t i = 0; i < objects->count; i++) {
        if (address >= objects->items[i].low && address < objects->items[i].high) {
            return &objects->items[i];
        }
    }
    return NULL;
}

/* ---- symbols -------------------------------------------------------------------------------------------------------- */

struct gnu_table {
    uint32_t bucket_count, symbol_offset, bloom_words, bloom_shift;
};

/* Addresses of the parts behind the header. */
static uint64_t buckets_of(const struct mt_object *object, const struct gnu_table *table)
{
    return object->gnu_hash + sizeof *table + (uint64_t)table->bloom_words * 8;
}

static uint64_t chain_of(const struct mt_object *object, const struct gnu_table *table, uint32_t symbol)
{
    return buckets_of(object, table) + 4ull * table->bucket_count + 4ull * (symbol - table->symbol_offset);
}

static bool read_table(const struct mt_remote *remote, const struct mt_object *object, struct gnu_table *ret)
{
    return object->gnu_hash != 0 && object->symbols != 0 && object->strings != 0 &&
           mt_remote_read(remote, object->gnu_hash, ret, sizeof *ret) && ret->bucket_count > 0 &&
           ret->bucket_count <= BUCKETS_MAX && ret->bloom_words > 0 && ret->bloom_words <= BUCKETS_MAX;
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++) {
        hash = hash * 33 + (unsigned char)*name;
    }
    return hash;
}

/* A plain function: an IFUNC's address is that of its resolver. */
static bool is_function(const Elf64_Sym *symbol)
{
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC;
}

static bool is_named(const struct mt_remote *remote, const struct mt_object *object, const Elf64_Sym *symbol, const char *name)
{
    char found[NAME_BYTES];
    size_t bytes = strlen(name) + 1;
    return bytes <= sizeof found && mt_remote_read(remote, object->strings + symbol->st_name, found, bytes) &&
           memcmp(found, name, bytes) == 0;
}

uint64_t mt_object_find(const struct mt_remote *remote, const struct mt_object *object, const char *name)
{
    struct gnu_table table;
    Elf64_Sym symbol;
    uint32_t hash = gnu_hash(name), index = 0, word = 0;
    if (!read_table(remote, object, &table) ||
        !mt_remote_read(remote, buckets_of(object, &table) + 4ull * (hash % table.bucket_count), &index, sizeof index) ||
        index < table.symbol_offset) {
        return 0;
    }
    for (uint32_t steps = 0; steps < CHAIN_MAX; steps++, index++) {
        if (!mt_remote_read(remote, chain_of(object, &table, index), &word, sizeof word)) {
            return 0;
        }
        if ((word | 1) == (hash | 1) &&
            mt_remote_read(remote, object->symbols + sizeof symbol * (uint64_t)index, &symbol, sizeof symbol) &&
            is_function(&symbol) && is_named(remote, object, &symbol, name)) {
            return object->bias + symbol.st_value;
        }
        if ((word & 1) != 0) {
            return 0;
        }
    }
    return 0;
}

/* One behind the last hashed symbol: the end of the chain of the highest bucket. 0: the table is damaged. */
static uint32_t symbol_count(const struct mt_remote *remote, const struct mt_object *object)
{
    struct gnu_table table;
    uint32_t last = 0, word = 0;
    if (!read_table(remote, object, &table)) {
        return 0;
    }
    uint32_t *buckets = mt_alloc(4ull * table.bucket_count);
    bool whole = mt_remote_read(remote, buckets_of(object, &table), buckets, 4ull * table.bucket_count);
    for (uint32_t i = 0; whole && i < table.bucket_count; i++) {
        last = buckets[i] > last ? buckets[i] : last;
    }
    free(buckets);
    for (; last >= table.symbol_offset && last < SYMBOLS_MAX; last++) {
        if (!mt_remote_read(remote, chain_of(object, &table, last), &word, sizeof word)) {
            return 0;
        }
        if ((word & 1) != 0) {
            return last + 1;
        }
    }
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const struct mt_object_symbol *one = a, *other = b;
    return (one->address > other->address) - (one->address < other->address);
}

void mt_object_symbols_read(const struct mt_remote *remote, const struct mt_object *object, struct mt_object_symbols *ret)
{
    char name[NAME_BYTES];
    uint32_t count = symbol_count(remote, object);
    Elf64_Sym *symbols = mt_alloc_zero(count + 1, sizeof *symbols);
    count = (uint32_t)(mt_remote_read_some(remote, object->symbols, symbols, count * sizeof *symbols) / sizeof *symbols);
    for (uint32_t i = 0; i < count; i++) {
        if (is_function(&symbols[i]) && mt_remote_read_text(remote, object->strings + symbols[i].st_name, name, sizeof name)) {
            ret->items = mt_alloc_grow(ret->items, &ret->capacity, ret->count + 1, sizeof *ret->items);
            ret->items[ret->count++] = (struct mt_object_symbol){ object->bias + symbols[i].st_value, mt_strdup(name) };
        }
    }
    free(symbols);
    if (ret->count > 0) {
        qsort(ret->items, ret->count, sizeof *ret->items, by_address);
    }
}

void mt_object_symbols_clear(struct mt_object_symbols *symbols)
{
    for (size_t i = 0; i < symbols->count; i++) {
        free(symbols->items[i].name);
    }
    free(symbols->items);
    *symbols = (struct mt_object_symbols){ 0 };
}
