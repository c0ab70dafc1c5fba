/* facts.h: a few numbers of each target, for metrics and the monitor.
 *
 * Decides: of a recording that is finished they are read once, until its file changes; of one that grows each time they are asked for, which
 * costs what is new. Context: [tool], a worker.
 */
#ifndef MT_SERVE_FACTS_H
#define MT_SERVE_FACTS_H

#include "serve/targets.h"

/* Numbers of `memtap stats -f json` by name; NAN: not known. */
#define MT_FACTS(X)                                                                                                    \
    X(leaked_bytes)                                                                                                    \
    X(libc_bytes)                                                                                                      \
    X(leaked_allocations)                                                                                              \
    X(peak_bytes)                                                                                                      \
    X(total_allocated_bytes)                                                                                           \
    X(allocations)                                                                                                     \
    X(deallocations)                                                                                                   \
    X(dropped_events)                                                                                                  \
    X(threads)                                                                                                         \
    X(duration_s)                                                                                                      \
    X(rss_peak_bytes)

struct mt_facts_read {
#define X(name) double name;
    MT_FACTS(X)
#undef X
    uint64_t pid;
    bool growing;
    double resident_bytes; /* now; NAN: the process is gone */
};

/* False: the target cannot be read. */
bool mt_facts_read(struct mt_target *target, struct mt_facts_read *ret);
/* Resident bytes of a process now; NAN: there is none. */
double mt_facts_resident(uint64_t pid);

#endif
