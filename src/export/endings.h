/* endings.h: how the recording of a run came to its end, in the words that reports use for it.
 *
 * Decides: a process of which no end is known and whose number is still in use goes on: what it holds is said to be so now. One that
 * was detached from, or whose recording ended before it did, held what is said when the recording ended. Context: [tool].
 */
#ifndef MT_EXPORT_ENDINGS_H
#define MT_EXPORT_ENDINGS_H

#include "model/trace.h"

/* Is the process of a trace still there, and recorded as far as one can know? */
bool mt_ending_is_open(const struct mt_trace_info *info);
/* "when the program ended", "when the recording ended", "now", and of several that differ "when each ended, or now". */
const char *mt_ending_words(const struct mt_trace_set *set);
/* The same where there is room for few: "at the end", "now", "at end, or now". */
const char *mt_ending_short(const struct mt_trace_set *set);

#endif
