/* tensors.c: see tensors.h. Open addressing; a place that becomes free is filled from behind, so that look-ups need no tombs. */
#include "heap/tensors.h"

#include "base/hash.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"

enum { FIRST_PLACES = 4096 };

struct place {
    uint64_t address, bytes; /* address 0: free */
};

static struct {
    struct mt_spinlock lock;
    struct place *places;
    uint64_t capacity, used; /* a power of two; at most half of it used */
    uint64_t bytes, most;
    bool lost; /* a block was not noted */
} g_tensors = { .lock = MT_SPINLOCK_INIT(MT_RANK_TENSORS) };
uint32_t mt_g_tensors_counted; /* shared: on or off. Writers: mt_tensors_count; a call that races with it may be counted or not */

static uint64_t home(uint64_t address)
{
    return mt_hash_u64(address) & (g_tensors.capacity - 1);
}

/* Of the address, or the free place for it. */
static uint64_t place_of(uint64_t address)
{
    uint64_t at = home(address);
    while (g_tensors.places[at].address != 0 && g_tensors.places[at].address != address) {
        at = (at + 1) & (g_tensors.capacity - 1);
    }
    return at;
}

static bool grow_locked(void)
{
    struct place *old = g_tensors.places;
    uint64_t old_capacity = g_tensors.capacity;
    uint64_t capacity = old_capacity == 0 ? FIRST_PLACES : 2 * old_capacity;
    void *base = NULL;
    if (mt_os_map_anonymous(capacity * sizeof *old, &base) != MT_OK) {
        return false;
    }
    g_tensors.places = base;
    g_tensors.capacity = capacity;
    for (uint64_t i = 0; i < old_capacity; i++) {
        if (old[i].address != 0) {
            g_tensors.places[place_of(old[i].address)] = old[i];
        }
    }
    if (old != NULL) {
        mt_os_unmap(old, old_capacity * sizeof *old);
    }
    return true;
}

static void add_locked(uint64_t address, uint64_t bytes)
{
    if (2 * (g_tensors.used + 1) > g_tensors.capacity && !grow_locked()) {
        g_tensors.lost = true;
        return;
    }
    struct place *place = &g_tensors.places[place_of(address)];
    g_tensors.bytes -= place->bytes; /* of one whose end was not seen */
    g_tensors.used += place->address == 0;
    *place = (struct place){ address, bytes };
    g_tensors.bytes += bytes;
    g_tensors.most = g_tensors.bytes > g_tensors.most ? g_tensors.bytes : g_tensors.most;
}

/* Moves what a search would no longer reach into the free place. */
static void close_gap_locked(uint64_t gap)
{
    uint64_t mask = g_tensors.capacity - 1;
    for (uint64_t at = (gap + 1) & mask; g_tensors.places[at].address != 0; at = (at + 1) & mask) {
        uint64_t from_home = (at - home(g_tensors.places[at].address)) & mask;
        if (from_home >= ((at - gap) & mask)) {
            g_tensors.places[gap] = g_tensors.places[at];
            gap = at;
        }
    }
    g_tensors.places[gap] = (struct place){ 0, 0 };
}

static void remove_locked(uint64_t address)
{
    if (g_tensors.capacity == 0) {
        return;
    }
    uint64_t at = place_of(address);
    if (g_tensors.places[at].address != 0) {
        g_tensors.bytes -= g_tensors.places[at].bytes;
        g_tensors.used--;
        close_gap_locked(at);
    }
}

static bool lock(void)
{
    mt_engine_enter();
    bool had = mt_spinlock_lock(&g_tensors.lock);
    if (!had) {
        mt_store_relaxed(&g_tensors.lost, true);
        mt_engine_leave();
    }
    return had;
}

static void unlock(void)
{
    mt_spinlock_unlock(&g_tensors.lock);
    mt_engine_leave();
}

void mt_engine_tensor_made(const void *ptr, size_t bytes)
{
    if (ptr != NULL && lock()) {
        add_locked((uint64_t)(uintptr_t)ptr, bytes);
        unlock();
    }
}

void mt_engine_tensor_gone(const void *ptr)
{
    if (ptr != NULL && lock()) {
        remove_locked((uint64_t)(uintptr_t)ptr);
        unlock();
    }
}

static void clear_locked(void)
{
    g_tensors.places = NULL;
    g_tensors.capacity = g_tensors.used = g_tensors.bytes = g_tensors.most = 0;
}

void mt_tensors_forget(void)
{
    if (!lock()) {
        return;
    }
    struct place *places = g_tensors.places;
    uint64_t capacity = g_tensors.capacity;
    clear_locked();
    g_tensors.lost = false;
    if (places != NULL) {
        mt_os_unmap(places, capacity * sizeof *places);
    }
    unlock();
}

void mt_tensors_count(bool on)
{
    if (on == mt_engine_counts_tensors()) {
        return;
    }
    mt_tensors_forget();
    mt_store_relaxed(&mt_g_tensors_counted, (uint32_t)on);
}

bool mt_tensors_read(uint64_t *ret_bytes, uint64_t *ret_most)
{
    if (!mt_engine_counts_tensors() || !lock()) {
        return false;
    }
    *ret_bytes = g_tensors.bytes;
    *ret_most = g_tensors.most;
    bool known = !g_tensors.lost;
    unlock();
    return known;
}

/* Another thread's change may have been cut in two, between table and size or with the table already unmapped: then nothing is
 * known, and the table is left where it lies. */
void mt_tensors_after_fork(void)
{
    if (mt_load_relaxed(&g_tensors.lock.held) != 0) {
        clear_locked();
        g_tensors.lost = true;
    }
    mt_spinlock_reset(&g_tensors.lock);
}
