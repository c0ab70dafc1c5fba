/* gotscan.c: see gotscan.h. A large process has 300,000 relocations and 1,200 slots of ours: names are told apart by a
 * bitmap over their first four characters before anything is hashed, relocations by the range of our symbols (what an
 * object imports lies together) and a mask over the low symbol bits. */
#include "hook/gotscan.h"

#include <string.h>

enum { SYMBOLS_MAX = 2 * MT_HOOK__COUNT, PREFIX_BITS = 1024, PREFIX_CHARS = 4, VERSIONS_MAX = 4 };

#if defined(__x86_64__)
enum { RELOC_CALL = R_X86_64_JUMP_SLOT, RELOC_GLOBAL = R_X86_64_GLOB_DAT, RELOC_WORD = R_X86_64_64 };
#else
enum { RELOC_CALL = R_AARCH64_JUMP_SLOT, RELOC_GLOBAL = R_AARCH64_GLOB_DAT, RELOC_WORD = R_AARCH64_ABS64 };
#endif

/* The object's symbols that carry a hooked name. */
struct wanted {
    uint32_t symbols[SYMBOLS_MAX];
    enum mt_hook_index indices[SYMBOLS_MAX];
    size_t count;
    uint32_t lowest, highest;
    uint64_t low_bits; /* bit (symbol % 64) set for each */
};

static uint64_t g_prefixes[PREFIX_BITS / 64];

static uint32_t prefix_of(const char *name)
{
    uint32_t key = 0;
    for (int i = 0; i < PREFIX_CHARS && name[i] != '\0'; i++) {
        key = key * 37 + (unsigned char)name[i];
    }
    return key % PREFIX_BITS;
}

static void learn_prefixes(void)
{
    if (g_prefixes[prefix_of("malloc") / 64] != 0) {
        return;
    }
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        uint32_t key = prefix_of(mt_hook_row((enum mt_hook_index)i)->name);
        g_prefixes[key / 64] |= (uint64_t)1 << (key % 64);
    }
}

static void want(struct wanted *wanted, uint32_t symbol, enum mt_hook_index index)
{
    if (symbol != 0 && wanted->count < SYMBOLS_MAX) {
        wanted->symbols[wanted->count] = symbol;
        wanted->indices[wanted->count] = index;
        wanted->lowest = symbol < wanted->lowest ? symbol : wanted->lowest;
        wanted->highest = symbol > wanted->highest ? symbol : wanted->highest;
        wanted->low_bits |= (uint64_t)1 << (symbol % 64);
        wanted->count++;
    }
}

static void want_by_name(struct wanted *wanted, uint32_t symbol, const char *name)
{
    uint32_t key = prefix_of(name);
    if ((g_prefixes[key / 64] >> (key % 64) & 1) == 0) {
        return;
    }
    uint32_t hash = mt_elf_gnu_hash(name);
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        const struct mt_hook_row *row = mt_hook_row((enum mt_hook_index)i);
        if (row->hash == hash && strcmp(row->name, name) == 0) {
            want(wanted, symbol, (enum mt_hook_index)i);
        }
    }
}

static uint32_t highest_symbol(const ElfW(Rela) *rela, size_t count)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t symbol = (uint32_t)ELF64_R_SYM(rela[i].r_info);
        highest = symbol > highest ? symbol : highest;
    }
    return highest;
}

/* An object that defines nothing has a hash table with one empty bucket, and a first hashed symbol that says nothing. */
static bool hashes_nothing(const uint32_t *gnu_hash)
{
    uint32_t bucket_count = gnu_hash[0];
    uint32_t bloom_words = gnu_hash[2] * 2; /* of 64 bits */
    return bucket_count <= 1 && gnu_hash[4 + bloom_words] == 0;
}

/* Symbols before the hashed part; with a SysV hash table, all of them; without any table, those that relocations name. */
static uint32_t unhashed_count(const struct mt_elf_object *object)
{
    if (object->gnu_hash != NULL && !hashes_nothing(object->gnu_hash)) {
        return object->gnu_hash[1];
    }
    if (object->gnu_hash == NULL && object->sysv_hash != NULL) {
        return object->sysv_hash[1];
    }
    uint32_t data = highest_symbol(object->rela, object->rela_count);
    uint32_t calls = highest_symbol(object->plt_rela, object->plt_rela_count);
    return 1 + (data > calls ? data : calls);
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0) {
        names++;
    }
    return *names != NULL;
}

/* A non-PIE executable hashes the stubs of what it imports. */
static bool has_stub(const struct mt_elf_object *object, const char *name)
{
    uint32_t symbols[VERSIONS_MAX];
    size_t count = object->gnu_hash != NULL ? mt_elf_named(object, name, mt_elf_gnu_hash(name), symbols, VERSIONS_MAX) : 0;
    return count > 0 && object->symbols[symbols[0]].st_shndx == SHN_UNDEF;
}

bool mt_got_imports_any(const struct mt_elf_object *object, const char *const *names)
{
    uint32_t unhashed = unhashed_count(object);
    for (uint32_t i = 1; i < unhashed; i++) {
        const ElfW(Sym) *symbol = &object->symbols[i];
        if (symbol->st_shndx == SHN_UNDEF && is_one_of(object->strings + symbol->st_name, names)) {
            return true;
        }
    }
    for (; *names != NULL; names++) {
        if (has_stub(object, *names)) {
            return true;
        }
    }
    return false;
}

static void find_wanted(const struct mt_elf_object *object, struct wanted *wanted)
{
    uint32_t unhashed = unhashed_count(object);
    for (uint32_t symbol = 1; symbol < unhashed; symbol++) {
        want_by_name(wanted, symbol, object->strings + object->symbols[symbol].st_name);
    }
    for (int i = 0; object->gnu_hash != NULL && i < MT_HOOK__COUNT; i++) {
        const struct mt_hook_row *row = mt_hook_row((enum mt_hook_index)i);
        uint32_t symbols[VERSIONS_MAX];
        size_t count = mt_elf_named(object, row->name, row->hash, symbols, VERSIONS_MAX);
        for (size_t k = 0; k < count; k++) {
            want(wanted, symbols[k], (enum mt_hook_index)i);
        }
    }
}

static MT_NOINLINE void visit_relocation(const struct mt_elf_object *object, const struct wanted *wanted,
                                         const ElfW(Rela) *rela, mt_slot_visitor visit, void *context)
{
    uint32_t symbol = (uint32_t)ELF64_R_SYM(rela->r_info);
    if ((wanted->low_bits >> (symbol % 64) & 1) == 0) {
        return;
    }
    uint32_t type = (uint32_t)ELF64_R_TYPE(rela->r_info);
    bool call = type == RELOC_CALL || type == RELOC_GLOBAL;
    if (!call && (type != RELOC_WORD || rela->r_addend != 0)) {
        return;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->symbols[i] == symbol) {
            struct mt_slot slot = { (uint64_t *)(object->base + rela->r_offset), wanted->indices[i],
                                    call ? MT_SLOT_CALL : MT_SLOT_DATA };
            if ((uintptr_t)slot.address % sizeof(uint64_t) == 0) {
                visit(&slot, context);
            }
            return;
        }
    }
}

static void scan_relocations(const struct mt_elf_object *object, const struct wanted *wanted, const ElfW(Rela) *rela,
                             size_t count, mt_slot_visitor visit, void *context)
{
    uint32_t lowest = wanted->lowest;
    uint32_t span = wanted->highest - lowest;
    for (const ElfW(Rela) *end = rela + count; rela < end; rela++) {
        if (MT_UNLIKELY((uint32_t)ELF64_R_SYM(rela->r_info) - lowest <= span)) {
            visit_relocation(object, wanted, rela, visit, context);
        }
    }
}

void mt_got_scan(const struct mt_elf_object *object, mt_slot_visitor visit, void *context)
{
    struct wanted wanted = { .lowest = UINT32_MAX };
    learn_prefixes();
    find_wanted(object, &wanted);
    if (wanted.count == 0) {
        return;
    }
    size_t relative = object->relative_count < object->rela_count ? object->relative_count : object->rela_count;
    scan_relocations(object, &wanted, object->rela + relative, object->rela_count - relative, visit, context);
    scan_relocations(object, &wanted, object->plt_rela, object->plt_rela_count, visit, context);
}
