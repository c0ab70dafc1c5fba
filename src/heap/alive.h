/* alive.h: what is alive, as a base says it.
 *
 * Decides: that a base has records like those that were made: an allocation or a mapping with its old clock in a block of its old
 * stream, and the beginning of a realloc that is under way. Copied while nobody records (hold.h), sorted and written afterwards.
 * Contexts: [hook] with the guard set, one thread at a time.
 */
#ifndef MT_HEAP_ALIVE_H
#define MT_HEAP_ALIVE_H

#include "heap/base.h"
#include "heap/thread.h"

struct mt_alive_item;
struct mt_alive_stream;

struct mt_alive {
    struct mt_alive_item *items;
    size_t count, capacity;
    struct mt_alive_stream *streams; /* of threads that may go on */
    size_t stream_count, stream_capacity;
    uint32_t *named;                 /* sorted: all that have a block */
    size_t named_count;
    bool complete;
};

/* Room for what there is now, and as much again: it may become more before nobody records. */
bool mt_alive_begin(struct mt_alive *alive) MT_CHECKED;
void mt_alive_free(struct mt_alive *alive);
/* A thread that may go on, with the realloc it is in; all else that is alive. False: there is no room, or no lock was had. */
bool mt_alive_take_thread(struct mt_alive *alive, const struct mt_thread *t, uint64_t clock) MT_CHECKED;
bool mt_alive_take_all(struct mt_alive *alive) MT_CHECKED;
/* Bytes and blocks it takes at most. */
uint64_t mt_alive_room(const struct mt_alive *alive);
size_t mt_alive_blocks(const struct mt_alive *alive);
/* Sorts it; the streams that have a block, sorted, as long as alive is there. */
const uint32_t *mt_alive_sort(struct mt_alive *alive, size_t *ret_count);
/* buffer: of MT_ALIVE_BUFFER_BYTES. Status in the base. */
enum { MT_ALIVE_BUFFER_BYTES = 64 * 1024 };
void mt_alive_put(struct mt_alive *alive, struct mt_base *base, uint8_t *buffer);

#endif
