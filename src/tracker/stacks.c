/* stacks.c: see stacks.h. */
#include "tracker/stacks.h"

#include "base/hash.h"
#include "tracker/private.h"

#include <string.h>

enum { FIRST_SLOTS = 256, FIRST_ENTRIES_LOG2 = 7, ARENA_BYTES = 1 << 18, ARENA_HEAD_WORDS = 2 };

void mt_stacks_init(struct mt_stacks *stacks)
{
    for (size_t i = 0; i < MT_STACK_PARTS; i++) {
        struct mt_stack_part *part = &stacks->parts[i];
        *part = (struct mt_stack_part){ .lock = MT_SPINLOCK_INIT(MT_RANK_TRACKER_POOL) };
        mt_segvec_init(&part->entries, sizeof(struct mt_stack_entry *), FIRST_ENTRIES_LOG2);
    }
}

static size_t slots_bytes(const struct mt_stack_part *part)
{
    return part->mask == 0 ? 0 : ((size_t)part->mask + 1) * sizeof(uint32_t);
}

static void free_arenas(struct mt_stack_part *part)
{
    while (part->arenas != NULL) {
        void *before = *(void **)part->arenas;
        mt_os_unmap(part->arenas, ARENA_BYTES);
        part->arenas = before;
    }
}

void mt_stacks_fini(struct mt_stacks *stacks)
{
    for (size_t i = 0; i < MT_STACK_PARTS; i++) {
        struct mt_stack_part *part = &stacks->parts[i];
        mt_os_unmap(part->slots, slots_bytes(part));
        mt_segvec_fini(&part->entries);
        free_arenas(part);
    }
    mt_stacks_init(stacks);
}

uint64_t mt_stacks_bytes(const struct mt_stacks *stacks)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < MT_STACK_PARTS; i++) {
        bytes += stacks->parts[i].mapped_bytes + stacks->parts[i].entries.mapped_bytes + slots_bytes(&stacks->parts[i]);
    }
    return bytes;
}

static struct mt_stack_entry *entry_at(const struct mt_stack_part *part, uint32_t index)
{
    return *(struct mt_stack_entry **)mt_segvec_at(&part->entries, index);
}

const struct mt_stack_entry *mt_stacks_entry(const struct mt_stacks *stacks, uint32_t number)
{
    if (number == 0) {
        return NULL;
    }
    const struct mt_stack_part *part = &stacks->parts[(number - 1) % MT_STACK_PARTS];
    uint32_t index = (number - 1) >> MT_STACK_PARTS_LOG2;
    return index < mt_load_acquire(&part->entries.count) ? entry_at(part, index) : NULL;
}

static bool same_words(const struct mt_stack_entry *entry, const uint64_t *words, size_t count)
{
    uint64_t difference = 0;
    for (size_t i = 0; i < count; i++) {
        difference |= entry->words[i] ^ words[i];
    }
    return difference == 0;
}

static uint32_t *find_slot(const struct mt_stack_part *part, uint64_t hash, const uint64_t *words, size_t count)
{
    uint32_t at = (uint32_t)(hash >> MT_STACK_PARTS_LOG2) & part->mask;
    for (;; at = (at + 1) & part->mask) {
        if (part->slots[at] == 0) {
            return &part->slots[at];
        }
        const struct mt_stack_entry *entry = entry_at(part, part->slots[at] - 1);
        if (entry->hash == hash && entry->count == count && same_words(entry, words, count)) {
            return &part->slots[at];
        }
    }
}

static MT_COLD bool grow_slots(struct mt_stack_part *part)
{
    uint32_t slots = part->mask == 0 ? FIRST_SLOTS : (part->mask + 1) * 2;
    void *memory = NULL;
    if (mt_os_map_anonymous(slots * sizeof(uint32_t), &memory) != MT_OK) {
        return false;
    }
    mt_os_unmap(part->slots, slots_bytes(part));
    part->slots = memory;
    part->mask = slots - 1;
    for (uint32_t index = 0; index < part->entries.count; index++) {
        const struct mt_stack_entry *entry = entry_at(part, index);
        *find_slot(part, entry->hash, entry->words, entry->count) = index + 1;
    }
    return true;
}

static bool new_arena(struct mt_stack_part *part)
{
    void *memory = NULL;
    if (mt_os_map_anonymous(ARENA_BYTES, &memory) != MT_OK) {
        return false;
    }
    *(void **)memory = part->arenas;
    part->arenas = memory;
    part->arena = (uint64_t *)memory + ARENA_HEAD_WORDS;
    part->arena_left = ARENA_BYTES / sizeof(uint64_t) - ARENA_HEAD_WORDS;
    part->mapped_bytes += ARENA_BYTES;
    return true;
}

static struct mt_stack_entry *new_entry(struct mt_stack_part *part, size_t count)
{
    size_t words = sizeof(struct mt_stack_entry) / sizeof(uint64_t) + count;
    if (words > part->arena_left && !new_arena(part)) {
        return NULL;
    }
    void *entry = part->arena;
    part->arena += words;
    part->arena_left -= words;
    return entry;
}

/* Index of the new stack + 1; 0: no room. */
static MT_COLD uint32_t add_locked(struct mt_stack_part *part, uint64_t hash, const uint64_t *words, size_t count)
{
    uint32_t index = part->entries.count;
    if (index >= MT_STACK_NUMBER_MAX >> MT_STACK_PARTS_LOG2 || (index >= part->mask - part->mask / 4 && !grow_slots(part))) {
        return 0;
    }
    struct mt_stack_entry *entry = new_entry(part, count);
    if (entry == NULL) {
        return 0;
    }
    entry->hash = hash;
    entry->count = count;
    memcpy(entry->words, words, count * sizeof(uint64_t));
    if (mt_segvec_reserve(&part->entries) != MT_OK) {
        return 0;
    }
    *(struct mt_stack_entry **)mt_segvec_at(&part->entries, index) = entry;
    mt_segvec_publish(&part->entries); /* readers have no lock: the address first, then the count */
    *find_slot(part, hash, words, count) = index + 1;
    return index + 1;
}

static uint64_t hash_words(const uint64_t *words, size_t count)
{
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        hash = mt_hash_step(hash, words[i]);
    }
    return mt_hash_u64(hash);
}

uint32_t mt_stacks_intern(struct mt_stacks *stacks, const uint64_t *words, size_t count, bool *ret_new)
{
    uint64_t hash = hash_words(words, count);
    uint32_t part_idx = (uint32_t)hash % MT_STACK_PARTS;
    struct mt_stack_part *part = &stacks->parts[part_idx];
    if (!mt_spinlock_lock(&part->lock)) {
        return 0;
    }
    uint32_t found = part->mask == 0 ? 0 : *find_slot(part, hash, words, count);
    *ret_new = found == 0;
    if (MT_UNLIKELY(found == 0)) {
        found = add_locked(part, hash, words, count);
    }
    mt_spinlock_unlock(&part->lock);
    return found == 0 ? 0 : (((found - 1) << MT_STACK_PARTS_LOG2) | part_idx) + 1;
}

/* ---- the public face ---------------------------------------------------------------------------------------------- */

uint32_t mt_tracker_stack(struct mt_tracker *tracker, const uint64_t *words, size_t count, bool *ret_new)
{
    bool is_new = false;
    uint32_t number = 0;
    if (count > 0 && count <= MT_TRACKER_STACK_MAX_WORDS) {
        number = mt_stacks_intern(&tracker->stacks, words, count, &is_new);
    }
    if (number == 0) {
        mt_fetch_add_relaxed(&tracker->stacks_dropped, 1u);
    }
    if (ret_new != NULL) {
        *ret_new = is_new && number != 0;
    }
    return number;
}

const uint64_t *mt_tracker_stack_words(const struct mt_tracker *tracker, uint32_t stack, size_t *ret_count)
{
    const struct mt_stack_entry *entry = mt_stacks_entry(&tracker->stacks, stack);
    *ret_count = entry == NULL ? 0 : entry->count;
    return entry == NULL ? NULL : entry->words;
}

void mt_tracker_visit_stacks(const struct mt_tracker *tracker,
                             void (*visit)(void *context, const uint64_t *words, size_t count), void *context)
{
    for (uint32_t part = 0; part < MT_STACK_PARTS; part++) {
        uint32_t count = mt_load_acquire(&tracker->stacks.parts[part].entries.count);
        for (uint32_t index = 0; index < count; index++) {
            const struct mt_stack_entry *entry =
                mt_stacks_entry(&tracker->stacks, ((index << MT_STACK_PARTS_LOG2) | part) + 1);
            visit(context, entry->words, entry->count);
        }
    }
}
