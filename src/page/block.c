/* block.c: see block.h. Everything is gathered first: strings get their numbers while it is, and are written last. Numbers that grow
 * along a column are written as distances, which deflate makes little of. Context: [tool]. */
#include "page/block.h"

#include "export/endings.h"
#include "export/paths.h"
#include "export/stats.h"
#include "model/role.h"
#include "page/confidential.h"
#include "page/rows.h"
#include "util/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FORMAT = 1, DIGITS = 4, RSS_POINTS = 500 };

struct block {
    const struct mt_page_input *input;
    const struct mt_report *report; /* the input's */
    const struct mt_page_rows *rows;
    struct mt_page_strings strings;
    struct mt_json json;
};

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static const char *path_of(const struct mt_frame *frame)
{
    return frame->file[0] != '\0' ? frame->file : frame->module;
}

/* Stands for what was folded. */
static const struct mt_frame g_smaller = { .function = "(smaller ones)", .file = "", .module = "", .kind = MT_FRAME_MARKER };

static const struct mt_frame *frame_at(const struct block *b, size_t number)
{
    return b->rows->frames[number] == MT_PAGE_SMALLER ? &g_smaller : mt_frames_frame(b->rows->resolver, b->rows->frames[number]);
}

/* What language a frame is of. */
enum code { CODE_NONE, CODE_NATIVE, CODE_PYTHON };

static enum code code_of(const struct mt_frame *frame)
{
    switch (frame->kind) {
    case MT_FRAME_NATIVE:
        return CODE_NATIVE;
    case MT_FRAME_PYTHON:
    case MT_FRAME_IMPORT:
        return CODE_PYTHON;
    default:
        return CODE_NONE;
    }
}

/* What is written of each frame, by its number; the root's are 0. */
struct shown {
    uint32_t function, path, place, line;
    uint32_t role;
    enum code code;
};

static struct shown show_frame(struct block *b, const struct mt_frame *frame, const struct mt_paths *paths)
{
    bool confidential = b->input->confidential;
    const char *path = path_of(frame);
    char *function = b->report->all_frames ? mt_strdup(frame->function) : mt_role_shown_name(frame);
    struct shown shown = {
        .function = mt_page_string(&b->strings, confidential ? mt_confidential_function(frame, function) : function),
        .path = mt_page_string(&b->strings, confidential ? mt_confidential_path(path) : path),
        .place = mt_page_string(&b->strings, confidential ? mt_confidential_path(path) : mt_paths_short(paths, path)),
        .line = frame->file[0] != '\0' ? frame->line : 0,
        .role = mt_role_of(frame),
        .code = code_of(frame),
    };
    free(function);
    return shown;
}

static struct shown *show_frames(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    struct shown *shown = mt_alloc_zero(r->frame_count, sizeof *shown);
    struct mt_paths *paths = mt_paths_new(false);
    for (size_t i = 1; i < r->frame_count; i++) {
        mt_paths_add(paths, path_of(frame_at(b, i)));
    }
    for (size_t i = 1; i < r->frame_count; i++) {
        shown[i] = show_frame(b, frame_at(b, i), paths);
    }
    mt_paths_free(paths);
    return shown;
}

#define COLUMN(json, name, i, count, value)                                                                            \
    do {                                                                                                               \
        mt_json_key(json, name);                                                                                       \
        mt_json_array(json);                                                                                           \
        for (size_t i = 0; i < (count); i++) {                                                                         \
            mt_json_u64(json, value);                                                                                  \
        }                                                                                                              \
        mt_json_array_end(json);                                                                                       \
    } while (0)

static void put_frames(struct block *b)
{
    struct mt_json *json = &b->json;
    size_t count = b->rows->frame_count;
    struct shown *shown = show_frames(b);
    mt_json_key(json, "frames");
    mt_json_object(json);
    COLUMN(json, "function", i, count, shown[i].function);
    COLUMN(json, "path", i, count, shown[i].path);
    COLUMN(json, "place", i, count, shown[i].place);
    COLUMN(json, "line", i, count, shown[i].line);
    COLUMN(json, "role", i, count, shown[i].role);
    COLUMN(json, "code", i, count, shown[i].code);
    mt_json_object_end(json);
    free(shown);
}

static void put_tree(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    mt_json_key(&b->json, "tree");
    mt_json_object(&b->json);
    COLUMN(&b->json, "parent", i, r->node_count, i - r->nodes[i].parent);
    COLUMN(&b->json, "frame", i, r->node_count, r->nodes[i].frame);
    mt_json_object_end(&b->json);
}

/* A number in as many digits as are shown, and one. */
static double rounded(double value)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.*g", DIGITS, value);
    return strtod(text, NULL);
}

static void put_scores(struct block *b)
{
    mt_json_key(&b->json, "score");
    mt_json_array(&b->json);
    for (size_t i = 0; i < b->rows->line_count; i++) {
        mt_json_double(&b->json, rounded(b->rows->lines[i].score));
    }
    mt_json_array_end(&b->json);
}

static void put_lines(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    mt_json_key(&b->json, "lines");
    mt_json_object(&b->json);
    COLUMN(&b->json, "frame", i, r->line_count, r->lines[i].frame);
    COLUMN(&b->json, "import", i, r->line_count, r->lines[i].import);
    COLUMN(&b->json, "suspect", i, r->line_count, r->lines[i].suspect);
    put_scores(b);
    mt_json_object_end(&b->json);
}

/* ---- who -------------------------------------------------------------------------------------------------------- */

static const struct mt_trace_thread *thread_at(const struct block *b, size_t number)
{
    const struct mt_page_thread *t = &b->rows->threads[number];
    return mt_trace_thread(b->report->set->traces[t->trace_idx], t->stream);
}

static void put_threads(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    struct mt_json *json = &b->json;
    mt_json_key(json, "threads");
    mt_json_object(json);
    COLUMN(json, "process", i, r->thread_count, r->threads[i].trace_idx);
    COLUMN(json, "tid", i, r->thread_count, thread_at(b, i) != NULL ? thread_at(b, i)->tid : 0);
    COLUMN(json, "name", i, r->thread_count,
           mt_page_string(&b->strings, thread_at(b, i) != NULL ? thread_at(b, i)->name.data : ""));
    mt_json_object_end(json);
}

static void put_processes(struct block *b)
{
    const struct mt_trace_set *set = b->report->set;
    struct mt_json *json = &b->json;
    mt_json_key(json, "processes");
    mt_json_object(json);
    COLUMN(json, "pid", i, set->count, mt_trace_info(set->traces[i])->pid);
    COLUMN(json, "program", i, set->count,
           mt_page_string_take(&b->strings, mt_report_program(mt_trace_info(set->traces[i]))));
    COLUMN(json, "end_ns", i, set->count, b->report->analysis->live_at[i].time_ns);
    mt_json_object_end(json);
}

static void put_allocators(struct block *b)
{
    mt_json_key(&b->json, "allocators");
    mt_json_array(&b->json);
    for (unsigned a = 0; a < MT_ALLOCATOR__COUNT; a++) {
        mt_json_text(&b->json, mt_report_allocator((uint8_t)a));
    }
    mt_json_array_end(&b->json);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static void put_growth(struct block *b)
{
    mt_json_key(&b->json, "growth");
    mt_json_array(&b->json);
    for (size_t i = 0; i < b->rows->row_count; i++) {
        mt_json_double(&b->json, rounded(b->rows->rows[i].growth_bytes_per_s));
    }
    mt_json_array_end(&b->json);
}

static void put_oldest(struct block *b)
{
    mt_json_key(&b->json, "oldest_ns");
    mt_json_array(&b->json);
    for (size_t i = 0; i < b->rows->row_count; i++) {
        const struct mt_page_row *row = &b->rows->rows[i];
        bool known = row->oldest_ns != UINT64_MAX && row->amount[MT_MEASURE_LIVE].count > 0;
        mt_json_s64(&b->json, known ? (int64_t)row->oldest_ns : -1);
    }
    mt_json_array_end(&b->json);
}

static void put_rows(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    struct mt_json *json = &b->json;
    mt_json_key(json, "rows");
    mt_json_object(json);
    COLUMN(json, "node", i, r->row_count, r->rows[i].node - (i > 0 ? r->rows[i - 1].node : 0));
    COLUMN(json, "thread", i, r->row_count, r->rows[i].thread);
    COLUMN(json, "allocator", i, r->row_count, r->rows[i].allocator);
    COLUMN(json, "line", i, r->row_count, r->rows[i].line);
    COLUMN(json, "by", i, r->row_count, mt_page_string(&b->strings, r->names->texts[r->rows[i].by]));
    put_oldest(b);
    put_growth(b);
    COLUMN(json, "moved", i, r->row_count, r->rows[i].moved);
    mt_json_object_end(json);
}

static void put_variances(struct block *b, unsigned measure)
{
    const struct mt_page_rows *r = b->rows;
    COLUMN(&b->json, "bytes_variance", i, r->row_count, (uint64_t)llround(r->rows[i].amount[measure].bytes_variance));
    COLUMN(&b->json, "count_variance", i, r->row_count, (uint64_t)llround(r->rows[i].amount[measure].count_variance));
}

/* What an aggregate trace does not know is left out. */
static bool is_known(const struct mt_analysis *a, unsigned measure)
{
    return measure == MT_MEASURE_PEAK ? !a->peak_is_bound : measure != MT_MEASURE_TEMPORARY || !a->aggregate;
}

static void put_measures(struct block *b)
{
    static const char *const names[MT_PAGE_MEASURES] = { "peak", "live", "total", "temporary" };
    const struct mt_page_rows *r = b->rows;
    struct mt_json *json = &b->json;
    mt_json_key(json, "measures");
    mt_json_object(json);
    for (unsigned m = 0; m < MT_PAGE_MEASURES; m++) {
        if (!is_known(b->report->analysis, m)) {
            continue;
        }
        mt_json_key(json, names[m]);
        mt_json_object(json);
        COLUMN(json, "bytes", i, r->row_count, r->rows[i].amount[m].bytes);
        COLUMN(json, "count", i, r->row_count, r->rows[i].amount[m].count);
        if (b->report->analysis->sampled) {
            put_variances(b, m);
        }
        mt_json_object_end(json);
    }
    mt_json_object_end(json);
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

#define SIGNED_COLUMN(json, name, i, count, value)                                                                     \
    do {                                                                                                               \
        mt_json_key(json, name);                                                                                       \
        mt_json_array(json);                                                                                           \
        for (size_t i = 0; i < (count); i++) {                                                                         \
            mt_json_s64(json, value);                                                                                  \
        }                                                                                                              \
        mt_json_array_end(json);                                                                                       \
    } while (0)

/* As the page's numbers hold it: up to 2^53, which is far more than any variance that says something. */
static int64_t whole_of(double value)
{
    static const double MOST = 9007199254740992.0;
    return llround(value > MOST ? MOST : value < -MOST ? -MOST : value);
}

static void put_cells(struct block *b)
{
    const struct mt_page_rows *r = b->rows;
    struct mt_json *json = &b->json;
    COLUMN(json, "row", i, r->cell_count, r->cells[i].site - (i > 0 ? r->cells[i - 1].site : 0));
    COLUMN(json, "born", i, r->cell_count, r->cells[i].born);
    COLUMN(json, "after", i, r->cell_count, (uint64_t)r->cells[i].at - r->cells[i].born);
    SIGNED_COLUMN(json, "bytes", i, r->cell_count, r->cells[i].bytes);
    SIGNED_COLUMN(json, "count", i, r->cell_count, r->cells[i].count);
    if (b->report->analysis->sampled) {
        SIGNED_COLUMN(json, "bytes_variance", i, r->cell_count, whole_of(r->cells[i].bytes_variance));
    }
}

static void put_edges(struct block *b)
{
    struct mt_json *json = &b->json;
    mt_json_key(json, "edges");
    if (b->input->edges_ns == NULL) {
        mt_json_null(json);
        return;
    }
    mt_json_object(json);
    COLUMN(json, "time_ns", i, MT_PAGE_EDGES, b->input->edges_ns[i]);
    mt_json_put_u64(json, "scale_bits", b->report->analysis->cell_scale_bits);
    mt_json_key(json, "cells");
    mt_json_object(json);
    put_cells(b);
    mt_json_object_end(json);
    mt_json_object_end(json);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

static void put_timeline(struct block *b)
{
    const struct mt_analysis *a = b->report->analysis;
    struct mt_json *json = &b->json;
    mt_json_key(json, "timeline");
    if (a->timeline_count == 0) {
        mt_json_null(json);
        return;
    }
    mt_json_object(json);
    COLUMN(json, "time_ns", i, a->timeline_count, a->timeline[i].time_ns - (i > 0 ? a->timeline[i - 1].time_ns : 0));
    COLUMN(json, "heap", i, a->timeline_count, a->timeline[i].heap_bytes);
    COLUMN(json, "most", i, a->timeline_count, a->timeline[i].heap_max_bytes);
    mt_json_object_end(json);
}

static void put_lifetimes(struct block *b)
{
    const struct mt_totals *totals = &b->report->analysis->totals;
    COLUMN(&b->json, "lifetimes", i, (size_t)MT_HISTOGRAM_BUCKETS, totals->lifetime_histogram[i]);
}

static void put_rss_of(struct block *b, size_t process)
{
    struct mt_json *json = &b->json;
    size_t count;
    const struct mt_trace_rss *rss = mt_trace_rss(b->report->set->traces[process], &count);
    uint64_t start_ns = b->report->analysis->axis.spans[process].start_ns;
    size_t step = 1 + count / RSS_POINTS;
    mt_json_object(json);
    mt_json_put_u64(json, "process", process);
    COLUMN(json, "time_ns", i, (count + step - 1) / step, start_ns + rss[i * step].time_ns);
    COLUMN(json, "bytes", i, (count + step - 1) / step, rss[i * step].bytes);
    mt_json_object_end(json);
}

static void put_rss(struct block *b)
{
    mt_json_key(&b->json, "rss");
    mt_json_array(&b->json);
    for (size_t i = 0; i < b->report->set->count; i++) {
        put_rss_of(b, i);
    }
    mt_json_array_end(&b->json);
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

static void put_stats(struct block *b)
{
    if (!b->input->confidential) {
        mt_stats_put(&b->json, b->report);
        return;
    }
    struct mt_out *text = mt_out_open_memory();
    struct mt_json json;
    mt_json_init(&json, text, 0);
    mt_stats_put(&json, b->report);
    mt_confidential_put(&b->json, mt_out_text(text, NULL));
    mt_out_discard(text);
}

static void put_head(struct block *b)
{
    struct mt_json *json = &b->json;
    char *program = mt_report_program(mt_trace_info(mt_report_root(b->report->set)));
    mt_json_put_u64(json, "format", FORMAT);
    mt_json_put_text(json, "program", program);
    mt_json_put_bool(json, "sampled", b->report->analysis->sampled);
    mt_json_put_double(json, "smallest_share", b->rows->share);
    mt_json_put_text(json, "alive", mt_ending_words(b->report->set));
    mt_json_key(json, "stats");
    put_stats(b);
    free(program);
}

void mt_page_block_write(struct mt_out *out, const struct mt_page_input *input, const struct mt_page_rows *rows)
{
    struct block b = { .input = input, .report = input->report, .rows = rows };
    mt_page_strings_init(&b.strings);
    mt_json_init(&b.json, out, 1);
    mt_json_object(&b.json);
    put_head(&b);
    put_frames(&b);
    put_tree(&b);
    put_lines(&b);
    put_threads(&b);
    put_processes(&b);
    put_allocators(&b);
    put_rows(&b);
    put_measures(&b);
    put_edges(&b);
    put_timeline(&b);
    put_lifetimes(&b);
    put_rss(&b);
    mt_json_key(&b.json, "strings");
    mt_page_strings_put(&b.strings, &b.json);
    mt_json_object_end(&b.json);
    mt_page_strings_fini(&b.strings);
}
