/* tracker.c: life and settings of a tracker.
 *
 * Decides: a tracker is one anonymous mapping and the tables that grow from it; nothing comes from malloc, so a tracker may be
 * fed from inside one. Settings are plain words read without order: a change is seen by calls that begin later.
 */
#include "tracker/private.h"

#include <string.h>

enum { DEFAULT_HISTORY = 1000000, DEFAULT_DEPTH = 10, DEFAULT_INTERVAL_MS = 1000 };
#define TOTALS_BYTES ((size_t)MT_SHARDS_ALL * MT_KINDS * sizeof(struct mt_kind_totals))

void mt_tracker_defaults(struct mt_tracker_options *ret)
{
    *ret = (struct mt_tracker_options){ .struct_bytes = sizeof *ret, .history_events = DEFAULT_HISTORY,
                                        .stack_depth = DEFAULT_DEPTH, .auto_snapshot = true,
                                        .snapshot_interval_ms = DEFAULT_INTERVAL_MS };
}

int mt_tracker_code_of(mt_status status)
{
    switch (status) {
    case MT_OK:
        return MT_TRACKER_OK;
    case MT_E_NOMEM:
    case MT_E_FULL:
        return MT_TRACKER_NO_MEMORY;
    case MT_E_BUSY:
        return MT_TRACKER_BUSY;
    case MT_E_INVAL:
        return MT_TRACKER_ARGUMENT;
    case MT_E_CORRUPT:
    case MT_E_VERSION:
    case MT_E_TRUNCATED:
        return MT_TRACKER_DAMAGED;
    case MT_E_IO:
    case MT_E_NOSPACE:
    case MT_E_NOFILES:
    case MT_E_TOO_LARGE:
    case MT_E_READONLY:
    case MT_E_REPLACED:
    case MT_E_SIZE:
    case MT_E_PERM:
    case MT_E_NOENT:
    case MT_E_EXIST:
    case MT_E_UNSUPPORTED:
    case MT_E_INTERRUPTED:
    case MT_STATUS__COUNT:
        break;
    }
    return MT_TRACKER_IO;
}

const char *mt_tracker_code_text(int code)
{
    static const char *const texts[] = {
        [MT_TRACKER_OK] = "ok",
        [MT_TRACKER_NO_MEMORY] = "out of memory",
        [MT_TRACKER_RANGE] = "a number is outside its range",
        [MT_TRACKER_ARGUMENT] = "an argument cannot be used (an empty or overlong kind)",
        [MT_TRACKER_BUSY] = "a lock could not be had in time",
        [MT_TRACKER_IO] = "a file could not be read or written (it must not exist yet)",
        [MT_TRACKER_DAMAGED] = "a file is damaged",
    };
    return code >= 0 && (size_t)code < MT_COUNTOF(texts) ? texts[code] : "unknown code";
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static bool options_are_valid(const struct mt_tracker_options *options)
{
    return options->struct_bytes == sizeof *options && options->stack_depth >= 1 &&
           options->stack_depth <= MT_TRACKER_DEPTH_MAX && options->snapshot_interval_ms >= 1;
}

static void init_shards(struct mt_tracker *tracker)
{
    for (uint16_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        shard->lock = (struct mt_spinlock)MT_SPINLOCK_INIT(MT_RANK_TRACKER_SHARD);
        shard->kinds = tracker->totals + (size_t)i * MT_KINDS;
        mt_live_init(&shard->live);
        mt_history_init(&shard->history, i);
    }
}

static mt_status init_tables(struct mt_tracker *tracker, const struct mt_tracker_options *options)
{
    void *totals = NULL;
    mt_status status = mt_os_map_anonymous(TOTALS_BYTES, &totals);
    if (status != MT_OK) {
        return status;
    }
    status = mt_kinds_init(&tracker->kinds);
    if (status == MT_OK) {
        status = mt_snapshot_timer_init(&tracker->timer, options->snapshot_interval_ms, mt_track_snapshot);
        if (status != MT_OK) {
            mt_kinds_fini(&tracker->kinds);
        }
    }
    if (status != MT_OK) {
        mt_os_unmap(totals, TOTALS_BYTES);
        return status;
    }
    tracker->totals = totals;
    mt_chunk_pool_init(&tracker->pool, options->history_events, MT_SHARDS_ALL);
    mt_stacks_init(&tracker->stacks);
    init_shards(tracker);
    return MT_OK;
}

int mt_tracker_new(const struct mt_tracker_options *options, struct mt_tracker **ret)
{
    struct mt_tracker_options defaults;
    void *memory = NULL;
    mt_tracker_defaults(&defaults);
    options = options != NULL ? options : &defaults;
    if (!options_are_valid(options)) {
        return MT_TRACKER_RANGE;
    }
    if (mt_os_map_anonymous(sizeof(struct mt_tracker), &memory) != MT_OK) {
        return MT_TRACKER_NO_MEMORY;
    }
    struct mt_tracker *tracker = memory;
    mt_status status = init_tables(tracker, options);
    if (status != MT_OK) {
        mt_os_unmap(memory, sizeof *tracker);
        return mt_tracker_code_of(status);
    }
    tracker->enabled = true;
    tracker->capture_stacks = options->capture_stacks;
    tracker->frame_pointers = options->frame_pointers;
    tracker->stack_depth = options->stack_depth;
    tracker->history_events = options->history_events;
    mt_tracker_enlist(tracker);
    if (options->auto_snapshot &&
        mt_tracker_set_auto_snapshot(tracker, true, options->snapshot_interval_ms) != MT_TRACKER_OK) {
        mt_tracker_free(tracker);
        return MT_TRACKER_NO_MEMORY;
    }
    *ret = tracker;
    return MT_TRACKER_OK;
}

void mt_tracker_free(struct mt_tracker *tracker)
{
    if (tracker == NULL) {
        return;
    }
    mt_snapshot_timer_fini(&tracker->timer);
    mt_tracker_delist(tracker);
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        mt_live_fini(&tracker->shards[i].live);
        mt_history_fini(&tracker->shards[i].history);
    }
    mt_stacks_fini(&tracker->stacks);
    mt_chunk_pool_fini(&tracker->pool);
    mt_kinds_fini(&tracker->kinds);
    mt_os_unmap(tracker->totals, TOTALS_BYTES);
    mt_os_unmap(tracker, sizeof *tracker);
}

/* ---- kinds -------------------------------------------------------------------------------------------------------- */

int mt_tracker_kind(struct mt_tracker *tracker, const char *name, size_t bytes, uint32_t *ret)
{
    if (name == NULL || bytes == 0 || bytes > MT_TRACKER_KIND_MAX_BYTES || memchr(name, '\0', bytes) != NULL) {
        return MT_TRACKER_ARGUMENT;
    }
    *ret = mt_kinds_intern(&tracker->kinds, name, bytes);
    return MT_TRACKER_OK;
}

const char *mt_tracker_kind_name(const struct mt_tracker *tracker, uint32_t kind)
{
    return kind < mt_load_acquire(&tracker->kinds.count) ? tracker->kinds.kinds[kind].name : "";
}

uint32_t mt_tracker_kind_count(const struct mt_tracker *tracker)
{
    return mt_load_acquire(&tracker->kinds.count);
}

/* ---- settings ------------------------------------------------------------------------------------------------------ */

void mt_tracker_enable(struct mt_tracker *tracker)
{
    mt_store_relaxed(&tracker->enabled, true);
    mt_snapshot_timer_poke(&tracker->timer);
}

void mt_tracker_disable(struct mt_tracker *tracker)
{
    mt_store_relaxed(&tracker->enabled, false);
    mt_snapshot_timer_poke(&tracker->timer);
}

bool mt_tracker_is_enabled(const struct mt_tracker *tracker)
{
    return mt_load_relaxed(&tracker->enabled);
}

void mt_tracker_set_step(struct mt_tracker *tracker, int64_t step)
{
    mt_store_relaxed(&tracker->step, step);
}

int64_t mt_tracker_step(const struct mt_tracker *tracker)
{
    return mt_load_relaxed(&tracker->step);
}

void mt_tracker_set_capture_stacks(struct mt_tracker *tracker, bool capture)
{
    mt_store_relaxed(&tracker->capture_stacks, capture);
}

bool mt_tracker_capture_stacks(const struct mt_tracker *tracker)
{
    return mt_load_relaxed(&tracker->capture_stacks);
}

int mt_tracker_set_stack_depth(struct mt_tracker *tracker, uint32_t frames)
{
    if (frames < 1 || frames > MT_TRACKER_DEPTH_MAX) {
        return MT_TRACKER_RANGE;
    }
    mt_store_relaxed(&tracker->stack_depth, frames);
    return MT_TRACKER_OK;
}

uint32_t mt_tracker_stack_depth(const struct mt_tracker *tracker)
{
    return mt_load_relaxed(&tracker->stack_depth);
}
