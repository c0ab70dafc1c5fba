/* recordings.h: of how many runs a report is a sum.
 *
 * Decides: files of one run are one recording: the processes in a file, and those in its FILE.d. A process whose parent is in the set
 * belongs to that one's. Of several recordings a report says so, because sums over runs are asked for by mistake too: `memtap-app.*.mtap`
 * is every run of app. Context: [tool].
 */
#ifndef MT_EXPORT_RECORDINGS_H
#define MT_EXPORT_RECORDINGS_H

#include "model/trace.h"
#include "util/strlist.h"

size_t mt_recordings_count(const struct mt_trace_set *set);
/* One sentence about what is summed, where there are several. */
void mt_recordings_warn(const struct mt_trace_set *set, struct mt_strlist *ret);

#endif
