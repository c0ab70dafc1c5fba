/* load_diff.c: memory.diff(a, b): what each stack held at two moments, from two analyses. Context: [tool]. */
#include "sql/catalog.h"

#include "export/report.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* LIVE of the sites at one moment is added as rows that know one side alone. */
static mt_status add_moment(struct mt_sql_load *load, const char *text, bool after)
{
    struct mt_sql *sql = load->sql;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    struct mt_analysis a;
    mt_status status = mt_sql_time_known(sql, text, &options.stop_ns, load->err);
    if (status != MT_OK) {
        return status;
    }
    options.progress = mt_sql_goes_on;
    options.context = sql;
    status = mt_analyze(sql->set, &options, &a);
    for (size_t i = 0; i < a.site_count && status == MT_OK; i++) {
        const struct mt_site *site = &a.sites[i];
        const struct mt_amount *live = &site->amount[MT_MEASURE_LIVE];
        if (site->storage == MT_STORAGE_HEAP && live->count > 0) {
            struct mt_row_diff *row = mt_sql_add_row(load);
            row->process = mt_sql_pid(sql, site->trace_idx);
            row->stack_id = mt_sql_stack_id(site->trace_idx, site->stack);
            row->allocator = mt_report_allocator(site->allocator);
            *(after ? &row->after_bytes : &row->before_bytes) = live->bytes;
            *(after ? &row->after_count : &row->before_count) = live->count;
        }
    }
    mt_analysis_fini(&a);
    return status == MT_OK ? status : mt_error_set(load->err, status, "cannot read the events: %s", mt_status_text(status));
}

static int by_stack(const void *a, const void *b)
{
    const struct mt_row_diff *x = a, *y = b;
    return x->stack_id != y->stack_id ? (x->stack_id > y->stack_id ? 1 : -1) : strcmp(x->allocator, y->allocator);
}

static void join_equal(struct mt_sql_batch *batch)
{
    struct mt_row_diff *rows = batch->rows;
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (kept == 0 || by_stack(&rows[kept - 1], &rows[i]) != 0) {
            rows[kept++] = rows[i];
            continue;
        }
        rows[kept - 1].before_bytes += rows[i].before_bytes;
        rows[kept - 1].after_bytes += rows[i].after_bytes;
        rows[kept - 1].before_count += rows[i].before_count;
        rows[kept - 1].after_count += rows[i].after_count;
    }
    batch->count = kept;
}

static void settle(struct mt_sql_load *load)
{
    struct mt_row_diff *rows = load->batch->rows;
    for (size_t i = 0; i < load->batch->count; i++) {
        rows[i].delta_bytes = (int64_t)(rows[i].after_bytes - rows[i].before_bytes);
        rows[i].delta_count = (int64_t)(rows[i].after_count - rows[i].before_count);
        if (MT_SQL_USES(load, diff, function) || MT_SQL_USES(load, diff, file) || MT_SQL_USES(load, diff, line)) {
            struct mt_sql_place place =
                mt_sql_place_of(load->sql, (uint32_t)(rows[i].stack_id >> 32), (uint32_t)rows[i].stack_id);
            rows[i].function = place.function;
            rows[i].file = place.file;
            rows[i].line = place.line;
        }
    }
}

mt_status mt_sql_load_diff(struct mt_sql_load *load)
{
    load->filled = load->used;
    mt_status status = add_moment(load, load->arguments[0], false);
    if (status == MT_OK) {
        status = add_moment(load, load->arguments[1], true);
    }
    if (status == MT_OK && load->batch->count > 0) {
        qsort(load->batch->rows, load->batch->count, load->row_bytes, by_stack);
        join_equal(load->batch);
        settle(load);
    }
    return status;
}
