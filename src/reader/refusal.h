/* refusal.h: what an aggregate trace cannot answer.
 *
 * Decides: a question about single allocations (when, for how long, by which thread) on a set with an aggregate trace is
 * refused with a sentence that says why, never answered with a number; sums, the peak of one process and what is alive
 * at its end are known. Context: [tool].
 */
#ifndef MT_READER_REFUSAL_H
#define MT_READER_REFUSAL_H

#include "model/trace.h"
#include "util/error.h"

/* MT_E_INVAL when a trace of the set is an aggregate; what: "what was alive at a time (--at)". */
mt_status mt_refuse_aggregate(const struct mt_trace_set *set, const char *what, struct mt_error *err) MT_CHECKED;

#endif
