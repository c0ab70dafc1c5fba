/* monitor.c: see monitor.h: looking at the process, taking snapshots, remembering what was slow. */
#include "serve/monitor.h"

#include "base/os.h"
#include "serve/facts.h"
#include "serve/stamp.h"
#include "util/json_read.h"
#include "util/memory.h"
#include "util/process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB 1048576.0
enum { QUERY_CHARS = 500 };

void mt_monitor_init(struct mt_monitor *monitor)
{
    monitor->lock = monitor->taking = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    mt_monitor_settings_read(&monitor->settings);
}

static void lock(struct mt_monitor *monitor)
{
    (void)pthread_mutex_lock(&monitor->lock);
}

static void unlock(struct mt_monitor *monitor)
{
    (void)pthread_mutex_unlock(&monitor->lock);
}

/* ---- the process -------------------------------------------------------------------------------------------------- */

/* The process of the first target, while it records; 0: there is none. */
static uint64_t process_of(struct mt_targets *targets)
{
    struct mt_target *target = mt_targets_in(targets, 0);
    struct mt_opened *opened;
    struct mt_recording_info info = { 0 };
    if (target == NULL || mt_target_open(target, MT_USE_QUESTIONS, &opened, NULL) != MT_PROFILE_OK) {
        return 0;
    }
    bool live = mt_recording_info(opened->recording, &info, NULL) == MT_PROFILE_OK && info.live;
    mt_target_close(target, MT_USE_QUESTIONS, opened);
    return live ? info.process : 0;
}

double mt_monitor_resident_mb(struct mt_targets *targets)
{
    uint64_t pid = process_of(targets);
    return pid != 0 ? mt_facts_resident(pid) / MIB : (double)NAN;
}

/* Processor time of a process; 0: not known. */
static uint64_t cpu_of(uint64_t pid)
{
    struct mt_process_stat now;
    return mt_process_stat_read((pid_t)pid, 0, &now) ? now.cpu_ticks * 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK) : 0;
}

static void remember_locked(struct mt_monitor *m, uint64_t pid, double rss_mb)
{
    uint64_t now_ns = mt_os_monotonic_ns(), cpu_ns = cpu_of(pid);
    struct mt_process_sample sample = { .rss_mb = rss_mb };
    if (pid == m->pid && now_ns > m->looked_ns && cpu_ns >= m->cpu_ns) {
        sample.cpu_percent = 100.0 * (double)(cpu_ns - m->cpu_ns) / (double)(now_ns - m->looked_ns);
    } else if (pid != m->pid) {
        m->history_count = 0;
    }
    mt_stamp_now(sample.timestamp, sizeof sample.timestamp);
    size_t room = (size_t)m->settings.process_history_size;
    size_t drop = m->history_count >= room ? m->history_count - room + 1 : 0;
    memmove(m->history, m->history + drop, (m->history_count - drop) * sizeof *m->history);
    m->history_count -= drop;
    m->history[m->history_count++] = sample;
    m->pid = pid;
    m->cpu_ns = cpu_ns;
    m->looked_ns = now_ns;
}

void mt_monitor_look(struct mt_monitor *monitor, struct mt_targets *targets)
{
    lock(monitor);
    double interval_s = monitor->settings.check_interval_s;
    bool due = monitor->looked_ns == 0 || (double)(mt_os_monotonic_ns() - monitor->looked_ns) >= interval_s * 1e9;
    unlock(monitor);
    uint64_t pid = due ? process_of(targets) : 0;
    double rss = pid != 0 ? mt_facts_resident(pid) : (double)NAN;
    if (isnan(rss)) {
        return;
    }
    lock(monitor);
    remember_locked(monitor, pid, rss / MIB);
    bool enabled = monitor->settings.tracemalloc_enabled != 0;
    unlock(monitor);
    double wait_s;
    if (enabled) {
        (void)mt_monitor_take(monitor, targets, false, &wait_s, NULL);
    }
}

/* ---- snapshots ---------------------------------------------------------------------------------------------------- */

static void clear_snapshot(struct mt_memory_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->place_count; i++) {
        free(snapshot->places[i].file);
    }
    free(snapshot->places);
    *snapshot = (struct mt_memory_snapshot){ 0 };
}

static double number(const struct mt_json_value *row, const char *name)
{
    const struct mt_json_value *value = mt_json_member(row, name);
    return value != NULL && value->type == MT_JSON_NUMBER ? value->number : 0;
}

static const char *text(const struct mt_json_value *row, const char *name)
{
    const struct mt_json_value *value = mt_json_member(row, name);
    return value != NULL && value->type == MT_JSON_TEXT ? value->text : NULL;
}

/* The place of a file and line; a new one if need be. */
static struct mt_place_seen *place_of(struct mt_memory_snapshot *snapshot, const char *file, uint64_t line)
{
    for (size_t i = 0; i < snapshot->place_count; i++) {
        if (snapshot->places[i].line == line && strcmp(snapshot->places[i].file, file) == 0) {
            return &snapshot->places[i];
        }
    }
    struct mt_place_seen *place = &snapshot->places[snapshot->place_count++];
    place->file = mt_strdup(file);
    mt_memory_release(place->file);
    place->line = line;
    return place;
}

static int by_bytes(const void *a, const void *b)
{
    const struct mt_place_seen *x = a, *y = b;
    return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

/* Rows of `leaks` become places; a row without a file is called by its function. Kept beyond the question they are for. */
static void take_places(struct mt_memory_snapshot *snapshot, const struct mt_json_value *rows)
{
    snapshot->places = mt_alloc_zero(MT_PLACES_COMPARED, sizeof *snapshot->places);
    mt_memory_release(snapshot->places);
    for (const struct mt_json_value *row = rows->first; row != NULL && snapshot->place_count < MT_PLACES_COMPARED; row = row->next) {
        const char *file = text(row, "file") != NULL ? text(row, "file") : text(row, "function");
        struct mt_place_seen *place = place_of(snapshot, file != NULL ? file : "?", (uint64_t)number(row, "line"));
        place->bytes += number(row, "bytes");
        place->count += number(row, "count");
    }
    qsort(snapshot->places, snapshot->place_count, sizeof *snapshot->places, by_bytes);
}

static int read_places(struct mt_target *target, struct mt_memory_snapshot *ret, struct mt_profile_failure *failure)
{
    const struct mt_profile_query query = { .struct_bytes = sizeof query, .rows = MT_PLACES_COMPARED, .bare = true };
    struct mt_opened *opened;
    struct mt_json_value *rows;
    char *report;
    size_t bytes;
    int code = mt_target_open(target, MT_USE_QUESTIONS, &opened, failure);
    if (code != MT_PROFILE_OK) {
        return code;
    }
    code = mt_recording_report(opened->recording, MT_PROFILE_LEAKS, &query, &report, &bytes, failure);
    mt_target_close(target, MT_USE_QUESTIONS, opened);
    if (code != MT_PROFILE_OK) {
        return code;
    }
    if (mt_json_read(report, bytes, &rows, NULL) == MT_OK) {
        take_places(ret, rows);
        mt_json_value_free(rows);
    }
    mt_profile_release(report);
    return MT_PROFILE_OK;
}

static void keep_locked(struct mt_monitor *m, const struct mt_memory_snapshot *snapshot)
{
    if (m->snapshot_count == MT_SNAPSHOTS_KEPT) {
        clear_snapshot(&m->snapshots[0]);
        memmove(m->snapshots, m->snapshots + 1, (MT_SNAPSHOTS_KEPT - 1) * sizeof *m->snapshots);
        m->snapshot_count--;
    }
    m->snapshots[m->snapshot_count++] = *snapshot;
    m->last_ns = mt_os_monotonic_ns();
}

/* Equal to the threshold counts. */
static enum mt_taken refuses_locked(const struct mt_monitor *m, double memory_mb, double *ret_wait_s)
{
    double since_s = (double)(mt_os_monotonic_ns() - m->last_ns) / 1e9;
    if (!(memory_mb >= m->settings.tracemalloc_threshold_mb)) {
        return MT_TAKEN_BELOW;
    }
    if (m->last_ns != 0 && since_s < m->settings.tracemalloc_min_interval_s) {
        *ret_wait_s = m->settings.tracemalloc_min_interval_s - since_s;
        return MT_TAKEN_SOON;
    }
    return MT_TAKEN;
}

static enum mt_taken take_one(struct mt_monitor *m, struct mt_targets *targets, bool force, double *ret_wait_s, struct mt_profile_failure *failure)
{
    struct mt_memory_snapshot snapshot = { 0 };
    struct mt_facts_read facts;
    struct mt_target *target = mt_targets_in(targets, 0);
    if (target == NULL || !mt_facts_read(target, &facts)) {
        (void)snprintf(failure->text, sizeof failure->text, "there is no recording that can be read");
        return MT_TAKEN_FAILED;
    }
    snapshot.memory_mb = (isnan(facts.resident_bytes) ? facts.rss_peak_bytes : facts.resident_bytes) / MIB;
    snapshot.traced_mb = (facts.leaked_bytes + facts.libc_bytes) / MIB;
    lock(m);
    enum mt_taken refused = m->settings.tracemalloc_enabled == 0 ? MT_TAKEN_DISABLED : force ? MT_TAKEN : refuses_locked(m, snapshot.memory_mb, ret_wait_s);
    unlock(m);
    if (refused != MT_TAKEN) {
        return refused;
    }
    if (read_places(target, &snapshot, failure) != MT_PROFILE_OK) {
        return MT_TAKEN_FAILED;
    }
    mt_stamp_now(snapshot.timestamp, sizeof snapshot.timestamp);
    lock(m);
    keep_locked(m, &snapshot);
    unlock(m);
    return MT_TAKEN;
}

struct taking {
    struct mt_monitor *monitor;
    struct mt_targets *targets;
    bool force;
    double *wait_s;
    struct mt_profile_failure *failure;
    enum mt_taken taken;
};

static void take_body(void *context)
{
    struct taking *t = context;
    t->taken = take_one(t->monitor, t->targets, t->force, t->wait_s, t->failure);
}

/* Whatever it comes to, the next one can be taken. */
enum mt_taken mt_monitor_take(struct mt_monitor *monitor, struct mt_targets *targets, bool force, double *ret_wait_s, struct mt_profile_failure *failure)
{
    struct mt_profile_failure unseen = { 0 };
    struct taking taking = { monitor, targets, force, ret_wait_s, failure != NULL ? failure : &unseen, MT_TAKEN_FAILED };
    *taking.failure = (struct mt_profile_failure){ .text = "there is not enough memory" };
    (void)pthread_mutex_lock(&monitor->taking);
    (void)mt_memory_try(take_body, NULL, &taking);
    (void)pthread_mutex_unlock(&monitor->taking);
    return taking.taken;
}

/* ---- what is slow ------------------------------------------------------------------------------------------------- */

static void add_slow_locked(struct mt_slow_ring *ring, size_t size, const struct mt_slow *slow)
{
    size_t at = ring->count;
    while (at > 0 && ring->items[at - 1].duration_ms < slow->duration_ms) {
        at--;
    }
    memmove(ring->items + at + 1, ring->items + at, (ring->count - at) * sizeof *ring->items);
    ring->items[at] = *slow;
    ring->count++;
    while (ring->count > size) {
        free(ring->items[--ring->count].what);
    }
}

static struct mt_slow make_slow(const char *what, size_t most, double duration_ms)
{
    struct mt_slow slow = { .what = mt_strndup(what, strnlen(what, most)), .duration_ms = duration_ms };
    mt_memory_release(slow.what);
    mt_stamp_now(slow.timestamp, sizeof slow.timestamp);
    return slow;
}

void mt_monitor_slow_query(struct mt_monitor *monitor, const char *sql, double duration_ms)
{
    lock(monitor);
    double threshold_ms = monitor->settings.slow_query_threshold_ms;
    unlock(monitor);
    if (duration_ms < threshold_ms) {
        return;
    }
    struct mt_slow slow = make_slow(sql, QUERY_CHARS, duration_ms);
    lock(monitor);
    add_slow_locked(&monitor->queries, (size_t)monitor->settings.slow_query_ring_size, &slow);
    unlock(monitor);
}

void mt_monitor_slow_endpoint(struct mt_monitor *monitor, const char *method, const char *path, double duration_ms, unsigned status)
{
    lock(monitor);
    double threshold_ms = monitor->settings.slow_endpoint_threshold_ms;
    unlock(monitor);
    if (duration_ms < threshold_ms) {
        return;
    }
    struct mt_slow slow = make_slow(path, QUERY_CHARS, duration_ms);
    slow.method = method;
    slow.status = status;
    lock(monitor);
    add_slow_locked(&monitor->endpoints, (size_t)monitor->settings.slow_endpoint_ring_size, &slow);
    unlock(monitor);
}
