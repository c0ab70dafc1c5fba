/* trace.c: opens a trace and hands out its columns. Context: [tool]. */
#include "base/hash.h"
#include "base/os.h"
#include "model/trace_private.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACKING_TRIES = 100 };

/* Adds up what the reader has found. Live slots do not say their last clock; the first is the best there is. Returns the bytes
 * of events in slots. */
static uint64_t sum_extents(struct mt_trace *t)
{
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(t->reader, &count);
    uint64_t in_slots = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mt_extent *e = &extents[i];
        if (e->type == MT_BLOCK_EVENTS && e->stored_bytes > 0) {
            uint64_t clock = e->slot ? e->clock_first : e->clock_last;
            t->seen_clock = clock > t->seen_clock ? clock : t->seen_clock;
            in_slots += e->slot ? e->stored_bytes : 0;
            t->block_bytes += e->slot ? 0 : e->stored_bytes;
            t->block_events += e->events;
        }
    }
    return in_slots;
}

/* Of this process: the others in its file have sizes of their own. */
static uint64_t own_bytes(const struct mt_reader *reader)
{
    size_t count;
    const struct mt_nested *nested = mt_reader_nested(reader, &count);
    uint64_t bytes = mt_reader_file_bytes(reader);
    for (size_t i = 0; i < count; i++) {
        bytes -= nested[i].bytes < bytes ? nested[i].bytes : bytes;
    }
    return bytes;
}

/* path, command: texts of the trace. */
static void fill_info(struct mt_trace *t, const char *path, const char *command)
{
    const struct mt_trace_header *h = mt_reader_header(t->reader);
    struct mt_trace_info *info = &t->info;
    uint64_t in_slots = sum_extents(t);
    if (h->state == MT_STATE_RECORDING) {
        mt_process_writer_find(&t->writer, path, h->pid);
    }
    *info = (struct mt_trace_info){
        .path = path,
        .pid = h->pid,
        .process = h->state == MT_STATE_RECORDING ? (uint64_t)t->writer.pid : 0,
        .parent_pid = h->parent_pid,
        .flags = h->flags,
        .state = (enum mt_trace_state)h->state,
        .end_reason = (enum mt_end_reason)h->end_reason,
        .start_realtime_ns = h->start_realtime_ns,
        .start_clock = h->start_clock,
        .horizon_clock = h->horizon_clock,
        .rate_bytes = h->rate_bytes,
        .clock_kind = (enum mt_clock_kind)h->clock_kind,
        .clock_line = { .origin = { .ticks = h->line_ticks, .ns = h->line_ns }, .scale = h->line_scale },
        .clock_resolution_ns = h->clock_kind == MT_CLOCK_TSC && h->counters[MT_COUNTER_TIMES_ALONE] == 0
                                   ? (uint64_t)1 << h->clock_shift
                                   : h->clock_tick_ns,
        .python_version = h->python_version,
        .exit_known = h->tool_exit_status != 0,
        .exit_status = (int)(h->tool_exit_status != 0 ? h->tool_exit_status - 1 : 0),
        .rss_peak_bytes = h->rss_peak_bytes,
        .memory = h->memory,
        .command = command,
        .command_bytes = h->command_bytes,
        .file_bytes = own_bytes(t->reader),
        .event_bytes = t->block_bytes + in_slots,
        .events_known = t->block_events,
    };
    while (info->command_bytes > 0 && info->command[info->command_bytes - 1] == '\0') {
        info->command_bytes--;
    }
    memcpy(info->counters, h->counters, sizeof info->counters);
    info->memory.clock = h->memory.clock > h->start_clock ? h->memory.clock - h->start_clock : 0;
    uint64_t last = h->counters[MT_COUNTER_LAST_CLOCK];
    last = t->seen_clock > last ? t->seen_clock : last;
    last = h->start_clock > last ? h->start_clock : last;
    info->ended = h->end_clock != 0;
    info->end_within_ns = h->end_clock <= last ? 0 : h->end_clock - last < h->end_within_ns ? h->end_clock - last : h->end_within_ns;
    last = h->end_clock > last ? h->end_clock : last;
    info->duration_ns = last > h->start_clock ? last - h->start_clock : 0;
}

static void fill_completeness(struct mt_trace *t)
{
    const struct mt_reader_report *report = mt_reader_report(t->reader);
    t->completeness = (struct mt_trace_completeness){
        .holes = report->holes,
        .hole_bytes = report->hole_bytes,
        .first_hole = report->first_hole,
        .truncated_at = report->truncated_at,
        .lost_blocks = report->lost_blocks,
        .journal_missing = report->journal_missing,
        .dropped_events = t->info.counters[MT_COUNTER_DROPPED_EVENTS],
    };
}

/* RSS samples may say more than the header. */
static void settle_rss_peak(struct mt_trace *t)
{
    for (; t->rss_settled < t->rss_count; t->rss_settled++) {
        const struct mt_trace_rss *rss = &t->rss[t->rss_settled];
        t->rss_most = rss->bytes > t->rss_most ? rss->bytes : t->rss_most;
        if (rss->parted && rss->bytes >= t->rss_parted.bytes) {
            t->rss_parted = *rss;
        }
    }
    if (t->rss_most > t->info.rss_peak_bytes) {
        t->info.rss_peak_bytes = t->rss_most;
    }
    t->info.rss_parted = t->rss_parted.parted;
    t->info.rss_file_bytes = t->rss_parted.file_bytes;
    t->info.rss_own_bytes = t->rss_parted.own_bytes;
}

static void close_reader(void *reader, size_t bytes)
{
    (void)bytes;
    mt_reader_close(reader);
}

static mt_status open_reader(struct mt_reader *reader, const char *path, struct mt_trace **ret,
                             struct mt_wire_error *error)
{
    mt_memory_hold(reader, 0, close_reader);
    struct mt_trace *t = mt_alloc_zero(1, sizeof *t);
    const struct mt_trace_header *h = mt_reader_header(reader);
    t->reader = reader;
    t->ticks = mt_ticks_may_be_counted(h) ? mt_ticks_new(reader) : NULL;
    fill_info(t, mt_pool_text(&t->pool, path, strlen(path)), mt_pool_text(&t->pool, h->command, h->command_bytes));
    fill_completeness(t);
    mt_status status = mt_trace_read_metadata(t);
    if (status != MT_OK) {
        mt_trace_close(t);
        if (error != NULL) {
            *error = (struct mt_wire_error){ .text = "the metadata could not be read" };
        }
        return status;
    }
    settle_rss_peak(t);
    *ret = t;
    return MT_OK;
}

/* MT_E_BUSY: it was put into its packed form meanwhile. *ret_pid: of its process, when it could be opened at all. */
static mt_status open_as_it_is(const char *path, struct mt_trace **ret, uint64_t *ret_pid, struct mt_wire_error *ret_error)
{
    struct mt_reader *reader;
    struct mt_trace *trace;
    mt_status status = mt_reader_open(path, &reader, ret_error);
    if (status != MT_OK) {
        return status;
    }
    *ret_pid = mt_reader_header(reader)->pid;
    status = open_reader(reader, path, &trace, ret_error);
    if (status == MT_OK && mt_reader_is_outdated(reader)) {
        mt_trace_close(trace);
        return MT_E_BUSY;
    }
    *ret = status == MT_OK ? trace : *ret;
    return status;
}

/* While a trace is being packed where it is, the packed form lies whole in its folder. */
static mt_status open_packed_aside(const char *path, uint64_t pid, struct mt_trace **ret)
{
    char *folder = mt_tracepath_folder(path);
    char *aside = mt_format("%s/%llu.mtap", folder, (unsigned long long)pid);
    mt_status status = open_as_it_is(aside, ret, &pid, NULL);
    free(aside);
    free(folder);
    return status;
}

mt_status mt_trace_open(const char *path, struct mt_trace **ret, struct mt_wire_error *ret_error)
{
    uint64_t pid = 0;
    mt_status status = open_as_it_is(path, ret, &pid, ret_error);
    for (unsigned tries = 0; status == MT_E_BUSY && tries < PACKING_TRIES; tries++) {
        if (open_packed_aside(path, pid, ret) == MT_OK) {
            return MT_OK;
        }
        status = open_as_it_is(path, ret, &pid, ret_error); /* it is done, or was about to begin */
    }
    if (status == MT_E_BUSY && ret_error != NULL) {
        *ret_error = (struct mt_wire_error){ .offset = offsetof(struct mt_trace_header, state),
                                             .text = "it was not packed to the end, and is not whole in its folder either" };
    }
    return status == MT_E_BUSY ? MT_E_CORRUPT : status;
}

mt_status mt_trace_open_memory(const void *data, size_t bytes, struct mt_trace **ret, struct mt_wire_error *ret_error)
{
    struct mt_reader *reader;
    mt_status status = mt_reader_open_memory(data, bytes, &reader, ret_error);
    return status == MT_OK ? open_reader(reader, "", ret, ret_error) : status;
}

size_t mt_trace_nested_count(const struct mt_trace *outer)
{
    size_t count;
    (void)mt_reader_nested(outer->reader, &count);
    return count;
}

mt_status mt_trace_open_nested(const struct mt_trace *outer, size_t index, struct mt_trace **ret,
                               struct mt_wire_error *ret_error)
{
    struct mt_reader *reader;
    mt_status status = mt_reader_open_nested(outer->reader, index, &reader, ret_error);
    status = status == MT_OK ? open_reader(reader, outer->info.path, ret, ret_error) : status;
    if (status == MT_OK) {
        (*ret)->nested = index + 1;
    }
    return status;
}

size_t mt_trace_place(const struct mt_trace *trace)
{
    return trace->nested;
}

mt_status mt_trace_open_place(const char *path, size_t place, struct mt_trace **ret, struct mt_wire_error *ret_error)
{
    struct mt_trace *first;
    mt_status status = mt_trace_open(path, &first, ret_error);
    if (status != MT_OK || place == 0) {
        *ret = status == MT_OK ? first : *ret;
        return status;
    }
    status = place <= mt_trace_nested_count(first) ? mt_trace_open_nested(first, place - 1, ret, ret_error) : MT_E_NOENT;
    mt_trace_close(first);
    return status;
}

mt_status mt_trace_open_again(const struct mt_trace *trace, struct mt_trace **ret, struct mt_wire_error *ret_error)
{
    return mt_trace_open_place(trace->info.path, trace->nested, ret, ret_error);
}

bool mt_trace_can_poll(const struct mt_trace *t)
{
    return mt_reader_can_poll(t->reader) && t->nested == 0;
}

void mt_trace_will_be_polled(struct mt_trace *t)
{
    t->whole = !mt_trace_is_live(&t->info, mt_trace_moment().ns);
    if (t->whole && t->ticks != NULL && mt_trace_can_poll(t)) {
        (void)mt_ticks_time(t->ticks, 0);
    }
}

static bool has_new_events(const struct mt_reader *reader)
{
    size_t count;
    const struct mt_extent *e = mt_reader_extents(reader, &count);
    for (size_t i = 0; i < count; i++) {
        if (e[i].type == MT_BLOCK_EVENTS) {
            return true;
        }
    }
    return false;
}

mt_status mt_trace_poll(struct mt_trace *t)
{
    if (t->completeness.metadata_broken) { /* what is missing may be there now */
        return MT_E_BUSY;
    }
    mt_status status = mt_reader_poll(t->reader, t->info.path);
    if (status != MT_OK) {
        return status;
    }
    t->whole = t->whole && !has_new_events(t->reader);
    t->polled = true;
    fill_info(t, t->info.path, t->info.command);
    fill_completeness(t);
    status = mt_trace_load_metadata(t);
    settle_rss_peak(t);
    return status;
}

void mt_trace_rest(struct mt_trace *t)
{
    mt_reader_rest(t->reader);
}

void mt_trace_close(struct mt_trace *t)
{
    if (t == NULL) {
        return;
    }
    mt_ticks_free(t->ticks);
    mt_memory_release(t->reader);
    mt_reader_close(t->reader);
    mt_pool_fini(&t->pool);
    mt_index_fini(&t->module_index);
    mt_index_fini(&t->thread_index);
    mt_index_fini(&t->label_index);
    free(t->strings);
    free(t->modules);
    free(t->codes);
    free(t->natives);
    free(t->pythons);
    free(t->stacks);
    free(t->anchors);
    free(t->threads);
    free(t->notes);
    free(t->torch);
    free(t->sites);
    free(t->points);
    free(t->rss);
    free(t->rates);
    free(t->marks);
    free(t->labels);
    free(t->places);
    free(t);
}

const struct mt_trace_info *mt_trace_info(const struct mt_trace *trace)
{
    return &trace->info;
}

const struct mt_trace_completeness *mt_trace_completeness(const struct mt_trace *trace)
{
    return &trace->completeness;
}

const struct mt_reader *mt_trace_reader(const struct mt_trace *trace)
{
    return trace->reader;
}

/* Was the trace begun in this boot of this machine? Then its clock is ours. */
static bool clock_is_ours(const struct mt_trace_info *info, uint64_t now)
{
    struct timespec wall;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0 || info->start_clock > now) {
        return false;
    }
    uint64_t since_start = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec - info->start_realtime_ns;
    uint64_t apart = since_start - (now - info->start_clock) + MT_SAME_BOOT_NS;
    return apart <= 2 * MT_SAME_BOOT_NS;
}

static bool is_alive(uint64_t pid)
{
    return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

struct mt_tsc_moment mt_trace_moment(void)
{
    uint64_t ns = mt_os_monotonic_ns();
    return (struct mt_tsc_moment){ .ticks = mt_os_tsc_is_allowed() ? mt_tsc_read() : 0, .ns = ns };
}

uint64_t mt_trace_clock_at(const struct mt_trace_info *info, const struct mt_tsc_moment *moment)
{
    const struct mt_tsc_line *line = &info->clock_line;
    if (line->scale == 0 || moment->ticks <= line->origin.ticks) {
        return moment->ns;
    }
    uint64_t by_line = mt_tsc_to_ns(line, moment->ticks);
    return info->clock_kind == MT_CLOCK_COUNTER && moment->ns > by_line ? moment->ns : by_line;
}

bool mt_trace_is_live(const struct mt_trace_info *info, uint64_t now)
{
    return info->state == MT_STATE_RECORDING && !info->ended && is_alive(info->process) && clock_is_ours(info, now);
}

uint64_t mt_trace_time(const struct mt_trace *trace, uint64_t clock)
{
    return clock > trace->info.start_clock ? clock - trace->info.start_clock : 0;
}

struct mt_ticks *mt_trace_ticks(const struct mt_trace *trace)
{
    return trace->polled && !trace->whole ? NULL : trace->ticks;
}

uint64_t mt_trace_event_time(const struct mt_trace *trace, uint64_t clock)
{
    struct mt_ticks *ticks = mt_trace_ticks(trace);
    return mt_trace_time(trace, ticks != NULL ? mt_ticks_time(ticks, clock) : clock);
}

const struct mt_trace_thread *mt_trace_threads(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->thread_count;
    return trace->threads;
}

const struct mt_trace_torch *mt_trace_torch(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->torch_count;
    return trace->torch;
}

const struct mt_trace_note *mt_trace_notes(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->note_count;
    return trace->notes;
}

const struct mt_trace_rss *mt_trace_rss(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->rss_count;
    return trace->rss;
}

const struct mt_trace_rate *mt_trace_rates(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->rate_count;
    return trace->rates;
}

const struct mt_trace_mark *mt_trace_marks(const struct mt_trace *trace, size_t *ret_count)
{
    *ret_count = trace->mark_count;
    return trace->marks;
}

const struct mt_trace_label *mt_trace_label(const struct mt_trace *trace, uint32_t number)
{
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&trace->label_index, mt_hash_u64(number), &probe)) != MT_INDEX_NONE) {
        if (trace->labels[at].number == number) {
            return &trace->labels[at];
        }
    }
    return NULL;
}

struct mt_text mt_trace_label_text(const struct mt_trace *trace, uint32_t number, bool task)
{
    const struct mt_trace_label *label = number != 0 ? mt_trace_label(trace, number) : NULL;
    while (label != NULL && (label->kind == MT_LABEL_TASK || label->kind == MT_LABEL_THREAD) != task) {
        label = label->under != 0 ? mt_trace_label(trace, label->under) : NULL; /* a smaller number */
    }
    return label != NULL ? label->text : (struct mt_text){ "", 0 };
}

const struct mt_trace_thread *mt_trace_thread(const struct mt_trace *trace, uint32_t stream)
{
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&trace->thread_index, mt_hash_u64(stream), &probe)) != MT_INDEX_NONE) {
        if (trace->threads[at].stream == stream) {
            return &trace->threads[at];
        }
    }
    return NULL;
}

const char *mt_trace_note(const struct mt_trace *trace, const char *key)
{
    for (size_t i = trace->note_count; i-- > 0;) {
        if (strcmp(trace->notes[i].key.data, key) == 0) {
            return trace->notes[i].value.data;
        }
    }
    return NULL;
}

const char *mt_trace_clock_word(const struct mt_trace_info *info)
{
    static const char *const words[] = {
        [MT_CLOCK_UNKNOWN] = "unknown",
        [MT_CLOCK_TICK] = "tick",
        [MT_CLOCK_TSC] = "tsc",
        [MT_CLOCK_COUNTER] = "counter",
    };
    return (size_t)info->clock_kind < MT_COUNTOF(words) ? words[info->clock_kind] : words[MT_CLOCK_UNKNOWN];
}
