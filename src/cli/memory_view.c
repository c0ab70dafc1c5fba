/* memory_view.c: see memory_view.h. */
#include "cli/memory_view.h"

#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mt_memory_add(struct mt_memory_view *view, struct mt_memory_part part)
{
    if (part.bytes > 0 && view->part_count < MT_MEMORY_PARTS_MAX) {
        size_t at = view->part_count++;
        for (; at > 0 && (view->parts[at - 1].bytes < part.bytes || !view->parts[at - 1].resident) && part.resident; at--) {
            view->parts[at] = view->parts[at - 1];
        }
        view->parts[at] = part;
    }
}

void mt_memory_fini(struct mt_memory_view *view)
{
    for (size_t i = 0; i < view->site_count; i++) {
        free(view->sites[i].text);
    }
    free(view->program);
    *view = (struct mt_memory_view){ 0 };
}

/* ---- for people --------------------------------------------------------------------------------------------------- */

static void write_parts(struct mt_out *out, const struct mt_memory_view *view)
{
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "resident", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "what", MT_ALIGN_LEFT, true);
    for (size_t i = 0; i < view->part_count; i++) {
        const struct mt_memory_part *part = &view->parts[i];
        char share[32] = "";
        double percent = view->rss_bytes > 0 ? 100 * (double)part->bytes / (double)view->rss_bytes : 0;
        if (part->resident) {
            (void)snprintf(share, sizeof share, percent >= 1 ? "%.0f %%" : "%.1f %%", percent);
        }
        mt_grid_cell(grid, mt_human_bytes_like((double)part->bytes, (double)view->rss_bytes).text);
        mt_grid_cell(grid, share);
        mt_grid_cell(grid, part->text);
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

static void put_malloc_line(struct mt_out *out, const struct mt_explained *d)
{
    if (!d->malloc_known) {
        mt_out_print(out, "malloc: not known, %s\n", d->malloc_unknown);
        return;
    }
    mt_out_print(out, "malloc: %s, %s in use, %s free, %s at their ends", mt_human_counted((double)d->arenas, "arena", "arenas").text,
                 mt_human_bytes((double)d->in_use_bytes).text, mt_human_bytes((double)d->free_bytes).text,
                 mt_human_bytes((double)d->top_bytes).text);
    if (d->mapped_blocks > 0) {
        mt_out_print(out, ", %s", mt_human_counted((double)d->mapped_blocks, "mapped block", "mapped blocks").text);
    }
    mt_out_print(out, "; malloc_trim would give back %s\n", mt_human_bytes((double)d->trim_bytes).text);
}

static uint64_t slack_of(const struct mt_explain_allocator *a)
{
    return a->resident_bytes > a->in_use_bytes + a->own_bytes ? a->resident_bytes - a->in_use_bytes - a->own_bytes : 0;
}

static void put_allocator_line(struct mt_out *out, const struct mt_explain_allocator *a)
{
    char *name = mt_text_clean(a->name, strlen(a->name)); /* as the process says it */
    mt_out_print(out, "%s: %s in use, %s free or rounding", name, mt_human_bytes((double)a->in_use_bytes).text, mt_human_bytes((double)slack_of(a)).text);
    free(name);
    if (a->own_bytes > 0) {
        mt_out_print(out, ", %s its own", mt_human_bytes((double)a->own_bytes).text);
    }
    mt_out_print(out, "; %s given back, by its own account\n", mt_human_bytes((double)a->given_back_bytes).text);
}

static void write_allocators(struct mt_out *out, const struct mt_explained *d)
{
    enum { LABEL_COLUMNS = 8 };
    struct mt_out *line = mt_out_open_memory();
    put_malloc_line(line, d);
    if (d->own_allocator_known) {
        put_allocator_line(line, &d->own_allocator);
    }
    mt_terminal_wrap(out, mt_out_text(line, NULL), LABEL_COLUMNS);
    mt_out_discard(line);
}

/* With the half width of the interval where it is an estimate. malloc'ed. */
static char *amount_of(struct mt_human bytes, double ci95)
{
    return ci95 > 0 ? mt_format("%s ±%s", bytes.text, mt_human_bytes(ci95).text) : mt_strdup(bytes.text);
}

static void write_sites(struct mt_out *out, const struct mt_memory_view *view)
{
    char *heap = amount_of(mt_human_bytes((double)view->heap_bytes), view->heap_ci95);
    mt_out_print(out, "\nrecorded: %s %s; most of it\n", heap, view->live ? "alive" : "at the peak of the heap");
    free(heap);
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, view->live ? "alive" : "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "blocks", MT_ALIGN_RIGHT, false);
    mt_grid_column_place(grid, "line");
    for (size_t i = 0; i < view->site_count; i++) {
        char *amount = amount_of(mt_human_bytes_like((double)view->sites[i].bytes, (double)view->sites[0].bytes), view->sites[i].ci95);
        mt_grid_cell(grid, amount);
        free(amount);
        mt_grid_cell(grid, mt_human_count((double)view->sites[i].count).text);
        mt_grid_cell(grid, view->sites[i].text);
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

void mt_memory_write(struct mt_out *out, const struct mt_memory_view *view)
{
    char *name = mt_text_clean(view->program != NULL ? view->program : "?", strlen(view->program != NULL ? view->program : "?"));
    mt_out_print(out, "%s (%llu): %s %s\n\n", name, (unsigned long long)view->pid, view->live ? "RSS" : "largest RSS of the recording",
                 view->rss_bytes > 0 ? mt_human_bytes((double)view->rss_bytes).text : "not known");
    free(name);
    if (view->part_count > 0) {
        write_parts(out, view);
    }
    if (view->details != NULL) {
        mt_out_byte(out, '\n');
        write_allocators(out, view->details);
    }
    if (view->site_count > 0) {
        write_sites(out, view);
    }
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

static void put_malloc(struct mt_json *json, const struct mt_explained *d)
{
    mt_json_key(json, "malloc");
    if (!d->malloc_known) {
        mt_json_null(json);
        mt_json_put_text(json, "malloc_unknown", d->malloc_unknown);
        return;
    }
    mt_json_object(json);
    mt_json_put_u64(json, "arenas", d->arenas);
    mt_json_put_u64(json, "system_bytes", d->system_bytes);
    mt_json_put_u64(json, "in_use_bytes", d->in_use_bytes);
    mt_json_put_u64(json, "free_bytes", d->free_bytes);
    mt_json_put_u64(json, "top_bytes", d->top_bytes);
    mt_json_put_u64(json, "mapped_blocks", d->mapped_blocks);
    mt_json_put_u64(json, "trim_bytes", d->trim_bytes);
    mt_json_object_end(json);
}

static void put_allocator(struct mt_json *json, const struct mt_explained *d)
{
    const struct mt_explain_allocator *a = &d->own_allocator;
    mt_json_key(json, "allocator");
    if (!d->own_allocator_known) {
        mt_json_null(json);
        return;
    }
    mt_json_object(json);
    mt_json_put_text(json, "name", a->name);
    mt_json_put_u64(json, "in_use_bytes", a->in_use_bytes);
    mt_json_put_u64(json, "own_bytes", a->own_bytes);
    mt_json_put_u64(json, "slack_bytes", slack_of(a));
    mt_json_put_u64(json, "resident_bytes", a->resident_bytes);
    mt_json_put_u64(json, "given_back_bytes", a->given_back_bytes);
    mt_json_object_end(json);
}

void mt_memory_write_json(struct mt_out *out, const struct mt_memory_view *view)
{
    struct mt_json json;
    mt_json_init(&json, out, 3);
    mt_json_object(&json);
    mt_json_put_u64(&json, "pid", view->pid);
    mt_json_put_text(&json, "program", view->program);
    mt_json_put_text(&json, "trace", view->trace);
    mt_json_put_bool(&json, "live", view->live);
    mt_json_put_u64(&json, "rss_bytes", view->rss_bytes);
    mt_json_key(&json, "parts");
    mt_json_array(&json);
    for (size_t i = 0; i < view->part_count; i++) {
        mt_json_object(&json);
        mt_json_put_text(&json, "part", view->parts[i].key);
        mt_json_put_u64(&json, "bytes", view->parts[i].bytes);
        mt_json_put_bool(&json, "resident", view->parts[i].resident);
        mt_json_put_text(&json, "about", view->parts[i].text);
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    if (view->details != NULL) {
        put_malloc(&json, view->details);
        put_allocator(&json, view->details);
        mt_json_put_u64(&json, "python_pools", view->details->python_pools);
        mt_json_put_u64(&json, "threads", view->details->threads);
    }
    mt_json_key(&json, "sites");
    mt_json_array(&json);
    for (size_t i = 0; i < view->site_count; i++) {
        mt_json_object(&json);
        mt_json_put_text(&json, "line", view->sites[i].text);
        mt_json_put_u64(&json, "bytes", view->sites[i].bytes);
        if (view->sites[i].ci95 > 0) {
            mt_json_put_double(&json, "bytes_ci95", view->sites[i].ci95);
        }
        mt_json_put_u64(&json, "count", view->sites[i].count);
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}
