/* functions.c: aggregates that SQL of other engines has and SQLite has not: deviations, percentiles, and concat.
 *
 * Deviations follow Welford, and take values back (West 1979), so that they are window functions too. Context: [tool]. */
#include "sql/functions.h"

#include "util/memory.h"
#include "util/out.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* ---- deviations --------------------------------------------------------------------------------------------------- */

struct spread {
    int64_t count;
    double mean, squares; /* squares: sum of (x - mean)^2 */
};

enum { OF_POPULATION = 1, ROOT = 2 };

static void spread_step(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct spread *s = sqlite3_aggregate_context(context, sizeof *s);
    (void)argc;
    if (s == NULL || sqlite3_value_type(argv[0]) == SQLITE_NULL) {
        return;
    }
    double x = sqlite3_value_double(argv[0]), away = x - s->mean;
    s->count++;
    s->mean += away / (double)s->count;
    s->squares += away * (x - s->mean);
}

static void spread_inverse(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct spread *s = sqlite3_aggregate_context(context, sizeof *s);
    (void)argc;
    if (s == NULL || sqlite3_value_type(argv[0]) == SQLITE_NULL) {
        return;
    }
    if (--s->count == 0) {
        *s = (struct spread){ 0 };
        return;
    }
    double x = sqlite3_value_double(argv[0]), away = x - s->mean;
    s->mean -= away / (double)s->count;
    s->squares = fmax(s->squares - away * (x - s->mean), 0);
}

static void spread_value(sqlite3_context *context)
{
    const struct spread *s = sqlite3_aggregate_context(context, 0);
    unsigned how = (unsigned)(uintptr_t)sqlite3_user_data(context);
    int64_t degrees = s == NULL ? 0 : s->count - ((how & OF_POPULATION) != 0 ? 0 : 1);
    if (degrees > 0) {
        double variance = s->squares / (double)degrees;
        sqlite3_result_double(context, (how & ROOT) != 0 ? sqrt(variance) : variance);
    }
}

/* ---- percentiles -------------------------------------------------------------------------------------------------- */

struct values {
    double *items;
    size_t count, capacity;
    double share;
};

enum { DISCRETE = 1 };

static void values_step(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct values *v = sqlite3_aggregate_context(context, sizeof *v);
    if (v == NULL || sqlite3_value_type(argv[0]) == SQLITE_NULL) {
        return;
    }
    v->share = argc > 1 ? sqlite3_value_double(argv[1]) : 0.5;
    v->items = mt_alloc_grow(v->items, &v->capacity, v->count + 1, sizeof *v->items);
    v->items[v->count++] = sqlite3_value_double(argv[0]);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct values *v, bool discrete)
{
    double at = v->share * (double)(v->count - 1);
    if (discrete) { /* the first value with at least that share up to it */
        double number = ceil(v->share * (double)v->count);
        return v->items[number < 1 ? 0 : (size_t)number - 1];
    }
    size_t low = (size_t)at;
    size_t high = low + 1 < v->count ? low + 1 : low;
    return v->items[low] + (v->items[high] - v->items[low]) * (at - (double)low);
}

static void values_final(sqlite3_context *context)
{
    struct values *v = sqlite3_aggregate_context(context, 0);
    if (v == NULL || v->count == 0) {
        return;
    }
    if (!(v->share >= 0 && v->share <= 1)) {
        sqlite3_result_error(context, "a percentile is a share from 0 to 1", -1);
    } else {
        qsort(v->items, v->count, sizeof *v->items, by_size);
        sqlite3_result_double(context, percentile(v, sqlite3_user_data(context) != NULL));
    }
    free(v->items);
}

/* ---- concat ------------------------------------------------------------------------------------------------------- */

/* NULL counts as nothing, unlike ||. */
static void concat(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct mt_out *out = mt_out_open_memory();
    size_t bytes;
    for (int i = 0; i < argc; i++) {
        if (sqlite3_value_type(argv[i]) != SQLITE_NULL) {
            mt_out_write(out, sqlite3_value_text(argv[i]), (size_t)sqlite3_value_bytes(argv[i]));
        }
    }
    const char *text = mt_out_text(out, &bytes);
    sqlite3_result_text64(context, text, bytes, SQLITE_TRANSIENT, SQLITE_UTF8);
    mt_out_discard(out);
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

static int add_spread(sqlite3 *db, const char *name, unsigned how)
{
    return sqlite3_create_window_function(db, name, 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, (void *)(uintptr_t)how,
                                          spread_step, spread_value, spread_value, spread_inverse, NULL);
}

static int add_percentile(sqlite3 *db, const char *name, int arguments, uintptr_t how)
{
    return sqlite3_create_function_v2(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, (void *)how, NULL,
                                      values_step, values_final, NULL);
}

mt_status mt_sql_add_functions(struct mt_sql *sql)
{
    static const struct {
        const char *name;
        unsigned how;
    } spreads[] = {
        { "stddev", ROOT }, { "stddev_samp", ROOT }, { "stddev_pop", ROOT | OF_POPULATION },
        { "var", 0 },       { "var_samp", 0 },       { "variance", 0 },
        { "var_pop", OF_POPULATION },
    };
    sqlite3 *db = sql->db;
    int bad = 0;
    for (size_t i = 0; i < MT_COUNTOF(spreads); i++) {
        bad |= add_spread(db, spreads[i].name, spreads[i].how);
    }
    bad |= add_percentile(db, "median", 1, 0);
    bad |= add_percentile(db, "percentile_cont", 2, 0);
    bad |= add_percentile(db, "percentile_disc", 2, DISCRETE);
    bad |= add_percentile(db, "approx_percentile_cont", 2, 0);
    bad |= sqlite3_create_function_v2(db, "concat", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL, concat, NULL,
                                      NULL, NULL);
    return bad == 0 ? MT_OK : MT_E_NOMEM;
}
