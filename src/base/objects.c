/* objects.c: see objects.h.
 *
 * The lock is a recursive pthread mutex (int lock, unsigned count, int owner, unsigned users, int kind). Its place is not
 * part of any interface, so it is recognised by what it does: while dl_iterate_phdr calls back, one word pattern in the
 * loader's variables is a recursive mutex of this thread with a count one higher than before. Found nowhere or more than
 * once, it counts as unknown.
 */
#include "base/objects.h"

#include "base/atomic.h"
#include "base/os.h"

enum { MUTEX_LOCK = 0, MUTEX_COUNT = 1, MUTEX_OWNER = 2, MUTEX_KIND = 4, MUTEX_WORDS = 5 };
enum { KIND_MASK = 3, KIND_RECURSIVE = 1, STEP_WORDS = 2, PLACES_MAX = 1024 };

static const uint32_t *g_lock; /* NULL: unknown */
static bool g_stuck;           /* in this process the lock is held by a thread that does not exist */

bool mt_objects_walkable(void)
{
    return !mt_load_relaxed(&g_stuck);
}

bool mt_objects_walk(mt_objects_visitor visit, void *context)
{
    if (MT_UNLIKELY(!mt_objects_walkable())) {
        return false;
    }
    (void)dl_iterate_phdr(visit, context);
    return true;
}

struct hunt {
    const uint32_t *words;
    size_t places;
    uint32_t tid;
    uint32_t before[PLACES_MAX]; /* how often this thread held the mutex at a place, if it is one */
    const uint32_t *found;
    bool ambiguous;
};

static uint32_t held_count(const struct hunt *hunt, const uint32_t *words)
{
    bool ours = words[MUTEX_LOCK] != 0 && words[MUTEX_OWNER] == hunt->tid &&
                (words[MUTEX_KIND] & KIND_MASK) == KIND_RECURSIVE;
    return ours ? words[MUTEX_COUNT] : 0;
}

static int look_while_held(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)info;
    (void)bytes;
    struct hunt *hunt = context;
    for (size_t i = 0; i < hunt->places; i++) {
        const uint32_t *words = hunt->words + i * STEP_WORDS;
        if (held_count(hunt, words) == hunt->before[i] + 1) {
            hunt->ambiguous = hunt->found != NULL;
            hunt->found = words;
        }
    }
    return 1;
}

void mt_objects_learn_lock(const void *low, size_t bytes)
{
    struct hunt hunt = { .words = low, .tid = (uint32_t)mt_os_tid() };
    if (low == NULL || bytes < MUTEX_WORDS * sizeof(uint32_t) || (uintptr_t)low % sizeof(uint64_t) != 0) {
        return;
    }
    hunt.places = (bytes - MUTEX_WORDS * sizeof(uint32_t)) / (STEP_WORDS * sizeof(uint32_t)) + 1;
    hunt.places = hunt.places < PLACES_MAX ? hunt.places : PLACES_MAX;
    for (size_t i = 0; i < hunt.places; i++) {
        hunt.before[i] = held_count(&hunt, hunt.words + i * STEP_WORDS);
    }
    (void)dl_iterate_phdr(look_while_held, &hunt);
    g_lock = hunt.ambiguous ? NULL : hunt.found;
}

void mt_objects_after_fork(void)
{
    if (g_lock == NULL || mt_load_relaxed(&g_lock[MUTEX_LOCK]) != 0) {
        mt_store_relaxed(&g_stuck, true);
    }
}

void mt_objects_extent(const struct dl_phdr_info *info, uint64_t *ret_low, uint64_t *ret_high)
{
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD) {
            low = start < low ? start : low;
            high = start + header->p_memsz > high ? start + header->p_memsz : high;
        }
    }
    *ret_low = low;
    *ret_high = high;
}

bool mt_objects_hold(const struct dl_phdr_info *info, uint64_t address)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && address - (info->dlpi_addr + header->p_vaddr) < header->p_memsz) {
            return true;
        }
    }
    return false;
}
