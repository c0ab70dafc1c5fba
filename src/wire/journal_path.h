/* journal_path.h: the name of a trace's journal.
 *
 * Decides: it is hidden and lies beside the trace: FOLDER/.NAME.NUMBER.journal, the number in 16 hex digits, NAME cut where
 * the whole would be too long for a file name. The number is random, so that no two recordings ever mean the same file.
 * Context: any, async-signal safe.
 */
#ifndef MT_WIRE_JOURNAL_PATH_H
#define MT_WIRE_JOURNAL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False: it does not fit. */
bool mt_journal_path(const char *trace, uint64_t number, char *ret_path, size_t capacity);
/* The trace that a journal of such a name lies beside, NAME not cut. False: it is no such name, or it does not fit. */
bool mt_journal_trace_path(const char *journal, char *ret_path, size_t capacity);

#endif
