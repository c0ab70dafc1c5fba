/* endings.c: see endings.h. */
#include "export/endings.h"

#include "export/report.h"
#include "model/moment.h"

#include <errno.h>
#include <signal.h>

static bool is_alive(uint64_t pid)
{
    return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

bool mt_ending_is_open(const struct mt_trace_info *info)
{
    return info->state == MT_STATE_RECORDING && !info->exit_known && !info->ended && is_alive(info->pid);
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
