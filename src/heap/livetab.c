/* livetab.c: see livetab.h. The exact table is linear probing with backward-shift deletion; readers are guarded by a
 * sequence lock (pairing V1: odd while a writer moves entries; a reader that saw a change looks again). */
#include "heap/livetab.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"
#include "heap/totals.h"

#include <string.h>

struct entry {
    uint64_t ptr; /* 0: free */
    uint64_t rate_bytes;
    uint64_t size_and_tag; /* no block has a size of 2^48 */
    uint64_t clock, stack_and_stream, label_and_allocator;
};
enum { TAG_BITS = 16 };

enum {
    FIRST_CAPACITY = 4096,
    FILTER_FIRST_BITS = 15, /* 32 Ki counters */
    FILTER_MAX_BITS = 24,
    FILTER_LOAD = 16, /* counters a live sample */
    STUCK = 255,
    LOOKS_MAX = 64,
};

/* Tables of one value for an index of 6 bits, the shift 26: each starts 26 bytes in. */
enum { CONSTANT_BITS = 6, CONSTANT_SHIFT = 32 - CONSTANT_BITS, CONSTANT_BYTES = CONSTANT_SHIFT + (1 << CONSTANT_BITS) };
static uint8_t g_ones[CONSTANT_BYTES] __attribute__((aligned(64))) = { [0 ... CONSTANT_BYTES - 1] = 1 };
static uint8_t g_zeros[CONSTANT_BYTES] __attribute__((aligned(64)));

/* Before the agent is ready every free takes the slow path. */
uint64_t mt_g_filter = (uint64_t)(uintptr_t)g_ones + CONSTANT_SHIFT;

static struct {
    struct mt_spinlock lock;
    uint32_t sequence; /* V1 */
    struct entry *entries;
    uint64_t mask;
    uint64_t count;
    uint64_t insertions;
    uint64_t filter; /* as mt_g_filter */
    uint32_t filter_bits;
    enum mt_filter_state shown;
} g_live = { .lock = MT_SPINLOCK_INIT(MT_RANK_LIVE) };

/* The word of a table in a block aligned to at least 32: it begins as many bytes in as its index is shifted. */
static uint64_t filter_word(const uint8_t *block, unsigned bits)
{
    return (uint64_t)(uintptr_t)block + (32u - bits);
}

void mt_livetab_show(enum mt_filter_state state)
{
    g_live.shown = state;
    switch (state) {
    case MT_FILTER_NONE: mt_store_release(&mt_g_filter, filter_word(g_zeros, CONSTANT_BITS)); break;
    case MT_FILTER_ALL: mt_store_release(&mt_g_filter, filter_word(g_ones, CONSTANT_BITS)); break;
    case MT_FILTER_TABLE: mt_store_release(&mt_g_filter, g_live.filter); break;
    }
}

static uint8_t *map_table(uint64_t bytes)
{
    void *base = NULL;
    if (mt_os_map_anonymous(bytes, &base) != MT_OK) {
        return NULL;
    }
    (void)mt_os_advise_nohugepage(base, bytes);
    return base;
}

/* The word of a new filter of zeros; 0: no memory. */
static uint64_t map_filter(unsigned bits)
{
    const uint8_t *block = map_table(((uint64_t)1 << bits) + 32 - bits);
    return block != NULL ? filter_word(block, bits) : 0;
}

mt_status mt_livetab_init(void)
{
    if (g_live.entries != NULL) {
        mt_livetab_clear();
        return MT_OK;
    }
    g_live.entries = (struct entry *)(void *)map_table(FIRST_CAPACITY * sizeof(struct entry));
    g_live.filter = map_filter(FILTER_FIRST_BITS);
    if (g_live.entries == NULL || g_live.filter == 0) {
        return MT_E_NOMEM;
    }
    g_live.mask = FIRST_CAPACITY - 1;
    g_live.filter_bits = FILTER_FIRST_BITS;
    return MT_OK;
}

static uint64_t slot_of(uint64_t ptr, uint64_t mask)
{
    return (ptr * MT_FILTER_MULTIPLIER >> 20) & mask;
}

static uint64_t find(uint64_t ptr)
{
    uint64_t at = slot_of(ptr, g_live.mask);
    while (g_live.entries[at].ptr != ptr && g_live.entries[at].ptr != 0) {
        at = (at + 1) & g_live.mask;
    }
    return at;
}

static uint8_t *counter_of(uint64_t filter, uint64_t ptr)
{
    return (uint8_t *)(uintptr_t)filter + mt_filter_index(filter, ptr);
}

static void filter_add(uint64_t filter, uint64_t ptr)
{
    uint8_t *counter = counter_of(filter, ptr);
    if (*counter != STUCK) {
        mt_store_relaxed(counter, (uint8_t)(*counter + 1));
    }
}

static void filter_remove(uint64_t ptr)
{
    uint8_t *counter = counter_of(g_live.filter, ptr);
    if (*counter != STUCK && *counter != 0) {
        mt_store_relaxed(counter, (uint8_t)(*counter - 1));
    }
}

/* A larger filter is filled first and then shown; the old one stays for readers that hold it. */
static void grow_filter_locked(void)
{
    unsigned bits = g_live.filter_bits + 2;
    if (bits > FILTER_MAX_BITS) {
        return;
    }
    uint64_t filter = map_filter(bits);
    if (filter == 0) {
        return;
    }
    for (uint64_t i = 0; i <= g_live.mask; i++) {
        if (g_live.entries[i].ptr != 0) {
            filter_add(filter, g_live.entries[i].ptr);
        }
    }
    g_live.filter = filter;
    g_live.filter_bits = bits;
    if (g_live.shown == MT_FILTER_TABLE) {
        mt_livetab_show(MT_FILTER_TABLE);
    }
}

static bool grow_table_locked(void)
{
    uint64_t capacity = (g_live.mask + 1) * 2;
    struct entry *entries = (struct entry *)(void *)map_table(capacity * sizeof(struct entry));
    if (entries == NULL) {
        return false;
    }
    struct entry *old = g_live.entries;
    for (uint64_t i = 0; i <= g_live.mask; i++) {
        if (old[i].ptr != 0) {
            uint64_t at = slot_of(old[i].ptr, capacity - 1);
            while (entries[at].ptr != 0) {
                at = (at + 1) & (capacity - 1);
            }
            entries[at] = old[i];
        }
    }
    /* Readers may be inside the old array: it is left mapped (all old arrays together are smaller than the new one).
     * The array is published before the mask and read after it: a reader may pair the new array with the old mask (it
     * looks at too few slots and finds the sequence changed), never the old array with the new mask. */
    mt_store_release(&g_live.entries, entries);
    mt_store_release(&g_live.mask, capacity - 1);
    return true;
}

/* Around what a look-up must not see half of: entries moved, another array. Putting an entry into a free slot, or freeing
 * one at the end of its run, is a single store that breaks no other entry's run. */
static void write_begin(void)
{
    mt_store_relaxed(&g_live.sequence, g_live.sequence + 1);
    mt_fence_release(); /* the odd sequence before what is written */
}

static void write_end(void)
{
    mt_store_release(&g_live.sequence, g_live.sequence + 1);
}

/* Everything but the pointer. V1: look-ups may be reading. */
static void fill(struct entry *entry, const struct entry *from)
{
    mt_store_relaxed(&entry->rate_bytes, from->rate_bytes);
    mt_store_relaxed(&entry->size_and_tag, from->size_and_tag);
    mt_store_relaxed(&entry->clock, from->clock);
    mt_store_relaxed(&entry->stack_and_stream, from->stack_and_stream);
    mt_store_relaxed(&entry->label_and_allocator, from->label_and_allocator);
}

static struct entry entry_of(const struct mt_sample *sample)
{
    const struct mt_birth *birth = &sample->birth;
    return (struct entry){ .rate_bytes = sample->rate_bytes,
                           .size_and_tag = sample->size << TAG_BITS,
                           .clock = birth->clock,
                           .stack_and_stream = (uint64_t)birth->stack << 32 | birth->stream,
                           .label_and_allocator = (uint64_t)birth->label << 32 | birth->allocator };
}

MT_INLINE struct mt_sample sample_of(const struct entry *entry)
{
    uint64_t size_and_tag = mt_load_relaxed(&entry->size_and_tag);
    uint64_t stack_and_stream = mt_load_relaxed(&entry->stack_and_stream);
    uint64_t label_and_allocator = mt_load_relaxed(&entry->label_and_allocator);
    return (struct mt_sample){ .size = size_and_tag >> TAG_BITS,
                               .rate_bytes = mt_load_relaxed(&entry->rate_bytes),
                               .birth = { .clock = mt_load_relaxed(&entry->clock),
                                          .stack = (uint32_t)(stack_and_stream >> 32),
                                          .stream = (uint32_t)stack_and_stream,
                                          .label = (uint32_t)(label_and_allocator >> 32),
                                          .allocator = (uint32_t)label_and_allocator },
                               .tag = (uint16_t)size_and_tag };
}

static bool insert_locked(uint64_t ptr, const struct mt_sample *sample)
{
    if (MT_UNLIKELY((g_live.count + 1) * 2 > g_live.mask + 1)) {
        write_begin();
        bool grown = grow_table_locked();
        write_end();
        if (!grown && g_live.count + 1 >= g_live.mask) {
            return false;
        }
    }
    uint64_t at = find(ptr);
    struct entry wanted = entry_of(sample);
    wanted.size_and_tag |= (uint16_t)++g_live.insertions;
    if (g_live.entries[at].ptr == ptr) { /* its free went unseen (another allocator's free): the address is new again */
        struct mt_sample replaced = sample_of(&g_live.entries[at]);
        fill(&g_live.entries[at], &wanted);
        mt_totals_ended(&replaced, sample->birth.clock);
        mt_totals_began(sample);
        return true;
    }
    if (MT_UNLIKELY((g_live.count + 1) * FILTER_LOAD > ((uint64_t)1 << g_live.filter_bits))) {
        grow_filter_locked(); /* of the entries so far */
    }
    fill(&g_live.entries[at], &wanted);
    mt_store_release(&g_live.entries[at].ptr, ptr);
    mt_store_relaxed(&g_live.count, g_live.count + 1);
    filter_add(g_live.filter, ptr);
    if (mt_totals_are_kept()) {
        mt_totals_began(sample);
    }
    return true;
}

bool mt_livetab_insert(const void *ptr, const struct mt_sample *sample)
{
    if (!mt_spinlock_lock(&g_live.lock)) {
        return false;
    }
    bool inserted = insert_locked((uint64_t)(uintptr_t)ptr, sample);
    mt_spinlock_unlock(&g_live.lock);
    return inserted;
}

/* Closes the gap that removing the entry at `at` leaves in its run; returns the slot that is free then. */
static uint64_t shift_back_locked(uint64_t at)
{
    uint64_t mask = g_live.mask;
    for (uint64_t next = (at + 1) & mask; g_live.entries[next].ptr != 0; next = (next + 1) & mask) {
        uint64_t home = slot_of(g_live.entries[next].ptr, mask);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            fill(&g_live.entries[at], &g_live.entries[next]);
            mt_store_relaxed(&g_live.entries[at].ptr, g_live.entries[next].ptr); /* V1: look-ups may be reading */
            at = next;
        }
    }
    return at;
}

static void delete_locked(uint64_t at)
{
    bool moves = g_live.entries[(at + 1) & g_live.mask].ptr != 0;
    if (MT_UNLIKELY(moves)) {
        write_begin();
        at = shift_back_locked(at);
    }
    mt_store_relaxed(&g_live.entries[at].ptr, (uint64_t)0);
    if (MT_UNLIKELY(moves)) {
        write_end();
    }
    mt_store_relaxed(&g_live.count, g_live.count - 1);
}

enum answer { NO, YES, UNSURE };

/* Lock-free look-up; repeats while a writer is at work, so it is exact for pointers whose insertion happened before. */
MT_INLINE enum answer look_up(const void *ptr, struct mt_sample *ret)
{
    uint64_t wanted = (uint64_t)(uintptr_t)ptr;
    for (int tries = 0; tries < LOOKS_MAX; tries++) {
        uint32_t before = mt_load_acquire(&g_live.sequence);
        uint64_t mask = mt_load_acquire(&g_live.mask); /* before the array: a new mask implies the new array */
        const struct entry *entries = mt_load_acquire(&g_live.entries);
        if (MT_UNLIKELY(entries == NULL)) {
            return NO;
        }
        uint64_t at = slot_of(wanted, mask);
        uint64_t found = mt_load_relaxed(&entries[at].ptr);
        for (uint64_t steps = 0; found != wanted && found != 0 && steps <= mask; steps++) {
            at = (at + 1) & mask;
            found = mt_load_relaxed(&entries[at].ptr);
        }
        struct mt_sample sample = sample_of(&entries[at]);
        mt_fence_acquire();
        if ((before & 1) == 0 && mt_load_relaxed(&g_live.sequence) == before) {
            *ret = sample;
            return found == wanted ? YES : NO;
        }
        mt_cpu_relax();
    }
    return UNSURE;
}

/* Most are in their home place or nowhere, and nobody is at work: UNSURE where that is not so. */
MT_INLINE enum answer look_at_home(const void *ptr, struct mt_sample *ret)
{
    uint64_t wanted = (uint64_t)(uintptr_t)ptr;
    uint32_t before = mt_load_acquire(&g_live.sequence);
    uint64_t mask = mt_load_acquire(&g_live.mask); /* before the array, as in look_up */
    const struct entry *entries = mt_load_acquire(&g_live.entries);
    if (MT_UNLIKELY(entries == NULL || (before & 1) != 0)) {
        return UNSURE;
    }
    const struct entry *entry = &entries[slot_of(wanted, mask)];
    uint64_t found = mt_load_relaxed(&entry->ptr);
    *ret = sample_of(entry);
    mt_fence_acquire();
    bool told = (found == wanted || found == 0) && mt_load_relaxed(&g_live.sequence) == before;
    return MT_UNLIKELY(!told) ? UNSURE : found == wanted ? YES : NO;
}

static MT_NOINLINE bool contains_slowly(const void *ptr)
{
    struct mt_sample ignored;
    return look_up(ptr, &ignored) != NO; /* unsure: let the caller look under the lock */
}

bool mt_livetab_contains(const void *ptr)
{
    struct mt_sample ignored;
    enum answer answer = look_at_home(ptr, &ignored);
    return MT_LIKELY(answer != UNSURE) ? answer == YES : contains_slowly(ptr);
}

/* False when the lock was not had in time: what happens to a sample now is lost. */
static bool lock_or_count(void)
{
    bool had = mt_spinlock_lock(&g_live.lock);
    mt_engine_count(MT_COUNTER_DROPPED_EVENTS, !had);
    return had;
}

static MT_NOINLINE bool find_slowly(const void *ptr, struct mt_sample *ret)
{
    enum answer answer = look_up(ptr, ret);
    if (MT_LIKELY(answer != UNSURE) || !lock_or_count()) {
        return answer == YES;
    }
    const struct entry *entry = &g_live.entries[find((uint64_t)(uintptr_t)ptr)];
    *ret = sample_of(entry);
    bool there = entry->ptr != 0;
    mt_spinlock_unlock(&g_live.lock);
    return there;
}

bool mt_livetab_find(const void *ptr, struct mt_sample *ret)
{
    enum answer answer = look_at_home(ptr, ret);
    return MT_LIKELY(answer != UNSURE) ? answer == YES : find_slowly(ptr, ret);
}

/* found: what it must be; NULL: whatever there is. ret: what it was; NULL: nobody asks. */
static bool remove_entry(const void *ptr, const struct mt_sample *found, struct mt_sample *ret)
{
    if (mt_load_relaxed(&g_live.entries) == NULL) {
        return false;
    }
    if (!lock_or_count()) { /* its sample has no end now */
        return false;
    }
    uint64_t wanted = (uint64_t)(uintptr_t)ptr;
    uint64_t at = find(wanted);
    struct mt_sample sample = sample_of(&g_live.entries[at]);
    bool there = g_live.entries[at].ptr == wanted && (found == NULL || sample.tag == found->tag);
    if (there) {
        delete_locked(at);
        filter_remove(wanted);
    }
    mt_spinlock_unlock(&g_live.lock);
    if (there && ret != NULL) {
        *ret = sample;
    }
    return there;
}

bool mt_livetab_remove(const void *ptr, struct mt_sample *ret)
{
    return remove_entry(ptr, NULL, ret);
}

bool mt_livetab_remove_found(const void *ptr, const struct mt_sample *found)
{
    return remove_entry(ptr, found, NULL);
}

uint64_t mt_livetab_count(void)
{
    return mt_load_relaxed(&g_live.count);
}

bool mt_livetab_each(void (*take)(void *context, uint64_t ptr, const struct mt_sample *sample), void *context)
{
    if (mt_load_relaxed(&g_live.entries) == NULL || !mt_spinlock_lock(&g_live.lock)) {
        return mt_load_relaxed(&g_live.entries) == NULL;
    }
    for (uint64_t i = 0; i <= g_live.mask; i++) {
        if (g_live.entries[i].ptr != 0) {
            struct mt_sample sample = sample_of(&g_live.entries[i]);
            take(context, g_live.entries[i].ptr, &sample);
        }
    }
    mt_spinlock_unlock(&g_live.lock);
    return true;
}

void mt_livetab_clear(void)
{
    if (mt_load_relaxed(&g_live.entries) == NULL) {
        return;
    }
    write_begin();
    memset(g_live.entries, 0, (size_t)(g_live.mask + 1) * sizeof(struct entry));
    g_live.count = 0;
    memset((uint8_t *)(uintptr_t)g_live.filter, 0, (size_t)1 << g_live.filter_bits);
    write_end();
}

void mt_livetab_after_fork(void)
{
    mt_spinlock_reset(&g_live.lock);
    if ((g_live.sequence & 1) != 0) { /* a writer of the parent was inside */
        write_end();
    }
    mt_livetab_clear();
}
