/* functions.h: functions that SQLite has not. Private to sql/. Context: [tool]. */
#ifndef MT_SQL_FUNCTIONS_H
#define MT_SQL_FUNCTIONS_H

#include "sql/session.h"

/* stddev, var, median, percentile_cont …, concat. */
mt_status mt_sql_add_functions(struct mt_sql *sql) MT_CHECKED;
/* frame, has_frame, flamegraph. */
mt_status mt_sql_add_stack_functions(struct mt_sql *sql) MT_CHECKED;

#endif
