/* snapshot.c: a reading of a trace as samples, stacks and totals. Context: [tool]. */
#include "reader/snapshot.h"

#include "model/pool.h"
#include "reader/recording.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ASK_STACKS = 4096 };

struct mt_snapshot {
    struct mt_snapshot_totals totals;
    struct mt_snapshot_sample *live, *freed;
    size_t live_count, freed_count;
    struct mt_snapshot_stack *stacks;
    size_t stack_count;
    struct mt_pool lists; /* frames of the stacks */
    const struct mt_recording *recording;
    uint32_t forgotten; /* the recording's */
    const struct mt_frames *frames; /* the recording's, unless it forgot them; NULL without stacks */
    uint32_t frame_set;
};

/* NULL: there is none. Texts of a trace end with a NUL. */
static const char *label_of(const struct mt_trace *trace, uint32_t label, bool task)
{
    struct mt_text text = label != 0 ? mt_trace_label_text(trace, label, task) : (struct mt_text){ "", 0 };
    return text.bytes != 0 ? text.data : NULL;
}

static struct mt_snapshot_sample sample_of(const struct mt_trace *trace, const struct mt_sampleset *set,
                                           const struct mt_live *entry)
{
    const struct mt_origin *origin = &set->origins[entry->ordinal];
    const struct mt_trace_thread *thread = mt_trace_thread(trace, origin->stream);
    return (struct mt_snapshot_sample){
        .address = entry->addr,
        .size = entry->size,
        .weight = mt_sampleset_weight(entry->size, origin->rate_bytes),
        .timestamp_ns = entry->clock,
        .tid = thread != NULL ? thread->tid : origin->stream,
        .stack_id = entry->site,
        .allocator = origin->allocator,
        .label = label_of(trace, origin->label, false),
        .task = label_of(trace, origin->label, true),
    };
}

/* A live sample's place in the table, to be sorted instead of the four times larger sample. */
struct place {
    uint64_t clock;
    const struct mt_live *entry;
};

static int compare_age(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->clock != y->clock) {
        return x->clock < y->clock ? -1 : 1;
    }
    return x->entry->addr < y->entry->addr ? -1 : x->entry->addr > y->entry->addr;
}

static bool is_counted(const struct mt_sampleset *set, const struct mt_live *entry)
{
    return entry->addr != 0 && set->origins[entry->ordinal].counted;
}

static void collect_live(struct mt_snapshot *snapshot, const struct mt_trace *trace, const struct mt_sampleset *set)
{
    size_t count = 0;
    struct place *places = mt_alloc(set->alive.blocks.count * sizeof *places);
    for (size_t i = 0; i <= set->alive.blocks.mask; i++) {
        if (is_counted(set, &set->alive.blocks.entries[i])) {
            places[count++] = (struct place){ set->alive.blocks.entries[i].clock, &set->alive.blocks.entries[i] };
        }
    }
    qsort(places, count, sizeof *places, compare_age);
    snapshot->live = mt_alloc(count * sizeof *snapshot->live);
    for (size_t i = 0; i < count; i++) {
        snapshot->live[i] = sample_of(trace, set, places[i].entry);
    }
    snapshot->live_count = count;
    free(places);
}

static void collect_freed(struct mt_snapshot *snapshot, const struct mt_trace *trace, const struct mt_sampleset *set,
                          size_t limit)
{
    size_t kept = mt_sampleset_freed_kept(set);
    size_t count = kept < limit ? kept : limit;
    snapshot->freed = mt_alloc(count * sizeof *snapshot->freed);
    for (size_t i = 0; i < count; i++) {
        const struct mt_freed_sample *freed = mt_sampleset_freed(set, kept - count + i);
        struct mt_snapshot_sample sample = sample_of(trace, set, &freed->sample);
        sample.lifetime_ns = freed->freed_clock > sample.timestamp_ns ? freed->freed_clock - sample.timestamp_ns : 0;
        snapshot->freed[i] = sample;
    }
    snapshot->freed_count = count;
}

static void fill_totals(struct mt_snapshot_totals *t, const struct mt_trace *trace, const struct mt_sampleset *set,
                        uint64_t cut_clock)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    size_t rates;
    const struct mt_trace_rate *rate = mt_trace_rates(trace, &rates);
    uint64_t announced = rates > 0 ? rate[rates - 1].rate_bytes : info->rate_bytes;
    t->total_samples = set->total_count;
    t->live_samples = set->live_count;
    t->live_size_bytes = set->live_size;
    t->live_weight_bytes = set->live_weight;
    t->freed_samples = set->freed_count;
    t->unique_stacks = set->unique_stacks;
    t->total_weight_bytes = set->total_weight < 0x1p64 ? (uint64_t)set->total_weight : UINT64_MAX;
    t->rate_bytes = announced;
    t->cut_ns = cut_clock != UINT64_MAX ? cut_clock : info->start_clock + info->duration_ns;
    t->last_ns = set->last_clock;
    t->start_ns = info->start_clock;
    t->start_realtime_ns = info->start_realtime_ns;
    t->events = set->events;
    t->unknown_frees = set->alive.unknown_frees;
    t->double_allocations = set->alive.double_allocations;
    t->dropped_events = info->counters[MT_COUNTER_DROPPED_EVENTS];
    t->truncated_stacks = info->counters[MT_COUNTER_TRUNCATED_STACKS];
    t->broken_stacks = info->counters[MT_COUNTER_BROKEN_STACKS];
    t->unknown_stacks = info->counters[MT_COUNTER_UNKNOWN_STACKS];
    t->python_walk_errors = info->counters[MT_COUNTER_PYTHON_WALK_ERRORS];
    t->live_table_full = info->counters[MT_COUNTER_LIVE_TABLE_FULL];
    t->agent_bytes = info->counters[MT_COUNTER_AGENT_BYTES];
    t->agent_cpu_ns = info->counters[MT_COUNTER_AGENT_NS] +
                      (uint64_t)(set->total_blocks * (double)info->counters[MT_COUNTER_PASSING_PS] / 1000);
    t->trace_bytes = info->file_bytes;
    t->recording = info->state == MT_STATE_RECORDING;
    t->exact = (info->flags & MT_TRACE_EXACT) != 0;
}

/* ---- stacks ---------------------------------------------------------------------------------------------------- */

/* Numbers of stacks, each once. */
struct wanted {
    uint8_t *marked; /* of each stack number */
    uint32_t *stacks;
    size_t count;
};

static void want(struct wanted *w, const struct mt_snapshot_options *options, uint32_t frame_set,
                 const struct mt_snapshot_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t stack = samples[i].stack_id;
        if (w->marked[stack] == 0) {
            w->marked[stack] = 1;
            bool kept = options->is_kept != NULL && options->is_kept(options->kept_context, frame_set, stack);
            w->stacks[w->count] = stack;
            w->count += !kept;
        }
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The stacks of all samples of the snapshot that are not kept, by number. */
static struct wanted wanted_stacks(const struct mt_snapshot *snapshot, const struct mt_snapshot_options *options, size_t stack_count)
{
    struct wanted w = { .marked = mt_alloc_zero(stack_count, sizeof *w.marked) };
    w.stacks = mt_alloc((snapshot->live_count + snapshot->freed_count + 1) * sizeof *w.stacks);
    want(&w, options, snapshot->frame_set, snapshot->live, snapshot->live_count);
    want(&w, options, snapshot->frame_set, snapshot->freed, snapshot->freed_count);
    qsort(w.stacks, w.count, sizeof *w.stacks, compare_numbers);
    return w;
}

static void add_stack(struct mt_snapshot *snapshot, struct mt_frames *frames, uint32_t stack)
{
    struct mt_frame_list list = mt_frames_stack(frames, 0, stack);
    uint32_t *numbers = mt_pool_take(&snapshot->lists, list.count * sizeof *numbers, sizeof *numbers);
    memcpy(numbers, list.spots, list.count * sizeof *numbers);
    snapshot->stacks[snapshot->stack_count++] =
        (struct mt_snapshot_stack){ .stack_id = stack, .frame_count = (uint32_t)list.count, .frames = numbers };
}

static mt_status collect_stacks(struct mt_followed *followed, const struct mt_snapshot_options *options, struct mt_snapshot *snapshot)
{
    struct mt_frames *frames;
    unsigned names = options->addresses_only ? MT_FRAMES_ADDRESSES : MT_FRAMES_NATIVE | MT_FRAMES_ALL;
    mt_status status = mt_followed_frames(followed, names, &frames);
    if (status != MT_OK) {
        return status;
    }
    snapshot->frames = frames;
    snapshot->frame_set = followed->frame_set[names];
    struct wanted wanted = wanted_stacks(snapshot, options, mt_trace_stack_count(followed->trace));
    snapshot->stacks = mt_alloc(wanted.count * sizeof *snapshot->stacks);
    for (size_t i = 0; i < wanted.count && status == MT_OK; i++) {
        add_stack(snapshot, frames, wanted.stacks[i]);
        bool ask = snapshot->stack_count % ASK_STACKS == 0 && options->interrupted != NULL;
        status = ask && options->interrupted(options->context) ? MT_E_INTERRUPTED : MT_OK;
    }
    free(wanted.marked);
    free(wanted.stacks);
    return status;
}

/* ---- the snapshot ---------------------------------------------------------------------------------------------- */

/* Fills a zeroed snapshot. */
static mt_status take(struct mt_followed *f, const struct mt_snapshot_options *options, struct mt_snapshot *snapshot,
                      struct mt_error *err)
{
    uint64_t cut_clock;
    mt_status status = mt_followed_read_samples(f, options, &cut_clock, err);
    if (status != MT_OK) {
        return status;
    }
    fill_totals(&snapshot->totals, f->trace, &f->samples, cut_clock);
    snapshot->totals.events_read = f->events - f->events_before;
    if (!options->totals_only) {
        collect_live(snapshot, f->trace, &f->samples);
        collect_freed(snapshot, f->trace, &f->samples, options->freed_limit);
    }
    if (!options->no_stacks && !options->totals_only) {
        status = collect_stacks(f, options, snapshot);
    }
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read %s: %s", f->path, mt_status_text(status));
}

struct taking {
    struct mt_recording *recording;
    size_t trace;
    struct mt_snapshot_options options;
    struct mt_snapshot *snapshot;
};

static mt_status snapshot_body(void *context, struct mt_error *err)
{
    struct taking *t = context;
    struct mt_followed *followed;
    mt_status status = mt_recording_followed(t->recording, t->trace, &followed, err);
    if (status == MT_OK) {
        t->snapshot = mt_alloc_zero(1, sizeof *t->snapshot);
        t->snapshot->recording = t->recording;
        t->snapshot->forgotten = t->recording->forgotten;
        status = take(followed, &t->options, t->snapshot, err);
        mt_followed_rest(followed);
    }
    return status;
}

int mt_recording_snapshot(struct mt_recording *recording, size_t trace, const struct mt_snapshot_options *options,
                          struct mt_snapshot **ret, struct mt_profile_failure *failure)
{
    struct taking taking = { .recording = recording, .trace = trace };
    if (options != NULL) { /* a caller built with an older header knows fewer fields */
        size_t known = options->struct_bytes;
        memcpy(&taking.options, options, known < sizeof taking.options ? known : sizeof taking.options);
    }
    int code = mt_recording_call(recording, snapshot_body, &taking, failure);
    if (code == MT_PROFILE_OK) {
        *ret = taking.snapshot;
    } else if (code != MT_PROFILE_NO_MEMORY) {
        mt_snapshot_free(taking.snapshot);
    }
    return code;
}

void mt_snapshot_free(struct mt_snapshot *snapshot)
{
    if (snapshot != NULL) {
        mt_pool_fini(&snapshot->lists);
        free(snapshot->live);
        free(snapshot->freed);
        free(snapshot->stacks);
        free(snapshot);
    }
}

const struct mt_snapshot_totals *mt_snapshot_totals(const struct mt_snapshot *snapshot)
{
    return &snapshot->totals;
}

const struct mt_snapshot_sample *mt_snapshot_live(const struct mt_snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->live_count;
    return snapshot->live;
}

const struct mt_snapshot_sample *mt_snapshot_freed(const struct mt_snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->freed_count;
    return snapshot->freed;
}

const struct mt_snapshot_stack *mt_snapshot_stacks(const struct mt_snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->stack_count;
    return snapshot->stacks;
}

struct mt_snapshot_frame mt_snapshot_frame_of(const struct mt_frames *frames, uint32_t number)
{
    struct mt_frame_spot spot = mt_frames_spot(frames, number);
    const struct mt_frame *frame = mt_frames_frame(frames, spot.id);
    return (struct mt_snapshot_frame){
        .address = spot.address,
        .function = frame->function,
        .file = frame->file,
        .module = frame->module,
        .line = frame->line,
        .is_python = frame->kind == MT_FRAME_PYTHON,
        .is_inlined = frame->inlined,
        .is_marker = frame->kind == MT_FRAME_MARKER,
    };
}

/* Others may be reading on: names are theirs meanwhile. */
static bool has_frames(const struct mt_snapshot *snapshot)
{
    return snapshot->frames != NULL && snapshot->recording->forgotten == snapshot->forgotten;
}

struct mt_snapshot_frame mt_snapshot_frame(const struct mt_snapshot *snapshot, uint32_t number)
{
    bool entered = mt_recording_enter(snapshot->recording);
    struct mt_snapshot_frame frame = { .function = "", .file = "", .module = "", .is_marker = true };
    if (has_frames(snapshot)) {
        frame = mt_snapshot_frame_of(snapshot->frames, number);
    }
    if (entered) {
        mt_recording_leave(snapshot->recording);
    }
    return frame;
}

size_t mt_snapshot_frame_count(const struct mt_snapshot *snapshot)
{
    bool entered = mt_recording_enter(snapshot->recording);
    size_t count = has_frames(snapshot) ? mt_frames_spot_count(snapshot->frames) : 0;
    if (entered) {
        mt_recording_leave(snapshot->recording);
    }
    return count;
}

uint32_t mt_snapshot_frame_set(const struct mt_snapshot *snapshot)
{
    return snapshot->frame_set;
}
