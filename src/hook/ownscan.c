/* ownscan.c: see ownscan.h. An object has up to hundreds of thousands of symbols and hardly one of these names: a bitmap
 * over their first four characters sends most of them away. */
#include "hook/ownscan.h"

#include "hook/gotscan.h"
#include "hook/ownspeech.h"
#include "hook/symtab.h"

#include <string.h>

enum { PREFIX_BITS = 2048, PREFIX_CHARS = 4 };

static const struct mt_own_name g_names[] = { MT_OWN_NAMES };
enum { NAMES = sizeof g_names / sizeof g_names[0] };
_Static_assert((int)NAMES <= (int)MT_OWN_NAMES_MAX, "room for every name");

/* How the functions of allocators that map memory outside of their entry points, in constructors and threads of their own, are
 * called. What is linked from one library lies together. */
static const char *const INSIDE_NAMES[MT_OWN_INSIDES] = { "_rjem_", "je_", "je_arrow_", "_mi_", "unix_mmap" };
enum { INSIDE_MAX_BYTES = 4 << 20 };

static uint64_t g_prefixes[PREFIX_BITS / 64];
static uint32_t g_hashes[NAMES];

/* One object's search. */
struct search {
    const struct dl_phdr_info *info;
    struct mt_own_scan *scan;
};

static uint32_t prefix_of(const char *name)
{
    uint32_t key = 0;
    for (int i = 0; i < PREFIX_CHARS && name[i] != '\0'; i++) {
        key = key * 37 + (unsigned char)name[i];
    }
    return key % PREFIX_BITS;
}

static void learn_names(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        uint32_t key = prefix_of(g_names[i].name);
        g_prefixes[key / 64] |= (uint64_t)1 << (key % 64);
        g_hashes[i] = mt_elf_gnu_hash(g_names[i].name);
    }
}

static const struct mt_own_name *name_of(const char *text)
{
    uint32_t key = prefix_of(text);
    if ((g_prefixes[key / 64] >> (key % 64) & 1) == 0) {
        return NULL;
    }
    uint32_t hash = mt_elf_gnu_hash(text);
    for (size_t i = 0; i < NAMES; i++) {
        if (g_hashes[i] == hash && strcmp(g_names[i].name, text) == 0) {
            return &g_names[i];
        }
    }
    return NULL;
}

/* ---- which objects ---------------------------------------------------------------------------------------------------- */

static bool defines(const struct mt_elf_object *object, const char *name)
{
    return mt_elf_find(object, name, mt_elf_gnu_hash(name)) != 0;
}

static bool defines_any(const struct mt_elf_object *object, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (defines(object, *names)) {
            return true;
        }
    }
    return false;
}

/* libc, and Python, whose allocators have hooks of their own. */
static bool is_left_alone(const struct mt_elf_object *object)
{
    static const char *const STRANGERS[] = { "__libc_start_main", "_PyRuntime", NULL };
    return defines_any(object, STRANGERS);
}

/* Sanitizers that keep books of every instruction of the program, and know nothing of ours. AddressSanitizer's and
 * LeakSanitizer's allocators are as others. */
static bool is_instrumented(const struct mt_elf_object *object)
{
    static const char *const RUNTIMES[] = { "__tsan_init", "__msan_init", "__hwasan_init", NULL };
    return defines_any(object, RUNTIMES);
}

static bool maps_memory(const struct mt_elf_object *object)
{
    static const char *const MAPPERS[] = { "mmap", "mmap64", "sbrk", "brk", NULL };
    return mt_got_imports_any(object, MAPPERS);
}

static bool may_hold_one(const struct mt_elf_object *object, bool executable)
{
    if (is_left_alone(object)) {
        return false;
    }
    bool exports_malloc = defines(object, "malloc");
    return executable ? exports_malloc || maps_memory(object) : !exports_malloc && maps_memory(object);
}

/* ---- which functions -------------------------------------------------------------------------------------------------- */

static bool is_code(const struct dl_phdr_info *info, uint64_t address, uint64_t bytes)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + header->p_vaddr;
        bool readable_code = header->p_type == PT_LOAD && (header->p_flags & (PF_R | PF_X)) == (PF_R | PF_X);
        if (readable_code && address >= start && address + bytes <= start + header->p_filesz) {
            return true;
        }
    }
    return false;
}

/* One entry an address: of several names for it, the one whose family comes first. */
static bool is_there(struct mt_own_scan *scan, const struct mt_own_entry_point *point)
{
    for (size_t i = 0; i < scan->count; i++) {
        struct mt_own_entry_point *found = &scan->found[i];
        if (found->address == point->address) {
            found->name = point->name->family < found->name->family ? point->name : found->name;
            return true;
        }
    }
    return false;
}

/* Two functions of one name, which only symbols of files have (local ones): which is meant is not known. */
static bool is_another(const struct mt_own_scan *scan, const struct mt_own_entry_point *point)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->found[i].name == point->name && scan->found[i].address != point->address) {
            return true;
        }
    }
    return false;
}

static void take(struct search *search, const ElfW(Sym) *symbol, const struct mt_own_name *name)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    struct mt_own_scan *scan = search->scan;
    struct mt_own_entry_point point = { name, search->info->dlpi_addr + symbol->st_value, symbol->st_size };
    if (symbol->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_size == 0 ||
        !is_code(search->info, point.address, point.bytes)) {
        return;
    }
    if (type == STT_GNU_IFUNC || is_another(scan, &point)) {
        scan->unsure = true;
    } else if (!is_there(scan, &point) && scan->count < MT_OWN_NAMES_MAX) {
        scan->found[scan->count++] = point;
    }
}

static bool starts_with(const char *text, const char *start)
{
    while (*start != '\0' && *text == *start) {
        text++;
        start++;
    }
    return *start == '\0';
}

static void widen_insides(struct search *search, const ElfW(Sym) *symbol, const char *text)
{
    uint64_t low = search->info->dlpi_addr + symbol->st_value;
    bool apart = ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_size == 0 || strstr(text, ".cold") != NULL;
    for (size_t i = 0; i < MT_OWN_INSIDES && !apart; i++) {
        if (starts_with(text, INSIDE_NAMES[i])) {
            uint64_t *from = &search->scan->insides[i].low;
            uint64_t *to = &search->scan->insides[i].high;
            *from = *to == 0 || low < *from ? low : *from;
            *to = low + symbol->st_size > *to ? low + symbol->st_size : *to;
        }
    }
}

static void visit_symbol(const ElfW(Sym) *symbol, const char *text, void *context)
{
    if (symbol->st_shndx == SHN_UNDEF) {
        return;
    }
    const struct mt_own_name *name = name_of(text);
    if (name != NULL) {
        take(context, symbol, name);
    }
    if (text[0] == '_' || text[0] == 'j' || text[0] == 'u') {
        widen_insides(context, symbol, text);
    }
}

static void take_dynamic(struct search *search, const struct mt_elf_object *object)
{
    for (size_t i = 0; i < NAMES; i++) {
        uint32_t symbol = mt_elf_find(object, g_names[i].name, g_hashes[i]);
        if (symbol != 0) {
            take(search, &object->symbols[symbol], &g_names[i]);
        }
    }
}

/* ---- what makes an allocator -------------------------------------------------------------------------------------------- */

static bool has(const struct mt_own_scan *scan, enum mt_own_family family, const char *name)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct mt_own_name *found = scan->found[i].name;
        if (found->family == family && (name == NULL || strcmp(found->name, name) == 0)) {
            return true;
        }
    }
    return false;
}

static void drop_family(struct mt_own_scan *scan, enum mt_own_family family)
{
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->found[i].name->family != family) {
            scan->found[kept++] = scan->found[i];
        }
    }
    scan->count = kept;
}

static bool frees(const struct mt_own_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->found[i].name->shape == MT_OWN_FREE) {
            return true;
        }
    }
    return false;
}

/* A function that is called something with alloc: other families have functions called new and free as well. */
static bool allocates(const struct mt_own_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct mt_own_name *name = scan->found[i].name;
        if (name->shape == MT_OWN_ALLOC && strstr(name->name, "alloc") != NULL) {
            return true;
        }
    }
    return false;
}

/* Names alone prove little: what gives memory must be there, and what takes it back. */
static void settle(struct mt_own_scan *scan)
{
    if (!has(scan, MT_OWN_LIBC, "malloc") || !has(scan, MT_OWN_LIBC, "free")) {
        drop_family(scan, MT_OWN_LIBC);
        drop_family(scan, MT_OWN_CXX);
    }
    if (!allocates(scan) || !frees(scan)) {
        scan->count = 0;
    }
    scan->unsure = scan->unsure && scan->count > 0;
    for (size_t i = 0; i < MT_OWN_INSIDES; i++) {
        if (scan->insides[i].high - scan->insides[i].low > INSIDE_MAX_BYTES) {
            scan->insides[i].low = scan->insides[i].high = 0; /* not together after all */
        }
    }
}

void mt_own_scan(const struct dl_phdr_info *info, bool executable, struct mt_own_scan *ret)
{
    struct mt_elf_object object;
    struct search search = { info, ret };
    memset(ret, 0, sizeof *ret);
    if (!mt_elf_from_phdr(info, &object) || !may_hold_one(&object, executable)) {
        return;
    }
    if (is_instrumented(&object)) {
        ret->nameless = true;
        return;
    }
    if (g_hashes[0] == 0) {
        learn_names();
    }
    take_dynamic(&search, &object);
    mt_symtab_visit(info, executable, visit_symbol, &search);
    settle(ret);
    ret->nameless = ret->count == 0 && mt_own_speaks(info, executable);
}
