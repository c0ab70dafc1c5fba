/* dialect.h: what is asked, in SQLite's words. Private to sql/.
 *
 * Decides: five things that SQLite has not, or has otherwise, become text that it takes:
 *   HAVING without GROUP BY and without aggregates, and QUALIFY: a filter of what the select list and its window functions gave,
 *       which may name the list's aliases (qualify.c);
 *   NULLs sort last ascending and first descending, unless NULLS says otherwise (nulls.c);
 *   percentile_cont(p) WITHIN GROUP (ORDER BY x): percentile_cont(x, p);
 *   SHOW TABLES, DESCRIBE t, EXPLAIN; memory.between, whose name is a keyword.
 * Each byte of the result knows where it stood in what the person wrote, for messages. Context: [tool], pure.
 */
#ifndef MT_SQL_DIALECT_H
#define MT_SQL_DIALECT_H

#include "sql/token.h"

/* Columns of this name (and a number) are helpers of a filter: not shown. */
#define MT_SQL_HELPER "memtap_filter_"

/* Rewrites in place. */
void mt_sql_translate(struct mt_sql_text *t);
/* One round of each; false: nothing was to be done. */
bool mt_sql_filter_once(struct mt_sql_text *t);
void mt_sql_order_nulls(struct mt_sql_text *t);

#endif
