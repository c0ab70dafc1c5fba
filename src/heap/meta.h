/* meta.h: the metadata stream (stream 0): strings, modules, threads, code objects, stack nodes, stacks, RSS.
 *
 * Decides: that metadata is serialised by one lock. It is written when something is seen for the first time, never per
 * event. Invariant: a record is in the file before any event can refer to it. All functions ending in _locked need
 * mt_meta_lock. Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_META_H
#define MT_HEAP_META_H

#include "base/status.h"
#include "heap/base.h"
#include "wire/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens the stream in the current trace file. */
mt_status mt_meta_open(void) MT_CHECKED;
/* Flushes the stream's slot as a block and gives the slot back. */
void mt_meta_close(void);
/* The process ends: what is in memory alone is written. */
void mt_meta_settle(void);
void mt_meta_after_fork(void);

bool mt_meta_lock(void) MT_CHECKED;
void mt_meta_unlock(void);

/* A record is built in one shared buffer (64 KiB, larger payloads are refused), then appended. */
struct mt_meta_builder *mt_meta_new_locked(void);
/* False: the record is lost (file full); callers count it. */
bool mt_meta_append_locked(enum mt_meta_tag tag, const struct mt_meta_builder *record) MT_CHECKED;
/* Number of a string, writing it at first sight; 0 for the empty string or when it is lost. Uses the builder. */
uint32_t mt_meta_string_locked(const void *text, size_t bytes);

/* ---- for bases (checkpoint.c) ---------------------------------------------------------------------------------- */

/* Where a block of the stream is. */
struct mt_meta_place {
    uint64_t offset; /* of its header */
    uint32_t bytes;  /* of its payload */
};
/* All that was written so far. */
struct mt_meta_extent {
    size_t blocks;
    uint64_t bytes; /* with headers */
    uint32_t largest; /* payload of one */
    uint32_t next_seq;
};
/* The slot becomes a block. False: it cannot, or it is not known where all blocks are. */
bool mt_meta_turn_locked(struct mt_meta_extent *ret) MT_CHECKED;
struct mt_meta_place mt_meta_place_locked(size_t at);
/* The first `count` blocks are now these, which are no more. */
void mt_meta_move_locked(size_t count, const struct mt_base_block *blocks, size_t block_count);

#endif
