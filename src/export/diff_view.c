/* diff_view.c: see diff_view.h. */
#include "export/diff_view.h"

#include "analysis/estimate.h"
#include "export/behind.h"
#include "export/diff_junit.h"
#include "export/paths.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_COLUMNS = 10 }; /* "  before  " */
static const enum mt_change g_shown[] = { MT_CHANGE_GREW, MT_CHANGE_SHRANK, MT_CHANGE_APPEARED, MT_CHANGE_VANISHED };

static bool is_sampled(const struct mt_diff_report *r)
{
    return r->side[MT_DIFF_BEFORE]->analysis->sampled || r->side[MT_DIFF_AFTER]->analysis->sampled;
}

static size_t count_of(const struct mt_diff *diff, enum mt_change change)
{
    size_t count = 0;
    for (size_t i = 0; i < diff->count; i++) {
        count += diff->rows[i].change == change;
    }
    return count;
}

/* "+1.50 MiB", "-3 B", "0 B"; with " ±…" for an estimate. */
static struct mt_amount_text signed_bytes(int64_t bytes, double variance)
{
    struct mt_amount_text made;
    const char *plus = bytes > 0 ? "+" : "";
    if (variance > 0) {
        (void)snprintf(made.text, sizeof made.text, "%s%s ±%s", plus, mt_human_bytes((double)bytes).text,
                       mt_human_bytes(mt_estimate_ci95(variance)).text);
    } else {
        (void)snprintf(made.text, sizeof made.text, "%s%s", plus, mt_human_bytes((double)bytes).text);
    }
    return made;
}

/* Of what was there before; "" where that is nothing. */
static struct mt_human signed_percent(int64_t bytes, uint64_t before)
{
    struct mt_human made = { .text = "" };
    if (before > 0) {
        double percent = 100.0 * (double)bytes / (double)before;
        (void)snprintf(made.text, sizeof made.text, percent > -10 && percent < 10 ? "%+.1f%%" : "%+.0f%%", percent);
    }
    return made;
}

/* Paths as short as the report's rows allow. */
static struct mt_paths *paths_of(const struct mt_diff_report *r)
{
    struct mt_paths *paths = mt_paths_new(r->side[MT_DIFF_AFTER]->full_paths);
    for (size_t i = 0; i < r->diff->count; i++) {
        const struct mt_frame *frame = r->diff->rows[i].frame;
        mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    }
    return paths;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static void write_head(struct mt_out *to, const struct mt_diff_report *r)
{
    struct mt_out *out = mt_out_open_memory(); /* how wide it is depends on the amounts */
    const struct mt_diff *diff = r->diff;
    struct mt_amount_text before = mt_report_bytes(&diff->sum[MT_DIFF_BEFORE]);
    struct mt_amount_text after = mt_report_bytes(&diff->sum[MT_DIFF_AFTER]);
    struct mt_human percent = signed_percent(diff->bytes, diff->sum[MT_DIFF_BEFORE].bytes);
    mt_out_print(out, "%s%s%s%s: %s before, %s after\n", signed_bytes(diff->bytes, diff->bytes_variance).text,
                 percent.text[0] != '\0' ? " (" : "", percent.text, percent.text[0] != '\0' ? ")" : "", before.text, after.text);
    for (int side = 0; side < MT_DIFF_SIDES; side++) {
        char *name = mt_text_clean(r->name[side], strlen(r->name[side]));
        mt_out_print(out, "  %-7s %s, %s\n", side == MT_DIFF_BEFORE ? "before" : "after", name, r->side[side]->selection);
        free(name);
    }
    mt_terminal_wrap(to, mt_out_text(out, NULL), HEAD_COLUMNS);
    mt_out_discard(out);
}

static void add_cells(struct mt_grid *grid, const struct mt_diff_report *r, const struct mt_diff_row *row,
                      const struct mt_paths *paths)
{
    char *place = mt_behind_line(row->frame, r->by, false, paths);
    bool both = row->change == MT_CHANGE_GREW || row->change == MT_CHANGE_SHRANK;
    mt_grid_cell(grid, signed_bytes(row->bytes, row->bytes_variance).text);
    if (both) {
        mt_grid_cell(grid, signed_percent(row->bytes, row->amount[MT_DIFF_BEFORE].bytes).text);
        mt_grid_cell(grid, mt_human_bytes((double)row->amount[MT_DIFF_AFTER].bytes).text);
    }
    char *count = mt_format("%s%s", row->count > 0 ? "+" : "", mt_human_count((double)row->count).text);
    mt_grid_cell(grid, count);
    free(count);
    mt_grid_cell(grid, place);
    free(place);
}

static struct mt_grid *grid_of(const struct mt_diff_report *r, enum mt_change change)
{
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, mt_change_word(change), MT_ALIGN_RIGHT, false);
    if (change == MT_CHANGE_GREW || change == MT_CHANGE_SHRANK) {
        mt_grid_column(grid, "%", MT_ALIGN_RIGHT, false);
        mt_grid_column(grid, "to", MT_ALIGN_RIGHT, false);
    }
    mt_grid_column(grid, "blocks", MT_ALIGN_RIGHT, false);
    mt_grid_column_place(grid, r->by == MT_BY_LINE ? "line" : r->by == MT_BY_FILE ? "file" : "function");
    return grid;
}

static void write_section(struct mt_out *out, const struct mt_diff_report *r, enum mt_change change, const struct mt_paths *paths)
{
    size_t of = count_of(r->diff, change);
    size_t limit = r->rows > 0 && r->rows < of ? r->rows : of;
    size_t shown = 0;
    if (of == 0) {
        return;
    }
    struct mt_grid *grid = grid_of(r, change);
    for (size_t i = 0; i < r->diff->count && shown < limit; i++) {
        if (r->diff->rows[i].change == change) {
            add_cells(grid, r, &r->diff->rows[i], paths);
            shown++;
        }
    }
    mt_out_byte(out, '\n');
    mt_grid_print(grid, out);
    if (of > shown) {
        mt_out_print(out, "… %s more (-n 0 shows all)\n", mt_human_count((double)(of - shown)).text);
    }
    mt_grid_free(grid);
}

static void write_text(struct mt_out *out, const struct mt_diff_report *r)
{
    size_t same = count_of(r->diff, MT_CHANGE_NONE);
    struct mt_paths *paths = paths_of(r);
    write_head(out, r);
    for (size_t i = 0; i < MT_COUNTOF(g_shown); i++) {
        write_section(out, r, g_shown[i], paths);
    }
    mt_paths_free(paths);
    if (same > 0) {
        mt_out_print(out, "\n%s\n", mt_human_counted((double)same, "place is the same", "places are the same").text);
    }
}

/* ---- Markdown --------------------------------------------------------------------------------------------------- */

/* Text that neither Markdown nor the HTML in it takes for its own. */
static void put_markdown(struct mt_out *out, const char *text)
{
    char *clean = mt_text_clean(text, strlen(text));
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '<' || *at == '&') {
            mt_out_string(out, *at == '<' ? "&lt;" : "&amp;");
            continue;
        }
        if (strchr("\\`*_{}[]()#+-!|~>@:$", *at) != NULL && !(*at == '-' || *at == '(' || *at == ')' || *at == ':')) {
            mt_out_byte(out, '\\');
        }
        mt_out_byte(out, *at);
    }
    free(clean);
}

static void write_markdown_row(struct mt_out *out, const struct mt_diff_report *r, const struct mt_diff_row *row,
                               const struct mt_paths *paths)
{
    char *place = mt_behind_line(row->frame, r->by, false, paths);
    mt_out_print(out, "| %s | %s | %s | %s | ", mt_change_word(row->change), signed_bytes(row->bytes, row->bytes_variance).text,
                 mt_human_bytes((double)row->amount[MT_DIFF_BEFORE].bytes).text,
                 mt_human_bytes((double)row->amount[MT_DIFF_AFTER].bytes).text);
    put_markdown(out, place);
    mt_out_string(out, " |\n");
    free(place);
}

static void write_markdown(struct mt_out *out, const struct mt_diff_report *r)
{
    size_t left_out = 0;
    mt_out_print(out, "**%s** ", signed_bytes(r->diff->bytes, r->diff->bytes_variance).text);
    mt_out_print(out, "(%s → %s), ", mt_report_bytes(&r->diff->sum[MT_DIFF_BEFORE]).text,
                 mt_report_bytes(&r->diff->sum[MT_DIFF_AFTER]).text);
    put_markdown(out, r->name[MT_DIFF_BEFORE]);
    mt_out_string(out, " → ");
    put_markdown(out, r->name[MT_DIFF_AFTER]);
    mt_out_print(out, ", %s\n\n", r->side[MT_DIFF_AFTER]->selection);
    struct mt_paths *paths = paths_of(r);
    mt_out_print(out, "| | change | before | after | %s |\n|---|---:|---:|---:|---|\n",
                 r->by == MT_BY_LINE ? "line" : r->by == MT_BY_FILE ? "file" : "function");
    for (size_t kind = 0; kind < MT_COUNTOF(g_shown); kind++) {
        size_t shown = 0;
        for (size_t i = 0; i < r->diff->count; i++) {
            if (r->diff->rows[i].change != g_shown[kind]) {
                continue;
            }
            if (r->rows == 0 || shown < r->rows) {
                write_markdown_row(out, r, &r->diff->rows[i], paths);
                shown++;
            } else {
                left_out++;
            }
        }
    }
    mt_paths_free(paths);
    if (left_out > 0) {
        mt_out_print(out, "\n%s more rows\n", mt_human_count((double)left_out).text);
    }
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

static void put_signed(struct mt_json *json, const char *key, int64_t value)
{
    mt_json_key(json, key);
    mt_json_s64(json, value);
}

static void put_row(struct mt_json *json, const struct mt_diff_report *r, const struct mt_diff_row *row)
{
    struct mt_frame shown = *row->frame;
    bool later = row->row[MT_DIFF_AFTER] != UINT32_MAX;
    int side = later ? MT_DIFF_AFTER : MT_DIFF_BEFORE;
    const struct mt_table_row *from = &r->table[side]->rows[row->row[side]];
    shown.function = r->by == MT_BY_FILE ? "" : shown.function;
    shown.line = r->by == MT_BY_LINE ? shown.line : 0;
    mt_json_object(json);
    mt_json_put_text(json, "change", mt_change_word(row->change));
    mt_report_put_frame(json, &shown);
    put_signed(json, "bytes", row->bytes);
    if (is_sampled(r)) {
        mt_json_put_double(json, "bytes_ci95", mt_estimate_ci95(row->bytes_variance));
    }
    put_signed(json, "count", row->count);
    mt_report_put_amount(json, "before_", &row->amount[MT_DIFF_BEFORE], is_sampled(r));
    mt_report_put_amount(json, "after_", &row->amount[MT_DIFF_AFTER], is_sampled(r));
    mt_report_put_stack(json, r->side[side]->frames, from->trace_idx, from->stack);
    mt_json_object_end(json);
}

/* Calls put for each row that is to be shown: at most so many of each kind of change. */
static void each_row(const struct mt_diff_report *r, void (*put)(void *context, const struct mt_diff_row *row), void *context)
{
    size_t shown[MT_CHANGE__COUNT] = { 0 };
    for (size_t i = 0; i < r->diff->count; i++) {
        const struct mt_diff_row *row = &r->diff->rows[i];
        if (r->rows == 0 || shown[row->change]++ < r->rows) {
            put(context, row);
        }
    }
}

struct data {
    struct mt_out *out;
    const struct mt_diff_report *report;
    struct mt_json *json;
};

static void put_json_row(void *context, const struct mt_diff_row *row)
{
    struct data *d = context;
    put_row(d->json, d->report, row);
}

static void put_line(void *context, const struct mt_diff_row *row)
{
    struct data *d = context;
    struct mt_json json;
    mt_json_init(&json, d->out, 0);
    put_row(&json, d->report, row);
    mt_out_byte(d->out, '\n');
}

static void put_csv_row(void *context, const struct mt_diff_row *row)
{
    struct data *d = context;
    struct mt_out *out = d->out;
    enum mt_table_by by = d->report->by;
    mt_out_print(out, "%s,", mt_change_word(row->change));
    mt_csv_field(out, by == MT_BY_FILE ? "" : row->frame->function);
    mt_out_byte(out, ',');
    mt_csv_field(out, row->frame->file[0] != '\0' ? row->frame->file : row->frame->module);
    mt_out_print(out, ",%u,%lld,%.0f,%lld,%llu,%llu,%llu,%llu\r\n", by == MT_BY_LINE ? row->frame->line : 0, (long long)row->bytes,
                 mt_estimate_ci95(row->bytes_variance), (long long)row->count,
                 (unsigned long long)row->amount[MT_DIFF_BEFORE].bytes, (unsigned long long)row->amount[MT_DIFF_AFTER].bytes,
                 (unsigned long long)row->amount[MT_DIFF_BEFORE].count, (unsigned long long)row->amount[MT_DIFF_AFTER].count);
}

static void put_side(struct mt_json *json, const struct mt_diff_report *r, int side)
{
    char *command = mt_report_command(mt_trace_info(mt_report_root(r->side[side]->set)));
    mt_json_key(json, side == MT_DIFF_BEFORE ? "before" : "after");
    mt_json_object(json);
    mt_json_put_text(json, "name", r->name[side]);
    mt_json_put_text(json, "command", command);
    mt_json_put_text(json, "selection", r->side[side]->selection);
    mt_report_put_amount(json, "", &r->diff->sum[side], is_sampled(r));
    mt_json_object_end(json);
    free(command);
}

static void put_builds(struct mt_json *json, const struct mt_diff *diff)
{
    mt_json_key(json, "rebuilt");
    mt_json_array(json);
    for (size_t i = 0; i < diff->build_count; i++) {
        mt_json_object(json);
        mt_json_put_text(json, "module", diff->builds[i].module);
        mt_json_put_text(json, "before_build_id", diff->builds[i].before[0] != '\0' ? diff->builds[i].before : NULL);
        mt_json_put_text(json, "after_build_id", diff->builds[i].after[0] != '\0' ? diff->builds[i].after : NULL);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void write_json(struct mt_out *out, const struct mt_diff_report *r)
{
    struct mt_json json;
    struct data data = { .out = out, .report = r, .json = &json };
    mt_json_init(&json, out, 3);
    mt_json_object(&json);
    put_side(&json, r, MT_DIFF_BEFORE);
    put_side(&json, r, MT_DIFF_AFTER);
    put_signed(&json, "bytes", r->diff->bytes);
    if (is_sampled(r)) {
        mt_json_put_double(&json, "bytes_ci95", mt_estimate_ci95(r->diff->bytes_variance));
    }
    put_signed(&json, "count", (int64_t)r->diff->sum[MT_DIFF_AFTER].count - (int64_t)r->diff->sum[MT_DIFF_BEFORE].count);
    put_builds(&json, r->diff);
    mt_json_key(&json, "rows");
    mt_json_array(&json);
    each_row(r, put_json_row, &data);
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}

void mt_diff_write(struct mt_out *out, const struct mt_diff_report *r)
{
    struct data data = { .out = out, .report = r };
    switch (r->format) {
    case MT_DIFF_JSON:
        write_json(out, r);
        break;
    case MT_DIFF_NDJSON:
        each_row(r, put_line, &data);
        break;
    case MT_DIFF_CSV:
        mt_out_string(out, "change,function,file,line,bytes,bytes_ci95,count,before_bytes,after_bytes,before_count,after_count\r\n");
        each_row(r, put_csv_row, &data);
        break;
    case MT_DIFF_MARKDOWN:
        write_markdown(out, r);
        break;
    case MT_DIFF_JUNIT:
        mt_diff_junit_write(out, r);
        break;
    case MT_DIFF_TABLE:
    default:
        write_text(out, r);
        break;
    }
}
