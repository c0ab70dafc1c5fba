/* dialect.c: see dialect.h: the order of the rounds, and those that are short. */
#include "sql/dialect.h"

#include <string.h>

enum { ROUNDS_MAX = 100 };

static void become(struct mt_sql_text *t, struct mt_sql_text *next)
{
    mt_sql_text_fini(t);
    *t = *next;
    mt_sql_text_scan(t);
}

static void copy_tokens(struct mt_sql_text *to, const struct mt_sql_text *from, size_t first, size_t end)
{
    if (first < end) {
        mt_sql_text_copy(to, from, from->tokens[first].at, from->tokens[end - 1].at + from->tokens[end - 1].bytes);
    }
}

/* ---- percentiles -------------------------------------------------------------------------------------------------- */

/* name ( p ) within group ( order by x ): the place of its name; t->count: none. */
static size_t find_within(const struct mt_sql_text *t)
{
    for (size_t i = 1; i + 1 < t->count; i++) {
        size_t close = t->tokens[i].pair;
        if (mt_token_is(t, i, "(") && close < t->count && mt_token_is(t, close + 1, "within") && mt_token_is(t, close + 2, "group") &&
            mt_token_is(t, close + 3, "(") && t->tokens[close + 3].pair < t->count && mt_token_is(t, close + 4, "order")) {
            return i - 1;
        }
    }
    return t->count;
}

static bool turn_within(struct mt_sql_text *t)
{
    size_t name = find_within(t);
    if (name == t->count) {
        return false;
    }
    size_t open = name + 1, close = t->tokens[open].pair, order = close + 3, end = t->tokens[order].pair;
    struct mt_sql_text next = { 0 };
    mt_sql_text_copy(&next, t, 0, t->tokens[open].at + 1);
    copy_tokens(&next, t, order + 3, end); /* behind ( ORDER BY */
    mt_sql_text_add(&next, ", ");
    copy_tokens(&next, t, open + 1, close);
    mt_sql_text_copy(&next, t, t->tokens[end].at, t->bytes);
    become(t, &next);
    return true;
}

/* ---- memory.between ----------------------------------------------------------------------------------------------- */

/* A keyword that is a table's name here: quoted. */
static bool quote_between(struct mt_sql_text *t)
{
    for (size_t i = 1; i < t->count; i++) {
        if (mt_token_is(t, i, "between") && mt_token_is(t, i - 1, ".")) {
            struct mt_sql_text next = { 0 };
            size_t at = t->tokens[i].at, end = at + t->tokens[i].bytes;
            mt_sql_text_copy(&next, t, 0, at);
            mt_sql_text_add(&next, "\"between\"");
            mt_sql_text_copy(&next, t, end, t->bytes);
            become(t, &next);
            return true;
        }
    }
    return false;
}

/* ---- statements of other engines ---------------------------------------------------------------------------------- */

static void say(struct mt_sql_text *t, const char *before, size_t first, size_t end, const char *after)
{
    struct mt_sql_text next = { 0 };
    mt_sql_text_add(&next, before);
    if (first < end) {
        copy_tokens(&next, t, first, end);
    }
    mt_sql_text_add(&next, after);
    become(t, &next);
}

/* memory.sites, sites or "sites": as a condition on the columns of the catalog. */
static void describe(struct mt_sql_text *t)
{
    static const char select[] =
        "SELECT column_name, data_type, unit, description FROM information_schema.columns WHERE ";
    struct mt_sql_text next = { 0 };
    bool has_schema = mt_token_is(t, 2, ".");
    size_t name = has_schema ? 3 : 1;
    mt_sql_text_add(&next, select);
    for (size_t i = has_schema ? 1 : name; i <= name; i += 2) {
        mt_sql_text_add(&next, i == name ? "table_name = lower('" : "table_schema = lower('");
        uint32_t quote = t->tokens[i].kind == MT_TOKEN_QUOTED;
        mt_sql_text_copy(&next, t, t->tokens[i].at + quote, t->tokens[i].at + t->tokens[i].bytes - quote);
        mt_sql_text_add(&next, i == name ? "')" : "') AND ");
    }
    mt_sql_text_add(&next, " ORDER BY table_schema, ordinal_position");
    become(t, &next);
}

static bool is_name(const struct mt_sql_text *t, size_t i)
{
    return i < t->count && (t->tokens[i].kind == MT_TOKEN_WORD || t->tokens[i].kind == MT_TOKEN_QUOTED) &&
           memchr(t->text + t->tokens[i].at, '\'', t->tokens[i].bytes) == NULL;
}

static void turn_statement(struct mt_sql_text *t)
{
    if (mt_token_is(t, 0, "show") && mt_token_is(t, 1, "tables")) {
        say(t, "SELECT table_schema, table_name, table_type, description FROM information_schema.tables", 0, 0, "");
    } else if ((mt_token_is(t, 0, "describe") || mt_token_is(t, 0, "desc")) && is_name(t, 1) &&
               (!mt_token_is(t, 2, ".") || is_name(t, 3))) {
        describe(t);
    } else if (mt_token_is(t, 0, "explain") && !mt_token_is(t, 1, "query")) {
        say(t, "EXPLAIN QUERY PLAN ", 1, t->count, "");
    }
}

void mt_sql_translate(struct mt_sql_text *t)
{
    int rounds = 0;
    turn_statement(t);
    while (rounds++ < ROUNDS_MAX && (turn_within(t) || quote_between(t))) {
    }
    while (rounds++ < 2 * ROUNDS_MAX && mt_sql_filter_once(t)) {
    }
    mt_sql_order_nulls(t);
}
