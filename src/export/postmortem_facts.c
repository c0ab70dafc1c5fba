/* postmortem_facts.c: see postmortem_facts.h. */
#include "export/postmortem_facts.h"

#include "export/endings.h"
#include "model/axis.h"

#include <sys/wait.h>

static const struct mt_trace *trace_in_question(const struct mt_trace_set *set)
{
    const struct mt_trace *found = NULL, *root = mt_report_root(set);
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        if (info->memory.kills == MT_KILLS_ONE) {
            return set->traces[i];
        }
        if (info->exit_known && info->pid == mt_trace_info(root)->pid) {
            found = set->traces[i];
        }
    }
    return found != NULL ? found : root;
}

static bool is_signal(const struct mt_trace_info *info, int *ret_signal)
{
    *ret_signal = info->exit_known && WIFSIGNALED(info->exit_status) ? WTERMSIG(info->exit_status) : 0;
    return *ret_signal != 0;
}

static const char *killer_of(const struct mt_trace_info *info)
{
    int number;
    return mt_ending_is_open(info)                                  ? NULL
           : info->memory.kills == MT_KILLS_ONE                                ? "kernel"
           : is_signal(info, &number)                               ? "signal"
           : info->exit_known || info->state == MT_STATE_ENDED      ? "itself"
                                                                    : "unknown";
}

static const struct mt_trace_rss *last_rss(const struct mt_trace *trace)
{
    size_t count;
    const struct mt_trace_rss *rss = mt_trace_rss(trace, &count);
    return count > 0 ? &rss[count - 1] : NULL;
}

static const struct mt_trace_mark *last_low(const struct mt_trace *trace)
{
    size_t count;
    const struct mt_trace_mark *marks = mt_trace_marks(trace, &count), *found = NULL;
    for (size_t i = 0; i < count; i++) {
        found = marks[i].kind == MT_MARK_MEMORY_LOW ? &marks[i] : found;
    }
    return found;
}

struct limit_word {
    const char *key, *text;
};

static struct limit_word word_of(uint32_t kind)
{
    static const struct limit_word words[] = {
#define LIMIT_WORD(name, value, key, text) [value] = { key, text },
        MT_LIMIT_KIND_TABLE(LIMIT_WORD)
#undef LIMIT_WORD
    };
    return words[kind < MT_COUNTOF(words) ? kind : MT_LIMIT_UNKNOWN];
}

/* The end of one that runs is not in its trace: it is that of the axis. */
static uint64_t duration_of(const struct mt_trace_set *set, const struct mt_trace *trace)
{
    uint64_t duration = mt_trace_info(trace)->duration_ns;
    struct mt_axis axis;
    mt_axis_make(set, &axis);
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_span *span = &axis.spans[i];
        duration = set->traces[i] == trace && span->live ? span->end_ns - span->start_ns : duration;
    }
    mt_axis_fini(&axis);
    return duration;
}

struct mt_ending_facts mt_ending_facts_of(const struct mt_trace_set *set)
{
    const struct mt_trace *trace = trace_in_question(set);
    const struct mt_trace_info *info = mt_trace_info(trace);
    struct limit_word word = word_of(info->memory.limit_kind);
    struct mt_ending_facts facts = { .trace = trace,
                                     .info = info,
                                     .duration_ns = duration_of(set, trace),
                                     .killed_by = killer_of(info),
                                     .rss = last_rss(trace),
                                     .low = last_low(trace),
                                     .limit_key = word.key,
                                     .limit_text = word.text };
    (void)is_signal(info, &facts.signal);
    return facts;
}

bool mt_ending_names_group(const struct mt_ending_facts *facts)
{
    return facts->low != NULL && facts->info->memory.limit_kind != MT_LIMIT_MACHINE;
}
