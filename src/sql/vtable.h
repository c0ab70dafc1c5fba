/* vtable.h: the tables of the catalog as virtual tables of SQLite. Private to sql/.
 *
 * Decides: a table is made in SQLite when a query names it, since most name one; its rows when they are first read. What of a query
 * is done here says plan.h. Context: [tool].
 */
#ifndef MT_SQL_VTABLE_H
#define MT_SQL_VTABLE_H

#include "sql/session.h"
#include "sql/token.h"

/* The schemas and the module, in sql->db. */
mt_status mt_sql_prepare_tables(struct mt_sql *sql, struct mt_error *err) MT_CHECKED;
/* Creates the tables and views of the catalog that a query may mean and that are not there yet: whose names are among its words. */
mt_status mt_sql_create_tables(struct mt_sql *sql, const struct mt_sql_text *query, struct mt_error *err) MT_CHECKED;

#endif
