/* timeline.h: the events of all shards in one order.
 *
 * Decides: a reader copies the chunks it needs, shard by shard under the shard's lock (1 KiB each, no decoding there), and
 * merges the copies without any lock by (time, shard). An upper bound of time, read before the first lock, makes the cut
 * clean: whatever was stamped up to it is in the copies (history.h). Context: [tool]; mt_timeline_next is pure.
 */
#ifndef MT_TRACKER_TIMELINE_H
#define MT_TRACKER_TIMELINE_H

#include "tracker/private.h"

enum { MT_TIMELINE_SMALL_CHUNKS = 4 }; /* that many copies need no mapping: a cursor that follows closely */

/* One shard's copies and where reading stands. */
struct mt_timeline_part {
    uint32_t first, chunks; /* of the copies */
    uint32_t at;            /* the chunk being read, from first */
    struct mt_chunk_reader reader;
    struct mt_tracker_event event; /* the next one; valid while has_event */
    bool has_event;
    uint64_t allocated, freed;     /* the shard's totals before event */
};

struct mt_timeline {
    uint8_t *copies;
    size_t copies_bytes;
    uint64_t to_ns;  /* later events are not delivered */
    uint64_t gone_ns; /* up to there some shard's events are missing: what is left has gaps, and its totals are of no moment */
    uint64_t events; /* in the copies, those after to_ns included */
    uint64_t allocated, freed; /* totals of all shards before the next event */
    uint32_t heap[MT_SHARDS_ALL]; /* parts that have an event, smallest (time, number) first */
    uint32_t heap_count;
    struct mt_timeline_part parts[MT_SHARDS_ALL];
    uint8_t small[MT_TIMELINE_SMALL_CHUNKS * MT_CHUNK_BYTES] __attribute__((aligned(8))); /* copies may be this */
};

/* Copies the chunks that hold events from from_ns or later and, per shard, from from_number[shard] or later (NULL: all).
 * MT_E_NOMEM, MT_E_BUSY. */
mt_status mt_timeline_open(struct mt_tracker *tracker, uint64_t from_ns, const uint64_t *from_number, uint64_t to_ns,
                           struct mt_timeline *ret) MT_CHECKED;
void mt_timeline_close(struct mt_timeline *timeline);
/* Skips to the first event at or after from_ns, whole chunks at a time where possible. */
void mt_timeline_seek(struct mt_timeline *timeline, uint64_t from_ns);
/* Number of a part's next event, counted from the shard's first ever. */
uint64_t mt_timeline_number(const struct mt_timeline *timeline, uint32_t part);
/* The next event with the totals of all shards; ret_part may be NULL. */
bool mt_timeline_next(struct mt_timeline *timeline, struct mt_tracker_event *ret, uint32_t *ret_part);

#endif
