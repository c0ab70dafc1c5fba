/* originals.c: see originals.h.
 *
 * Bootstrap functions are generated from the table: each finds its definition behind the agent in load order, remembers
 * it and forwards. A function nobody defines (dlopen in a process without libdl, an old libc without free_sized) keeps
 * its bootstrap function: the next call looks again, because a library may have brought it meanwhile.
 */
#include "hook/originals.h"

#include "base/atomic.h"
#include "hook/elf.h"

static bool g_early = true; /* before the agent's constructor: one thread, inside the loader */

static mt_function *slot_of(unsigned bank, enum mt_hook_index index)
{
    return (mt_function *)(void *)((char *)&mt_g_originals[bank] + mt_hook_row(index)->offset);
}

static mt_function find_next(enum mt_hook_index index)
{
    mt_function found = (mt_function)(uintptr_t)mt_elf_next(mt_hook_row(index)->name, g_early, NULL);
    if (found != NULL) {
        mt_store_release(slot_of(0, index), found);
    }
    return found;
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
        result(*real) parameters = (result(*) parameters)find_or_substitute(MT_HOOK_##name);                          \
        return real != NULL ? real arguments : (result)0;                                                              \
    }
MT_HOOK_TABLE(BOOT)
#undef BOOT

struct mt_originals mt_g_originals[MT_BANKS] = { {
#define BOOT_ENTRY(result, name, parameters, arguments) .name = boot_##name,
    MT_HOOK_TABLE(BOOT_ENTRY)
#undef BOOT_ENTRY
} };

static const mt_function g_boot[MT_HOOK__COUNT] = {
#define BOOT_ADDRESS(result, name, parameters, arguments) (mt_function)boot_##name,
    MT_HOOK_TABLE(BOOT_ADDRESS)
#undef BOOT_ADDRESS
};

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static struct mt_hook_row g_rows[MT_HOOK__COUNT] = {
#define ROW(result, name, parameters, arguments)                                                                       \
    { #name,                                                                                                           \
      (uint32_t)offsetof(struct mt_originals, name),                                                                   \
      0,                                                                                                               \
      { (mt_function)mt_bank0_##name, (mt_function)mt_bank1_##name, (mt_function)mt_bank2_##name } },
    MT_HOOK_TABLE(ROW)
#undef ROW
};

const struct mt_hook_row *mt_hook_row(enum mt_hook_index index)
{
    return &g_rows[index];
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

void mt_originals_resolve(void)
{
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        enum mt_hook_index index = (enum mt_hook_index)i;
        g_rows[i].hash = mt_elf_gnu_hash(g_rows[i].name);
        if (mt_originals_get(0, index) == 0) {
            (void)find_next(index);
        }
    }
}

void mt_originals_early_end(void)
{
    mt_store_relaxed(&g_early, false);
}
