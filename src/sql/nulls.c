/* nulls.c: NULLs sort last ascending and first descending, as in the engines that queries come from; SQLite has it the other way
 * round. Every term of every ORDER BY that does not say gets NULLS LAST or NULLS FIRST. Context: [tool], pure. */
#include "sql/dialect.h"

/* What ends a list of terms at its own depth. */
static const char *const g_ends[] = { ")", ";", "limit", "offset", "rows", "range", "groups", "union", "except", "intersect", NULL };

static bool names_nulls(const struct mt_sql_text *t, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (mt_token_is(t, i, "nulls")) {
            return true;
        }
    }
    return false;
}

/* Behind the term that begins at i. */
static size_t term_end(const struct mt_sql_text *t, size_t i)
{
    while (i < t->count && !mt_token_is(t, i, ",") && !mt_token_is_any(t, i, g_ends)) {
        i = mt_token_is(t, i, "(") ? t->tokens[i].pair : i;
        i += i < t->count;
    }
    return i;
}

/* Copies up to behind the term, whose inner lists were seen to by whoever calls for every ORDER BY. */
static size_t settle_term(struct mt_sql_text *next, const struct mt_sql_text *t, size_t first, size_t *done)
{
    size_t end = term_end(t, first);
    if (end > first && !names_nulls(t, first, end)) {
        size_t behind = t->tokens[end - 1].at + t->tokens[end - 1].bytes;
        mt_sql_text_copy(next, t, *done, behind);
        mt_sql_text_add(next, mt_token_is(t, end - 1, "desc") ? " NULLS FIRST" : " NULLS LAST");
        *done = behind;
    }
    return end;
}

/* One list; lists inside its terms come in later rounds. */
static bool settle_list(struct mt_sql_text *t, size_t order)
{
    struct mt_sql_text next = { 0 };
    size_t done = 0, i = order + 2;
    i = settle_term(&next, t, i, &done);
    while (mt_token_is(t, i, ",")) {
        i = settle_term(&next, t, i + 1, &done);
    }
    if (done == 0) {
        return false;
    }
    mt_sql_text_copy(&next, t, done, t->bytes);
    mt_sql_text_fini(t);
    *t = next;
    mt_sql_text_scan(t);
    return true;
}

void mt_sql_order_nulls(struct mt_sql_text *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (mt_token_is(t, i, "order") && mt_token_is(t, i + 1, "by")) {
            (void)settle_list(t, i);
        }
    }
}
