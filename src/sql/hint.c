/* hint.c: see hint.h. */
#include "sql/hint.h"

#include "sql/catalog.h"
#include "util/memory.h"
#include "util/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) != 0 || c == '_';
}

/* Is a name a word of the query? */
static bool names(const char *asked, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = strcasestr(asked, name); at != NULL; at = strcasestr(at + 1, name)) {
        if (!is_letter(at[bytes]) && (at == asked || !is_letter(at[-1]))) {
            return true;
        }
    }
    return false;
}

/* Of the tables that the query names. */
static void add_columns(const char *asked, struct mt_strlist *columns)
{
    for (const struct mt_sql_table *t = mt_sql_tables; t->describe != NULL; t++) {
        for (size_t i = 0; i < t->describe()->column_count && names(asked, t->name); i++) {
            mt_strlist_add(columns, t->describe()->columns[i].name);
        }
    }
}

/* What was meant as text stands where a column could: "end" in double quotes. */
static bool is_quoted(const char *asked, const char *name)
{
    char *quoted = mt_format("\"%s\"", name);
    bool is = strstr(asked, quoted) != NULL;
    free(quoted);
    return is;
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
static char *suggestion(const char *message, const char *asked)
{
    struct mt_strlist known = { 0 };
    const char *name = strchr(message, ':') != NULL ? strchr(message, ':') + 2 : "";
    bool is_table = strncmp(message, "no such table: ", 15) == 0, is_column = strncmp(message, "no such column: ", 16) == 0;
    if (is_column) {
        if (is_quoted(asked, name)) {
            return mt_format("; text stands in single quotes: '%s'", name);
        }
        add_columns(asked, &known);
        name = strrchr(name, '.') != NULL ? strrchr(name, '.') + 1 : name;
    } else if (is_table) {
        add_tables(&known, strchr(name, '.') != NULL);
    }
    const char *nearest = known.count > 0 ? mt_text_nearest(name, (const char *const *)known.items) : NULL;
    char *text = nearest != NULL ? mt_format("; did you mean %s?", nearest)
                 : is_table      ? mt_strdup("; SHOW TABLES lists them")
                 : is_column     ? mt_strdup("; DESCRIBE TABLE lists a table's columns")
                                 : mt_strdup("");
    mt_strlist_clear(&known);
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
    char *place = place_of(asked, at), *hint = suggestion(message, asked);
    mt_status status = refused ? mt_error_set(err, MT_E_INVAL, "only SELECT, SHOW TABLES, DESCRIBE and EXPLAIN are allowed: a recording cannot be changed")
                               : mt_error_set(err, MT_E_INVAL, "%s%s%s", is_cut ? "the query ends too early" : message, place, hint);
    free(place);
    free(hint);
    return status;
}
