/* monitor.h: memory of the first target over time: snapshots when it grows large, what grows between them, what is slow.
 *
 * Decides: what memtap.monitoring does inside an application, done from outside and from the trace: the same settings and variables
 * (MONITORING_*), thresholds and answers. It is the first target's, and in force only while that grows: a finished recording has no
 * resident memory. Snapshots are the places with most live memory, as in `memtap leaks`. All of it is bounded.
 * Context: [tool], workers and a thread that looks; nothing here waits for a reading with the lock held, but snapshots themselves are
 * taken one at a time.
 */
#ifndef MT_SERVE_MONITOR_H
#define MT_SERVE_MONITOR_H

#include "serve/monitor_settings.h"
#include "serve/targets.h"
#include "util/json.h"

#include <pthread.h>

enum { MT_SNAPSHOTS_KEPT = 20, MT_PLACES_COMPARED = 200, MT_SLOW_MAX = 1000, MT_HISTORY_MAX = 1000 };

struct mt_place_seen {
    char *file; /* the path alone */
    uint64_t line;
    double bytes, count;
};

struct mt_memory_snapshot {
    char timestamp[40];
    double memory_mb;
    double traced_mb; /* what the recording knows to be alive */
    struct mt_place_seen *places;
    size_t place_count;
};

struct mt_process_sample {
    char timestamp[40];
    double cpu_percent, rss_mb;
};

struct mt_slow {
    char *what; /* a path, or a query's first characters */
    const char *method; /* NULL: a query */
    unsigned status;
    double duration_ms;
    char timestamp[40];
};

struct mt_slow_ring {
    struct mt_slow items[MT_SLOW_MAX + 1]; /* slowest first */
    size_t count;
};

struct mt_monitor {
    pthread_mutex_t lock;   /* around everything below */
    pthread_mutex_t taking; /* a snapshot is being taken; before `lock` */
    struct mt_monitor_settings settings;
    struct mt_memory_snapshot snapshots[MT_SNAPSHOTS_KEPT]; /* oldest first */
    size_t snapshot_count;
    uint64_t last_ns; /* of the last snapshot; 0: none */
    struct mt_process_sample history[MT_HISTORY_MAX]; /* oldest first */
    size_t history_count;
    uint64_t pid;           /* of the target; 0: not known */
    uint64_t cpu_ns, looked_ns; /* at the last look */
    struct mt_slow_ring queries, endpoints;
};

enum mt_taken { MT_TAKEN, MT_TAKEN_DISABLED, MT_TAKEN_BELOW, MT_TAKEN_SOON, MT_TAKEN_FAILED };

void mt_monitor_init(struct mt_monitor *monitor);
/* Looks at the target's process and takes a snapshot if there is to be one. */
void mt_monitor_look(struct mt_monitor *monitor, struct mt_targets *targets);
/* force: whatever memory there is and whenever the last one was. *ret_wait_s: of SOON, how long to wait. failure: of FAILED. */
enum mt_taken mt_monitor_take(struct mt_monitor *monitor, struct mt_targets *targets, bool force, double *ret_wait_s, struct mt_profile_failure *failure);
void mt_monitor_slow_query(struct mt_monitor *monitor, const char *sql, double duration_ms);
void mt_monitor_slow_endpoint(struct mt_monitor *monitor, const char *method, const char *path, double duration_ms, unsigned status);
/* MiB; NAN: not known. */
double mt_monitor_resident_mb(struct mt_targets *targets);

/* Writers; the caller has the lock. */
void mt_monitor_put_snapshot(struct mt_json *json, const struct mt_memory_snapshot *snapshot, uint64_t top_n);
void mt_monitor_put_growth(struct mt_json *json, const struct mt_monitor *monitor, bool suspects_alone);

#endif
