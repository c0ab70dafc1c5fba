/* waiting.h: blocks that could not be written yet.
 *
 * Decides: that a shortage which may pass (a disk that is full for a moment, no descriptor) does not end the recording while
 * there is memory: the block is copied, and written before the next one that can be. At most MT_WAITING_MAX_BYTES wait; they
 * are lost when the process is killed meanwhile, and a reader sees the gap. Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_WAITING_H
#define MT_HEAP_WAITING_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_WAITING_MAX_BYTES = 16 * 1024 * 1024 };

/* Is there hope that what failed with this status succeeds later? */
bool mt_waiting_may_help(mt_status why);
/* Keeps a copy. MT_E_FULL, MT_E_NOMEM: there is no room for it. */
mt_status mt_waiting_add(const struct mt_block_header *header, const void *payload, size_t bytes, mt_status why) MT_CHECKED;
bool mt_waiting_is_empty(void);
/* Writes what waits, the oldest first, until one fails again. MT_OK: nothing waits any more. */
mt_status mt_waiting_write(mt_status (*write)(const struct mt_block_header *header, const void *payload, size_t bytes));
/* What was given up. */
struct mt_waiting_loss {
    mt_status why;  /* the first of the blocks could not be written; MT_OK: there were none */
    uint64_t clock; /* it begins at */
    uint64_t events;
};
/* Gives up what still waits. */
struct mt_waiting_loss mt_waiting_drop(void);
/* Fork child: the parent's blocks are not ours. Context: [fork-child]. */
void mt_waiting_after_fork(void);

#endif
