/* hint.c: see hint.h. */
#include "sql/hint.h"

#include "sql/catalog.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_columns(struct mt_strlist *names)
{
    for (const struct mt_sql_table *t = mt_sql_tables; t->describe != NULL; t++) {
        for (size_t i = 0; i < t->describe()->column_count; i++) {
            mt_strlist_add(names, t->describe()->columns[i].name);
        }
    }
}

static void add_tables(struct mt_strlist *names, bool qualified)
{
    for (const struct mt_sql_table *t = mt_sql_tables; t->describe != NULL; t++) {
        char *full = mt_format("%s.%s", t->schema, t->name);
        mt_strlist_add(names, qualified ? full : t->name);
        free(full);
    }
    for (const struct mt_sql_view *v = mt_sql_views; v->name != NULL; v++) {
        mt_strlist_add(names, v->name);
    }
}

/* "; did you mean X?" or another sentence that helps; malloc'ed. */
static char *suggestion(const char *message)
{
    struct mt_strlist names = { 0 };
    const char *name = strchr(message, ':') != NULL ? strchr(message, ':') + 2 : "";
    bool is_table = strncmp(message, "no such table: ", 15) == 0, is_column = strncmp(message, "no such column: ", 16) == 0;
    if (is_column) {
        add_columns(&names);
        name = strrchr(name, '.') != NULL ? strrchr(name, '.') + 1 : name;
    } else if (is_table) {
        add_tables(&names, strchr(name, '.') != NULL);
    }
    const char *nearest = names.count > 0 ? mt_text_nearest(name, (const char *const *)names.items) : NULL;
    char *text = nearest != NULL ? mt_format("; did you mean %s?", nearest)
                 : is_table      ? mt_strdup("; SHOW TABLES lists them")
                 : is_column     ? mt_strdup("; DESCRIBE TABLE lists a table's columns")
                                 : mt_strdup("");
    mt_strlist_clear(&names);
    return text;
}

/* " (line 2, column 8)"; malloc'ed. */
static char *place_of(const char *asked, size_t at)
{
    size_t line = 1, column = 1;
    if (at == SIZE_MAX || at > strlen(asked)) {
        return mt_strdup("");
    }
    for (size_t i = 0; i < at; i++) {
        bool ends = asked[i] == '\n';
        line += ends;
        column = ends ? 1 : column + (((unsigned char)asked[i] & 0xC0) != 0x80);
    }
    return mt_format(" (line %zu, column %zu)", line, column);
}

mt_status mt_sql_explain(const char *message, const char *asked, size_t at, struct mt_error *err)
{
    bool refused = strcmp(message, "not authorized") == 0 || strncmp(message, "access to ", 10) == 0;
    bool is_cut = strcmp(message, "incomplete input") == 0;
    char *place = place_of(asked, at), *hint = suggestion(message);
    mt_status status = refused ? mt_error_set(err, MT_E_INVAL, "only SELECT, SHOW TABLES, DESCRIBE and EXPLAIN are allowed: a recording cannot be changed")
                               : mt_error_set(err, MT_E_INVAL, "%s%s%s", is_cut ? "the query ends too early" : message, place, hint);
    free(place);
    free(hint);
    return status;
}
