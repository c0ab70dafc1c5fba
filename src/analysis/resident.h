/* resident.h: what mt_analyze says of one process, kept while its trace grows.
 *
 * Decides: an event is counted once. Events are added as they come, and the analysis of all so far can be taken between any two of
 * them, as often as one likes: that costs what is alive and the places there are, not what has happened. It is that of one
 * reading of the whole trace, to the byte, with two exceptions: sites are told apart by their stacks also where totals_only was asked for, and
 * intervals of a timeline are of a length of the resident's own (run_heap.c), so that there are up to half fewer than were asked for.
 * What is counted is what reports ask for by default; other questions (a moment, a window, another N of "temporary", one
 * thread alone) need a reading of their own.
 * Rejected: a pass for each question that was asked before (each costs the memory of one, and all would be fed for ever).
 * Context: [tool], one thread at a time.
 */
#ifndef MT_ANALYSIS_RESIDENT_H
#define MT_ANALYSIS_RESIDENT_H

#include "analysis/analysis.h"

struct mt_resident;

/* For the events of a trace that is followed (model/follow.h), from the first on; of one generation. Borrows the trace. */
struct mt_resident *mt_resident_new(struct mt_trace *trace);
void mt_resident_free(struct mt_resident *resident); /* NULL is fine */

/* The trace was polled. False: what has been counted cannot be gone on with (the mode or the allocators are others, or a mark came
 * late): begin anew; false of a new one: this trace has to be read as a whole, because it says when its program ended. */
bool mt_resident_refresh(struct mt_resident *resident) MT_CHECKED;
/* The next events, in order. */
void mt_resident_add(struct mt_resident *resident, const struct mt_event *events, size_t count);

/* Is this what is counted? */
bool mt_resident_answers(const struct mt_analysis_options *options);
/* The analysis of all events added; options: which mt_resident_answers. set: of the trace alone. losses: of the follow. ret must be given to
 * mt_analysis_fini. */
void mt_resident_view(const struct mt_resident *resident, const struct mt_trace_set *set, const struct mt_analysis_options *options,
                      const struct mt_cursor_losses *losses, struct mt_analysis *ret);

#endif
