/* monitor_settings.h: what the monitor is asked to do: the variables MONITORING_*, and changes by PUT. Context: [tool]. */
#ifndef MT_SERVE_MONITOR_SETTINGS_H
#define MT_SERVE_MONITOR_SETTINGS_H

#include "util/error.h"
#include "util/json.h"

#include <stdbool.h>
#include <stddef.h>

struct mt_json_value;

/* X(name, kind, default, least, most, is part of hotspots' config). Kinds: BOOL, WHOLE, NUMBER; all are kept as doubles. */
#define MT_MONITOR_SETTINGS(X)                                                                                         \
    X(slow_query_threshold_ms, NUMBER, 100, 0, 1e15, true)                                                             \
    X(slow_query_ring_size, WHOLE, 50, 1, 1000, true)                                                                  \
    X(slow_endpoint_threshold_ms, NUMBER, 1000, 0, 1e15, true)                                                         \
    X(slow_endpoint_ring_size, WHOLE, 50, 1, 1000, true)                                                               \
    X(process_history_size, WHOLE, 100, 1, 1000, true)                                                                 \
    X(tracemalloc_enabled, BOOL, 0, 0, 1, true)                                                                        \
    X(tracemalloc_threshold_mb, NUMBER, 100, 0, 1e15, true)                                                            \
    X(tracemalloc_top_n, WHOLE, 10, 1, 200, true)                                                                      \
    X(tracemalloc_min_interval_s, NUMBER, 60, 0, 1e15, false)                                                          \
    X(check_interval_s, NUMBER, 5, 0.01, 86400, false)

struct mt_monitor_settings {
#define X(name, kind, usual, least, most, shown) double name;
    MT_MONITOR_SETTINGS(X)
#undef X
};

/* From the environment; what cannot be read is said on standard error, and the default taken. */
void mt_monitor_settings_read(struct mt_monitor_settings *ret);
/* The members of an object. MT_E_INVAL: one is no setting or cannot have that value; nothing is changed. */
mt_status mt_monitor_settings_change(struct mt_monitor_settings *settings, const struct mt_json_value *changes, struct mt_error *err) MT_CHECKED;
/* An object of them; all: those too that hotspots leaves out. */
void mt_monitor_settings_put(struct mt_json *json, const struct mt_monitor_settings *settings, bool all);

#endif
