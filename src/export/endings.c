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

const char *mt_ending_words(const struct mt_trace_set *set)
{
    size_t open = 0;
    bool stopped = set->count > 0 && was_stopped(mt_report_root(set));
    bool several = false;
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        open += mt_ending_is_open(info);
        several = several || info->pid != mt_trace_info(set->traces[0])->pid;
    }
    return open > 0 && open == set->count ? "now"
           : open > 0                     ? "when each ended, or now"
           : stopped                      ? "when the recording ended"
           : several                      ? "when their processes ended"
                                          : "when the program ended";
}
