/* grouped.h: rows in an order in which those of one group come one after the other. Private to sql/.
 *
 * Decides: each row gets the number of its group, a column after the other by hashing, and rows are put in order of these numbers by
 * counting; within a group they stay as they were. Equal is what SQL calls equal: texts by their bytes, NULLs one group.
 * Context: [tool], pure. */
#ifndef MT_SQL_GROUPED_H
#define MT_SQL_GROUPED_H

#include "table/column.h"

/* Numbers of the rows first … first + count - 1, malloc'ed. rows: of the table. */
uint32_t *mt_sql_group(const struct mt_table *table, const void *rows, size_t first, size_t count, const int *columns, int column_count);

#endif
