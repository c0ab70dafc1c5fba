/* append.h: one run, one file: other traces put behind a trace, and a trace rewritten where it is.
 *
 * Decides: the order of writes, so that the file can be read at every moment. A trace is copied behind the end first, its
 * PROCESS block comes before it, and file_tail, which no reader looks beyond, last. Killed in between, the file is what it
 * was. Who calls removes the original afterwards; readers take what they meet twice once (model/trace_set.c).
 * The file's inode stays. No process may be writing to either file. Context: [tool].
 */
#ifndef MT_WIRE_APPEND_H
#define MT_WIRE_APPEND_H

#include "base/status.h"

/* Puts the trace at `from` behind the traces in `to`, both open regular files, the second for writing. MT_E_CORRUPT: one of
 * them is no trace. */
mt_status mt_append_trace(int to, int from) MT_CHECKED;
/* Makes `to` what `from` is, in place. Killed in between, `to` is damaged and `from` is what it was to become. */
mt_status mt_rewrite_trace(int to, int from) MT_CHECKED;

#endif
