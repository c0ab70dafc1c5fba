/* summary.h: the results of a pass, kept in a packed trace (docs/formats/trace.md section 8).
 *
 * Decides: when a summary is worth its bytes (LEAST_EVENTS, and at least EVENTS_A_SITE events a site, so that it is a
 * small part of the file), and when it answers a question: the whole run, no window, no timeline, the same N of
 * temporaries. Reading it gives exactly what the pass gives (growth and lifetime are rounded to f32 by both). Measured
 * on 10 M events: stats 0.79 s without, 0.02 s with. Context: [tool].
 */
#ifndef MT_ANALYSIS_SUMMARY_H
#define MT_ANALYSIS_SUMMARY_H

#include "analysis/analysis.h"

/* For mt_pack_options.summarize: analyses the trace at path, which has no more than so many events. *ret_data is malloc'ed,
 * NULL when not worth it: then a trace of few events was not even opened. */
mt_status mt_summary_make(const char *path, uint64_t events, uint8_t **ret_data, size_t *ret_bytes) MT_CHECKED;

/* The same whatever the size of the trace. analysis: of exactly one trace, without window and stop. */
void mt_summary_encode(const struct mt_analysis *analysis, uint32_t temporary_max, uint8_t **ret_data,
                       size_t *ret_bytes);

/* Reads the summary of the only trace of a set into an analysis that has begun (mt_analysis_begin). False when there is none, it
 * is damaged, or it does not answer these options; then nothing was added. Of several traces each has its own peak there, not the run's. */
bool mt_summary_read(const struct mt_trace *trace, const struct mt_analysis_options *options, struct mt_analysis *a);

#endif
