/* meta.c: see meta.h. */
#include "heap/meta.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"
#include "heap/hashtab.h"
#include "heap/tracefile.h"
#include "wire/encode.h"

#include <string.h>

enum {
    PLACES_FIRST = 256,
    BUILDER_BYTES = 64 * 1024,
    HEAD_ROOM = 16,  /* in front of the record being built, for its tag and length */
    SHORT_BYTES = 32, /* a record of so few is copied without counting them */
};

static struct {
    struct mt_spinlock lock;
    struct mt_slot slot;
    uint32_t used; /* committed payload bytes */
    uint32_t seq;
    uint32_t strings;            /* numbered so far */
    struct mt_hashtab string_of; /* hash of the text -> number */
    uint8_t *buffer;             /* HEAD_ROOM + BUILDER_BYTES */
    struct mt_meta_builder builder;
    struct mt_meta_place *places; /* of all blocks so far */
    size_t place_count, place_capacity;
    bool scattered; /* or not of all: something waits, or was left in the journal */
} g_meta = { .lock = MT_SPINLOCK_INIT(MT_RANK_META), .string_of = { .locked = true } };

bool mt_meta_lock(void)
{
    return mt_spinlock_lock(&g_meta.lock);
}

void mt_meta_unlock(void)
{
    mt_spinlock_unlock(&g_meta.lock);
}

mt_status mt_meta_open(void)
{
    if (g_meta.buffer == NULL) {
        void *base = NULL;
        mt_status status = mt_os_map_anonymous(HEAD_ROOM + BUILDER_BYTES, &base);
        if (status != MT_OK) {
            return status;
        }
        g_meta.buffer = base;
    }
    mt_hashtab_clear(&g_meta.string_of);
    g_meta.strings = 0;
    g_meta.seq = 0;
    g_meta.used = 0;
    g_meta.place_count = 0;
    g_meta.scattered = false;
    return mt_slot_acquire(MT_STREAM_META, MT_BLOCK_META, true, 0, &g_meta.slot);
}

void mt_meta_after_fork(void)
{
    mt_spinlock_reset(&g_meta.lock);
    g_meta.slot.header = NULL;
    mt_hashtab_clear(&g_meta.string_of);
}

static bool grow_places(void)
{
    void *base = NULL;
    size_t capacity = g_meta.place_capacity == 0 ? PLACES_FIRST : 2 * g_meta.place_capacity;
    if (mt_os_map_anonymous(capacity * sizeof *g_meta.places, &base) != MT_OK) {
        return false;
    }
    struct mt_meta_place *old = g_meta.places;
    size_t old_bytes = g_meta.place_capacity * sizeof *old;
    if (old != NULL) {
        memcpy(base, old, g_meta.place_count * sizeof *old);
    }
    g_meta.places = base;
    g_meta.place_capacity = capacity;
    mt_fence_compiler();
    if (old != NULL) { /* last: another thread may fork at any time */
        mt_os_unmap(old, old_bytes);
    }
    return true;
}

static void note_place(uint64_t offset, size_t bytes)
{
    if (g_meta.place_count == g_meta.place_capacity && !grow_places()) {
        g_meta.scattered = true;
        return;
    }
    g_meta.places[g_meta.place_count++] = (struct mt_meta_place){ offset, (uint32_t)bytes };
}

/* Writes what the slot holds as a block; the slot, or another one where that is not possible, then goes on with the next seq. */
static bool flush_locked(void)
{
    if (g_meta.used == 0) {
        return true;
    }
    struct mt_block_header block = {
        .type = MT_BLOCK_META,
        .stream = MT_STREAM_META,
        .seq_committed = (uint64_t)g_meta.seq << 32,
    };
    uint64_t offset, from_ns = mt_engine_work_begins();
    mt_status status = mt_tracefile_append_at(&block, g_meta.slot.header + 1, g_meta.used, &offset);
    (void)mt_engine_work_ends(from_ns);
    g_meta.scattered = g_meta.scattered || status != MT_OK;
    if (status == MT_OK) {
        note_place(offset, g_meta.used);
        mt_slot_move_to_file(&g_meta.slot, MT_STREAM_META, MT_BLOCK_META, g_meta.seq + 1);
    } else if (g_meta.slot.in_memory) {
        status = mt_tracefile_append_later(&block, g_meta.slot.header + 1, g_meta.used, status);
    } else {
        status = mt_slot_leave(&g_meta.slot, status, MT_STREAM_META, MT_BLOCK_META, g_meta.seq + 1);
    }
    if (status != MT_OK) {
        return false;
    }
    g_meta.used = 0;
    g_meta.seq++;
    mt_store_release(&g_meta.slot.header->seq_committed, (uint64_t)g_meta.seq << 32);
    return true;
}

void mt_meta_close(void)
{
    if (g_meta.slot.header != NULL && flush_locked()) {
        mt_slot_release(&g_meta.slot);
    }
    g_meta.slot.header = NULL; /* else its content is in the journal as it is */
}

bool mt_meta_turn_locked(struct mt_meta_extent *ret)
{
    if (g_meta.slot.header == NULL || g_meta.slot.in_memory || g_meta.scattered || !flush_locked() || g_meta.scattered) {
        return false;
    }
    *ret = (struct mt_meta_extent){ .blocks = g_meta.place_count, .next_seq = g_meta.seq };
    for (size_t i = 0; i < g_meta.place_count; i++) {
        ret->bytes += mt_block_extent(g_meta.places[i].bytes);
        ret->largest = g_meta.places[i].bytes > ret->largest ? g_meta.places[i].bytes : ret->largest;
    }
    return true;
}

struct mt_meta_place mt_meta_place_locked(size_t at)
{
    return g_meta.places[at];
}

void mt_meta_move_locked(size_t count, const struct mt_base_block *blocks, size_t block_count)
{
    memmove(&g_meta.places[block_count], &g_meta.places[count], (g_meta.place_count - count) * sizeof *g_meta.places);
    g_meta.place_count -= count - block_count;
    for (size_t i = 0; i < block_count; i++) {
        g_meta.places[i] = (struct mt_meta_place){ blocks[i].offset, blocks[i].header.stored_bytes };
    }
}

void mt_meta_settle(void)
{
    if (mt_meta_lock()) {
        (void)(g_meta.slot.header != NULL && g_meta.slot.in_memory && flush_locked());
        mt_meta_unlock();
    }
}

struct mt_meta_builder *mt_meta_new_locked(void)
{
    mt_meta_begin(&g_meta.builder, g_meta.buffer + HEAD_ROOM, BUILDER_BYTES);
    return &g_meta.builder;
}

/* Records larger than the slot go out as a block of their own, after what is before them. */
static bool append_oversize_locked(const uint8_t *record, size_t bytes)
{
    if (!flush_locked()) {
        return false;
    }
    struct mt_block_header block = {
        .type = MT_BLOCK_META,
        .stream = MT_STREAM_META,
        .seq_committed = (uint64_t)g_meta.seq << 32,
    };
    uint64_t offset;
    if (mt_tracefile_append_at(&block, record, bytes, &offset) != MT_OK) {
        return false;
    }
    note_place(offset, bytes);
    g_meta.seq++;
    mt_store_release(&g_meta.slot.header->seq_committed, (uint64_t)g_meta.seq << 32);
    return true;
}

bool mt_meta_append_locked(enum mt_meta_tag tag, const struct mt_meta_builder *record)
{
    uint8_t head[MT_VARINT_MAX + 1];
    if (record->overflow || g_meta.slot.header == NULL) {
        return false;
    }
    size_t head_bytes = mt_meta_head(head, tag, record->bytes);
    size_t capacity = g_meta.slot.bytes - sizeof(struct mt_block_header);
    size_t bytes = head_bytes + record->bytes;
    uint8_t *from = record->buf - head_bytes; /* HEAD_ROOM */
    for (size_t i = 0; i < head_bytes; i++) {
        from[i] = head[i];
    }
    if (bytes > capacity) {
        return append_oversize_locked(from, bytes);
    }
    if (bytes > capacity - g_meta.used && !flush_locked()) {
        return false;
    }
    uint8_t *to = (uint8_t *)(g_meta.slot.header + 1) + g_meta.used;
    if (MT_LIKELY(bytes <= SHORT_BYTES && capacity - g_meta.used >= SHORT_BYTES)) {
        memcpy(to, from, SHORT_BYTES);
    } else {
        memcpy(to, from, bytes);
    }
    g_meta.used += (uint32_t)bytes;
    mt_store_release(&g_meta.slot.header->seq_committed, ((uint64_t)g_meta.seq << 32) | g_meta.used);
    return true;
}

uint32_t mt_meta_string_locked(const void *text, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    uint64_t key = mt_hash_bytes(text, bytes) | 1;
    uint32_t known;
    if (mt_hashtab_get(&g_meta.string_of, key, &known)) {
        return known;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_bytes(record, text, bytes);
    if (!mt_meta_append_locked(MT_META_STRING, record)) {
        return 0;
    }
    uint32_t number = ++g_meta.strings;
    (void)mt_hashtab_put(&g_meta.string_of, key, number); /* not remembered: written again next time */
    return number;
}
