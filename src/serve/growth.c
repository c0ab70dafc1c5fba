/* growth.c: what grows from one snapshot of the monitor to the next: as memtap.monitoring has it (docs/guide/monitoring.md).
 *
 * A place is a suspected leak when it is in the latest snapshot and at least three in all, never shrank and grew. */
#include "serve/monitor.h"

#include "util/memory.h"

#include <string.h>

#define MIB 1048576.0
enum { LEAST_SNAPSHOTS = 3 };

struct history {
    const char *file;
    uint64_t line;
    double seen[MT_SNAPSHOTS_KEPT]; /* bytes, oldest first */
    size_t count;
    bool shrank, in_latest;
};

static int by_place(const void *a, const void *b)
{
    const struct history *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static double delta(const struct history *h)
{
    return h->seen[h->count - 1] - h->seen[0];
}

/* What grew most first. */
static int by_delta(const void *a, const void *b)
{
    const struct history *x = a, *y = b;
    return delta(x) > delta(y) ? -1 : delta(x) < delta(y) ? 1 : by_place(a, b);
}

static void add(struct history *h, double bytes)
{
    h->shrank = h->shrank || (h->count > 0 && bytes < h->seen[h->count - 1]);
    h->seen[h->count++] = bytes;
}

/* Neighbours of one place become one; rows of one place within a snapshot are added up by whoever made them. Returns how many. */
static size_t join(struct history *items, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && by_place(&items[kept - 1], &items[i]) == 0 && items[kept - 1].count < MT_SNAPSHOTS_KEPT) {
            add(&items[kept - 1], items[i].seen[0]);
            items[kept - 1].in_latest = items[kept - 1].in_latest || items[i].in_latest;
        } else {
            items[kept++] = items[i];
        }
    }
    return kept;
}

/* A stable order by place: those of older snapshots come first. */
static void sort(struct history *items, size_t count, struct history *room)
{
    if (count < 2) {
        return;
    }
    size_t half = count / 2, left = 0, right = half;
    sort(items, half, room);
    sort(items + half, count - half, room);
    memcpy(room, items, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        bool take_left = left < half && (right == count || by_place(&room[left], &room[right]) <= 0);
        items[i] = take_left ? room[left++] : room[right++];
    }
}

static struct history *histories(const struct mt_monitor *m, size_t *ret_count)
{
    size_t all = 0, at = 0;
    for (size_t i = 0; i < m->snapshot_count; i++) {
        all += m->snapshots[i].place_count;
    }
    struct history *items = mt_alloc_zero(all, sizeof *items), *room = mt_alloc_zero(all, sizeof *room);
    for (size_t i = 0; i < m->snapshot_count; i++) {
        for (size_t j = 0; j < m->snapshots[i].place_count; j++) {
            const struct mt_place_seen *place = &m->snapshots[i].places[j];
            items[at] = (struct history){ .file = place->file, .line = place->line, .in_latest = i + 1 == m->snapshot_count };
            add(&items[at++], place->bytes);
        }
    }
    sort(items, all, room);
    free(room);
    *ret_count = join(items, all);
    qsort(items, *ret_count, sizeof *items, by_delta);
    return items;
}

static void put_name(struct mt_json *json, const char *file, uint64_t line)
{
    char *whole = line > 0 ? mt_format("%s:%llu", file, (unsigned long long)line) : mt_strdup(file);
    mt_json_put_text(json, "file", whole);
    mt_json_put_text(json, "filename", file);
    mt_json_put_u64(json, "line", line);
    free(whole);
}

static void put_history(struct mt_json *json, const struct history *h)
{
    mt_json_object(json);
    put_name(json, h->file, h->line);
    mt_json_put_double(json, "first_mb", h->seen[0] / MIB);
    mt_json_put_double(json, "last_mb", h->seen[h->count - 1] / MIB);
    mt_json_put_double(json, "delta_mb", delta(h) / MIB);
    mt_json_put_u64(json, "snapshots_present", h->count);
    mt_json_put_bool(json, "monotonic", !h->shrank);
    mt_json_object_end(json);
}

void mt_monitor_put_growth(struct mt_json *json, const struct mt_monitor *monitor, bool suspects_alone)
{
    size_t count;
    struct history *items = histories(monitor, &count);
    mt_json_array(json);
    for (size_t i = 0; i < count; i++) {
        const struct history *h = &items[i];
        bool suspect = h->count >= LEAST_SNAPSHOTS && !h->shrank && h->in_latest && delta(h) > 0;
        if (suspects_alone ? suspect : h->count > 1) {
            put_history(json, h);
        }
    }
    mt_json_array_end(json);
    free(items);
}

void mt_monitor_put_snapshot(struct mt_json *json, const struct mt_memory_snapshot *snapshot, uint64_t top_n)
{
    mt_json_object(json);
    mt_json_put_text(json, "timestamp", snapshot->timestamp);
    mt_json_put_double(json, "memory_mb", (double)(int64_t)(snapshot->memory_mb * 100 + 0.5) / 100);
    mt_json_key(json, "top_allocations");
    mt_json_array(json);
    for (size_t i = 0; i < snapshot->place_count && i < top_n; i++) {
        const struct mt_place_seen *place = &snapshot->places[i];
        mt_json_object(json);
        put_name(json, place->file, place->line);
        mt_json_put_double(json, "size_mb", place->bytes / MIB);
        mt_json_put_u64(json, "count", (uint64_t)(place->count + 0.5));
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
    mt_json_put_text(json, "source", "trace");
    mt_json_put_double(json, "traced_mb", snapshot->traced_mb);
    mt_json_put_double(json, "untraced_mb", snapshot->memory_mb - snapshot->traced_mb);
    mt_json_object_end(json);
}
