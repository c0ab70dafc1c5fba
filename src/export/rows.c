/* rows.c: tables and leak lists in every format. A row is gathered once into struct row; each format then writes it. */
#include "export/rows_private.h"

#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *mt_rows_place(const struct mt_frame *frame)
{
    const char *file = frame->file[0] != '\0' ? frame->file : frame->module;
    return frame->line > 0 && frame->file[0] != '\0' ? mt_format("%s:%u", file, frame->line) : mt_strdup(file);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

/* The frame of the stack that the import ran: code of what was imported. NULL: the import system itself allocated. */
static const struct mt_frame *imported(struct mt_frames *frames, uint32_t trace_idx, uint32_t stack, const struct mt_frame *by)
{
    struct mt_frame_list list = mt_frames_stack(frames, trace_idx, stack);
    const struct mt_frame *inner = NULL;
    for (size_t i = 0; i < list.count; i++) {
        const struct mt_frame *frame = mt_frames_frame(frames, list.ids[i]);
        if (frame == by) {
            return inner;
        }
        inner = frame;
    }
    return NULL;
}

struct mt_frame mt_rows_frame(struct mt_frames *frames, uint32_t trace_idx, uint32_t stack, const struct mt_frame *of, bool import)
{
    struct mt_frame shown = { .function = of->function, .file = "", .module = "", .line = import ? 0 : of->line };
    const struct mt_frame *from = import ? imported(frames, trace_idx, stack, of) : of;
    if (from != NULL) {
        shown.file = from->file[0] != '\0' ? from->file : from->module;
    }
    return shown;
}

/* What programs get to read: the place by itself. An import's is what was imported; who imported it is said beside it. */
static struct mt_frame frame_of(const struct mt_row_writer *w, const struct mt_row *row)
{
    struct mt_frame shown = { .function = "", .file = "", .module = "" };
    if (row->frame == NULL) {
        return shown;
    }
    shown = mt_rows_frame(w->report->frames, row->trace_idx, row->stack, row->frame, row->import);
    shown.function = w->function ? shown.function : "";
    shown.line = w->line ? shown.line : 0;
    return shown;
}

static void put_importer(struct mt_json *json, const struct mt_row *row)
{
    mt_json_key(json, "imported_by");
    mt_json_object(json);
    mt_json_put_text(json, "file", row->frame->file);
    mt_json_put_u64(json, "line", row->frame->line);
    mt_json_object_end(json);
}

static void put_row_frame(struct mt_json *json, const struct mt_row_writer *w, const struct mt_row *row)
{
    struct mt_frame shown = frame_of(w, row);
    mt_report_put_frame(json, &shown);
    if (row->import && row->frame != NULL && row->frame->line > 0) {
        put_importer(json, row);
    }
    if (w->label_key != NULL) {
        mt_json_put_text(json, w->label_key, row->label);
    }
    if (w->report->grouping.by == MT_BY_PROCESS) {
        mt_json_put_u64(json, "process", mt_trace_info(w->report->set->traces[row->trace_idx])->pid);
    }
}

/* What allocated (or, inverted, the lines that called it), most bytes first, and in how many different stacks. */
static void put_behind(struct mt_json *json, const struct mt_row_writer *w, const struct mt_row *row)
{
    if (!w->behind) {
        return;
    }
    struct mt_paths *paths = mt_paths_new(true);
    struct mt_behind behind;
    mt_behind_make(w->report, w->stacks, row->stacks, paths, &behind);
    mt_json_key(json, w->report->grouping.invert ? "lines" : "by");
    mt_json_array(json);
    for (size_t i = 0; i < behind.count; i++) {
        mt_json_text(json, behind.names[i].text);
    }
    mt_json_array_end(json);
    mt_json_put_u64(json, "stacks", behind.stacks);
    mt_behind_fini(&behind);
    mt_paths_free(paths);
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

static void put_row(struct mt_json *json, const struct mt_row_writer *w, const struct mt_row *row)
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
        mt_json_put_bool(json, "suspect", row->leak->suspect);
    }
    put_behind(json, w, row);
    mt_report_put_stack(json, w->report->frames, row->trace_idx, row->stack);
    mt_json_object_end(json);
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

static void put_csv_head(const struct mt_row_writer *w)
{
    bool process = w->report->grouping.by == MT_BY_PROCESS;
    mt_out_print(w->out, "%s%sfunction,file,line,bytes,count,percent,%s,stack%s%s\r\n",
                 process ? "process" : w->label_key != NULL ? w->label_key : "", process || w->label_key != NULL ? "," : "",
                 w->leaks ? "age_s,score,growth_bytes_per_s" : "total_bytes,total_count",
                 !w->behind ? "" : w->report->grouping.invert ? ",lines" : ",by", w->behind ? ",stacks" : "");
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
static void put_csv_stack(const struct mt_row_writer *w, const struct mt_row *row)
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

/* The names in one field, most bytes first. */
static void put_csv_behind(const struct mt_row_writer *w, const struct mt_row *row)
{
    if (!w->behind) {
        return;
    }
    struct mt_out *text = mt_out_open_memory();
    struct mt_paths *paths = mt_paths_new(true);
    struct mt_behind behind;
    mt_behind_make(w->report, w->stacks, row->stacks, paths, &behind);
    for (size_t i = 0; i < behind.count; i++) {
        mt_out_print(text, "%s%s", i > 0 ? ";" : "", behind.names[i].text);
    }
    mt_out_byte(w->out, ',');
    mt_csv_field(w->out, mt_out_text(text, NULL));
    mt_out_print(w->out, ",%zu", behind.stacks);
    mt_out_discard(text);
    mt_behind_fini(&behind);
    mt_paths_free(paths);
}

static void put_csv_row(const struct mt_row_writer *w, const struct mt_row *row)
{
    double percent = w->sum->bytes > 0 ? 100.0 * (double)row->self->bytes / (double)w->sum->bytes : 0;
    if (w->report->grouping.by == MT_BY_PROCESS) {
        mt_out_print(w->out, "%llu,", (unsigned long long)mt_trace_info(w->report->set->traces[row->trace_idx])->pid);
    } else if (w->label_key != NULL) {
        mt_csv_field(w->out, row->label != NULL ? row->label : "");
        mt_out_byte(w->out, ',');
    }
    struct mt_frame shown = frame_of(w, row);
    mt_csv_field(w->out, shown.function);
    mt_out_byte(w->out, ',');
    mt_csv_field(w->out, shown.file);
    mt_out_print(w->out, ",%u,%llu,%llu,%.4f,", shown.line,
                 (unsigned long long)row->self->bytes, (unsigned long long)row->self->count, percent);
    if (row->leak != NULL) {
        put_csv_leak(w->out, row->leak);
    } else {
        mt_out_print(w->out, "%llu,%llu,", (unsigned long long)row->total->bytes,
                     (unsigned long long)row->total->count);
    }
    put_csv_stack(w, row);
    put_csv_behind(w, row);
    mt_out_string(w->out, "\r\n");
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

static void write_json(const struct mt_row_writer *w, const struct mt_row *rows, size_t count)
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

static void write_ndjson(const struct mt_row_writer *w, const struct mt_row *rows, size_t count)
{
    for (size_t i = 0; i < count && !mt_out_failed(w->out); i++) {
        struct mt_json json;
        mt_json_init(&json, w->out, 0);
        put_row(&json, w, &rows[i]);
        mt_out_byte(w->out, '\n');
    }
}

static void write_rows(const struct mt_row_writer *w, struct mt_row *rows, size_t of)
{
    (void)mt_rows_set_apart(w, rows, of);
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
        mt_rows_write_text(w, rows, of);
        break;
    }
}

/* The JSON and CSV name of what a row is where it is no frame; NULL: it is one. */
static const char *label_key_of(const struct mt_grouping_options *grouping)
{
    static const char *const keys[MT_BY__COUNT] = {
        [MT_BY_THREAD] = "thread", [MT_BY_TYPE] = "allocator", [MT_BY_MODULE] = "module",
        [MT_BY_LABEL] = "label", [MT_BY_TASK] = "task"
    };
    return grouping->stacks || grouping->invert ? NULL : keys[grouping->by];
}

/* malloc'ed for threads (*ret_owned), borrowed otherwise. */
static const char *label_of(const struct mt_row_writer *w, const struct mt_table_row *row, char **ret_owned)
{
    enum mt_table_by by = w->report->grouping.by;
    *ret_owned = NULL;
    if (w->label_key == NULL) {
        return row->name;
    }
    if (by == MT_BY_THREAD) {
        *ret_owned = mt_report_thread(w->report->set, row->trace_idx, row->stream);
        return *ret_owned;
    }
    return by == MT_BY_TYPE ? mt_report_allocator(row->allocator) : row->name;
}

static struct mt_row_writer writer_of(struct mt_out *out, const struct mt_report *report, const struct mt_rowstacks *stacks)
{
    const struct mt_grouping_options *grouping = &report->grouping;
    struct mt_row_writer w = { .report = report, .out = out, .stacks = stacks, .label_key = label_key_of(grouping) };
    w.function = w.label_key == NULL && (grouping->stacks || grouping->invert || grouping->by != MT_BY_FILE);
    w.line = w.function && (grouping->stacks || grouping->by != MT_BY_FUNCTION);
    w.behind = !report->bare && w.label_key == NULL && !grouping->stacks && report->places != NULL;
    return w;
}

static struct mt_row row_of(const struct mt_row_writer *w, const struct mt_table_row *from, char **ret_owned)
{
    struct mt_row row = { .trace_idx = from->trace_idx,
                          .stack = from->stack,
                          .import = from->import,
                          .self = &from->self,
                          .total = &from->total,
                          .stacks = &from->stacks };
    row.label = label_of(w, from, ret_owned);
    row.frame = w->label_key == NULL ? mt_frames_frame(w->report->frames, from->frame) : NULL;
    return row;
}

static void write_all(const struct mt_row_writer *w, const struct mt_table_row *from, size_t count, const struct mt_leak *leaks)
{
    struct mt_row *rows = mt_alloc_zero(count, sizeof *rows);
    char **owned = mt_alloc_zero(count, sizeof *owned);
    for (size_t i = 0; i < count; i++) {
        rows[i] = row_of(w, &from[i], &owned[i]);
        rows[i].leak = leaks != NULL ? &leaks[i] : NULL;
    }
    write_rows(w, rows, count);
    for (size_t i = 0; i < count; i++) {
        free(owned[i]);
    }
    free(owned);
    free(rows);
}

void mt_rows_write_table(struct mt_out *out, const struct mt_report *report, const struct mt_table *table)
{
    struct mt_row_writer w = writer_of(out, report, &table->stacks);
    w.sum = &table->sum;
    write_all(&w, table->rows, table->count, NULL);
}

void mt_rows_write_leaks(struct mt_out *out, const struct mt_report *report, const struct mt_leaks *leaks)
{
    struct mt_row_writer w = writer_of(out, report, &leaks->stacks);
    struct mt_table_row *rows = mt_alloc_zero(leaks->count, sizeof *rows);
    for (size_t i = 0; i < leaks->count; i++) {
        const struct mt_leak *leak = &leaks->rows[i];
        rows[i] = (struct mt_table_row){ .frame = leak->frame,
                                         .trace_idx = leak->trace_idx,
                                         .stack = leak->stack,
                                         .stream = leak->stream,
                                         .allocator = leak->allocator,
                                         .import = leak->import,
                                         .name = leak->name,
                                         .self = leak->live,
                                         .total = leak->total,
                                         .stacks = leak->stacks };
    }
    w.leaks = true;
    w.sum = &leaks->sum;
    write_all(&w, rows, leaks->count, leaks->rows);
    free(rows);
}
