/* hint.h: what is wrong with a query, for the person who wrote it. Private to sql/. Context: [tool]. */
#ifndef MT_SQL_HINT_H
#define MT_SQL_HINT_H

#include "util/error.h"

#include <stddef.h>

/* message: SQLite's. asked: as the person wrote it; at: where in it, SIZE_MAX not known. Returns MT_E_INVAL with the message, line and
 * column, and the name that may have been meant. */
mt_status mt_sql_explain(const char *message, const char *asked, size_t at, struct mt_error *err);

#endif
