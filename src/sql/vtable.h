/* vtable.h: the tables of the catalog as virtual tables of SQLite. Private to sql/.
 *
 * Decides: how little is read. A range of the column that a table is in order of is found by halving, and rows are given in that
 * order when the query wants it, so that SQLite sorts nothing and `max(step)` reads one row. Constraints are checked by SQLite
 * again: a range may be too wide, never too narrow. Context: [tool].
 */
#ifndef MT_SQL_VTABLE_H
#define MT_SQL_VTABLE_H

#include "sql/session.h"

/* Creates every table and view of the catalog in sql->db. */
mt_status mt_sql_create_tables(struct mt_sql *sql, struct mt_error *err) MT_CHECKED;

#endif
