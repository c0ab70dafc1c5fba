/* load_sites.c: rows that follow from the analysis of the whole: sites, threads, the timeline, what happened once. Context: [tool]. */
#include "sql/catalog.h"

#include "analysis/estimate.h"
#include "export/report.h"
#include "model/run_marks.h"

static mt_status failed(struct mt_sql_load *load, mt_status status)
{
    return mt_error_set(load->err, status, "cannot read the events: %s", mt_status_text(status));
}

/* Half widths are not known where amounts are exact. */
#define SET(row, member, from, part, sampled)                                                                          \
    do {                                                                                                               \
        (row)->member = (from)->part;                                                                                  \
        (row)->member##_ci95 = (sampled) ? mt_estimate_ci95((from)->part##_variance) : MT_NULL_F64;                    \
    } while (0)

static void set_amounts(struct mt_row_sites *row, const struct mt_site *site, const struct mt_analysis *a)
{
    const struct mt_amount *amount = site->amount;
    SET(row, peak_bytes, &amount[MT_MEASURE_PEAK], bytes, a->sampled);
    SET(row, peak_count, &amount[MT_MEASURE_PEAK], count, a->sampled);
    SET(row, live_bytes, &amount[MT_MEASURE_LIVE], bytes, a->sampled);
    SET(row, live_count, &amount[MT_MEASURE_LIVE], count, a->sampled);
    SET(row, total_bytes, &amount[MT_MEASURE_TOTAL], bytes, a->sampled);
    SET(row, total_count, &amount[MT_MEASURE_TOTAL], count, a->sampled);
    SET(row, temporary_bytes, &amount[MT_MEASURE_TEMPORARY], bytes, a->sampled);
    SET(row, temporary_count, &amount[MT_MEASURE_TEMPORARY], count, a->sampled);
}

/* Processes that were recorded as an aggregate do not know these; of several, a peak of their own is not the run's. */
static void forget_unknown(struct mt_row_sites *row, const struct mt_trace *trace, const struct mt_analysis *a)
{
    if ((mt_trace_info(trace)->flags & MT_TRACE_AGGREGATE) != 0) {
        row->temporary_bytes = row->temporary_count = MT_NULL_U64;
        row->growth_bytes_per_s = row->lifetime_s = MT_NULL_F64;
    }
    if (a->peak_is_bound) {
        row->peak_bytes = row->peak_count = MT_NULL_U64;
    }
}

static void add_site(struct mt_sql_load *load, const struct mt_site *site, const struct mt_analysis *a)
{
    struct mt_sql *sql = load->sql;
    struct mt_row_sites *row = mt_sql_add_row(load);
    row->process = mt_sql_pid(sql, site->trace_idx);
    row->stack_id = mt_sql_stack_id(site->trace_idx, site->stack);
    row->thread = mt_sql_thread_name(sql, site->trace_idx, site->stream, &row->tid);
    row->label = mt_sql_label(sql, site->trace_idx, site->label);
    row->allocator = mt_report_allocator(site->allocator);
    set_amounts(row, site, a);
    row->oldest_s = site->oldest_ns != UINT64_MAX ? (double)site->oldest_ns / 1e9 : MT_NULL_F64;
    row->growth_bytes_per_s = site->growth_bytes_per_s;
    row->lifetime_s = site->lifetime_s;
    forget_unknown(row, sql->set->traces[site->trace_idx], a);
    if (MT_SQL_USES(load, sites, function) || MT_SQL_USES(load, sites, file) || MT_SQL_USES(load, sites, line)) {
        struct mt_sql_place place = mt_sql_place_of(sql, site->trace_idx, site->stack);
        row->function = place.function;
        row->file = place.file;
        row->line = place.line;
    }
}

mt_status mt_sql_load_sites(struct mt_sql_load *load)
{
    mt_status status;
    const struct mt_analysis *a = mt_sql_analysis(load->sql, false, &status);
    if (a == NULL) {
        return failed(load, status);
    }
    load->filled = load->used;
    for (size_t i = 0; i < a->site_count; i++) {
        if (a->sites[i].storage == MT_STORAGE_HEAP) {
            add_site(load, &a->sites[i], a);
        }
    }
    return MT_OK;
}

mt_status mt_sql_load_timeline(struct mt_sql_load *load)
{
    mt_status status;
    const struct mt_analysis *a = mt_sql_analysis(load->sql, true, &status);
    if (a == NULL) {
        return failed(load, status);
    }
    for (size_t i = 0; i < a->timeline_count && !a->aggregate; i++) {
        const struct mt_timeline_point *p = &a->timeline[i];
        struct mt_row_timeline *row = mt_sql_add_row(load);
        *row = (struct mt_row_timeline){ (double)p->time_ns / 1e9, p->heap_bytes, p->heap_max_bytes, p->allocations };
    }
    return MT_OK;
}

/* What the analysis counted of a thread; NULL: it allocated nothing. */
static const struct mt_thread_totals *totals_of(const struct mt_analysis *a, uint32_t trace_idx, uint32_t stream)
{
    for (size_t i = 0; i < a->thread_count; i++) {
        if (a->threads[i].trace_idx == trace_idx && a->threads[i].stream == stream) {
            return &a->threads[i];
        }
    }
    return NULL;
}

static void set_totals(struct mt_row_threads *row, const struct mt_thread_totals *t, const struct mt_analysis *a)
{
    static const struct mt_thread_totals none;
    t = t != NULL ? t : &none;
    row->peak_bytes = a->peak_is_bound ? MT_NULL_U64 : t->amount[MT_MEASURE_PEAK].bytes;
    row->live_bytes = t->amount[MT_MEASURE_LIVE].bytes;
    row->total_bytes = t->amount[MT_MEASURE_TOTAL].bytes;
    row->total_count = t->amount[MT_MEASURE_TOTAL].count;
    row->deallocations = t->deallocations;
}

static bool uses_totals(const struct mt_sql_load *load)
{
    return load->used >> (offsetof(struct mt_row_threads, peak_bytes) / sizeof(uint64_t)) != 0;
}

mt_status mt_sql_load_threads(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    mt_status status = MT_OK;
    const struct mt_analysis *a = uses_totals(load) ? mt_sql_analysis(sql, false, &status) : NULL;
    if (status != MT_OK) {
        return failed(load, status);
    }
    load->filled = load->used;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        size_t count;
        const struct mt_trace_thread *threads = mt_trace_threads(sql->set->traces[t], &count);
        for (size_t i = 0; i < count; i++) {
            struct mt_row_threads *row = mt_sql_add_row(load);
            row->process = mt_sql_pid(sql, t);
            row->tid = threads[i].tid;
            row->name = threads[i].name.data;
            row->first_s = (double)(sql->axis.spans[t].start_ns + threads[i].first_ns) / 1e9;
            if (a != NULL) {
                set_totals(row, totals_of(a, t, threads[i].stream), a);
            }
        }
    }
    return MT_OK;
}

static void add_mark(struct mt_sql_load *load, const struct mt_run_mark *at, const struct mt_mark_held *held)
{
    struct mt_row_snapshots *row = mt_sql_add_row(load);
    const char *word = mt_mark_word(at->mark->kind);
    row->process = mt_sql_pid(load->sql, at->trace_idx);
    row->time_s = (double)at->time_ns / 1e9;
    row->kind = word != NULL ? word : "unknown";
    row->mark = at->number > 0 ? at->number : MT_NULL_U64;
    row->name = at->mark->text.bytes > 0 ? at->mark->text.data : NULL;
    row->value = at->mark->value;
    row->held_bytes = held->known ? held->bytes : MT_NULL_U64;
    row->held_count = held->known ? held->count : MT_NULL_U64;
}

mt_status mt_sql_load_snapshots(struct mt_sql_load *load)
{
    mt_status status;
    const struct mt_analysis *a = mt_sql_analysis(load->sql, false, &status);
    if (a == NULL) {
        return failed(load, status);
    }
    for (size_t i = 0; i < a->marks.count; i++) {
        add_mark(load, &a->marks.items[i], &a->held[i]);
    }
    return MT_OK;
}
