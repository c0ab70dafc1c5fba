/* data.c: see data.h. */
#include "top/data.h"

#include "util/json.h"
#include "util/memory.h"

#include <stdlib.h>

static void put_maybe(struct mt_json *json, const char *key, uint64_t value)
{
    mt_json_key(json, key);
    if (value == MT_TOP_UNKNOWN) {
        mt_json_null(json);
    } else {
        mt_json_u64(json, value);
    }
}

static void put_site(struct mt_json *json, const struct mt_top_site *site, bool by_thread)
{
    mt_json_object(json);
    if (by_thread) {
        mt_json_put_text(json, "thread", site->key);
    } else {
        mt_json_put_text(json, "function", site->function);
        mt_json_put_text(json, "file", site->file != NULL && site->file[0] != '\0' ? site->file : NULL);
        mt_json_key(json, "line");
        if (site->line_number > 0) {
            mt_json_u64(json, site->line_number);
        } else {
            mt_json_null(json);
        }
        mt_json_put_text(json, "by", site->by[0] != '\0' ? site->by : NULL);
        mt_json_put_bool(json, "import", site->import);
    }
    mt_json_put_u64(json, "bytes", site->bytes);
    if (site->bytes_ci95 > 0) {
        mt_json_put_double(json, "bytes_ci95", site->bytes_ci95);
    }
    mt_json_put_u64(json, "count", site->count);
    mt_json_put_double(json, "since_mark_bytes", site->since_mark_bytes);
    mt_json_put_double(json, "rate_bytes_per_s", site->rate_bytes_per_s);
    mt_json_put_double(json, "age_s", site->age_s);
    mt_json_object_end(json);
}

static void put_recording(struct mt_json *json, const struct mt_top_look *look)
{
    mt_json_put_u64(json, "pid", look->pid);
    mt_json_put_text(json, "trace", look->path);
    mt_json_put_text(json, "program", look->program);
    mt_json_put_text(json, "python", look->python[0] != '\0' ? look->python : NULL);
    mt_json_put_text(json, "mode", look->aggregate ? "aggregate" : look->rate_bytes > 0 ? "sample" : "exact");
    mt_json_put_u64(json, "rate_bytes", look->rate_bytes);
    mt_json_put_bool(json, "recording", look->recording);
    mt_json_put_double(json, "recorded_s", look->watched_s);
    mt_json_put_double(json, "own_cpu_share", look->own_share);
    put_maybe(json, "own_bytes", look->own_bytes);
    mt_json_put_u64(json, "dropped_events", look->dropped_events);
    mt_json_put_u64(json, "processes", look->processes);
}

static void put_process(struct mt_json *json, const struct mt_top_look *look)
{
    put_maybe(json, "threads", look->process.threads);
    put_maybe(json, "rss_bytes", look->process.rss_bytes);
    put_maybe(json, "anonymous_bytes", look->process.anonymous_bytes);
    put_maybe(json, "limit_bytes", look->process.limit_bytes);
    put_maybe(json, "charged_bytes", look->process.charged_bytes);
    mt_json_put_double(json, "limit_in_s", look->seconds_to_limit);
}

static void put_heap(struct mt_json *json, const struct mt_top_look *look)
{
    mt_json_put_u64(json, "heap_bytes", look->heap_bytes);
    if (look->heap_ci95 > 0) {
        mt_json_put_double(json, "heap_bytes_ci95", look->heap_ci95);
    }
    mt_json_put_u64(json, "heap_count", look->heap_count);
    mt_json_put_u64(json, "peak_bytes", look->peak_bytes);
    mt_json_put_double(json, "growth_bytes_per_s", look->growth_bytes_per_s);
    mt_json_put_double(json, "allocated_bytes_per_s", look->allocated_bytes_per_s);
    mt_json_put_double(json, "freed_bytes_per_s", look->freed_bytes_per_s);
    mt_json_put_double(json, "marked_s", look->marked_s);
}

void mt_top_write_json(const struct mt_top_look *look, const struct mt_top_ui *ui, size_t sites, struct mt_out *out)
{
    struct mt_json json;
    size_t count;
    size_t *order = mt_top_order(look, ui, &count);
    mt_json_init(&json, out, 0);
    mt_json_object(&json);
    put_recording(&json, look);
    put_process(&json, look);
    put_heap(&json, look);
    mt_json_key(&json, "sites");
    mt_json_array(&json);
    for (size_t i = 0; i < count && (sites == 0 || i < sites); i++) {
        put_site(&json, &look->sites[order[i]], ui->by_thread);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
    free(order);
}
