/* owner.c: see owner.h. */
#include "hook/owner.h"

#include "base/atomic.h"
#include "base/objects.h"
#include "hook/elf.h"
#include "hook/measure.h"
#include "hook/originals.h"

#include <string.h>

enum { ARENAS = MT_BANKS, INSIDES, INSIDES_MAX = 8, RANGES = INSIDES + INSIDES_MAX };

/* A range of code; empty when both are 0. Writers: one at a time, in [agent] or under the loader hooks. Pairing H2: low is
 * made impossible first, high is stored, then low with release; low is read with acquire. */
struct code {
    uint64_t low, high;
};

static struct code g_code[RANGES]; /* one a bank, then the interpreter's, then those of allocators inside objects */
static unsigned g_insides;           /* in use. Writers: one at a time, under the loader's lock */

static void publish(struct code *code, struct code now)
{
    if (code->low == now.low && code->high == now.high) {
        return;
    }
    mt_store_release(&code->low, UINT64_MAX);
    mt_store_release(&code->high, now.high);
    mt_store_release(&code->low, now.low);
}

static bool holds(const struct code *code, uint64_t pc)
{
    return pc >= mt_load_acquire(&code->low) && pc < mt_load_relaxed(&code->high);
}

enum mt_map_kind mt_owner_kind(uint64_t pc)
{
    if (holds(&g_code[ARENAS], pc)) {
        return MT_MAP_ARENA;
    }
    for (unsigned i = 0; i < INSIDES + mt_load_relaxed(&g_insides); i++) {
        if (i != ARENAS && holds(&g_code[i], pc)) {
            return MT_MAP_ALLOCATOR;
        }
    }
    return MT_MAP_ANONYMOUS;
}

void mt_owner_add_inside(uint64_t low, uint64_t high)
{
    unsigned count = mt_load_relaxed(&g_insides);
    if (low < high && count < INSIDES_MAX) {
        publish(&g_code[INSIDES + count], (struct code){ low, high });
        mt_store_relaxed(&g_insides, count + 1);
    }
}

void mt_owner_set_arenas(uint64_t low, uint64_t high)
{
    publish(&g_code[ARENAS], (struct code){ low, high });
}

/* ---- allocators --------------------------------------------------------------------------------------------------------- */

struct search {
    struct code found[MT_BANKS];
    bool executable_seen; /* it comes first */
    size_t (*usable[MT_BANKS])(void *block); /* of the object that has the realloc */
    bool is_libc[MT_BANKS];
    bool malloc_replaced; /* by valgrind, but for tools that leave malloc alone */
};

/* A function of the program's that libc calls back and that ends in a jump to mmap returns into libc. */
static bool is_libc(const struct mt_elf_object *object)
{
    return mt_elf_find(object, "__libc_start_main", mt_elf_gnu_hash("__libc_start_main")) != 0;
}

static void look_for_measures(const struct dl_phdr_info *info, struct search *search)
{
    struct mt_elf_object object;
    const char *tool = strstr(info->dlpi_name, "/vgpreload_");
    search->malloc_replaced = search->malloc_replaced || (tool != NULL && strstr(tool, "_core") == NULL);
    for (unsigned bank = 0; bank < MT_BANKS; bank++) {
        uint64_t address = mt_originals_get(bank, MT_HOOK_realloc);
        bool holds = address != 0 && mt_objects_hold(info, address) && mt_elf_from_phdr(info, &object);
        uint32_t symbol = holds ? mt_elf_find(&object, "malloc_usable_size", mt_elf_gnu_hash("malloc_usable_size")) : 0;
        if (symbol != 0) {
            search->usable[bank] = (size_t(*)(void *))(uintptr_t)mt_elf_address(&object, symbol);
            search->is_libc[bank] = is_libc(&object);
        }
    }
}

static int visit(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct search *search = context;
    struct mt_elf_object object;
    look_for_measures(info, search);
    if (!search->executable_seen) {
        search->executable_seen = true;
        return 0;
    }
    struct code code;
    mt_objects_extent(info, &code.low, &code.high);
    for (unsigned bank = 0; bank < MT_BANKS; bank++) {
        uint64_t address = mt_originals_get(bank, MT_HOOK_malloc);
        if (address >= code.low && address < code.high && mt_elf_from_phdr(info, &object) && !is_libc(&object)) {
            search->found[bank] = code;
        }
    }
    return 0;
}

void mt_owner_find_allocators(void)
{
    struct search search = { .executable_seen = false };
    if (!mt_objects_walk(visit, &search)) {
        return;
    }
    for (unsigned bank = 0; bank < MT_BANKS; bank++) {
        publish(&g_code[bank], search.found[bank]);
        mt_measure_by(bank, search.usable[bank], search.is_libc[bank] && !search.malloc_replaced);
    }
}
