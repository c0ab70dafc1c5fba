/* rows.c: tables and leak lists in every format. A row is gathered once into struct row; each format then writes it. */
#include "export/rows.h"

#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const struct mt_frame *frame; /* NULL: the row is not a place in the code */
    const char *label;            /* thread, allocator or module instead; NULL: the frame */
    uint32_t trace_idx;
    uint32_t stack;
    const struct mt_amount *self;
    const struct mt_amount *total;
    const struct mt_leak *leak; /* NULL: a table row */
};

struct writer {
    const struct mt_report *report;
    struct mt_out *out;
    const char *label_key; /* JSON and CSV name of label; NULL: rows are frames */
    bool function, line;   /* what of the frame the row stands for */
    const struct mt_amount *sum;
    bool leaks;
};

char *mt_rows_place(const struct mt_frame *frame)
{
    const char *file = frame->file[0] != '\0' ? frame->file : frame->module;
    return frame->line > 0 && frame->file[0] != '\0' ? mt_format("%s:%u", file, frame->line) : mt_strdup(file);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void put_row_frame(struct mt_json *json, const struct writer *w, const struct row *row)
{
    struct mt_frame shown = { .function = "", .file = "", .module = "" };
    if (row->frame != NULL) {
        shown.file = row->frame->file[0] != '\0' ? row->frame->file : row->frame->module;
        shown.function = w->function ? row->frame->function : "";
        shown.line = w->line ? row->frame->line : 0;
    }
    mt_report_put_frame(json, &shown);
    if (w->label_key != NULL) {
        mt_json_put_text(json, w->label_key, row->label);
    }
}

/* What an aggregate trace does not know is null. */
static void put_timed(struct mt_json *json, const char *key, const struct mt_leak *leak, double value)
{
    mt_json_key(json, key);
    if (leak->timed) {
        mt_json_double(json, value);
    } else {
        mt_json_null(json);
    }
}

static void put_row(struct mt_json *json, const struct writer *w, const struct row *row)
{
    bool sampled = w->report->analysis->sampled;
    mt_json_object(json);
    put_row_frame(json, w, row);
    mt_report_put_amount(json, "", row->self, sampled);
    mt_json_put_double(json, "percent",
                       w->sum->bytes > 0 ? 100.0 * (double)row->self->bytes / (double)w->sum->bytes : 0);
    if (row->leak == NULL) {
        mt_report_put_amount(json, "total_", row->total, sampled);
    } else {
        put_timed(json, "age_s", row->leak, row->leak->age_s);
        mt_json_put_double(json, "score", row->leak->score);
        put_timed(json, "growth_bytes_per_s", row->leak, row->leak->growth_bytes_per_s);
        mt_json_put_u64(json, "allocations", row->leak->total.count);
    }
    mt_report_put_stack(json, w->report->frames, row->trace_idx, row->stack);
    mt_json_object_end(json);
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

static void put_csv_head(const struct writer *w)
{
    mt_out_print(w->out, "%s%sfunction,file,line,bytes,count,percent,%s,stack\r\n",
                 w->label_key != NULL ? w->label_key : "", w->label_key != NULL ? "," : "",
                 w->leaks ? "age_s,score,growth_bytes_per_s" : "total_bytes,total_count");
}

static void put_csv_leak(struct mt_out *out, const struct mt_leak *leak)
{
    if (leak->timed) {
        mt_out_print(out, "%.3f,%.4f,%.3f,", leak->age_s, leak->score, leak->growth_bytes_per_s);
    } else {
        mt_out_print(out, ",%.4f,,", leak->score);
    }
}

/* "inner (file:line);outer …" in one field. */
static void put_csv_stack(const struct writer *w, const struct row *row)
{
    struct mt_out *text = mt_out_open_memory();
    struct mt_frame_list list = mt_frames_stack(w->report->frames, row->trace_idx, row->stack);
    for (size_t i = 0; i < list.count; i++) {
        const struct mt_frame *frame = mt_frames_frame(w->report->frames, list.ids[i]);
        char *place = mt_rows_place(frame);
        mt_out_print(text, "%s%s (%s)", i > 0 ? ";" : "", frame->function, place);
        free(place);
    }
    mt_csv_field(w->out, mt_out_text(text, NULL));
    mt_out_discard(text);
}

static void put_csv_row(const struct writer *w, const struct row *row)
{
    double percent = w->sum->bytes > 0 ? 100.0 * (double)row->self->bytes / (double)w->sum->bytes : 0;
    if (w->label_key != NULL) {
        mt_csv_field(w->out, row->label != NULL ? row->label : "");
        mt_out_byte(w->out, ',');
    }
    mt_csv_field(w->out, row->frame != NULL && w->function ? row->frame->function : "");
    mt_out_byte(w->out, ',');
    mt_csv_field(w->out, row->frame == NULL ? "" : row->frame->file[0] != '\0' ? row->frame->file : row->frame->module);
    mt_out_print(w->out, ",%u,%llu,%llu,%.4f,", row->frame != NULL && w->line ? row->frame->line : 0,
                 (unsigned long long)row->self->bytes, (unsigned long long)row->self->count, percent);
    if (row->leak != NULL) {
        put_csv_leak(w->out, row->leak);
    } else {
        mt_out_print(w->out, "%llu,%llu,", (unsigned long long)row->total->bytes,
                     (unsigned long long)row->total->count);
    }
    put_csv_stack(w, row);
    mt_out_string(w->out, "\r\n");
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void add_columns(struct mt_grid *grid, const struct writer *w)
{
    mt_grid_column(grid, w->leaks ? "alive" : "own", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "%", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "count", MT_ALIGN_RIGHT, false);
    if (w->leaks) {
        mt_grid_column(grid, "age", MT_ALIGN_RIGHT, false);
        mt_grid_column(grid, "score", MT_ALIGN_RIGHT, false);
        mt_grid_column(grid, "growth/s", MT_ALIGN_RIGHT, false);
    } else {
        mt_grid_column(grid, "with callees", MT_ALIGN_RIGHT, false);
    }
    mt_grid_column(grid, w->label_key != NULL ? w->label_key : w->function ? "function" : "file", MT_ALIGN_LEFT, true);
    if (w->function) {
        mt_grid_column(grid, w->line ? "place" : "file", MT_ALIGN_LEFT, true);
    }
}

static void add_leak_cells(struct mt_grid *grid, const struct mt_leak *leak)
{
    char text[64];
    mt_grid_cell(grid, leak->timed ? mt_human_duration((uint64_t)(leak->age_s * 1e9)).text : "-");
    (void)snprintf(text, sizeof text, "%.2f", leak->score);
    mt_grid_cell(grid, text);
    mt_grid_cell(grid, leak->timed ? mt_human_bytes(leak->growth_bytes_per_s).text : "-");
}

static const char *row_name(const struct writer *w, const struct row *row)
{
    if (row->label != NULL || row->frame == NULL) {
        return row->label != NULL ? row->label : "?";
    }
    const char *name = w->function ? row->frame->function : row->frame->file;
    name = name[0] == '\0' ? row->frame->module : name;
    return name[0] != '\0' ? name : "?";
}

static void add_row(struct mt_grid *grid, const struct writer *w, const struct row *row)
{
    mt_grid_cell(grid, mt_report_bytes(row->self).text);
    mt_grid_cell(grid, mt_human_percent((double)row->self->bytes, (double)w->sum->bytes).text);
    mt_grid_cell(grid, mt_human_count((double)row->self->count).text);
    if (row->leak != NULL) {
        add_leak_cells(grid, row->leak);
    } else {
        mt_grid_cell(grid, mt_human_bytes((double)row->total->bytes).text);
    }
    mt_grid_cell(grid, row_name(w, row));
    if (w->function) {
        struct mt_frame shown = *row->frame;
        shown.line = w->line ? shown.line : 0;
        char *place = mt_rows_place(&shown);
        mt_grid_cell(grid, place);
        free(place);
    }
}

static void write_text(const struct writer *w, const struct row *rows, size_t count, size_t of)
{
    struct mt_grid *grid = mt_grid_new();
    mt_out_print(w->out, "%s in %s allocations %s\n\n", mt_report_bytes(w->sum).text, mt_report_count(w->sum).text,
                 w->report->selection);
    add_columns(grid, w);
    for (size_t i = 0; i < count; i++) {
        add_row(grid, w, &rows[i]);
    }
    mt_grid_print(grid, w->out);
    if (of > count) {
        mt_out_print(w->out, "… %s more rows (-n 0 shows all)\n", mt_human_count((double)(of - count)).text);
    }
    mt_grid_free(grid);
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

static void write_json(const struct writer *w, const struct row *rows, size_t count)
{
    struct mt_json json;
    mt_json_init(&json, w->out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < count && !mt_out_failed(w->out); i++) {
        put_row(&json, w, &rows[i]);
    }
    mt_json_array_end(&json);
    mt_out_byte(w->out, '\n');
}

static void write_ndjson(const struct writer *w, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count && !mt_out_failed(w->out); i++) {
        struct mt_json json;
        mt_json_init(&json, w->out, 0);
        put_row(&json, w, &rows[i]);
        mt_out_byte(w->out, '\n');
    }
}

static void write_rows(const struct writer *w, const struct row *rows, size_t of)
{
    size_t count = w->report->rows > 0 && w->report->rows < of ? w->report->rows : of;
    switch (w->report->format) {
    case MT_FORMAT_JSON:
        write_json(w, rows, count);
        break;
    case MT_FORMAT_NDJSON:
        write_ndjson(w, rows, count);
        break;
    case MT_FORMAT_CSV:
        put_csv_head(w);
        for (size_t i = 0; i < count && !mt_out_failed(w->out); i++) {
            put_csv_row(w, &rows[i]);
        }
        break;
    case MT_FORMAT_TABLE:
    default:
        write_text(w, rows, count, of);
        break;
    }
}

static const char *label_key_of(enum mt_table_by by)
{
    switch (by) {
    case MT_BY_THREAD:
        return "thread";
    case MT_BY_TYPE:
        return "allocator";
    case MT_BY_MODULE:
        return "module";
    case MT_BY_FUNCTION:
    case MT_BY_FILE:
    case MT_BY_LINE:
    case MT_BY__COUNT:
    default:
        return NULL;
    }
}

/* malloc'ed for threads (*ret_owned), borrowed otherwise. */
static const char *label_of(const struct mt_report *report, const struct mt_table_row *row, enum mt_table_by by,
                            char **ret_owned)
{
    *ret_owned = NULL;
    if (by == MT_BY_THREAD) {
        *ret_owned = mt_report_thread(report->set, row->trace_idx, row->stream);
        return *ret_owned;
    }
    return by == MT_BY_TYPE ? mt_report_allocator(row->allocator) : by == MT_BY_MODULE ? row->module : NULL;
}

void mt_rows_write_table(struct mt_out *out, const struct mt_report *report, const struct mt_table *table,
                         enum mt_table_by by)
{
    struct writer w = { .report = report,
                        .out = out,
                        .sum = &table->sum,
                        .label_key = label_key_of(by),
                        .function = by == MT_BY_FUNCTION || by == MT_BY_LINE,
                        .line = by == MT_BY_LINE };
    struct row *rows = mt_alloc_zero(table->count, sizeof *rows);
    char **owned = mt_alloc_zero(table->count, sizeof *owned);
    for (size_t i = 0; i < table->count; i++) {
        const struct mt_table_row *from = &table->rows[i];
        rows[i] = (struct row){
            .trace_idx = from->trace_idx, .stack = from->stack, .self = &from->self, .total = &from->total
        };
        rows[i].label = label_of(report, from, by, &owned[i]);
        rows[i].frame = w.label_key == NULL ? mt_frames_frame(report->frames, from->frame) : NULL;
    }
    write_rows(&w, rows, table->count);
    for (size_t i = 0; i < table->count; i++) {
        free(owned[i]);
    }
    free(owned);
    free(rows);
}

void mt_rows_write_leaks(struct mt_out *out, const struct mt_report *report, const struct mt_leaks *leaks)
{
    struct writer w = {
        .report = report, .out = out, .sum = &leaks->sum, .function = true, .line = true, .leaks = true
    };
    size_t count = report->rows > 0 && report->rows < leaks->count ? report->rows : leaks->count;
    struct row *rows = mt_alloc_zero(leaks->count, sizeof *rows);
    for (size_t i = 0; i < count; i++) { /* only these are symbolised */
        const struct mt_leak *from = &leaks->rows[i];
        struct mt_frame_list list = mt_frames_stack(report->frames, from->trace_idx, from->stack);
        rows[i] = (struct row){
            .trace_idx = from->trace_idx, .stack = from->stack, .self = &from->live, .total = &from->total, .leak = from
        };
        rows[i].frame = mt_frames_frame(report->frames, list.ids[0]);
    }
    write_rows(&w, rows, leaks->count);
    free(rows);
}
