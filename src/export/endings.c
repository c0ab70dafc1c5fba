/* endings.c: see endings.h. */
#include "export/endings.h"

#include "base/os.h"
#include "export/report.h"
#include "model/moment.h"

bool mt_ending_is_open(const struct mt_trace_info *info)
{
    return !info->exit_known && mt_trace_is_live(info, mt_os_monotonic_ns());
}

/* Before its process as far as one can know: of a recording that was ended by itself nobody saw how the process ended, nor did Python
 * say that it did. */
static bool was_stopped(const struct mt_trace *trace)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    return info->state == MT_STATE_STOPPED || info->state == MT_STATE_FILE_FULL ||
           (info->state == MT_STATE_ENDED && !info->exit_known && mt_moment_find(trace, MT_MOMENT_END).clock == UINT64_MAX);
}

static size_t count_open(const struct mt_trace_set *set)
{
    size_t open = 0;
    for (size_t i = 0; i < set->count; i++) {
        open += mt_ending_is_open(mt_trace_info(set->traces[i]));
    }
    return open;
}

const char *mt_ending_short(const struct mt_trace_set *set)
{
    size_t open = count_open(set);
    return open == 0 ? "at the end" : open == set->count ? "now" : "at end, or now";
}

const char *mt_ending_words(const struct mt_trace_set *set)
{
    size_t open = count_open(set);
    bool stopped = set->count > 0 && was_stopped(mt_report_root(set));
    bool several = false;
    for (size_t i = 0; i < set->count; i++) {
        several = several || mt_trace_info(set->traces[i])->pid != mt_trace_info(set->traces[0])->pid;
    }
    return open > 0 && open == set->count ? "now"
           : open > 0                     ? "when each ended, or now"
           : stopped                      ? "when the recording ended"
           : several                      ? "when their processes ended"
                                          : "when the program ended";
}
