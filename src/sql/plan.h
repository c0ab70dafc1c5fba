/* plan.h: what a virtual table offers SQLite to do by itself, and what it was told. Private to sql/.
 *
 * Decides: a range of the column that rows are in order of is found by halving, exactly, so that SQLite does not look at it again;
 * rows come in that order, either way round, when the query wants it; and when it groups by columns, rows of one group come one after
 * the other, so that SQLite sorts nothing. Context: [tool].
 */
#ifndef MT_SQL_PLAN_H
#define MT_SQL_PLAN_H

#include "table/column.h"

#include <sqlite3.h>

/* A comparison with the sorted column, or an argument of a table function ('0', '1'), for each value that the filter is given. */
enum { MT_PLAN_EQUAL = '=', MT_PLAN_ABOVE = '>', MT_PLAN_FROM = 'g', MT_PLAN_BELOW = '<', MT_PLAN_TO = 'l' };
enum { MT_PLAN_GROUP_MAX = 8, MT_PLAN_VALUES_MAX = 8 };

/* Of the table. */
struct mt_sql_plan_of {
    int column_count, argument_count;
    int sorted;  /* column, -1 none */
    double rows; /* about */
};
/* xBestIndex. */
int mt_sql_plan(const struct mt_sql_plan_of *of, sqlite3_index_info *info);

/* What xFilter is told. */
struct mt_sql_chosen {
    char letters[MT_PLAN_VALUES_MAX + 1]; /* of each value */
    uint64_t used;                        /* columns */
    int group[MT_PLAN_GROUP_MAX], group_count; /* columns whose groups are to be together */
    bool backwards;
};
void mt_sql_chosen_read(int number, const char *text, struct mt_sql_chosen *ret);

#endif
