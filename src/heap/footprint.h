/* footprint.h: how much of the process is resident, and what of it is not the program's heap.
 *
 * Decides: a sample is resident and file-backed pages from /proc/self/statm (one read) and, when the process is larger
 * than ever or ends, the agent's own memory by mincore. Rejected: smaps, which walks the page tables of the whole process
 * under its lock; sampling from the tool, which sees one process and nothing under record and memprof
 * (docs/decisions/0015). Context: [agent], guard set; takes the metadata lock.
 */
#ifndef MT_HEAP_FOOTPRINT_H
#define MT_HEAP_FOOTPRINT_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Writes an RSS record with this clock. last: the program ends, everything is measured once more. */
void mt_footprint_sample(uint64_t clock, bool last);
/* Notes what the process had resident, files and the agent's own memory apart, before the recording that begins now. */
void mt_footprint_note_before(void);

#endif
