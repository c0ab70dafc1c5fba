/* facts.h: what the numbers of a whole run are: sums over its traces.
 *
 * Decides: what exec put in the place of a program is the same process and the same thread. Context: [tool], pure.
 */
#ifndef MT_EXPORT_FACTS_H
#define MT_EXPORT_FACTS_H

#include "export/footprint.h"
#include "export/report.h"

struct mt_facts {
    const struct mt_trace_info *root;    /* the process that the run began with, as it began */
    const struct mt_trace_info *program; /* what it became: behind launchers that end in exec */
    const struct mt_totals *totals;
    size_t processes;
    uint64_t threads;
    uint64_t rss_peak_bytes;
    struct mt_footprint footprint;
    uint64_t dropped_events;
    bool ended_early; /* a recording ended before its process: nobody knows what came after */
    uint64_t truncated_stacks;
    uint64_t trace_bytes;
    uint64_t cpu_ns;     /* processor time of the processes that measured it while they were recorded; 0: not known */
    uint64_t own_cpu_ns; /* of it, in the hooks and the recorder; an estimate (heap/cost.h) */
    bool is_attached; /* attach began the recording: what was allocated before is not known */
    bool sampled;
    bool aggregate;
    bool peak_is_bound;
};

struct mt_facts mt_facts_of(const struct mt_report *report);

#endif
