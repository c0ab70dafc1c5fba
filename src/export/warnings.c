/* warnings.c: the account of what a report does not contain. A count that is not zero is always said, because a profile
 * that silently lacks a part is worse than none. */
#include "export/endings.h"
#include "export/recordings.h"
#include "export/report.h"

#include "util/human.h"
#include "wire/decode_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>

/* Sentences for header counters: of one, of several, and how they go on. */
static const struct {
    enum mt_counter counter;
    const char *one, *many, *rest;
} g_sentences[] = {
    { MT_COUNTER_DROPPED_EVENTS, "event was", "events were", " not recorded: amounts are too small or show frees as leaks" },
    { MT_COUNTER_DROPPED_NO_SPACE, "of them", "of them", " because the trace could not grow" },
    { MT_COUNTER_DROPPED_NO_THREAD, "of them", "of them", " because no thread block could be made" },
    { MT_COUNTER_TRUNCATED_STACKS, "stack was", "stacks were", " cut at the depth limit" },
    { MT_COUNTER_BROKEN_STACKS, "native unwind", "native unwinds",
      " ended early (code without unwind information): outer frames are missing" },
    { MT_COUNTER_UNKNOWN_STACKS, "event has", "events have", " no stack" },
    { MT_COUNTER_PYTHON_WALK_ERRORS, "Python stack was", "Python stacks were", " given up at a failed check" },
    { MT_COUNTER_LIVE_TABLE_FULL, "sample was", "samples were", " not tracked: the table of live samples was full" },
};

static uint64_t sum_counter(const struct mt_trace_set *set, enum mt_counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < set->count; i++) {
        sum += mt_trace_info(set->traces[i])->counters[counter];
    }
    return sum;
}

static void warn_counters(const struct mt_trace_set *set, struct mt_strlist *ret)
{
    for (size_t i = 0; i < MT_COUNTOF(g_sentences); i++) {
        uint64_t count = sum_counter(set, g_sentences[i].counter);
        if (count > 0) {
            mt_strlist_print(ret, "%s%s", mt_human_counted((double)count, g_sentences[i].one, g_sentences[i].many).text,
                             g_sentences[i].rest);
        }
    }
}

/* Processes that ended by themselves, without exit handlers, or were killed. */
struct unfinished {
    size_t all;
    size_t seen;        /* of them: found dead by the tool */
    uint64_t within_ns; /* the latest of these */
    size_t unknown;     /* of them: nobody saw when they ended */
};

static void count_unfinished(const struct mt_trace_info *info, struct unfinished *ret)
{
    ret->all++;
    ret->seen += info->end_within_ns > 0;
    ret->within_ns = info->end_within_ns > ret->within_ns ? info->end_within_ns : ret->within_ns;
    ret->unknown += !info->ended;
}

/* The header was never marked as ended. Nothing is lost by that, but a reader should know a kill from an end. Of
 * several processes those that ended by _exit, as shells and fork children do, are only counted. */
static void warn_unfinished(const struct mt_trace_info *info, struct unfinished *unfinished, struct mt_strlist *ret)
{
    if (info->exit_known && WIFSIGNALED(info->exit_status)) {
        mt_strlist_print(ret, "%s: the program was killed by signal %d (%s); the trace ends there", info->path,
                         WTERMSIG(info->exit_status), strsignal(WTERMSIG(info->exit_status)));
    } else if (mt_ending_is_open(info)) {
        mt_strlist_print(ret, "%s: process %llu may still be recording; this is its state so far", info->path,
                         (unsigned long long)info->pid);
    } else if (!info->exit_known) {
        count_unfinished(info, unfinished);
    }
}

static void warn_ends(const struct unfinished *u, size_t processes, struct mt_strlist *ret)
{
    if (u->all > 0) {
        mt_strlist_print(ret, "%zu of %s ended without exit handlers (killed, or by _exit as shells do)", u->all,
                         mt_human_counted((double)processes, "process", "processes").text);
    }
    if (u->seen > 0) {
        mt_strlist_print(ret, "%s found dead, up to %s after the end: what they held may count that much longer",
                         mt_human_counted((double)u->seen, "of them was", "of them were").text,
                         mt_human_duration(u->within_ns).text);
    }
    if (u->unknown > 0 && processes > 1) {
        mt_strlist_print(ret, "%s not seen to end: what they held counts up to their last event",
                         mt_human_counted((double)u->unknown, "of them was", "of them were").text);
    }
}

const char *mt_report_end_reason(unsigned reason)
{
    static const char *const reasons[MT_END__COUNT] = {
#define REASON(name, value, text) [value] = (text),
        MT_END_REASON_TABLE(REASON)
#undef REASON
    };
    return reasons[reason < MT_END__COUNT ? reason : MT_END_NONE];
}

/* Nothing of what came later is known, not even how much it was. */
static void warn_ended_early(const struct mt_trace_info *info, struct mt_strlist *ret)
{
    mt_strlist_print(ret, "%s: the recording of process %llu ended at %s, before the process did, because %s", info->path,
                     (unsigned long long)info->pid, mt_human_duration(info->duration_ns).text, mt_report_end_reason((unsigned)info->end_reason));
}

static void warn_state(const struct mt_trace_info *info, struct unfinished *unfinished, struct mt_strlist *ret)
{
    const char *path = info->path;
    switch (info->state) {
    case MT_STATE_RECORDING:
        warn_unfinished(info, unfinished, ret);
        break;
    case MT_STATE_FILE_FULL:
        warn_ended_early(info, ret);
        break;
    case MT_STATE_STOPPED:
        mt_strlist_print(ret, "%s: recording was stopped before the program ended", path);
        break;
    case MT_STATE_ENDED:
    case MT_STATE_EXEC:
    case MT_STATE_REWRITING: /* its packed form is read instead */
    default:
        break;
    }
}

static void warn_damage(const struct mt_trace *trace, struct mt_strlist *ret)
{
    const struct mt_trace_completeness *c = mt_trace_completeness(trace);
    const char *path = mt_trace_info(trace)->path;
    if (c->truncated_at > 0) {
        mt_strlist_print(ret, "%s: the file ends too early, at byte %llu; what follows is lost", path,
                         (unsigned long long)c->truncated_at);
    }
    if (c->holes > 0) {
        mt_strlist_print(ret, "%s: %s (%s), the first at byte %llu", path,
                         mt_human_counted((double)c->holes, "unreadable place", "unreadable places").text, mt_human_bytes((double)c->hole_bytes).text,
                         (unsigned long long)c->first_hole);
    }
    if (c->lost_blocks > 0) {
        mt_strlist_print(ret, "%s: %s missing", path,
                         mt_human_counted((double)c->lost_blocks, "block of events is", "blocks of events are").text);
    }
    if (c->journal_missing) {
        mt_strlist_print(ret,
                         "%s: the last events of each thread are missing: they were in a hidden journal beside the trace, which is "
                         "not there any more; copy a trace that is still written with its \".*.journal\"",
                         path);
    }
    if (c->metadata_broken) {
        mt_strlist_print(ret, "%s: stacks described after byte %llu are unknown (%s)", path,
                         (unsigned long long)c->metadata_error.offset,
                         c->metadata_error.text != NULL ? c->metadata_error.text : "damaged metadata");
    }
}

void mt_report_loss_warnings(const struct mt_cursor_losses *losses, struct mt_strlist *ret)
{
    if (losses->bad_blocks > 0) {
        mt_strlist_print(ret, "%s could not be decoded; the first at byte %llu (%s)",
                         mt_human_counted((double)losses->bad_blocks, "block", "blocks").text,
                         (unsigned long long)losses->first_error.offset,
                         losses->first_error.text != NULL ? losses->first_error.text : "damaged");
    }
    if (losses->cut_records > 0) {
        mt_strlist_print(ret, "%s inside a record (the file was cut)",
                         mt_human_counted((double)losses->cut_records, "thread ends", "threads end").text);
    }
}

static void warn_pass(const struct mt_analysis *analysis, struct mt_strlist *ret)
{
    const struct mt_totals *t = &analysis->totals;
    mt_report_loss_warnings(&t->losses, ret);
    if (t->double_allocations > 0) {
        mt_strlist_print(ret, "%s allocated again without a free in between: frees are missing",
                         mt_human_counted((double)t->double_allocations, "address was", "addresses were").text);
    }
}

static void warn_aggregate(const struct mt_trace_set *set, struct mt_strlist *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        count += (mt_trace_info(set->traces[i])->flags & MT_TRACE_AGGREGATE) != 0;
    }
    if (count > 0) {
        mt_strlist_print(ret, "recorded with --aggregate: file-backed maps and thread stacks are not in the trace, nor are "
                              "times and threads of single allocations");
    }
}

/* A trace that is kept below a size. alone: the only one of the run. */
static void warn_horizon(const struct mt_trace *trace, bool alone, struct mt_strlist *ret)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    if (info->horizon_clock != 0) {
        const char *known = mt_trace_before(trace) == NULL ? "nothing is left of what was freed before; peak, totals and all else are"
                            : alone ? "totals, peak and timeline are since the start, all else is"
                                    : "totals are since the start, peak, timeline and all else are";
        mt_strlist_print(ret, "%s: kept below a size (--max-file): %s of the time since %s; what is alive is complete", info->path, known,
                         mt_human_duration(mt_trace_time(trace, info->horizon_clock)).text);
    }
}

static void warn_shortened(const struct mt_frames *frames, struct mt_strlist *ret)
{
    if (mt_frames_shortened(frames) > 0) {
        mt_strlist_print(ret, "the trace describes more frames than can be shown: the deepest stacks are shown by their inner and "
                              "outer ends, with <truncated> between");
    }
}

static void warn_replaced(const struct mt_frames *frames, struct mt_strlist *ret)
{
    const struct mt_strlist *replaced = mt_frames_replaced(frames);
    for (size_t i = 0; i < replaced->count; i++) {
        mt_strlist_print(ret, "%s was built anew since the recording (its build-id is another): its functions have no names; "
                              "put the old file into a folder and name that in MEMTAP_DEBUG_PATH",
                         replaced->items[i]);
    }
}

/* Nobody was left to put the last events into it. */
static bool needs_its_journal(const struct mt_trace *trace)
{
    return mt_reader_header(mt_trace_reader(trace))->journal != 0 && !mt_trace_completeness(trace)->journal_missing &&
           !mt_ending_is_open(mt_trace_info(trace));
}

static void warn_hidden(const struct mt_trace_set *set, struct mt_strlist *ret)
{
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        bool needs = needs_its_journal(set->traces[i]);
        first = needs && first == NULL ? mt_trace_info(set->traces[i])->path : first;
        count += needs;
    }
    if (count > 0) {
        mt_strlist_print(ret, "%s%s: the last events are in a hidden file beside it (.NAME.*.journal); `memtap pack` puts them into it, until "
                              "then keep the two together",
                         first, count > 1 ? " and others" : "");
    }
}

void mt_report_warnings(const struct mt_trace_set *set, const struct mt_analysis *analysis,
                        const struct mt_frames *frames, struct mt_strlist *ret)
{
    struct unfinished unfinished = { 0 };
    mt_recordings_warn(set, ret);
    for (size_t i = 0; i < set->count; i++) {
        size_t notes;
        warn_state(mt_trace_info(set->traces[i]), &unfinished, ret);
        warn_damage(set->traces[i], ret);
        warn_horizon(set->traces[i], set->count == 1, ret);
        const struct mt_trace_note *note = mt_trace_notes(set->traces[i], &notes);
        for (size_t n = 0; n < notes; n++) {
            if (strcmp(note[n].key.data, "warning") == 0) {
                mt_strlist_print(ret, "%s: %s", mt_trace_info(set->traces[i])->path, note[n].value.data);
            }
        }
    }
    warn_ends(&unfinished, set->count, ret);
    warn_hidden(set, ret);
    warn_aggregate(set, ret);
    warn_counters(set, ret);
    if (analysis != NULL) {
        warn_pass(analysis, ret);
    }
    if (frames != NULL) {
        warn_shortened(frames, ret);
        warn_replaced(frames, ret);
    }
}
