/* journal_file.h: the journal beside a trace, as the tools see it (docs/formats/trace.md section 1.4).
 *
 * Decides: which file it is, and what a trace's header says when there is one. A journal is believed when it has the number, pid and
 * start that the trace's header has; it is looked for beside the trace, by its name, and then where it was made.
 * Context: [tool].
 */
#ifndef MT_WIRE_JOURNAL_FILE_H
#define MT_WIRE_JOURNAL_FILE_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>

/* Where extents of a journal are in a reader's offsets: behind everything a trace can have. */
#define MT_JOURNAL_OFFSET ((uint64_t)1 << 62)

/* The journal of the trace at path, whose header is *trace (journal not 0). Returns its descriptor, -1: there is none; and its path,
 * to be freed, if ret_path is not NULL. *ret_header: its first page. */
int mt_journal_open(const char *path, const struct mt_trace_header *trace, struct mt_trace_header *ret_header, char **ret_path);
/* The trace's header as it is now: the journal's, with what others have written into the trace since. */
void mt_journal_update_header(struct mt_trace_header *trace, const struct mt_trace_header *journal);
/* *header, read from the trace at path, as it is now. */
void mt_journal_complete_header(const char *path, struct mt_trace_header *header);
/* Copies the journal of the trace open at fd (path: its name) to its end, so that it is whole without, and removes the journal.
 * Nobody writes to the trace any more. MT_OK also where there is none. */
mt_status mt_journal_fold(int fd, const char *path) MT_CHECKED;
/* The same where the journal is open already (held, made at held_path): also for a trace that somebody has emptied. */
mt_status mt_journal_fold_held(int fd, int held, const char *held_path) MT_CHECKED;
/* Removes the journal of the trace at path, which is to be removed or has been replaced; *header is or was the trace's. */
void mt_journal_remove(const char *path, const struct mt_trace_header *header);
/* Removes what lies beside the trace at path as its journal although all of it is in the trace: the process that ended the recording
 * was not allowed to. */
void mt_journal_remove_left(const char *path);

#endif
