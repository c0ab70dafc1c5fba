/* answer.h: the rows of a query, as a table for people, JSON, CSV or NDJSON.
 *
 * Decides: what is not known is `nil` in a table, nothing in CSV, null in JSON; numbers are written so that they can be read back.
 * Data formats stream, a table is laid out when its last row is there. Context: [tool].
 */
#ifndef MT_CLI_ANSWER_H
#define MT_CLI_ANSWER_H

#include "export/report.h"
#include "sql/sql.h"

/* Reads the rows to their end. Errors as mt_sql_next; what was written before stays. */
mt_status mt_answer_write(struct mt_out *out, struct mt_sql_rows *rows, enum mt_format format, struct mt_error *err) MT_CHECKED;

/* Rows of MT_ANSWER_TABLES for people: a table after the other, with what it is, and below it a line a column, broken where the terminal
 * is narrower. */
#define MT_ANSWER_TABLES                                                                                               \
    "SELECT table_schema, table_name, column_name, data_type, unit, description, (SELECT t.description FROM "          \
    "information_schema.tables AS t WHERE t.table_schema = c.table_schema AND t.table_name = c.table_name) "           \
    "FROM information_schema.columns AS c"
mt_status mt_answer_write_tables(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err) MT_CHECKED;

#endif
