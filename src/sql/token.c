/* token.c: see token.h. */
#include "sql/token.h"

#include "sql/sql.h"
#include "util/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- text --------------------------------------------------------------------------------------------------------- */

static void append(struct mt_sql_text *t, const char *text, size_t bytes)
{
    t->text = mt_alloc_grow(t->text, &t->capacity, t->bytes + bytes + 1, 1);
    t->origin = mt_alloc_grow(t->origin, &t->origin_capacity, t->bytes + bytes + 1, sizeof *t->origin);
    memcpy(t->text + t->bytes, text, bytes);
    t->bytes += bytes;
    t->text[t->bytes] = '\0';
}

void mt_sql_text_init(struct mt_sql_text *t, const char *text)
{
    *t = (struct mt_sql_text){ 0 };
    append(t, text, strlen(text));
    for (size_t i = 0; i <= t->bytes; i++) {
        t->origin[i] = (uint32_t)i;
    }
    mt_sql_text_scan(t);
}

void mt_sql_text_fini(struct mt_sql_text *t)
{
    free(t->text);
    free(t->origin);
    free(t->tokens);
    *t = (struct mt_sql_text){ 0 };
}

void mt_sql_text_copy(struct mt_sql_text *to, const struct mt_sql_text *from, size_t at, size_t end)
{
    size_t first = to->bytes;
    append(to, from->text + at, end - at);
    memcpy(to->origin + first, from->origin + at, (end - at + 1) * sizeof *to->origin);
}

void mt_sql_text_add(struct mt_sql_text *to, const char *words)
{
    size_t first = to->bytes, bytes = strlen(words);
    append(to, words, bytes);
    uint32_t origin = first > 0 ? to->origin[first] : 0;
    for (size_t i = first; i <= first + bytes; i++) {
        to->origin[i] = origin;
    }
}

/* ---- tokens ------------------------------------------------------------------------------------------------------- */

static size_t skip_comment(const char *text, size_t at)
{
    if (text[at] == '-' && text[at + 1] == '-') {
        return at + strcspn(text + at, "\n");
    }
    if (text[at] == '/' && text[at + 1] == '*') {
        const char *end = strstr(text + at + 2, "*/");
        return end != NULL ? (size_t)(end + 2 - text) : at + strlen(text + at);
    }
    return at;
}

/* Behind what a quote begins; a doubled one is part of it. */
static size_t quoted_end(const char *text, size_t at)
{
    char quote = text[at] == '[' ? ']' : text[at];
    for (at++; text[at] != '\0'; at++) {
        if (text[at] == quote && text[at + 1] == quote && quote != ']') {
            at++;
        } else if (text[at] == quote) {
            return at + 1;
        }
    }
    return at;
}

static bool is_word_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static size_t word_end(const char *text, size_t at)
{
    while (is_word_character(text[at])) {
        at++;
    }
    return at;
}

/* "1.5e-3". */
static size_t number_end(const char *text, size_t at)
{
    while (is_word_character(text[at]) || text[at] == '.' ||
           ((text[at] == '+' || text[at] == '-') && (text[at - 1] == 'e' || text[at - 1] == 'E'))) {
        at++;
    }
    return at;
}

static struct mt_token token_at(const char *text, size_t at)
{
    char c = text[at];
    struct mt_token token = { MT_TOKEN_SIGN, (uint32_t)at, 1, 0 };
    size_t end = at + 1;
    if (c == '\'' || c == '"' || c == '`' || c == '[') {
        token.kind = c == '\'' ? MT_TOKEN_STRING : MT_TOKEN_QUOTED;
        end = quoted_end(text, at);
    } else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)text[at + 1]))) {
        token.kind = MT_TOKEN_NUMBER;
        end = number_end(text, at + 1);
    } else if (is_word_character(c)) {
        token.kind = MT_TOKEN_WORD;
        end = word_end(text, at);
    }
    token.bytes = (uint32_t)(end - at);
    return token;
}

static void pair_brackets(struct mt_sql_text *t)
{
    size_t *open = mt_alloc((t->count + 1) * sizeof *open), depth = 0;
    for (size_t i = 0; i < t->count; i++) {
        t->tokens[i].pair = (uint32_t)i;
        if (mt_token_is(t, i, "(")) {
            t->tokens[i].pair = (uint32_t)t->count; /* unless it is closed */
            open[depth++] = i;
        } else if (mt_token_is(t, i, ")") && depth > 0) {
            t->tokens[i].pair = (uint32_t)open[--depth];
            t->tokens[open[depth]].pair = (uint32_t)i;
        }
    }
    free(open);
}

void mt_sql_text_scan(struct mt_sql_text *t)
{
    t->count = 0;
    for (size_t at = 0; t->text[at] != '\0';) {
        size_t behind = skip_comment(t->text, at);
        if (behind != at || isspace((unsigned char)t->text[at])) {
            at = behind != at ? behind : at + 1;
            continue;
        }
        t->tokens = mt_alloc_grow(t->tokens, &t->token_capacity, t->count + 1, sizeof *t->tokens);
        t->tokens[t->count] = token_at(t->text, at);
        at += t->tokens[t->count++].bytes;
    }
    pair_brackets(t);
}

bool mt_token_is(const struct mt_sql_text *t, size_t i, const char *word)
{
    if (i >= t->count) {
        return false;
    }
    const struct mt_token *token = &t->tokens[i];
    return (token->kind == MT_TOKEN_WORD || token->kind == MT_TOKEN_SIGN) && token->bytes == strlen(word) &&
           strncasecmp(t->text + token->at, word, token->bytes) == 0;
}

bool mt_token_is_any(const struct mt_sql_text *t, size_t i, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (mt_token_is(t, i, *words)) {
            return true;
        }
    }
    return false;
}

bool mt_token_is_name(const struct mt_sql_text *t, size_t i, const char *name)
{
    const struct mt_token *token = &t->tokens[i];
    uint32_t quote = token->kind == MT_TOKEN_QUOTED;
    size_t bytes = token->bytes > 2 * quote ? token->bytes - 2 * quote : 0;
    return (token->kind == MT_TOKEN_WORD || quote != 0) && bytes == strlen(name) &&
           strncasecmp(t->text + token->at + quote, name, bytes) == 0;
}

bool mt_token_same(const struct mt_sql_text *t, size_t a, size_t b)
{
    const struct mt_token *x = &t->tokens[a], *y = &t->tokens[b];
    uint32_t x_quote = x->kind == MT_TOKEN_QUOTED, y_quote = y->kind == MT_TOKEN_QUOTED;
    return x->bytes - 2 * x_quote == y->bytes - 2 * y_quote &&
           strncasecmp(t->text + x->at + x_quote, t->text + y->at + y_quote, x->bytes - 2 * x_quote) == 0;
}

bool mt_sql_is_done(const char *text)
{
    struct mt_sql_text t;
    if (strlen(text) > UINT32_MAX / 2) {
        return true;
    }
    mt_sql_text_init(&t, text);
    bool done = t.count > 0 && mt_token_is(&t, t.count - 1, ";");
    mt_sql_text_fini(&t);
    return done;
}
