/* elf.c: see elf.h.
 *
 * glibc rewrites the pointers of a dynamic section to absolute addresses (except in read-only ones such as the vDSO's),
 * musl does not; a value below the load bias has not been rewritten.
 * Formats: ELF gABI; GNU hash section as written by ld (32-bit words: buckets, first symbol, Bloom words, Bloom shift).
 */
#include "hook/elf.h"

#include "base/objects.h"

#include <string.h>
#include <sys/auxv.h>

enum { VERSION_HIDDEN = 0x8000, BLOOM_BITS = 64 };

extern ElfW(Dyn) _DYNAMIC[] MT_HIDDEN;
/* The loader's own list. Weak, because a strong reference would add the loader to DT_NEEDED. */
extern struct r_debug _r_debug __attribute__((weak));

bool mt_elf_is_self(const ElfW(Dyn) *dynamic)
{
    return dynamic == _DYNAMIC;
}

static const void *located(uint64_t base, uint64_t value)
{
    return (const void *)(value < base ? value + base : value);
}

static void take_entry(const ElfW(Dyn) *entry, struct mt_elf_object *object)
{
    uint64_t value = entry->d_un.d_val;
    switch (entry->d_tag) {
    case DT_SYMTAB:
        object->symbols = located(object->base, value);
        break;
    case DT_STRTAB:
        object->strings = located(object->base, value);
        break;
    case DT_GNU_HASH:
        object->gnu_hash = located(object->base, value);
        break;
    case DT_HASH:
        object->sysv_hash = located(object->base, value);
        break;
    case DT_VERSYM:
        object->versions = located(object->base, value);
        break;
    case DT_RELA:
        object->rela = located(object->base, value);
        break;
    case DT_RELASZ:
        object->rela_count = value / sizeof(ElfW(Rela));
        break;
    case DT_RELACOUNT:
        object->relative_count = value;
        break;
    case DT_JMPREL:
        object->plt_rela = located(object->base, value);
        break;
    case DT_PLTRELSZ:
        object->plt_rela_count = value / sizeof(ElfW(Rela));
        break;
    case DT_RUNPATH:
        object->has_search_path = true;
        break;
    case DT_RPATH:
        object->has_search_path = true;
        object->has_rpath = true;
        break;
    default:
        break;
    }
}

bool mt_elf_parse(uint64_t base, const ElfW(Dyn) *dynamic, struct mt_elf_object *ret)
{
    struct mt_elf_object object = { .base = base, .dynamic = dynamic };
    for (const ElfW(Dyn) *entry = dynamic; entry->d_tag != DT_NULL; entry++) {
        take_entry(entry, &object);
    }
    if (object.symbols == NULL || object.strings == NULL) {
        return false;
    }
    if (object.rela == NULL) {
        object.rela_count = 0;
    }
    if (object.plt_rela == NULL) {
        object.plt_rela_count = 0;
    }
    if (object.relative_count > object.rela_count) {
        object.relative_count = object.rela_count;
    }
    *ret = object;
    return true;
}

static bool is_ignored(uint64_t base, const ElfW(Dyn) *dynamic)
{
    uint64_t loader = &_r_debug != NULL ? (uint64_t)_r_debug.r_ldbase : getauxval(AT_BASE);
    return mt_elf_is_self(dynamic) || (base != 0 && (base == loader || base == getauxval(AT_SYSINFO_EHDR)));
}

/* NULL when the object has none. */
static const ElfW(Dyn) *dynamic_of(const struct dl_phdr_info *info)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            return (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
    }
    return NULL;
}

bool mt_elf_info_is_self(const struct dl_phdr_info *info)
{
    return mt_elf_is_self(dynamic_of(info));
}

bool mt_elf_from_phdr(const struct dl_phdr_info *info, struct mt_elf_object *ret)
{
    const ElfW(Dyn) *dynamic = dynamic_of(info);
    return dynamic != NULL && !is_ignored(info->dlpi_addr, dynamic) && mt_elf_parse(info->dlpi_addr, dynamic, ret);
}

bool mt_elf_from_link_map(const struct link_map *map, struct mt_elf_object *ret)
{
    return map->l_ld != NULL && !is_ignored(map->l_addr, map->l_ld) && mt_elf_parse(map->l_addr, map->l_ld, ret);
}

uint32_t mt_elf_gnu_hash(const char *name)
{
    uint32_t hash = 5381;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        hash = hash * 33 + *c;
    }
    return hash;
}

static uint32_t sysv_hash(const char *name)
{
    uint32_t hash = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        hash = (hash << 4) + *c;
        hash = (hash ^ ((hash & 0xF0000000u) >> 24)) & 0x0FFFFFFFu;
    }
    return hash;
}

static bool is_named(const struct mt_elf_object *object, uint32_t index, const char *name)
{
    return strcmp(object->strings + object->symbols[index].st_name, name) == 0;
}

static bool is_definition(const struct mt_elf_object *object, uint32_t index, const char *name)
{
    const ElfW(Sym) *symbol = &object->symbols[index];
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0 || ELF64_ST_BIND(symbol->st_info) == STB_LOCAL) {
        return false;
    }
    bool usable = type == STT_NOTYPE || type == STT_OBJECT || type == STT_FUNC || type == STT_COMMON ||
                  type == STT_GNU_IFUNC;
    return usable && is_named(object, index, name);
}

/* What a search wants: all symbols of a name (indices given), else any version at an address (not 0), else the default
 * version. */
struct want {
    const char *name;
    uint64_t address;
    uint32_t fallback; /* a version that is not the default */
    uint32_t *indices;
    size_t capacity, count;
};

/* True ends the search. */
static bool accepts(const struct mt_elf_object *object, uint32_t index, struct want *want)
{
    if (want->indices != NULL) {
        if (want->count < want->capacity && is_named(object, index, want->name)) {
            want->indices[want->count++] = index;
        }
        return false;
    }
    if (!is_definition(object, index, want->name)) {
        return false;
    }
    if (want->address != 0) {
        return object->base + object->symbols[index].st_value == want->address;
    }
    if (object->versions != NULL && (object->versions[index] & VERSION_HIDDEN) != 0) {
        want->fallback = index;
        return false;
    }
    return true;
}

static uint32_t find_gnu(const struct mt_elf_object *object, uint32_t hash, struct want *want)
{
    uint32_t bucket_count = object->gnu_hash[0];
    uint32_t first = object->gnu_hash[1];
    uint32_t bloom_count = object->gnu_hash[2];
    uint32_t bloom_shift = object->gnu_hash[3];
    const uint64_t *bloom = (const uint64_t *)(const void *)(object->gnu_hash + 4);
    const uint32_t *buckets = (const uint32_t *)(const void *)(bloom + bloom_count);
    const uint32_t *chain = buckets + bucket_count;
    if (bucket_count == 0 || bloom_count == 0) {
        return 0;
    }
    uint64_t word = bloom[(hash / BLOOM_BITS) % bloom_count];
    if (((word >> (hash % BLOOM_BITS)) & (word >> ((hash >> bloom_shift) % BLOOM_BITS)) & 1) == 0) {
        return 0;
    }
    uint32_t index = buckets[hash % bucket_count];
    if (index < first) {
        return 0;
    }
    for (;; index++) {
        uint32_t entry = chain[index - first];
        if ((entry | 1) == (hash | 1) && accepts(object, index, want)) {
            return index;
        }
        if ((entry & 1) != 0) {
            return 0;
        }
    }
}

static uint32_t find_sysv(const struct mt_elf_object *object, struct want *want)
{
    uint32_t bucket_count = object->sysv_hash[0];
    const uint32_t *buckets = object->sysv_hash + 2;
    const uint32_t *chain = buckets + bucket_count;
    if (bucket_count == 0) {
        return 0;
    }
    uint32_t index = buckets[sysv_hash(want->name) % bucket_count];
    while (index != 0 && !accepts(object, index, want)) {
        index = chain[index];
    }
    return index;
}

static uint32_t find(const struct mt_elf_object *object, uint32_t hash, struct want *want)
{
    if (object->gnu_hash != NULL) {
        return find_gnu(object, hash, want);
    }
    return object->sysv_hash != NULL ? find_sysv(object, want) : 0;
}

uint32_t mt_elf_find(const struct mt_elf_object *object, const char *name, uint32_t hash)
{
    struct want want = { .name = name };
    uint32_t index = find(object, hash, &want);
    return index != 0 ? index : want.fallback;
}

size_t mt_elf_named(const struct mt_elf_object *object, const char *name, uint32_t hash, uint32_t *ret_symbols,
                    size_t capacity)
{
    struct want want = { .name = name, .indices = ret_symbols, .capacity = capacity };
    (void)find(object, hash, &want);
    return want.count;
}

bool mt_elf_defines_at(const struct mt_elf_object *object, const char *name, uint32_t hash, uint64_t address)
{
    struct want want = { .name = name, .address = address };
    return find(object, hash, &want) != 0;
}

uint64_t mt_elf_address(const struct mt_elf_object *object, uint32_t symbol)
{
    const ElfW(Sym) *entry = &object->symbols[symbol];
    uint64_t address = entry->st_shndx == SHN_ABS ? entry->st_value : object->base + entry->st_value;
    if (ELF64_ST_TYPE(entry->st_info) == STT_GNU_IFUNC) {
        uint64_t (*resolver)(void) = (uint64_t(*)(void))address;
        address = resolver();
    }
    return address;
}

/* ---- searching all objects ----------------------------------------------------------------------------------------- */

struct search {
    const char *name;
    uint32_t hash;
    bool behind_self; /* our own object was passed */
    bool next;        /* RTLD_NEXT semantics wanted */
    struct mt_elf_object object; /* where it was found */
    uint32_t symbol;             /* 0: not yet */
    bool done;
};

static void consider(struct search *search, const struct mt_elf_object *object)
{
    uint32_t symbol = mt_elf_find(object, search->name, search->hash);
    if (symbol == 0) {
        return;
    }
    bool final = !search->next || search->behind_self;
    if (search->symbol == 0 || final) {
        search->object = *object;
        search->symbol = symbol;
    }
    search->done = final;
}

static int consider_phdr(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct search *search = context;
    struct mt_elf_object object;
    search->behind_self = search->behind_self || mt_elf_info_is_self(info);
    if (mt_elf_from_phdr(info, &object)) {
        consider(search, &object);
    }
    return search->done;
}

static void search_unlocked(struct search *search)
{
    const struct link_map *map = &_r_debug != NULL ? _r_debug.r_map : NULL;
    for (; map != NULL && !search->done; map = map->l_next) {
        struct mt_elf_object object;
        search->behind_self = search->behind_self || mt_elf_is_self(map->l_ld);
        if (mt_elf_from_link_map(map, &object)) {
            consider(search, &object);
        }
    }
}

void *mt_elf_next(const char *name, bool unlocked, bool *ret_beside_malloc)
{
    struct search search = { .name = name, .hash = mt_elf_gnu_hash(name), .next = true };
    if (unlocked || !mt_objects_walk(consider_phdr, &search)) {
        search_unlocked(&search);
    }
    if (search.symbol == 0) {
        return NULL;
    }
    if (ret_beside_malloc != NULL) {
        *ret_beside_malloc = mt_elf_find(&search.object, "malloc", mt_elf_gnu_hash("malloc")) != 0;
    }
    return (void *)mt_elf_address(&search.object, search.symbol);
}

bool mt_elf_loader_is_done(void)
{
    return &_r_debug != NULL && _r_debug.r_map != NULL && _r_debug.r_state == RT_CONSISTENT;
}

/* The loader's own variables, an exported object of ld.so. */
void mt_elf_learn_loader_lock(void)
{
    const struct link_map *map = &_r_debug != NULL ? _r_debug.r_map : NULL;
    for (; map != NULL; map = map->l_next) {
        struct mt_elf_object loader;
        if (map->l_addr == (ElfW(Addr))_r_debug.r_ldbase && mt_elf_parse(map->l_addr, map->l_ld, &loader)) {
            uint32_t symbol = mt_elf_find(&loader, "_rtld_global", mt_elf_gnu_hash("_rtld_global"));
            if (symbol != 0) {
                mt_objects_learn_lock((const void *)mt_elf_address(&loader, symbol), loader.symbols[symbol].st_size);
            }
            return;
        }
    }
}

void *mt_elf_lookup(const char *name)
{
    struct search search = { .name = name, .hash = mt_elf_gnu_hash(name) };
    (void)mt_objects_walk(consider_phdr, &search);
    return search.symbol != 0 ? (void *)mt_elf_address(&search.object, search.symbol) : NULL;
}

/* ---- address ranges ------------------------------------------------------------------------------------------------ */

struct range_query {
    uint64_t address;
    uint64_t bytes;
    bool writable_only;
    uint64_t low, high; /* of the object */
    bool found;
};

static int query_phdr(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct range_query *query = context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD) {
            continue;
        }
        uint64_t start = info->dlpi_addr + header->p_vaddr;
        bool inside = query->address >= start && query->address + query->bytes <= start + header->p_memsz;
        if (inside && (!query->writable_only || (header->p_flags & PF_W) != 0)) {
            query->found = true;
        }
    }
    if (query->found) {
        mt_objects_extent(info, &query->low, &query->high);
    }
    return query->found;
}

bool mt_elf_is_data(uint64_t address, size_t bytes)
{
    struct range_query query = { .address = address, .bytes = bytes, .writable_only = true };
    (void)mt_objects_walk(query_phdr, &query);
    return query.found;
}

bool mt_elf_range_of(uint64_t address, uint64_t *ret_low, uint64_t *ret_high)
{
    struct range_query query = { .address = address, .bytes = 1 };
    (void)mt_objects_walk(query_phdr, &query);
    if (query.found) {
        *ret_low = query.low;
        *ret_high = query.high;
    }
    return query.found;
}
