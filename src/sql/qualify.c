/* qualify.c: filters of what a select list gave: QUALIFY, and HAVING without GROUP BY and without aggregates.
 *
 *     SELECT list FROM … HAVING condition        SELECT * FROM (SELECT list, x AS memtap_filter_0 FROM …) WHERE (condition')
 *
 * Names of the list are columns then. What the condition asks besides, window functions and columns that are not in the list,
 * becomes a helper column, which whoever shows the result leaves out. Context: [tool], pure. */
#include "sql/dialect.h"

#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const g_core_ends[] = { "union", "except", "intersect", "order", "limit", ";", ")", NULL };
static const char *const g_aggregates[] = { "count", "sum", "avg", "total", "min", "max", "group_concat", "stddev", "stddev_samp",
                                            "stddev_pop", "var", "var_samp", "var_pop", "variance", "median", "percentile_cont",
                                            "percentile_disc", "approx_percentile_cont", "flamegraph", "json_group_array",
                                            "json_group_object", NULL };
static const char *const g_no_names[] = { "and", "or", "not", "in", "between", "like", "glob", "is", "null", "case", "when", "then",
                                          "else", "end", "isnull", "notnull", "escape", "exists", "distinct", "from", "true", "false",
                                          "collate", "cast", "as", "integer", "real", "text", "over", "filter", NULL };

/* One SELECT up to what follows it: places of tokens; 0: it has no such part. */
struct core {
    size_t select, from, group, condition, window, end;
    bool is_qualify;
};

/* ---- finding ------------------------------------------------------------------------------------------------------ */

static struct core core_at(const struct mt_sql_text *t, size_t select)
{
    struct core c = { .select = select };
    size_t i = select + 1;
    while (i < t->count && !mt_token_is_any(t, i, g_core_ends)) {
        c.from = c.from == 0 && c.condition == 0 && mt_token_is(t, i, "from") ? i : c.from;
        c.group = mt_token_is(t, i, "group") && mt_token_is(t, i + 1, "by") ? i : c.group;
        c.window = mt_token_is(t, i, "window") && mt_token_is(t, i + 2, "as") ? i : c.window;
        if (mt_token_is(t, i, "qualify") || (c.condition == 0 && mt_token_is(t, i, "having"))) {
            c.condition = i;
            c.is_qualify = mt_token_is(t, i, "qualify");
        }
        i = mt_token_is(t, i, "(") ? t->tokens[i].pair : i;
        i += i < t->count;
    }
    c.end = i;
    return c;
}

static bool is_subquery(const struct mt_sql_text *t, size_t open)
{
    return mt_token_is(t, open + 1, "select") || mt_token_is(t, open + 1, "with") || mt_token_is(t, open + 1, "values");
}

/* Behind the window function that is called at i (its name); i: it is none. */
static size_t window_call_end(const struct mt_sql_text *t, size_t i)
{
    if (t->tokens[i].kind != MT_TOKEN_WORD || !mt_token_is(t, i + 1, "(") || t->tokens[i + 1].pair >= t->count) {
        return i;
    }
    size_t at = t->tokens[i + 1].pair + 1;
    if (mt_token_is(t, at, "filter") && mt_token_is(t, at + 1, "(")) {
        at = (size_t)t->tokens[at + 1].pair + 1;
    }
    if (!mt_token_is(t, at, "over")) {
        return i;
    }
    return mt_token_is(t, at + 1, "(") ? (size_t)t->tokens[at + 1].pair + 1 : at + 2;
}

static bool has_several_arguments(const struct mt_sql_text *t, size_t open)
{
    for (size_t i = open + 1; i < t->tokens[open].pair; i++) {
        if (mt_token_is(t, i, ",")) {
            return true;
        }
        i = mt_token_is(t, i, "(") ? t->tokens[i].pair : i;
    }
    return false;
}

static bool is_aggregate_call(const struct mt_sql_text *t, size_t i)
{
    bool scalar = (mt_token_is(t, i, "min") || mt_token_is(t, i, "max")) && mt_token_is(t, i + 1, "(") && has_several_arguments(t, i + 1);
    return mt_token_is_any(t, i, g_aggregates) && mt_token_is(t, i + 1, "(") && !scalar && window_call_end(t, i) == i;
}

/* Outside subqueries. */
static bool has_aggregate(const struct mt_sql_text *t, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (is_aggregate_call(t, i)) {
            return true;
        }
        if (mt_token_is(t, i, "(") && is_subquery(t, i)) {
            i = t->tokens[i].pair;
        }
    }
    return false;
}

static bool is_filter(const struct mt_sql_text *t, const struct core *c)
{
    size_t list = c->select + (mt_token_is(t, c->select + 1, "distinct") ? 2 : 1);
    bool plain = c->group == 0 && !has_aggregate(t, c->select + 1, c->from != 0 ? c->from : c->condition) &&
                 !has_aggregate(t, c->condition + 1, c->end);
    return c->condition != 0 && list < (c->from != 0 ? c->from : c->condition) && (c->is_qualify || plain);
}

/* ---- the condition ------------------------------------------------------------------------------------------------ */

struct helper {
    size_t first, end; /* tokens of the condition that it stands for */
};

struct filter {
    const struct mt_sql_text *t;
    struct core core;
    size_t condition_end;
    struct helper *helpers;
    size_t helper_count, helper_capacity;
};

static void add_helper(struct filter *f, size_t first, size_t end)
{
    end = end < f->condition_end ? end : f->condition_end; /* brackets that are not closed */
    f->helpers = mt_alloc_grow(f->helpers, &f->helper_capacity, f->helper_count + 1, sizeof *f->helpers);
    f->helpers[f->helper_count++] = (struct helper){ first, end };
}

/* Is the name at i one that the select list gives? A star gives all. */
static bool is_listed(const struct filter *f, size_t i)
{
    const struct mt_sql_text *t = f->t;
    size_t end = f->core.from != 0 ? f->core.from : f->core.condition;
    for (size_t at = f->core.select + 1; at < end; at++) {
        bool ends_item = at + 1 == end || mt_token_is(t, at + 1, ",");
        bool star = mt_token_is(t, at, "*") && ends_item && (mt_token_is(t, at - 1, ",") || mt_token_is(t, at - 1, ".") || at == f->core.select + 1);
        bool name = t->tokens[at].kind == MT_TOKEN_WORD || t->tokens[at].kind == MT_TOKEN_QUOTED;
        if (star || (ends_item && name && mt_token_same(t, at, i))) {
            return true;
        }
        at = mt_token_is(t, at, "(") ? t->tokens[at].pair : at;
    }
    return false;
}

static bool is_column(const struct mt_sql_text *t, size_t i)
{
    bool name = t->tokens[i].kind == MT_TOKEN_WORD || t->tokens[i].kind == MT_TOKEN_QUOTED;
    return name && !mt_token_is(t, i + 1, "(") && !mt_token_is_any(t, i, g_no_names);
}

static void find_helpers(struct filter *f)
{
    const struct mt_sql_text *t = f->t;
    for (size_t i = f->core.condition + 1; i < f->condition_end; i++) {
        size_t call_end = window_call_end(t, i);
        if (call_end > i) {
            add_helper(f, i, call_end);
            i = call_end - 1;
        } else if (mt_token_is(t, i, "(") && is_subquery(t, i)) {
            i = t->tokens[i].pair;
        } else if (is_column(t, i) && mt_token_is(t, i + 1, ".")) {
            size_t end = i + 3;
            while (mt_token_is(t, end, ".")) {
                end += 2;
            }
            add_helper(f, i, end);
            i = end - 1;
        } else if (is_column(t, i) && !is_listed(f, i)) {
            add_helper(f, i, i + 1);
        }
    }
}

/* ---- the new text ------------------------------------------------------------------------------------------------- */

static size_t start_of(const struct mt_sql_text *t, size_t token)
{
    return token < t->count ? t->tokens[token].at : t->bytes;
}

static size_t end_of(const struct mt_sql_text *t, size_t token)
{
    return t->tokens[token].at + t->tokens[token].bytes;
}

static void put_helper_name(struct mt_sql_text *next, size_t number)
{
    char name[40];
    (void)snprintf(name, sizeof name, MT_SQL_HELPER "%zu", number);
    mt_sql_text_add(next, name);
}

/* Of the inner SELECT: its list and helpers, and what follows the list but the condition. */
static void put_inner(struct mt_sql_text *next, const struct filter *f, size_t first)
{
    const struct mt_sql_text *t = f->t;
    size_t list_end = f->core.from != 0 ? f->core.from : f->core.condition;
    mt_sql_text_copy(next, t, start_of(t, first), end_of(t, list_end - 1));
    for (size_t i = 0; i < f->helper_count; i++) {
        mt_sql_text_add(next, ", ");
        mt_sql_text_copy(next, t, start_of(t, f->helpers[i].first), end_of(t, f->helpers[i].end - 1));
        mt_sql_text_add(next, " AS ");
        put_helper_name(next, i);
    }
    mt_sql_text_add(next, " ");
    if (list_end < f->core.condition) {
        mt_sql_text_copy(next, t, start_of(t, list_end), end_of(t, f->core.condition - 1));
        mt_sql_text_add(next, " ");
    }
    if (f->condition_end < f->core.end) {
        mt_sql_text_copy(next, t, start_of(t, f->condition_end), end_of(t, f->core.end - 1)); /* WINDOW */
    }
}

static void put_condition(struct mt_sql_text *next, const struct filter *f)
{
    const struct mt_sql_text *t = f->t;
    size_t at = end_of(t, f->core.condition), end = end_of(t, f->condition_end - 1);
    for (size_t i = 0; i < f->helper_count; i++) {
        mt_sql_text_copy(next, t, at, start_of(t, f->helpers[i].first));
        put_helper_name(next, i);
        at = end_of(t, f->helpers[i].end - 1);
    }
    mt_sql_text_copy(next, t, at, end);
}

static void build(struct mt_sql_text *next, const struct filter *f)
{
    const struct mt_sql_text *t = f->t;
    bool distinct = mt_token_is(t, f->core.select + 1, "distinct");
    mt_sql_text_copy(next, t, 0, start_of(t, f->core.select));
    mt_sql_text_add(next, distinct ? "SELECT DISTINCT * FROM (SELECT " : "SELECT * FROM (");
    put_inner(next, f, distinct ? f->core.select + 2 : f->core.select);
    mt_sql_text_add(next, ") WHERE (");
    put_condition(next, f);
    mt_sql_text_add(next, "\n) "); /* a line of its own: the condition may end in a comment */
    mt_sql_text_copy(next, t, start_of(t, f->core.end), t->bytes);
}

bool mt_sql_filter_once(struct mt_sql_text *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct filter f = { .t = t };
        if (!mt_token_is(t, i, "select")) {
            continue;
        }
        f.core = core_at(t, i);
        f.condition_end = f.core.window > f.core.condition ? f.core.window : f.core.end;
        if (!is_filter(t, &f.core) || f.condition_end <= f.core.condition + 1) {
            continue;
        }
        struct mt_sql_text next = { 0 };
        find_helpers(&f);
        build(&next, &f);
        free(f.helpers);
        mt_sql_text_fini(t);
        *t = next;
        mt_sql_text_scan(t);
        return true;
    }
    return false;
}
