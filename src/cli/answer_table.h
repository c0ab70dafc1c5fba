/* answer_table.h: the rows of a query for people. Internal to cli/. Context: [tool].
 *
 * Decides: in a pipe a row is a line, with every number as it is. On a terminal no row is wider than it: fractions have six digits, a column
 * that is the same in every row is said once below, text is cut, paths from the left, and up to half of the columns are left out, the
 * last numbers, and named; numbers are never cut. What is too wide all the same is written a value a line.
 */
#ifndef MT_CLI_ANSWER_TABLE_H
#define MT_CLI_ANSWER_TABLE_H

#include "sql/sql.h"
#include "util/out.h"

/* Reads the rows to their end; they are written when the last one is there. Errors as mt_sql_next. */
mt_status mt_answer_write_table(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err) MT_CHECKED;

#endif
