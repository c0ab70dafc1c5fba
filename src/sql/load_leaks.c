/* load_leaks.c: memory.leaks. Context: [tool]. */
#include "sql/catalog.h"

#include "analysis/estimate.h"
#include "sql/leak_rows.h"
#include "util/memory.h"

#include <stdlib.h>

static void set_amounts(struct mt_row_leaks *row, const struct mt_amount *live, bool sampled)
{
    row->bytes = live->bytes;
    row->count = live->count;
    row->bytes_ci95 = sampled ? mt_estimate_ci95(live->bytes_variance) : MT_NULL_F64;
    row->count_ci95 = sampled ? mt_estimate_ci95(live->count_variance) : MT_NULL_F64;
}

static void add_leak(struct mt_sql_load *load, const struct mt_sql_leak *leak, bool sampled)
{
    struct mt_row_leaks *row = mt_sql_add_row(load);
    row->function = leak->function[0] != '\0' ? leak->function : NULL;
    row->file = leak->file[0] != '\0' ? leak->file : NULL;
    row->line = leak->line > 0 ? leak->line : MT_NULL_U64;
    set_amounts(row, &leak->live, sampled);
    row->oldest_s = leak->timed && leak->oldest_ns != UINT64_MAX ? (double)leak->oldest_ns / 1e9 : MT_NULL_F64;
    row->age_s = leak->timed ? leak->age_s : MT_NULL_F64;
    row->growth_bytes_per_s = leak->timed ? leak->growth_bytes_per_s : MT_NULL_F64;
    row->score = leak->score;
    row->suspect = leak->suspect;
    row->import = leak->import;
}

mt_status mt_sql_load_leaks(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    mt_status status;
    const struct mt_analysis *a = mt_sql_analysis(sql, false, &status);
    struct mt_sql_leak *leaks = NULL;
    size_t count = 0;
    status = a != NULL ? mt_sql_leaks_make(sql->set, a, sql->places, &leaks, &count) : status;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        add_leak(load, &leaks[i], a->sampled);
    }
    free(leaks);
    return status == MT_OK ? MT_OK : mt_error_set(load->err, status, "cannot read the events: %s", mt_status_text(status));
}
