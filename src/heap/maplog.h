/* maplog.h: the records of address ranges that still mean something.
 *
 * Decides: which of them a base has to repeat, so that a reader that begins there knows what is mapped as if it had read all of
 * them. What a later mapping or unmapping covers as a whole is forgotten; the rest is kept as it was recorded. Sample mode alone.
 * Bound: one entry a piece of address space that is in use, and one a record that covers only a part of another.
 * Contexts: [hook] with the guard set, inside a recording section.
 */
#ifndef MT_HEAP_MAPLOG_H
#define MT_HEAP_MAPLOG_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_mapping_record {
    uint64_t low, bytes, clock;
    uint32_t stack, stream, label;
    uint16_t kind; /* enum mt_map_kind */
    bool ends;     /* UNMAP */
};

/* What a mapping becomes that is moved from there (mremap): a record of kind MREMAP does not say it. False: it was several things. */
bool mt_maplog_moved_kind(uint64_t low, uint64_t bytes, uint16_t *ret_kind) MT_CHECKED;
/* Says what was recorded. False: there is no memory for it, what is kept is not complete from here on. */
bool mt_maplog_note(const struct mt_mapping_record *record) MT_CHECKED;
/* Calls take for each, in no order, under the lock; false: the lock was not had. take may not need another lock. */
bool mt_maplog_each(void (*take)(void *context, const struct mt_mapping_record *record), void *context) MT_CHECKED;
uint64_t mt_maplog_count(void);
/* For a new trace; no other thread may be inside. */
void mt_maplog_clear(void);
void mt_maplog_after_fork(void);

#endif
