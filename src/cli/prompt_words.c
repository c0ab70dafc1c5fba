/* prompt_words.c: see prompt_words.h. */
#include "cli/prompt_words.h"

#include "util/memory.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const known[] = {
    ".help", ".quit", ".tables",
    "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "CROSS", "DESC", "DESCRIBE", "DISTINCT", "ELSE", "END", "EXISTS", "EXPLAIN", "FROM", "GROUP",
    "HAVING", "INTERSECT", "IN", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "NOT", "NULL", "NULLS", "OFFSET", "ON", "OR", "ORDER", "OVER", "PARTITION",
    "QUALIFY", "ROWS", "SELECT", "SHOW", "TABLES", "THEN", "UNION", "USING", "WHEN", "WHERE", "WINDOW", "WITH", "WITHIN",
    "abs(", "avg(", "coalesce(", "concat(", "count(", "first_value(", "flamegraph(", "frame(", "has_frame(", "lag(", "lead(", "length(", "lower(", "max(",
    "median(", "min(", "nullif(", "percentile_cont(", "rank(", "round(", "row_number(", "stddev(", "sum(", "upper(", "var(",
    NULL,
};

static void add_names(struct mt_sql *sql, const char *select, struct mt_strlist *ret)
{
    struct mt_error ignored = { 0 };
    struct mt_sql_rows *rows;
    bool more = false;
    if (mt_sql_ask(sql, select, &rows, &ignored) != MT_OK) {
        return;
    }
    while (mt_sql_next(rows, &more, &ignored) == MT_OK && more) {
        mt_strlist_add(ret, mt_sql_value(rows, 0).text);
    }
    mt_sql_rows_free(rows);
}

void mt_prompt_words_read(struct mt_sql *sql, struct mt_strlist *ret)
{
    for (size_t i = 0; known[i] != NULL; i++) {
        mt_strlist_add(ret, known[i]);
    }
    add_names(sql,
              "SELECT CASE table_schema WHEN 'temp' THEN table_name ELSE table_schema || '.' || table_name END || CASE table_type WHEN 'FUNCTION' THEN "
              "'(' ELSE '' END FROM information_schema.tables UNION SELECT column_name FROM information_schema.columns", ret);
    mt_strlist_sort(ret, 0);
}

static bool is_of_word(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '.';
}

/* Letters that two words have alike at their beginnings. */
static size_t common(const char *a, const char *b, size_t most)
{
    size_t bytes = 0;
    while (bytes < most && a[bytes] != '\0' && tolower((unsigned char)a[bytes]) == tolower((unsigned char)b[bytes])) {
        bytes++;
    }
    return bytes;
}

void mt_prompt_words_complete(const struct mt_strlist *words, struct mt_line *line, struct mt_strlist *ret_choices)
{
    size_t from = line->at;
    while (from > 0 && is_of_word(line->text[from - 1])) {
        from--;
    }
    const char *begin = line->text + from, *first = NULL;
    size_t bytes = line->at - from, agreed = 0;
    for (size_t i = 0; bytes > 0 && i < words->count; i++) {
        const char *word = words->items[i];
        if (strncasecmp(word, begin, bytes) != 0 || (ret_choices->count > 0 && strcmp(ret_choices->items[ret_choices->count - 1], word) == 0)) {
            continue;
        }
        agreed = first == NULL ? strlen(word) : common(first, word, agreed);
        first = first == NULL ? word : first;
        mt_strlist_add(ret_choices, word);
    }
    size_t choices = ret_choices->count;
    if (choices == 1 || agreed > bytes) {
        mt_strlist_clear(ret_choices);
    }
    if (choices == 1) { /* as it is written */
        bool closed = first[strlen(first) - 1] != '(';
        mt_line_remove(line, from, line->at);
        mt_line_insert(line, first, strlen(first));
        mt_line_insert(line, " ", closed);
    } else if (agreed > bytes) {
        mt_line_insert(line, first + bytes, agreed - bytes);
    }
}
