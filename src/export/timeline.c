/* timeline.c: see timeline.h. Context: [tool]. */
#include "export/timeline.h"

#include "table/tables.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_COLUMNS = 32 };

/* ---- data ------------------------------------------------------------------------------------------------------- */

static struct mt_row_timeline *rows_of(const struct mt_analysis *a)
{
    struct mt_row_timeline *rows = mt_alloc_zero(a->timeline_count, sizeof *rows);
    for (size_t i = 0; i < a->timeline_count; i++) {
        const struct mt_timeline_point *p = &a->timeline[i];
        rows[i] = (struct mt_row_timeline){ (double)p->time_ns / 1e9, p->heap_bytes, p->heap_max_bytes, p->allocations };
    }
    return rows;
}

static void write_data(struct mt_out *out, const struct mt_analysis *a, void (*write)(struct mt_out *, const struct mt_rows *))
{
    struct mt_row_timeline *data = rows_of(a);
    struct mt_rows rows = { mt_table_timeline(), data, a->timeline_count };
    write(out, &rows);
    free(data);
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

/* The ends of intervals of step_ns are told apart. */
static void put_time(struct mt_grid *grid, uint64_t time_ns, uint64_t end_ns, uint64_t step_ns)
{
    enum { SECOND_NS = 1000000000, MS_NS = 1000000 };
    char cell[32];
    int decimals = 0;
    for (uint64_t unit_ns = MS_NS; unit_ns > step_ns && decimals < 6; unit_ns /= 10) {
        decimals++;
    }
    (void)snprintf(cell, sizeof cell, "%.*f ms", decimals, (double)time_ns / MS_NS);
    mt_grid_cell(grid, end_ns < SECOND_NS ? cell : mt_human_clock((double)time_ns / SECOND_NS).text);
}

static void put_row(struct mt_grid *grid, const struct mt_timeline_point *p, uint64_t most)
{
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
        put_time(grid, a->timeline[i].time_ns, a->totals.duration_ns, a->timeline[0].time_ns);
        put_row(grid, &a->timeline[i], most);
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

void mt_timeline_write(struct mt_out *out, const struct mt_report *report)
{
    switch (report->format) {
    case MT_FORMAT_JSON:
        write_data(out, report->analysis, mt_rows_json);
        break;
    case MT_FORMAT_NDJSON:
        write_data(out, report->analysis, mt_rows_ndjson);
        break;
    case MT_FORMAT_CSV:
        write_data(out, report->analysis, mt_rows_csv);
        break;
    case MT_FORMAT_TABLE:
    default:
        write_table(out, report->analysis);
    }
}
