/* leak_rows.h: the rows of `memtap leaks`, in its order, for load_leaks.c. Private to sql/.
 *
 * Decides: they are made by what makes those of the report (analysis/leaks.h), which is in a file of its own because analysis/ and table/
 * each have a struct mt_table. Context: [tool].
 */
#ifndef MT_SQL_LEAK_ROWS_H
#define MT_SQL_LEAK_ROWS_H

#include "analysis/analysis.h"
#include "model/place.h"

struct mt_sql_leak {
    const char *function, *file; /* the frames'; "": none */
    uint32_t line;               /* 0: none */
    struct mt_amount live;
    bool timed;
    uint64_t oldest_ns;
    double age_s, growth_bytes_per_s, score;
    bool suspect, import;
};

/* *ret_rows: malloc'ed. What the C and C++ libraries keep for themselves is left out, as in the report. MT_E_NOMEM. */
mt_status mt_sql_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_places *places,
                            struct mt_sql_leak **ret_rows, size_t *ret_count) MT_CHECKED;

#endif
