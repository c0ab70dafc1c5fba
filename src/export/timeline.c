/* timeline.c: see timeline.h. Context: [tool]. */
#include "export/timeline.h"

#include "util/grid.h"
#include "util/human.h"

#include <string.h>

enum { BAR_COLUMNS = 32 };

/* ---- data ------------------------------------------------------------------------------------------------------- */

static void put_point(struct mt_json *json, const struct mt_timeline_point *p)
{
    mt_json_object(json);
    mt_json_put_double(json, "time_s", (double)p->time_ns / 1e9);
    mt_json_put_u64(json, "heap_bytes", p->heap_bytes);
    mt_json_put_u64(json, "heap_max_bytes", p->heap_max_bytes);
    mt_json_put_u64(json, "allocations", p->allocations);
    mt_json_object_end(json);
}

static void write_json(struct mt_out *out, const struct mt_analysis *a)
{
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < a->timeline_count; i++) {
        put_point(&json, &a->timeline[i]);
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
}

static void write_lines(struct mt_out *out, const struct mt_analysis *a)
{
    for (size_t i = 0; i < a->timeline_count; i++) {
        struct mt_json json;
        mt_json_init(&json, out, 0);
        put_point(&json, &a->timeline[i]);
        mt_out_byte(out, '\n');
    }
}

static void write_csv(struct mt_out *out, const struct mt_analysis *a)
{
    mt_out_string(out, "time_s,heap_bytes,heap_max_bytes,allocations\r\n");
    for (size_t i = 0; i < a->timeline_count; i++) {
        const struct mt_timeline_point *p = &a->timeline[i];
        mt_out_print(out, "%.9f,%llu,%llu,%llu\r\n", (double)p->time_ns / 1e9, (unsigned long long)p->heap_bytes,
                     (unsigned long long)p->heap_max_bytes, (unsigned long long)p->allocations);
    }
}

/* ---- for people ------------------------------------------------------------------------------------------------- */

static uint64_t most_of(const struct mt_analysis *a)
{
    uint64_t most = 0;
    for (size_t i = 0; i < a->timeline_count; i++) {
        most = a->timeline[i].heap_max_bytes > most ? a->timeline[i].heap_max_bytes : most;
    }
    return most;
}

/* As long as bytes are of most; something for anything. */
static void put_bar(struct mt_grid *grid, uint64_t bytes, uint64_t most)
{
    char bar[BAR_COLUMNS + 1];
    size_t columns = most > 0 ? (size_t)((double)bytes / (double)most * BAR_COLUMNS + 0.5) : 0;
    columns = columns == 0 && bytes > 0 ? 1 : columns;
    memset(bar, '#', columns);
    bar[columns] = '\0';
    mt_grid_cell(grid, bar);
}

static void put_row(struct mt_grid *grid, const struct mt_timeline_point *p, uint64_t most)
{
    mt_grid_cell(grid, mt_human_clock((double)p->time_ns / 1e9).text);
    mt_grid_cell(grid, mt_human_bytes_like((double)p->heap_bytes, (double)most).text);
    mt_grid_cell(grid, mt_human_bytes_like((double)p->heap_max_bytes, (double)most).text);
    mt_grid_cell(grid, mt_human_count((double)p->allocations).text);
    put_bar(grid, p->heap_max_bytes, most);
}

static void write_table(struct mt_out *out, const struct mt_analysis *a)
{
    uint64_t most = most_of(a);
    struct mt_grid *grid = mt_grid_new();
    mt_out_print(out, "the heap over %s, largest at %s\n", mt_human_duration(a->totals.duration_ns).text,
                 mt_human_duration(a->totals.peak_time_ns).text);
    mt_grid_column(grid, "until", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "held", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "most", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "allocations", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "", MT_ALIGN_LEFT, false);
    for (size_t i = 0; i < a->timeline_count; i++) {
        put_row(grid, &a->timeline[i], most);
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

void mt_timeline_write(struct mt_out *out, const struct mt_report *report)
{
    switch (report->format) {
    case MT_FORMAT_JSON:
        write_json(out, report->analysis);
        break;
    case MT_FORMAT_NDJSON:
        write_lines(out, report->analysis);
        break;
    case MT_FORMAT_CSV:
        write_csv(out, report->analysis);
        break;
    case MT_FORMAT_TABLE:
    default:
        write_table(out, report->analysis);
    }
}
