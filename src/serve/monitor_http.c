/* monitor_http.c: the monitor's endpoints, as memtap.monitoring has them inside an application (docs/guide/monitoring.md). */
#include "serve/answers.h"
#include "serve/server.h"

#include "util/json_read.h"
#include "util/memory.h"
#include "util/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DISABLED "Memory profiling disabled: set MONITORING_TRACEMALLOC_ENABLED=true, or PUT …/monitoring/config"

static struct mt_monitor *begin(struct mt_request *request, struct mt_json *json, bool success)
{
    struct mt_monitor *monitor = &request->server->monitor;
    *json = mt_response_json();
    mt_json_object(json);
    mt_json_put_bool(json, "success", success);
    mt_json_key(json, "data");
    mt_json_object(json);
    return monitor;
}

static void end(struct mt_request *request, struct mt_json *json, const char *message)
{
    mt_json_object_end(json);
    mt_json_put_text(json, "message", message);
    mt_json_object_end(json);
    mt_response_json_end(request, MHD_HTTP_OK, json);
}

static double rounded(double value)
{
    return round(value * 100) / 100;
}

/* ---- hotspots ----------------------------------------------------------------------------------------------------- */

static void put_trend(struct mt_json *json, const struct mt_monitor *m)
{
    double cpu_sum = 0, cpu_most = 0, cpu_least = INFINITY, rss_sum = 0, rss_most = 0, rss_least = INFINITY;
    double count = (double)m->history_count;
    for (size_t i = 0; i < m->history_count; i++) {
        const struct mt_process_sample *s = &m->history[i];
        cpu_sum += s->cpu_percent;
        rss_sum += s->rss_mb;
        cpu_most = fmax(cpu_most, s->cpu_percent);
        cpu_least = fmin(cpu_least, s->cpu_percent);
        rss_most = fmax(rss_most, s->rss_mb);
        rss_least = fmin(rss_least, s->rss_mb);
    }
    mt_json_object(json);
    mt_json_put_u64(json, "sample_count", m->history_count);
    mt_json_put_double(json, "cpu_avg", rounded(cpu_sum / count));
    mt_json_put_double(json, "cpu_max", rounded(cpu_most));
    mt_json_put_double(json, "cpu_min", rounded(cpu_least));
    mt_json_put_double(json, "rss_avg_mb", rounded(rss_sum / count));
    mt_json_put_double(json, "rss_max_mb", rounded(rss_most));
    mt_json_put_double(json, "rss_min_mb", rounded(rss_least));
    mt_json_put_text(json, "first_seen", m->history[0].timestamp);
    mt_json_put_text(json, "last_seen", m->history[m->history_count - 1].timestamp);
    mt_json_object_end(json);
}

static void put_samples(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_array(json);
    for (size_t i = 0; i < m->history_count; i++) {
        mt_json_object(json);
        mt_json_put_text(json, "timestamp", m->history[i].timestamp);
        mt_json_put_double(json, "cpu_percent", rounded(m->history[i].cpu_percent));
        mt_json_put_double(json, "rss_mb", rounded(m->history[i].rss_mb));
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

/* An object with one member, the process; none while nothing is known of it. */
static void put_processes(struct mt_json *json, const char *key, const struct mt_monitor *m, void (*put)(struct mt_json *json, const struct mt_monitor *m))
{
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%llu", (unsigned long long)m->pid);
    mt_json_key(json, key);
    mt_json_object(json);
    if (m->history_count > 0) {
        mt_json_key(json, pid);
        put(json, m);
    }
    mt_json_object_end(json);
}

static void put_slow(struct mt_json *json, const char *key, const char *items, double threshold_ms, const struct mt_slow_ring *ring)
{
    mt_json_key(json, key);
    mt_json_object(json);
    mt_json_put_u64(json, "count", ring->count);
    mt_json_put_double(json, "threshold_ms", threshold_ms);
    mt_json_key(json, items);
    mt_json_array(json);
    for (size_t i = 0; i < ring->count; i++) {
        const struct mt_slow *slow = &ring->items[i];
        mt_json_object(json);
        if (slow->method != NULL) {
            mt_json_put_text(json, "method", slow->method);
            mt_json_put_text(json, "path", slow->what);
            mt_json_put_u64(json, "status_code", slow->status);
        } else {
            mt_json_put_text(json, "query", slow->what);
            mt_json_put_text(json, "params", NULL);
        }
        mt_json_put_double(json, "duration_ms", rounded(slow->duration_ms));
        mt_json_put_text(json, "timestamp", slow->timestamp);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
    mt_json_object_end(json);
}

static void put_snapshots(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_key(json, "snapshots");
    mt_json_array(json);
    for (size_t i = 0; i < m->snapshot_count; i++) {
        mt_monitor_put_snapshot(json, &m->snapshots[i], (uint64_t)m->settings.tracemalloc_top_n);
    }
    mt_json_array_end(json);
}

static void put_diagnostics(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_object(json);
    put_processes(json, "process_trends", m, put_trend);
    put_processes(json, "process_history_raw", m, put_samples);
    put_slow(json, "slow_queries", "queries", m->settings.slow_query_threshold_ms, &m->queries);
    put_slow(json, "slow_endpoints", "endpoints", m->settings.slow_endpoint_threshold_ms, &m->endpoints);
    mt_json_key(json, "memory_snapshots");
    mt_json_object(json);
    mt_json_put_u64(json, "count", m->snapshot_count);
    mt_json_put_bool(json, "enabled", m->settings.tracemalloc_enabled != 0);
    mt_json_put_double(json, "threshold_mb", m->settings.tracemalloc_threshold_mb);
    put_snapshots(json, m);
    mt_json_object_end(json);
    mt_json_object_end(json);
}

/* What is written while the lock is held may run out of memory: the lock is given back first. */
struct writing {
    struct mt_monitor *monitor;
    struct mt_json *json;
    void (*put)(struct mt_json *json, const struct mt_monitor *monitor);
};

static void write_body(void *context)
{
    const struct writing *w = context;
    w->put(w->json, w->monitor);
}

static void write_locked(struct mt_monitor *monitor, struct mt_json *json, void (*put)(struct mt_json *json, const struct mt_monitor *monitor))
{
    struct writing writing = { monitor, json, put };
    (void)pthread_mutex_lock(&monitor->lock);
    bool done = mt_memory_try(write_body, NULL, &writing);
    (void)pthread_mutex_unlock(&monitor->lock);
    if (!done) {
        mt_memory_out(0);
    }
}

static void put_hotspots(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_key(json, "config");
    mt_monitor_settings_put(json, &m->settings, false);
    mt_json_key(json, "diagnostics");
    put_diagnostics(json, m);
}

void mt_serve_hotspots(struct mt_request *request)
{
    struct mt_json json;
    struct mt_monitor *monitor = begin(request, &json, true);
    write_locked(monitor, &json, put_hotspots);
    end(request, &json, "Hotspots of the first target");
}

/* ---- memory-leaks ------------------------------------------------------------------------------------------------- */

static void put_leaks(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_put_double(json, "threshold_mb", m->settings.tracemalloc_threshold_mb);
    mt_json_put_u64(json, "snapshot_count", m->snapshot_count);
    put_snapshots(json, m);
    mt_json_key(json, "latest_snapshot");
    if (m->snapshot_count > 0) {
        mt_monitor_put_snapshot(json, &m->snapshots[m->snapshot_count - 1], (uint64_t)m->settings.tracemalloc_top_n);
    } else {
        mt_json_null(json);
    }
    mt_json_key(json, "growth");
    mt_monitor_put_growth(json, m, false);
    mt_json_key(json, "suspected_leaks");
    mt_monitor_put_growth(json, m, true);
}

static bool is_enabled(struct mt_monitor *monitor, size_t *ret_snapshots)
{
    (void)pthread_mutex_lock(&monitor->lock);
    bool enabled = monitor->settings.tracemalloc_enabled != 0;
    *ret_snapshots = monitor->snapshot_count;
    (void)pthread_mutex_unlock(&monitor->lock);
    return enabled;
}

void mt_serve_memory_leaks(struct mt_request *request)
{
    struct mt_json json;
    char message[64];
    size_t snapshots;
    bool enabled = is_enabled(&request->server->monitor, &snapshots);
    struct mt_monitor *monitor = begin(request, &json, enabled);
    mt_json_put_bool(&json, "enabled", enabled);
    if (!enabled) {
        mt_json_key(&json, "snapshots");
        mt_json_array(&json);
        mt_json_array_end(&json);
        mt_json_put_text(&json, "message", DISABLED);
        end(request, &json, "Memory profiling disabled");
        return;
    }
    mt_json_put_double(&json, "current_memory_mb", rounded(mt_monitor_resident_mb(&request->server->targets)));
    write_locked(monitor, &json, put_leaks);
    (void)snprintf(message, sizeof message, "Found %zu memory snapshots", snapshots);
    end(request, &json, message);
}

/* ---- memory-snapshot ---------------------------------------------------------------------------------------------- */

/* ?force=, or the member of the body; true unless told otherwise. False: the reply says what is wrong. */
static bool read_force(struct mt_request *request, bool *ret)
{
    const char *argument = mt_request_argument(request, "force");
    struct mt_json_value *body = NULL;
    struct mt_error err = { 0 };
    *ret = true;
    if (argument != NULL) {
        bool good = mt_parse_bool(argument, ret);
        if (!good) {
            mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "force is true or false");
        }
        return good;
    }
    if (request->body_bytes == 0) {
        return true;
    }
    mt_status status = mt_json_read(request->body, request->body_bytes, &body, &err);
    const struct mt_json_value *force = mt_json_member(body, "force");
    if (status == MT_OK && (body->type != MT_JSON_OBJECT || (force != NULL && force->type != MT_JSON_BOOL))) {
        status = mt_error_set(&err, MT_E_INVAL, "the body must be an object, and force true or false");
    }
    *ret = force == NULL || force->truth;
    mt_json_value_free(body);
    if (status != MT_OK) {
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "%s", mt_error_text(&err));
    }
    return status == MT_OK;
}

static void put_latest(struct mt_json *json, const struct mt_monitor *m)
{
    mt_json_key(json, "snapshot");
    mt_monitor_put_snapshot(json, &m->snapshots[m->snapshot_count - 1], (uint64_t)m->settings.tracemalloc_top_n);
}

static void refuse_soon(struct mt_request *request, double wait_s)
{
    char seconds[32];
    (void)snprintf(seconds, sizeof seconds, "%.0f", fmax(1, ceil(wait_s)));
    mt_response_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "TOO_SOON", "the next snapshot may be taken in %s s", seconds);
    mt_response_header(request, "Retry-After", seconds);
}

void mt_serve_memory_snapshot(struct mt_request *request)
{
    bool force;
    double wait_s = 0;
    size_t snapshots;
    struct mt_profile_failure failure = { 0 };
    struct mt_monitor *monitor = &request->server->monitor;
    if (!read_force(request, &force)) {
        return;
    }
    enum mt_taken taken = !is_enabled(monitor, &snapshots) ? MT_TAKEN_DISABLED
                                                          : mt_monitor_take(monitor, &request->server->targets, force, &wait_s, &failure);
    struct mt_json json;
    switch (taken) {
    case MT_TAKEN_DISABLED:
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "NOT_ENABLED", "Tracemalloc is not enabled. " DISABLED);
        break;
    case MT_TAKEN_BELOW:
        mt_response_fail(request, MHD_HTTP_CONFLICT, "THRESHOLD_NOT_REACHED", "resident memory is below the threshold, %g MiB",
                         monitor->settings.tracemalloc_threshold_mb);
        break;
    case MT_TAKEN_SOON:
        refuse_soon(request, wait_s);
        break;
    case MT_TAKEN_FAILED:
        mt_response_fail(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "SNAPSHOT_FAILED", "Failed to capture memory snapshot: %s", failure.text);
        break;
    case MT_TAKEN:
    default:
        (void)begin(request, &json, true);
        write_locked(monitor, &json, put_latest);
        mt_json_put_text(&json, "message", "the places with most live memory");
        end(request, &json, "Snapshot taken");
    }
}

/* ---- config ------------------------------------------------------------------------------------------------------- */

static void put_config(struct mt_json *json, const struct mt_monitor *m)
{
    mt_monitor_settings_put(json, &m->settings, true);
}

void mt_serve_monitor_config(struct mt_request *request)
{
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_bool(&json, "success", true);
    mt_json_key(&json, "data");
    write_locked(&request->server->monitor, &json, put_config);
    mt_json_put_text(&json, "message", "Settings in force");
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}

void mt_serve_change_monitor_config(struct mt_request *request)
{
    struct mt_monitor *monitor = &request->server->monitor;
    struct mt_json_value *changes = NULL;
    struct mt_error err = { 0 };
    mt_status status = mt_json_read(request->body != NULL ? request->body : "", request->body_bytes, &changes, &err);
    if (status == MT_OK) {
        (void)pthread_mutex_lock(&monitor->lock);
        status = mt_monitor_settings_change(&monitor->settings, changes, &err);
        (void)pthread_mutex_unlock(&monitor->lock);
    }
    mt_json_value_free(changes);
    if (status != MT_OK) {
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "%s", mt_error_text(&err));
        return;
    }
    mt_serve_monitor_config(request);
}
