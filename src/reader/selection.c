/* selection.c: see selection.h. Context: [tool]. */
#include "reader/selection.h"

#include "export/endings.h"
#include "reader/refusal.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* What is loaded, while it is loaded. */
struct load {
    const struct mt_trace_set *set;
    const struct mt_selection *selection;
    const struct mt_load_options *options;
    struct mt_loaded *loaded;
    struct mt_error *err;
};

/* ---- the pass -------------------------------------------------------------------------------------------------- */

void mt_memo_clear(struct mt_memo *memo)
{
    if (memo->made) {
        mt_analysis_fini(&memo->analysis);
    }
    *memo = (struct mt_memo){ 0 };
}

static void drop_analysis(struct mt_loaded *loaded)
{
    if (loaded->is_borrowed) {
        loaded->analysis = (struct mt_analysis){ 0 };
    } else {
        mt_analysis_fini(&loaded->analysis);
    }
    loaded->is_borrowed = false;
}

/* What reports ask for by default, of all that is recorded. */
static bool is_of_the_whole(const struct mt_analysis_options *o)
{
    const struct mt_analysis_options usual = MT_ANALYSIS_DEFAULTS;
    return o->stop_ns == usual.stop_ns && o->live_at == usual.live_at && o->window_start_ns == 0 && !o->window_from_moment &&
           o->suppressed == NULL && o->temporary_max == usual.temporary_max && o->timeline_points == 0 && o->edge_count == 0 &&
           o->only_tid == 0;
}

/* The events are read once for the reports of one recording: one that shows stacks has what all need. False: read them. */
static bool borrow(const struct load *l, const struct mt_analysis_options *options)
{
    const struct mt_memo *memo = l->options->memo;
    bool fits = memo != NULL && memo->made && memo->all == (options->own_stacks == NULL) && is_of_the_whole(options);
    if (fits) {
        l->loaded->analysis = memo->analysis;
        l->loaded->is_borrowed = true;
    }
    return fits;
}

static void lend(const struct load *l, const struct mt_analysis_options *options)
{
    struct mt_memo *memo = l->options->memo;
    if (memo != NULL && !memo->made && !options->totals_only && is_of_the_whole(options)) {
        *memo = (struct mt_memo){ l->loaded->analysis, true, options->own_stacks == NULL };
        l->loaded->is_borrowed = true;
    }
}

static mt_status analyze(const struct load *l, struct mt_analysis_options *options)
{
    options->progress = l->options->progress;
    options->context = l->options->context;
    drop_analysis(l->loaded);
    if (l->options->kept == NULL && borrow(l, options)) {
        return MT_OK;
    }
    if (l->options->kept != NULL && mt_resident_answers(options)) {
        mt_resident_view(l->options->kept, l->set, options, l->options->kept_losses, &l->loaded->analysis);
        return MT_OK;
    }
    mt_status status = l->options->kept == NULL ? mt_analyze(l->set, options, &l->loaded->analysis) : MT_E_UNSUPPORTED;
    if (status != MT_OK) {
        return mt_error_set(l->err, status, "cannot read the events: %s", mt_status_text(status));
    }
    lend(l, options);
    return MT_OK;
}

/* What times are resolved with. */
struct clockwork {
    uint64_t duration_ns, peak_ns;
    struct mt_run_marks marks;
};

static struct clockwork make_clockwork(const struct mt_trace_set *set, uint64_t peak_ns)
{
    struct clockwork clockwork = { .peak_ns = peak_ns };
    struct mt_axis axis;
    mt_axis_make(set, &axis);
    clockwork.duration_ns = axis.duration_ns;
    mt_run_marks_find(set, &axis, &clockwork.marks);
    mt_axis_fini(&axis);
    return clockwork;
}

static mt_status resolve_mark(const struct load *l, const struct mt_timepoint *point, const struct mt_run_marks *marks,
                              uint64_t *ret_ns)
{
    bool oom = point->kind == MT_TIMEPOINT_OOM;
    const struct mt_run_mark *mark = oom ? mt_run_marks_oom(marks) : mt_run_marks_snapshot(marks, point->ns);
    if (mark != NULL) {
        *ret_ns = mark->time_ns;
        return MT_OK;
    }
    return oom ? mt_error_set(l->err, MT_E_INVAL, "oom: no allocation failed while it was recorded")
               : mt_error_set(l->err, MT_E_INVAL, "mark: there is no such snapshot, the recording has %s (`memtap stats` lists them)",
                              mt_human_counted((double)mt_run_marks_snapshots(marks), "snapshot", "snapshots").text);
}

static mt_status resolve_time(const struct load *l, const struct mt_timepoint *point, const struct clockwork *with, uint64_t *ret_ns)
{
    if (point->kind == MT_TIMEPOINT_OOM || point->kind == MT_TIMEPOINT_MARK) {
        return resolve_mark(l, point, &with->marks, ret_ns);
    }
    *ret_ns = mt_timepoint_resolve(point, with->duration_ns, with->peak_ns);
    return MT_OK;
}

static mt_status resolve_times(const struct load *l, uint64_t peak_ns, uint64_t times[2], uint64_t *ret_duration_ns)
{
    struct clockwork with = make_clockwork(l->set, peak_ns);
    mt_status status = MT_OK;
    for (int i = 0; i < 2 && status == MT_OK; i++) {
        status = resolve_time(l, &l->selection->times[i], &with, &times[i]);
    }
    *ret_duration_ns = with.duration_ns;
    mt_run_marks_fini(&with.marks);
    return status;
}

static bool needs_peak(const struct mt_selection *s)
{
    return (s->what == MT_SELECT_AT || s->what == MT_SELECT_BETWEEN) &&
           (s->times[0].kind == MT_TIMEPOINT_PEAK ||
            (s->what == MT_SELECT_BETWEEN && s->times[1].kind == MT_TIMEPOINT_PEAK));
}

/* A moment that each process has of its own; false: a time of the run. */
static bool is_moment(const struct mt_timepoint *point, enum mt_moment *ret)
{
    static const enum mt_moment moments[] = { [MT_TIMEPOINT_END] = MT_MOMENT_END,
                                              [MT_TIMEPOINT_EXIT] = MT_MOMENT_EXIT,
                                              [MT_TIMEPOINT_MAIN_END] = MT_MOMENT_MAIN_END };
    if (point->kind < MT_TIMEPOINT_END) {
        return false;
    }
    *ret = moments[point->kind];
    return true;
}

/* "at 1.5 s", "when the program ended". */
static char *describe_time(const struct mt_trace_set *set, const struct mt_timepoint *point, uint64_t time_ns)
{
    const char *const texts[] = { [MT_MOMENT_END] = mt_ending_words(set),
                                         [MT_MOMENT_EXIT] = "at the last event",
                                         [MT_MOMENT_MAIN_END] = "when main returned" };
    enum mt_moment moment;
    if (is_moment(point, &moment)) {
        return mt_strdup(texts[moment]);
    }
    const char *what = point->kind == MT_TIMEPOINT_OOM    ? "the first failed allocation, "
                       : point->kind == MT_TIMEPOINT_MARK ? "the mark, "
                                                          : "";
    return mt_format("at %s%s", what, mt_human_duration(time_ns).text);
}

static char *describe_window(const struct mt_trace_set *set, const struct mt_selection *s, const uint64_t times[2])
{
    enum mt_moment moment;
    char *from = describe_time(set, &s->times[0], times[0]);
    char *to = describe_time(set, &s->times[1], times[1]);
    const char *shown = is_moment(&s->times[0], &moment) ? from : from + strlen("at ");
    char *text = mt_format("allocated from %s on and alive %s", shown, to);
    free(to);
    free(from);
    return text;
}

static char *describe_at(const struct mt_trace_set *set, const struct mt_selection *s, const uint64_t times[2])
{
    char *at = describe_time(set, &s->times[0], times[0]);
    char *text = mt_format("alive %s", at);
    free(at);
    return text;
}

static char *describe(const struct mt_trace_set *set, const struct mt_selection *s, const uint64_t times[2], const struct mt_analysis *a)
{
    switch (s->what) {
    case MT_SELECT_LEAKS:
        return mt_format("alive %s", mt_ending_words(set));
    case MT_SELECT_TEMPORARY:
        return s->temporary_max == 0 ? mt_strdup("freed before any further allocation")
                                     : mt_format("freed after at most %s",
                                                 mt_human_counted((double)s->temporary_max, "further allocation",
                                                                  "further allocations").text);
    case MT_SELECT_AT:
        return describe_at(set, s, times);
    case MT_SELECT_BETWEEN:
        return describe_window(set, s, times);
    case MT_SELECT_TOTAL:
        return mt_strdup("allocated in all");
    case MT_SELECT_PEAK:
    default:
        return a->peak_is_bound ? mt_strdup("each process at its own peak")
                                : mt_format("at the peak (%s)", mt_human_duration(a->totals.peak_time_ns).text);
    }
}

static enum mt_measure measure_of(enum mt_selected what)
{
    static const enum mt_measure measures[] = {
        [MT_SELECT_PEAK] = MT_MEASURE_PEAK,           [MT_SELECT_LEAKS] = MT_MEASURE_LIVE,
        [MT_SELECT_TEMPORARY] = MT_MEASURE_TEMPORARY, [MT_SELECT_AT] = MT_MEASURE_LIVE,
        [MT_SELECT_BETWEEN] = MT_MEASURE_WINDOW,      [MT_SELECT_TOTAL] = MT_MEASURE_TOTAL,
    };
    return measures[what];
}

/* The end of each of so many equal parts of the run. malloc'ed. */
static uint64_t *make_edges(size_t count, uint64_t duration_ns)
{
    uint64_t *edges = mt_alloc(count * sizeof *edges);
    for (size_t i = 0; i < count; i++) {
        edges[i] = (uint64_t)((__uint128_t)duration_ns * (i + 1) / count);
    }
    return edges;
}

static void settle_edges(const struct load *l, uint64_t duration_ns, struct mt_analysis_options *options)
{
    if (l->options->edges > 0) {
        free(l->loaded->edges_ns);
        l->loaded->edges_ns = make_edges(l->options->edges, duration_ns);
        options->edges_ns = l->loaded->edges_ns;
        options->edge_count = l->options->edges;
    }
}

/* A moment after the end is a mistake; a window may be open to the right. A time that was copied from a report is rounded: a
 * hundredth is let pass. */
static mt_status refuse_beyond(const struct load *l, uint64_t time_ns, uint64_t duration_ns)
{
    enum mt_selected what = l->selection->what;
    enum mt_timepoint_kind kind = l->selection->times[0].kind; /* marks and the peak may be the last thing known of a process */
    bool timed = (what == MT_SELECT_BETWEEN || what == MT_SELECT_AT) && kind != MT_TIMEPOINT_OOM && kind != MT_TIMEPOINT_MARK &&
                 kind != MT_TIMEPOINT_PEAK;
    return timed && time_ns > duration_ns + duration_ns / 100
               ? mt_error_set(l->err, MT_E_INVAL, "%s: %s is after the end: the recording is %s long",
                              what == MT_SELECT_AT ? "--at" : "--between", mt_human_duration(time_ns).text,
                              mt_human_duration(duration_ns).text)
               : MT_OK;
}

/* The clock up to which a trace has to be complete for the answer; 0: none. */
static uint64_t clock_of(const struct mt_trace *trace, const struct mt_span *span, const struct mt_timepoint *point, uint64_t time_ns)
{
    enum mt_moment moment;
    return is_moment(point, &moment) ? mt_moment_find(trace, moment).clock : mt_span_clock(span, time_ns);
}

/* What was alive at a time can be told of times since the horizon. */
static mt_status refuse_before_horizon(const struct load *l, const uint64_t times[2])
{
    const struct mt_selection *s = l->selection;
    bool between = s->what == MT_SELECT_BETWEEN, timed = between || s->what == MT_SELECT_AT;
    struct mt_axis axis;
    bool known = true;
    mt_axis_make(l->set, &axis);
    for (size_t i = 0; i < l->set->count && timed; i++) {
        uint64_t clock = clock_of(l->set->traces[i], &axis.spans[i], &s->times[between], times[between]);
        known = known && clock >= mt_trace_info(l->set->traces[i])->horizon_clock;
    }
    uint64_t horizon_ns = mt_axis_horizon(&axis, l->set);
    mt_axis_fini(&axis);
    return known ? MT_OK
                 : mt_error_set(l->err, MT_E_INVAL,
                                "%s: %s is not known: the trace is kept below a size (--max-file), of what was freed before %s "
                                "nothing is left; ask for a time from there on",
                                between ? "--between" : "--at", between ? "what was alive at its end" : "what was alive then",
                                mt_human_duration(horizon_ns).text);
}

static bool are_reversed(const struct mt_selection *s, const uint64_t times[2])
{
    enum mt_moment moment;
    return s->what == MT_SELECT_BETWEEN && !is_moment(&s->times[0], &moment) && !is_moment(&s->times[1], &moment) &&
           times[0] > times[1];
}

static void settle_times(const struct mt_selection *s, const uint64_t times[2], struct mt_analysis_options *options)
{
    bool between = s->what == MT_SELECT_BETWEEN;
    if ((between || s->what == MT_SELECT_AT) && !is_moment(&s->times[between], &options->live_at)) {
        options->stop_ns = times[between];
    }
    if (between) {
        options->window_from_moment = is_moment(&s->times[0], &options->window_from);
        options->window_start_ns = times[0];
    }
}

static mt_status run_passes(const struct load *l)
{
    const struct mt_selection *s = l->selection;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    uint64_t times[2] = { 0, 0 };
    uint64_t peak_ns = 0;
    mt_status status = MT_OK;
    if (needs_peak(s)) {
        options.totals_only = true;
        status = analyze(l, &options);
        peak_ns = l->loaded->analysis.totals.peak_time_ns;
    }
    uint64_t duration_ns = 0;
    status = status == MT_OK ? resolve_times(l, peak_ns, times, &duration_ns) : status;
    if (status != MT_OK) {
        return status;
    }
    if (are_reversed(s, times)) {
        return mt_error_set(l->err, MT_E_INVAL, "--between: %s is after %s", mt_human_duration(times[0]).text,
                            mt_human_duration(times[1]).text);
    }
    status = refuse_beyond(l, times[0], duration_ns);
    status = status == MT_OK ? refuse_before_horizon(l, times) : status;
    if (status != MT_OK) {
        return status;
    }
    options.temporary_max = (uint32_t)s->temporary_max;
    options.only_tid = l->options->profile ? 0 : l->loaded->thread_tid; /* a profile shows its share of the whole */
    options.timeline_points = l->options->timeline_points;
    options.totals_only = !l->options->profile;
    settle_times(s, times, &options);
    settle_edges(l, duration_ns, &options);
    bool leaks = options.stop_ns == UINT64_MAX && options.live_at == MT_MOMENT_END && s->what != MT_SELECT_BETWEEN;
    uint8_t **own = leaks && !s->all ? mt_own_stacks_find(l->set) : NULL;
    options.own_stacks = own;
    if (leaks && !s->all && l->options->suppressions != NULL) {
        options.totals_only = false;
        options.suppressed = mt_suppressions_fit;
        options.suppress_context = l->options->suppressions;
    }
    status = analyze(l, &options);
    mt_own_stacks_free(own, l->set->count);
    if (status == MT_OK) {
        l->loaded->words = describe(l->set, s, times, &l->loaded->analysis);
        l->loaded->measure = measure_of(s->what);
    }
    return status;
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

static bool thread_named(const struct mt_trace_thread *thread, const char *name)
{
    return thread->name.bytes == strlen(name) && memcmp(thread->name.data, name, thread->name.bytes) == 0;
}

/* --thread as a name must mean one thread. */
static mt_status find_thread(const struct mt_trace_set *set, const char *name, uint64_t *ret_tid, struct mt_error *err)
{
    uint64_t found = 0;
    size_t matches = 0;
    for (size_t i = 0; i < set->count; i++) {
        size_t count;
        const struct mt_trace_thread *threads = mt_trace_threads(set->traces[i], &count);
        for (size_t t = 0; t < count; t++) {
            if (thread_named(&threads[t], name) && (matches == 0 || threads[t].tid != found)) {
                found = threads[t].tid;
                matches++;
            }
        }
    }
    if (matches == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--thread: no thread is called \"%s\"; `memtap table --by thread` lists them", name);
    }
    if (matches > 1) {
        return mt_error_set(err, MT_E_INVAL,
                            "--thread: %zu threads are called \"%s\"; give the id of one "
                            "(`memtap table --by thread` lists them)",
                            matches, name);
    }
    *ret_tid = found;
    return MT_OK;
}

static mt_status resolve_thread(const struct load *l)
{
    const char *thread = l->selection->thread;
    uint64_t *tid = &l->loaded->thread_tid;
    if (thread == NULL || (mt_parse_count(thread, tid) && *tid != 0)) {
        return MT_OK;
    }
    return find_thread(l->set, thread, tid, l->err);
}

/* ---- what cannot be known --------------------------------------------------------------------------------------- */

/* Questions about single allocations. */
static mt_status refuse_unknown(const struct load *l)
{
    static const char *const questions[] = {
        [MT_SELECT_TEMPORARY] = "what was temporary (--temporary)",
        [MT_SELECT_AT] = "what was alive at a time (--at)",
        [MT_SELECT_BETWEEN] = "what was allocated from a time on (--between)",
    };
    const struct mt_selection *s = l->selection;
    bool at_end = s->what == MT_SELECT_AT && s->times[0].kind == MT_TIMEPOINT_END;
    const char *question = s->what < MT_COUNTOF(questions) && !at_end ? questions[s->what] : NULL;
    question = s->storage != MT_STORAGE_HEAP ? "what is mapped and not held (--storage)" : question;
    question = s->thread != NULL ? "what one thread allocated (--thread)" : question;
    question = l->options->timeline_points > 0 ? "the heap over time" : question;
    return question != NULL ? mt_refuse_aggregate(l->set, question, l->err) : MT_OK;
}

/* The return of main, where no process came to it. */
static mt_status refuse_moment(const struct load *l)
{
    const struct mt_selection *s = l->selection;
    bool at = s->what == MT_SELECT_AT || s->what == MT_SELECT_BETWEEN;
    bool asked = at && (s->times[0].kind == MT_TIMEPOINT_MAIN_END ||
                        (s->what == MT_SELECT_BETWEEN && s->times[1].kind == MT_TIMEPOINT_MAIN_END));
    for (size_t i = 0; i < l->set->count && asked; i++) {
        asked = mt_moment_find(l->set->traces[i], MT_MOMENT_MAIN_END).clock == UINT64_MAX;
    }
    return !asked ? MT_OK
                  : mt_error_set(l->err, MT_E_INVAL,
                                 "main-end is not known: no main of this run returned or called exit while it was recorded "
                                 "(killed, _exit, exec, or recorded from inside); use exit, the last event");
}

/* What several processes held at one moment. */
static mt_status refuse_bound(const struct load *l)
{
    bool needed = l->selection->what == MT_SELECT_PEAK && l->options->profile && !l->options->bound_will_do;
    return needed && l->loaded->analysis.peak_is_bound
               ? mt_refuse_aggregate(l->set, "what these processes held together at the peak (give one FILE, or --leaks)",
                                     l->err)
               : MT_OK;
}

/* ---- what is kept ----------------------------------------------------------------------------------------------- */

bool mt_selection_is_kept(const struct mt_selection *s)
{
    bool timed = s->what == MT_SELECT_AT || s->what == MT_SELECT_BETWEEN;
    return !timed && s->temporary_max == MT_ANALYSIS_DEFAULTS.temporary_max && s->thread == NULL;
}

/* ---- all together ---------------------------------------------------------------------------------------------- */

static mt_status make_profile(const struct load *l)
{
    struct mt_profile_options wanted = { .measure = l->loaded->measure,
                                         .storage = (enum mt_storage)l->selection->storage,
                                         .by_thread = l->options->by_thread,
                                         .by_label = l->options->by_label,
                                         .by_allocator = l->options->by_allocator,
                                         .thread_tid = l->loaded->thread_tid };
    mt_status status = mt_profile_make(l->set, &l->loaded->analysis, &wanted, &l->loaded->profile);
    return status == MT_OK ? status
                           : mt_error_set(l->err, status, "cannot prepare the report: %s", mt_status_text(status));
}

mt_status mt_selection_load(const struct mt_trace_set *set, const struct mt_selection *selection,
                            const struct mt_load_options *options, struct mt_loaded *ret, struct mt_error *err)
{
    struct load load = { .set = set, .selection = selection, .options = options, .loaded = ret, .err = err };
    *ret = (struct mt_loaded){ 0 };
    mt_status status = refuse_unknown(&load);
    if (status == MT_OK) {
        status = refuse_moment(&load);
    }
    if (status == MT_OK) {
        status = resolve_thread(&load);
    }
    if (status == MT_OK) {
        status = run_passes(&load);
    }
    if (status == MT_OK) {
        status = refuse_bound(&load);
    }
    return status == MT_OK && options->profile ? make_profile(&load) : status;
}

void mt_loaded_fini(struct mt_loaded *loaded)
{
    mt_profile_fini(&loaded->profile);
    drop_analysis(loaded);
    free(loaded->edges_ns);
    free(loaded->words);
    loaded->words = NULL;
}
