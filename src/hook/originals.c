/* originals.c: see originals.h.
 *
 * Bootstrap functions are generated from the table: each finds its definition behind the agent in load order, remembers
 * it and forwards. A function nobody defines (dlopen in a process without libdl, an old libc without free_sized) keeps
 * its bootstrap function: the next call looks again, because a library may have brought it meanwhile.
 * Until the agent has started nothing is remembered. The loader's own few calls look anew each time, so that the first
 * call of the program's code comes here too and starts the agent, if the agent's constructor has not.
 */
#include "hook/originals.h"

#include "base/atomic.h"
#include "base/objects.h"
#include "hook/elf.h"
#include "hook/hook.h"
#include "hook/measure.h"

static bool g_early = true; /* the agent has not started: one thread, inside the loader */
static const mt_function (*g_hooks)[MT_BANKS]; /* NULL until told */

static mt_function *slot_of(unsigned bank, enum mt_hook_index index)
{
    return (mt_function *)(void *)((char *)&mt_g_originals[bank] + mt_hook_row(index)->offset);
}

static mt_function find_next(enum mt_hook_index index)
{
    mt_function found = (mt_function)(uintptr_t)mt_elf_next(mt_hook_row(index)->name, g_early, NULL);
    if (found != NULL && !g_early) {
        mt_store_release(slot_of(0, index), found);
    }
    return found;
}

/* The hook, when this call is the program's and has just started the agent: it goes there once more. Else NULL. */
static mt_function started_hook(enum mt_hook_index index)
{
    if (!g_early || mt_hooks_first_call == NULL || !mt_elf_loader_is_done() || !mt_hooks_first_call()) {
        return NULL;
    }
    return mt_originals_hook(0, index);
}

/* ---- fallbacks for functions an older libc lacks ----------------------------------------------------------------- */

static void free_sized_by_free(void *ptr, size_t size)
{
    (void)size;
    mt_g_originals[0].free(ptr);
}

static void free_aligned_sized_by_free(void *ptr, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    mt_g_originals[0].free(ptr);
}

static mt_function substitute(enum mt_hook_index index)
{
    if (index == MT_HOOK_free_sized) {
        return (mt_function)free_sized_by_free;
    }
    if (index == MT_HOOK_free_aligned_sized) {
        return (mt_function)free_aligned_sized_by_free;
    }
    return index == MT_HOOK_cfree ? (mt_function)mt_g_originals[0].free : NULL;
}

/* ---- bootstrap ------------------------------------------------------------------------------------------------------ */

static mt_function find_or_substitute(enum mt_hook_index index)
{
    mt_function found = find_next(index);
    return found != NULL ? found : substitute(index);
}

#define BOOT(result, name, parameters, arguments)                                                                      \
    static result boot_##name parameters                                                                               \
    {                                                                                                                  \
        mt_function hook = started_hook(MT_HOOK_##name);                                                               \
        mt_function found = hook != NULL ? hook : find_or_substitute(MT_HOOK_##name);                                  \
        result(*function) parameters = (result(*) parameters)found;                                                    \
        return function != NULL ? function arguments : (result)0;                                                      \
    }
MT_HOOK_TABLE(BOOT)
#undef BOOT

struct mt_originals mt_g_originals[MT_BANKS] = {
    {
#define BOOT_ENTRY(result, name, parameters, arguments) .name = boot_##name,
        MT_HOOK_TABLE(BOOT_ENTRY)
#undef BOOT_ENTRY
        .measure = &mt_g_measures[0],
    },
    { .measure = &mt_g_measures[1] },
    { .measure = &mt_g_measures[2] },
};
static_assert(MT_BANKS == 3, "each bank has its measure");

static const mt_function g_boot[MT_HOOK__COUNT] = {
#define BOOT_ADDRESS(result, name, parameters, arguments) (mt_function)boot_##name,
    MT_HOOK_TABLE(BOOT_ADDRESS)
#undef BOOT_ADDRESS
};

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static struct mt_hook_row g_rows[MT_HOOK__COUNT] = {
#define ROW(result, name, parameters, arguments) { #name, (uint32_t)offsetof(struct mt_originals, name), 0 },
    MT_HOOK_TABLE(ROW)
#undef ROW
};

const struct mt_hook_row *mt_hook_row(enum mt_hook_index index)
{
    return &g_rows[index];
}

mt_function mt_originals_hook(unsigned bank, enum mt_hook_index index)
{
    const mt_function(*hooks)[MT_BANKS] = mt_load_acquire(&g_hooks);
    return hooks != NULL ? hooks[index][bank] : NULL;
}

uint64_t mt_originals_get(unsigned bank, enum mt_hook_index index)
{
    mt_function function = mt_load_acquire(slot_of(bank, index));
    return function == g_boot[index] ? 0 : (uint64_t)(uintptr_t)function;
}

void mt_originals_set(unsigned bank, enum mt_hook_index index, uint64_t address)
{
    mt_store_release(slot_of(bank, index), (mt_function)(uintptr_t)address);
}

/* One walk for all functions: definitions behind ourselves, and the first anywhere for those that have none there. */
struct resolution {
    uint64_t behind[MT_HOOK__COUNT];
    uint64_t anywhere[MT_HOOK__COUNT];
    bool behind_self;
};

static void take_definitions(struct resolution *resolution, const struct mt_elf_object *object)
{
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        uint64_t *slot = resolution->behind_self ? &resolution->behind[i] : &resolution->anywhere[i];
        uint32_t symbol = *slot == 0 ? mt_elf_find(object, g_rows[i].name, g_rows[i].hash) : 0;
        if (symbol != 0) {
            *slot = mt_elf_address(object, symbol);
        }
    }
}

static int visit_object(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct resolution *resolution = context;
    struct mt_elf_object object;
    resolution->behind_self = resolution->behind_self || mt_elf_info_is_self(info);
    if (mt_elf_from_phdr(info, &object)) {
        take_definitions(resolution, &object);
    }
    return 0;
}

void mt_originals_resolve(void)
{
    struct resolution resolution = { .behind_self = false };
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        g_rows[i].hash = mt_elf_gnu_hash(g_rows[i].name);
    }
    (void)mt_objects_walk(visit_object, &resolution);
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        uint64_t found = resolution.behind[i] != 0 ? resolution.behind[i] : resolution.anywhere[i];
        if (found != 0 && mt_originals_get(0, (enum mt_hook_index)i) == 0) {
            mt_originals_set(0, (enum mt_hook_index)i, found);
        }
    }
}

void mt_originals_early_end(const mt_function (*hooks)[MT_BANKS])
{
    mt_store_release(&g_hooks, hooks);
    mt_store_relaxed(&g_early, false);
}
