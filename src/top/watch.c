/* watch.c: see watch.h. */
#include "top/watch.h"

#include "analysis/estimate.h"
#include "analysis/leaks.h"
#include "base/os.h"
#include "export/behind.h"
#include "export/facts.h"
#include "reader/followed.h"
#include "reader/selection.h"
#include "top/past.h"
#include "top/process.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_POINTS = 96, NAMED_SITES = 300, STACK_FRAMES = 12 };
static const double LIMIT_IN_SIGHT_S = 7 * 86400.0;

/* What is kept of one kind of rows. */
struct kind {
    struct mt_frames *frames; /* that places are of */
    struct mt_places *places;
    struct mt_top_past *past;
};
enum { KINDS = 4 };

struct mt_top_watch {
    char *path;
    uint32_t sets_made;
    struct mt_followed *followed;
    struct mt_trace_set whole; /* read anew at this look; empty: followed */
    struct mt_frames *whole_frames;
    struct kind kinds[KINDS];
    struct mt_top_ring heap, allocated, resident;
};

/* One look on its way. */
struct looking {
    struct mt_top_watch *watch;
    const struct mt_top_ui *ui;
    struct kind *kind;
    const struct mt_trace_set *set;
    struct mt_loaded loaded;
    struct mt_leaks leaks;
    struct mt_report report;
    uint64_t now_ns;
};

static struct kind *kind_of(struct mt_top_watch *watch, const struct mt_top_ui *ui)
{
    return &watch->kinds[(ui->by_thread ? 1 : 0) + (ui->native ? 2 : 0)];
}

struct mt_top_watch *mt_top_watch_new(const char *path)
{
    struct mt_top_watch *watch = mt_alloc_zero(1, sizeof *watch);
    watch->path = mt_strdup(path);
    watch->followed = mt_followed_new(path, 0, &watch->sets_made);
    for (size_t i = 0; i < KINDS; i++) {
        watch->kinds[i].past = mt_top_past_new();
    }
    return watch;
}

static void forget_places(struct kind *kind)
{
    mt_places_free(kind->places);
    kind->places = NULL;
    kind->frames = NULL;
}

/* What was read as a whole is of one look. */
static void close_whole(struct mt_top_watch *watch)
{
    if (watch->whole.count > 0) {
        for (size_t i = 0; i < KINDS; i++) {
            forget_places(&watch->kinds[i]);
        }
        mt_frames_free(watch->whole_frames);
        watch->whole_frames = NULL;
        mt_trace_set_close(&watch->whole);
    }
}

void mt_top_watch_free(struct mt_top_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    close_whole(watch);
    for (size_t i = 0; i < KINDS; i++) {
        forget_places(&watch->kinds[i]);
        mt_top_past_free(watch->kinds[i].past);
    }
    mt_followed_free(watch->followed);
    free(watch->path);
    free(watch);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static mt_status open_whole(struct mt_top_watch *watch, struct mt_error *err)
{
    struct mt_trace *trace;
    struct mt_wire_error wire = { 0 };
    mt_status status = mt_trace_open_place(watch->path, 0, &trace, &wire);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot read %s: %s", watch->path, mt_status_text(status));
    }
    watch->whole.traces = mt_alloc(sizeof(struct mt_trace *));
    watch->whole.traces[0] = trace;
    watch->whole.count = 1;
    return MT_OK;
}

static mt_status read_analysis(struct looking *l, struct mt_error *err)
{
    struct mt_followed *followed = l->watch->followed;
    struct mt_selection selection = { .what = MT_SELECT_LEAKS, .temporary_max = 1 };
    struct mt_load_options load = { .profile = true, .timeline_points = HISTORY_POINTS };
    mt_status status = mt_followed_poll(followed, err);
    if (status != MT_OK) {
        return status;
    }
    bool aggregate = (mt_trace_info(followed->trace)->flags & MT_TRACE_AGGREGATE) != 0; /* it has sums and no events */
    status = aggregate ? MT_E_UNSUPPORTED : mt_followed_read_analysis(followed, (struct mt_interruption){ 0 });
    if (status == MT_OK) {
        l->set = &followed->set;
        load.kept = followed->resident;
        load.kept_losses = mt_follow_losses(followed->follow);
    } else if (status == MT_E_UNSUPPORTED) {
        status = open_whole(l->watch, err);
        l->set = &l->watch->whole;
    } else {
        status = mt_error_set(err, status, "cannot read %s: %s", l->watch->path, mt_status_text(status));
    }
    load.timeline_points = aggregate ? 0 : load.timeline_points;
    return status == MT_OK ? mt_selection_load(l->set, &selection, &load, &l->loaded, err) : status;
}

static mt_status take_frames(const struct looking *l, struct mt_frames **ret)
{
    struct mt_top_watch *watch = l->watch;
    if (l->set != &watch->whole) {
        return mt_followed_frames(watch->followed, l->ui->native ? MT_FRAMES_NATIVE : 0u, ret);
    }
    struct mt_frames_options options = { .interpreter = l->ui->native, .python_only = !l->ui->native };
    mt_status status = watch->whole_frames == NULL ? mt_frames_new(l->set, &options, &watch->whole_frames) : MT_OK;
    *ret = watch->whole_frames;
    return status;
}

static mt_status make_leaks(struct looking *l, struct mt_error *err)
{
    struct mt_frames *frames;
    mt_status status = take_frames(l, &frames);
    if (status == MT_OK && l->kind->frames != frames) {
        forget_places(l->kind);
        l->kind->frames = frames;
        l->kind->places = mt_places_new(frames, NULL);
    }
    if (status == MT_OK) {
        l->report = (struct mt_report){ .set = l->set, .analysis = &l->loaded.analysis, .frames = frames, .places = l->kind->places,
                                        .grouping = { .by = l->ui->by_thread ? MT_BY_THREAD : MT_BY_LINE } };
        struct mt_grouping *grouping = mt_grouping_new(l->kind->places, l->set, &l->report.grouping);
        status = mt_leaks_make(l->set, &l->loaded.analysis, grouping, 0, 0, &l->leaks);
        mt_grouping_free(grouping);
    }
    return status == MT_OK ? status : mt_error_set(err, status, "cannot list what is alive: %s", mt_status_text(status));
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static char *key_of(const struct looking *l, const struct mt_leak *leak)
{
    if (l->ui->by_thread) {
        return mt_report_thread(l->set, leak->trace_idx, leak->stream);
    }
    const struct mt_frame *frame = mt_frames_frame(l->report.frames, leak->frame);
    return mt_format("%s:%u %s", frame->file[0] != '\0' ? frame->file : frame->module, frame->line, frame->function);
}

static struct mt_top_site site_of(const struct looking *l, const struct mt_leak *leak)
{
    const struct mt_frame *frame = l->ui->by_thread ? NULL : mt_frames_frame(l->report.frames, leak->frame);
    return (struct mt_top_site){ .key = key_of(l, leak),
                                 .function = frame != NULL ? frame->function : NULL,
                                 .file = frame != NULL ? frame->file : NULL,
                                 .line_number = frame != NULL ? frame->line : 0,
                                 .import = leak->import,
                                 .bytes = leak->live.bytes,
                                 .count = leak->live.count,
                                 .bytes_ci95 = mt_estimate_ci95(leak->live.bytes_variance),
                                 .since_mark_bytes = (double)NAN,
                                 .rate_bytes_per_s = leak->timed ? leak->growth_bytes_per_s : (double)NAN,
                                 .age_s = leak->timed ? leak->age_s : (double)NAN,
                                 .stack_trace = leak->trace_idx,
                                 .stack = leak->stack };
}

static void add_path(const struct mt_frame *frame, struct mt_paths *paths)
{
    mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
}

static char *by_of(const struct looking *l, const struct mt_leak *leak, const struct mt_paths *paths)
{
    struct mt_behind behind;
    mt_behind_make(&l->report, &l->leaks.stacks, &leak->stacks, paths, &behind);
    char *by = behind.count == 0   ? mt_strdup("")
               : behind.count == 1 ? mt_strdup(behind.names[0].text)
                                   : mt_format("%s, %s%s", behind.names[0].text, behind.names[1].text, behind.count > 2 ? ", …" : "");
    mt_behind_fini(&behind);
    return by;
}

/* Of those that may be seen; the others are called by their key. */
static void name_sites(const struct looking *l, struct mt_top_look *look)
{
    size_t count;
    size_t *order = mt_top_order(look, l->ui, &count);
    struct mt_paths *paths = mt_paths_new(false);
    size_t named = l->ui->by_thread ? 0 : count < NAMED_SITES ? count : NAMED_SITES;
    for (size_t i = 0; i < named; i++) {
        add_path(mt_frames_frame(l->report.frames, l->leaks.rows[order[i]].frame), paths);
    }
    for (size_t i = 0; i < named; i++) {
        const struct mt_leak *leak = &l->leaks.rows[order[i]];
        struct mt_top_site *site = &look->sites[order[i]];
        site->line = mt_behind_line(mt_frames_frame(l->report.frames, leak->frame), MT_BY_LINE, false, paths);
        site->by = leak->import ? mt_strdup("") : by_of(l, leak, paths);
    }
    for (size_t i = 0; i < look->site_count; i++) {
        struct mt_top_site *site = &look->sites[i];
        site->line = site->line != NULL ? site->line : mt_strdup(site->key);
        site->by = site->by != NULL ? site->by : mt_strdup("");
    }
    mt_paths_free(paths);
    free(order);
}

static void add_sites(const struct looking *l, struct mt_top_look *look)
{
    look->sites = mt_alloc_zero(l->leaks.count, sizeof *look->sites);
    for (size_t i = 0; i < l->leaks.count; i++) {
        look->sites[look->site_count++] = site_of(l, &l->leaks.rows[i]);
    }
    mt_top_past_add(l->kind->past, look, l->now_ns);
    name_sites(l, look);
    uint64_t marked = mt_top_past_marked_ns(l->kind->past);
    look->marked_s = marked > 0 ? (double)(l->now_ns - marked) * 1e-9 : (double)NAN;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static void add_recording(const struct looking *l, struct mt_top_look *look)
{
    const struct mt_trace_info *info = mt_trace_info(l->set->traces[0]);
    struct mt_facts facts = mt_facts_of(&l->report);
    struct mt_strlist others = { 0 };
    mt_tracepath_others(l->watch->path, &others);
    look->pid = info->process != 0 ? info->process : info->pid;
    look->path = mt_strdup(l->watch->path);
    look->program = mt_report_program(info);
    look->rate_bytes = info->rate_bytes;
    look->aggregate = (info->flags & MT_TRACE_AGGREGATE) != 0;
    look->own_share = facts.cpu_ns > 0 ? (double)facts.own_cpu_ns / (double)facts.cpu_ns : (double)NAN;
    look->own_bytes = info->counters[MT_COUNTER_AGENT_BYTES] > 0 ? info->counters[MT_COUNTER_AGENT_BYTES] : MT_TOP_UNKNOWN;
    look->dropped_events = info->counters[MT_COUNTER_DROPPED_EVENTS];
    look->processes = 1 + mt_trace_nested_count(l->set->traces[0]) + others.count;
    look->recording = mt_trace_is_live(info, l->now_ns);
    if (info->python_version != 0) {
        (void)snprintf(look->python, sizeof look->python, "%u.%u", info->python_version >> 24, info->python_version >> 16 & 0xFF);
    }
    mt_strlist_clear(&others);
}

/* How long it has been recorded: of a live trace until now, not until its last event. */
static double recorded_s(const struct looking *l, const struct mt_top_look *look)
{
    const struct mt_trace *trace = l->set->traces[0];
    const struct mt_tsc_moment now = mt_trace_moment();
    uint64_t known_ns = l->loaded.analysis.totals.duration_ns;
    uint64_t now_ns = look->recording ? mt_trace_time(trace, mt_trace_clock_at(mt_trace_info(trace), &now)) : 0;
    return (double)(now_ns > known_ns ? now_ns : known_ns) * 1e-9;
}

static double growth_of(const struct mt_top_look *look)
{
    double growth = look->aggregate ? (double)NAN : 0;
    for (size_t i = 0; i < look->site_count; i++) {
        growth += isnan(look->sites[i].rate_bytes_per_s) ? 0 : look->sites[i].rate_bytes_per_s;
    }
    return growth;
}

static void add_heap(const struct looking *l, struct mt_top_look *look)
{
    struct mt_top_watch *watch = l->watch;
    const struct mt_analysis *a = &l->loaded.analysis;
    const struct mt_amount *heap = a->totals.heap;
    double seconds = look->watched_s = recorded_s(l, look);
    look->heap_bytes = heap[MT_MEASURE_LIVE].bytes;
    look->heap_count = heap[MT_MEASURE_LIVE].count;
    look->heap_ci95 = mt_estimate_ci95(heap[MT_MEASURE_LIVE].bytes_variance);
    look->arena_bytes = a->totals.storage[MT_STORAGE_ARENA][MT_MEASURE_LIVE].bytes;
    look->peak_bytes = heap[MT_MEASURE_PEAK].bytes;
    mt_top_ring_add(&watch->heap, l->now_ns, (double)look->heap_bytes);
    mt_top_ring_add(&watch->allocated, l->now_ns, (double)heap[MT_MEASURE_TOTAL].bytes);
    look->growth_bytes_per_s = mt_top_ring_rate(&watch->heap, growth_of(look));
    look->allocated_bytes_per_s = mt_top_ring_rate(&watch->allocated, seconds > 0 ? (double)heap[MT_MEASURE_TOTAL].bytes / seconds : (double)NAN);
    double grown = mt_top_ring_rate(&watch->heap, seconds > 0 ? (double)look->heap_bytes / seconds : 0);
    look->freed_bytes_per_s = fmax(look->allocated_bytes_per_s - grown, 0);
    look->history = mt_alloc(a->timeline_count * sizeof *look->history);
    for (size_t i = 0; i < a->timeline_count; i++) {
        look->history[look->history_count++] = a->timeline[i].heap_max_bytes;
    }
}

static void add_process(const struct looking *l, struct mt_top_look *look)
{
    struct mt_top_process *p = &look->process;
    mt_top_process_read(look->pid, p);
    if (!look->recording) { /* the number may be another process's by now */
        bool same = mt_trace_info(l->set->traces[0])->state == MT_STATE_STOPPED && p->alive;
        *p = same ? *p : (struct mt_top_process){ false, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN };
    }
    look->seconds_to_limit = (double)NAN;
    if (p->rss_bytes == MT_TOP_UNKNOWN) {
        return;
    }
    mt_top_ring_add(&l->watch->resident, l->now_ns, (double)p->rss_bytes);
    double growth = mt_top_ring_rate(&l->watch->resident, 0);
    if (p->limit_bytes != MT_TOP_UNKNOWN && p->charged_bytes != MT_TOP_UNKNOWN && growth > 0) {
        double left = p->limit_bytes > p->charged_bytes ? (double)(p->limit_bytes - p->charged_bytes) : 0;
        look->seconds_to_limit = left / growth < LIMIT_IN_SIGHT_S ? left / growth : (double)NAN;
    }
}

mt_status mt_top_watch_look(struct mt_top_watch *watch, const struct mt_top_ui *ui, struct mt_top_look *ret, struct mt_error *err)
{
    struct looking l = { .watch = watch, .ui = ui, .kind = kind_of(watch, ui) };
    struct mt_top_look look = { 0 };
    close_whole(watch);
    mt_status status = read_analysis(&l, err);
    status = status == MT_OK ? make_leaks(&l, err) : status;
    if (status == MT_OK) {
        l.now_ns = mt_os_monotonic_ns();
        add_recording(&l, &look);
        add_sites(&l, &look);
        add_heap(&l, &look);
        add_process(&l, &look);
        *ret = look;
    }
    mt_leaks_fini(&l.leaks);
    mt_loaded_fini(&l.loaded);
    mt_followed_rest(watch->followed);
    return status;
}

void mt_top_watch_mark(struct mt_top_watch *watch, const struct mt_top_ui *ui)
{
    for (size_t i = 0; i < KINDS; i++) {
        mt_top_past_unmark(watch->kinds[i].past);
    }
    mt_top_past_mark(kind_of(watch, ui)->past, mt_os_monotonic_ns());
}

void mt_top_watch_stack(struct mt_top_watch *watch, const struct mt_top_ui *ui, const struct mt_top_site *site, struct mt_strlist *ret)
{
    struct mt_frames *frames = kind_of(watch, ui)->frames;
    if (frames == NULL) {
        return;
    }
    struct mt_paths *paths = mt_paths_new(false);
    struct mt_frame_list list = mt_frames_stack(frames, site->stack_trace, site->stack);
    size_t shown = list.count > STACK_FRAMES + 1 ? STACK_FRAMES : list.count;
    for (size_t i = 0; i < shown; i++) {
        add_path(mt_frames_frame(frames, list.ids[i]), paths);
    }
    for (size_t i = 0; i < shown; i++) {
        char *line = mt_behind_line(mt_frames_frame(frames, list.ids[i]), MT_BY_LINE, false, paths);
        mt_strlist_add(ret, line);
        free(line);
    }
    if (shown < list.count) {
        mt_strlist_print(ret, "⋯ %zu frames", list.count - shown);
    }
    mt_paths_free(paths);
}

void mt_top_look_fini(struct mt_top_look *look)
{
    for (size_t i = 0; i < look->site_count; i++) {
        free(look->sites[i].key);
        free(look->sites[i].line);
        free(look->sites[i].by);
    }
    free(look->sites);
    free(look->history);
    free(look->path);
    free(look->program);
    *look = (struct mt_top_look){ 0 };
}
