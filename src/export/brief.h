/* brief.h: the first screen about a run: how long, how much at the peak and who held it, what stayed, the biggest place.
 *
 * Decides: what a person reads first, at the end of `run` and at the top of `summary`: lines about the run as a whole,
 * however many processes it had. Context: [tool].
 */
#ifndef MT_EXPORT_BRIEF_H
#define MT_EXPORT_BRIEF_H

#include "export/facts.h"

/* "4 min 58 s, 12 threads, 3 processes" */
void mt_brief_extent(struct mt_out *out, const struct mt_facts *facts);
/* Worth the time of looking stacks up, which the line "biggest" needs. */
bool mt_brief_wants_names(const struct mt_report *report);
/* The same before anything was analysed: a guess, by what the processes had resident. */
bool mt_brief_may_want_names(const struct mt_trace_set *set);
/* Lines "  peak …", "  held by …" (several processes), "  alive …", "  biggest …" (with frames, and where they are wanted), "  reserved …". */
void mt_brief_write(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts);

/* A line like these: what recording itself took and lost; nothing where that was not measured. */
void mt_brief_own(struct mt_out *out, const struct mt_facts *facts);

#endif
