/* tracefile.h: the trace file as the agent sees it: a header written at the start and at the end, and blocks in between.
 *
 * Decides: where in the file blocks go (one atomic add on file_tail in the header, which lies in the journal: slots.h), and when
 * the trace is whole without its journal. Which file it is, descriptor.h knows.
 * Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_TRACEFILE_H
#define MT_HEAP_TRACEFILE_H

#include "heap/descriptor.h"
#include "heap/slots.h"
#include "heap/waiting.h"

/* Creates the file at config->path (must not exist, unless config->fd is given) and its journal. Fields of the header other than
 * magic, sizes, tails and the journal's are zero. */
mt_status mt_tracefile_create(const struct mt_engine_config *config, struct mt_trace_header **ret_header) MT_CHECKED;
/* The header as it is now, and the way to the journal, into the file itself. */
mt_status mt_tracefile_show(void) MT_CHECKED;
/* The end. Slots of streams must have been released. Removes the journal if all it had is in the file. The header stays mapped:
 * counters may still be added to; the next create takes its place. */
void mt_tracefile_close(void);
/* The process ends: the same as far as the files are concerned; whatever is mapped stays so, other threads may be writing to it.
 * Context: any, also a signal handler. */
void mt_tracefile_end(void);
struct mt_trace_header *mt_tracefile_header(void);
/* Appends one block, after those that wait. header's type, stream, clocks, seq, events are set by the caller; the rest is filled
 * here. */
mt_status mt_tracefile_append(struct mt_block_header *header, const void *payload, size_t bytes) MT_CHECKED;
#ifdef MT_CHECKS
/* Tests: called before each step that changes the file or what its header says of a base. */
extern void (*mt_g_tracefile_step)(void);
#define MT_TRACEFILE_STEP() (mt_g_tracefile_step != NULL ? mt_g_tracefile_step() : (void)0)
#else
#define MT_TRACEFILE_STEP() ((void)0)
#endif

/* The same; *ret_offset: where it is. */
mt_status mt_tracefile_append_at(struct mt_block_header *header, const void *payload, size_t bytes, uint64_t *ret_offset) MT_CHECKED;
/* Room at the tail; what is written into it, and read of the file at all, is the caller's. */
uint64_t mt_tracefile_claim(uint64_t bytes);
mt_status mt_tracefile_write(uint64_t offset, const void *data, size_t bytes) MT_CHECKED;
/* MT_E_TRUNCATED: the file is shorter. */
mt_status mt_tracefile_read(uint64_t offset, void *data, size_t bytes) MT_CHECKED;
/* The trace begins at that base from here on (trace.md 1.5). MT_E_BUSY: it has just ended. */
mt_status mt_tracefile_begin_at(uint64_t offset) MT_CHECKED;
/* Does the file system do what follows? Tried behind the end of the file. */
bool mt_tracefile_can_punch(void);
/* Gives the pages of `from` up to that of `to` back to the file system; what is in front of `from` on its page is of no use either. */
mt_status mt_tracefile_punch(uint64_t from, uint64_t to) MT_CHECKED;
/* A block that could not be appended (why) waits in memory (waiting.h); why, if there is no hope or no memory for it. */
mt_status mt_tracefile_append_later(const struct mt_block_header *header, const void *payload, size_t bytes,
                                    mt_status why) MT_CHECKED;
/* Copies an extent of the journal, header and all. */
mt_status mt_tracefile_append_extent(const struct mt_block_header *extent) MT_CHECKED;
/* The end: writes what waits; says what could not be and is lost. */
struct mt_waiting_loss mt_tracefile_settle(void) MT_CHECKED;
/* Fork child: the mappings are gone (DONTFORK); forget them. Context: [fork-child]. */
void mt_tracefile_after_fork(void);

#endif
