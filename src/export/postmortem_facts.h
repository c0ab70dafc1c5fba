/* postmortem_facts.h: whose end a postmortem is about, who ended it, and what was known of its limit.
 *
 * Decides: the process in question is the one that the kernel killed for want of memory, else the one that the run began with. That the
 * kernel killed it is said only where the counter of its control group rose (trace.md 1.1, kills). Context: [tool], pure.
 */
#ifndef MT_EXPORT_POSTMORTEM_FACTS_H
#define MT_EXPORT_POSTMORTEM_FACTS_H

#include "export/report.h"

struct mt_ending_facts {
    const struct mt_trace *trace;
    const struct mt_trace_info *info;
    uint64_t duration_ns;  /* of the process; until now while it runs */
    const char *killed_by; /* "kernel", "signal", "itself", "unknown"; NULL: it runs */
    int signal;            /* that it died of; 0: of none */
    const struct mt_trace_rss *rss;  /* the last one; NULL: there is none */
    const struct mt_trace_mark *low; /* the last time that memory was low; NULL: it never was */
    const char *limit_key, *limit_text; /* the file that says the limit; whose it is */
};

struct mt_ending_facts mt_ending_facts_of(const struct mt_trace_set *set);
/* Does the mark name the control group? */
bool mt_ending_names_group(const struct mt_ending_facts *facts);

#endif
