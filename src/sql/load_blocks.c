/* load_blocks.c: rows that are single blocks: what is alive at a moment, every record, every block with its end. Context: [tool]. */
#include "sql/catalog.h"

#include "analysis/alive.h"
#include "analysis/blocks.h"
#include "analysis/estimate.h"
#include "export/report.h"
#include "util/memory.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 1024 };

static mt_status failed(struct mt_sql_load *load, mt_status status)
{
    if (status == MT_E_UNSUPPORTED) {
        return mt_error_set(load->err, status, "a trace was recorded with --aggregate: it holds sums, no single allocations; ask memory.sites");
    }
    return mt_error_set(load->err, status, "cannot read the events: %s", mt_status_text(status));
}

/* ---- alive -------------------------------------------------------------------------------------------------------- */

struct alive_at {
    struct mt_sql_load *load;
    uint32_t trace_idx;
    uint64_t from_ns; /* born before it: not of interest */
    uint64_t now_ns;
};

static void add_block(void *context, const struct mt_block *block)
{
    const struct alive_at *at = context;
    struct mt_sql_load *load = at->load;
    if (block->born_ns < at->from_ns) {
        return;
    }
    struct mt_row_allocations *row = mt_sql_add_row(load);
    row->process = mt_sql_pid(load->sql, at->trace_idx);
    row->address = block->addr;
    row->size_bytes = block->size;
    row->bytes = block->bytes;
    row->count = block->count;
    row->stack_id = mt_sql_stack_id(at->trace_idx, block->stack);
    row->thread = mt_sql_thread_name(load->sql, at->trace_idx, block->stream, &row->tid);
    row->label = mt_sql_label(load->sql, at->trace_idx, block->label);
    row->allocator = mt_report_allocator(block->allocator);
    row->allocated_s = (double)block->born_ns / 1e9;
    row->age_s = (double)(at->now_ns - block->born_ns) / 1e9;
    if (MT_SQL_USES(load, allocations, function) || MT_SQL_USES(load, allocations, file) || MT_SQL_USES(load, allocations, line)) {
        struct mt_sql_place place = mt_sql_place_of(load->sql, at->trace_idx, block->stack);
        row->function = place.function;
        row->file = place.file;
        row->line = place.line;
    }
}

static bool interrupted(void *context)
{
    const struct alive_at *at = context;
    return mt_sql_should_stop(at->load->sql);
}

/* The last clock of a process that belongs to a moment; false: it had ended before, and holds nothing. */
static bool last_clock(struct mt_sql *sql, uint32_t t, uint64_t time_ns, uint64_t *ret_clock, uint64_t *ret_now_ns)
{
    const struct mt_span *span = &sql->axis.spans[t];
    if (time_ns == UINT64_MAX) { /* when its program ended */
        *ret_clock = mt_analysis_end_clock(sql->set->traces[t]);
        *ret_now_ns = *ret_clock != UINT64_MAX ? mt_span_time(span, *ret_clock) : span->end_ns;
        return true;
    }
    *ret_clock = mt_span_clock(span, time_ns);
    *ret_now_ns = time_ns;
    return span->live || time_ns <= span->end_ns;
}

static mt_status load_alive(struct mt_sql_load *load, uint64_t from_ns, uint64_t time_ns)
{
    struct mt_sql *sql = load->sql;
    mt_status status = MT_OK;
    load->filled = load->used;
    for (uint32_t t = 0; t < sql->set->count && status == MT_OK; t++) {
        struct alive_at at = { load, t, from_ns, 0 };
        struct mt_cursor_losses losses = { 0 };
        struct mt_blocks_visit visit = { add_block, interrupted, &at, &losses };
        uint64_t clock;
        if (last_clock(sql, t, time_ns, &clock, &at.now_ns)) {
            status = mt_blocks_alive(sql->set->traces[t], &sql->axis.spans[t], clock, &visit);
            mt_sql_note_losses(sql, &losses);
        }
    }
    return status == MT_OK ? status : failed(load, status);
}

mt_status mt_sql_load_allocations(struct mt_sql_load *load)
{
    return load_alive(load, 0, UINT64_MAX);
}

mt_status mt_sql_load_live_at(struct mt_sql_load *load)
{
    uint64_t time_ns;
    mt_status status = mt_sql_time_known(load->sql, load->arguments[0], &time_ns, load->err);
    return status == MT_OK ? load_alive(load, 0, time_ns) : status;
}

mt_status mt_sql_load_between(struct mt_sql_load *load)
{
    uint64_t from_ns, time_ns;
    mt_status status = mt_sql_time(load->sql, load->arguments[0], &from_ns, load->err);
    if (status == MT_OK) {
        status = mt_sql_time_known(load->sql, load->arguments[1], &time_ns, load->err);
    }
    return status == MT_OK ? load_alive(load, from_ns, time_ns) : status;
}

/* ---- every record ------------------------------------------------------------------------------------------------- */

static const char *kind_of(const struct mt_event *e)
{
    return e->kind == MT_EVENT_ALLOC  ? "alloc"
           : e->kind == MT_EVENT_FREE ? "free"
           : e->kind == MT_EVENT_MAP  ? "map"
           : e->kind == MT_EVENT_UNMAP ? "unmap"
                                       : "resized";
}

static double weight_of(const struct mt_event *e)
{
    return e->kind == MT_EVENT_ALLOC && e->rate_bytes > 0 ? mt_weight_of(e->size, e->rate_bytes).bytes : (double)e->size;
}

static void add_event(struct mt_sql_load *load, uint32_t t, const struct mt_event *e)
{
    bool is_map = e->kind == MT_EVENT_MAP || e->kind == MT_EVENT_UNMAP, sized = e->kind != MT_EVENT_FREE;
    struct mt_row_events *row = mt_sql_add_row(load);
    row->process = mt_sql_pid(load->sql, t);
    row->time_s = (double)mt_span_time(&load->sql->axis.spans[t], e->clock) / 1e9;
    row->thread = mt_sql_thread_name(load->sql, t, e->stream, &row->tid);
    row->kind = kind_of(e);
    row->address = e->addr;
    row->size_bytes = sized ? e->size : MT_NULL_U64;
    row->bytes = sized ? weight_of(e) : MT_NULL_F64;
    row->stack_id = e->kind == MT_EVENT_ALLOC || e->kind == MT_EVENT_MAP ? mt_sql_stack_id(t, e->stack) : MT_NULL_U64;
    row->allocator = is_map ? mt_report_map_kind(e->allocator)
                     : e->kind == MT_EVENT_ALLOC ? mt_report_allocator(e->allocator) : NULL;
    row->label = mt_sql_label(load->sql, t, e->label);
    row->realloc = (e->flags & MT_EVENT_OF_REALLOC) != 0;
}

/* Gives each event of a process to take, in order. */
static mt_status each_event(struct mt_sql_load *load, uint32_t t, void (*take)(void *context, const struct mt_event *e), void *context)
{
    struct mt_event batch[BATCH_EVENTS];
    struct mt_cursor *cursor;
    size_t count;
    if ((mt_trace_info(load->sql->set->traces[t])->flags & MT_TRACE_AGGREGATE) != 0) {
        return MT_E_UNSUPPORTED;
    }
    mt_status status = mt_cursor_new(load->sql->set->traces[t], UINT64_MAX, &cursor);
    if (status != MT_OK) {
        return status;
    }
    while (status == MT_OK && (count = mt_cursor_next(cursor, batch, BATCH_EVENTS)) > 0) {
        for (size_t i = 0; i < count; i++) {
            take(context, &batch[i]);
        }
        status = mt_sql_should_stop(load->sql) ? MT_E_INTERRUPTED : MT_OK;
    }
    status = status == MT_OK ? mt_cursor_status(cursor) : status;
    mt_sql_note_losses(load->sql, mt_cursor_losses(cursor));
    mt_cursor_free(cursor);
    return status;
}

struct listing {
    struct mt_sql_load *load;
    uint32_t trace_idx;
};

static void take_event(void *context, const struct mt_event *e)
{
    const struct listing *l = context;
    add_event(l->load, l->trace_idx, e);
}

mt_status mt_sql_load_events(struct mt_sql_load *load)
{
    mt_status status = MT_OK;
    for (uint32_t t = 0; t < load->sql->set->count && status == MT_OK; t++) {
        struct listing listing = { load, t };
        status = each_event(load, t, take_event, &listing);
    }
    return status == MT_OK ? status : failed(load, status);
}

/* ---- every block -------------------------------------------------------------------------------------------------- */

struct lives {
    struct mt_sql_load *load;
    uint32_t trace_idx;
    size_t first; /* row of this process */
    struct mt_alive alive;
};

static double seconds_of(const struct lives *l, const struct mt_event *e)
{
    return (double)mt_span_time(&l->load->sql->axis.spans[l->trace_idx], e->clock) / 1e9;
}

static struct mt_row_lifetimes *row_of(const struct lives *l, const struct mt_live *entry)
{
    return (struct mt_row_lifetimes *)l->load->batch->rows + l->first + entry->site;
}

static void life_began(void *context, const struct mt_event *e, struct mt_live *entry)
{
    const struct lives *l = context;
    struct mt_row_lifetimes *row = mt_sql_add_row(l->load);
    entry->site = (uint32_t)(l->load->batch->count - 1 - l->first);
    row->process = mt_sql_pid(l->load->sql, l->trace_idx);
    row->address = e->addr;
    row->size_bytes = e->size;
    row->stack_id = mt_sql_stack_id(l->trace_idx, e->stack);
    row->thread = mt_sql_thread_name(l->load->sql, l->trace_idx, e->stream, &row->tid);
    row->allocator = mt_report_allocator(e->allocator);
    row->allocated_s = seconds_of(l, e);
    row->freed_s = MT_NULL_F64;
}

static void life_ended(void *context, const struct mt_event *e, const struct mt_live *entry, enum mt_alive_end how)
{
    const struct lives *l = context;
    struct mt_row_lifetimes *row = row_of(l, entry);
    (void)how;
    row->freed_s = seconds_of(l, e);
    row->lifetime_s = row->freed_s - row->allocated_s;
}

static void life_resized(void *context, const struct mt_event *e, const struct mt_live *before, struct mt_live *entry)
{
    (void)before;
    row_of(context, entry)->size_bytes = e->size;
}

static const struct mt_alive_counter g_lives = { life_began, life_ended, life_resized };

static void take_life(void *context, const struct mt_event *e)
{
    struct lives *l = context;
    (void)mt_alive_apply(&l->alive, e, e->clock, &g_lives, l);
}

static void age_the_living(const struct lives *l)
{
    double end_s = (double)l->load->sql->axis.spans[l->trace_idx].end_ns / 1e9;
    struct mt_row_lifetimes *rows = l->load->batch->rows;
    for (size_t i = l->first; i < l->load->batch->count; i++) {
        rows[i].lifetime_s = isnan(rows[i].freed_s) ? fmax(end_s - rows[i].allocated_s, 0) : rows[i].lifetime_s;
    }
}

mt_status mt_sql_load_lifetimes(struct mt_sql_load *load)
{
    mt_status status = MT_OK;
    for (uint32_t t = 0; t < load->sql->set->count && status == MT_OK; t++) {
        struct lives lives = { .load = load, .trace_idx = t, .first = load->batch->count };
        mt_alive_init(&lives.alive, (mt_trace_info(load->sql->set->traces[t])->flags & MT_TRACE_GROWTH) != 0);
        status = each_event(load, t, take_life, &lives);
        mt_alive_fini(&lives.alive);
        age_the_living(&lives);
    }
    return status == MT_OK ? status : failed(load, status);
}
