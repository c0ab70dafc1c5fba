/* token.h: SQL as words. Private to sql/. Context: [tool], pure. */
#ifndef MT_SQL_TOKEN_H
#define MT_SQL_TOKEN_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_token_kind {
    MT_TOKEN_WORD,   /* keyword or name */
    MT_TOKEN_QUOTED, /* "name", `name`, [name] */
    MT_TOKEN_STRING,
    MT_TOKEN_NUMBER,
    MT_TOKEN_SIGN, /* ( ) , . ; and operators, each character by itself */
};

struct mt_token {
    enum mt_token_kind kind;
    uint32_t at, bytes;
    uint32_t pair; /* of ( and ): the other one's place in the list; else its own */
};

/* A text that is rewritten, and where each of its bytes was in what the person wrote. */
struct mt_sql_text {
    char *text; /* NUL-terminated */
    uint32_t *origin; /* of each byte, and of the end */
    size_t bytes, capacity, origin_capacity;
    struct mt_token *tokens;
    size_t count, token_capacity;
};

void mt_sql_text_init(struct mt_sql_text *t, const char *text);
void mt_sql_text_fini(struct mt_sql_text *t);
/* Reads the tokens anew; comments and blanks are none. */
void mt_sql_text_scan(struct mt_sql_text *t);
/* Building the next text out of one: pieces of the old one, and words of ours, which count as standing where the last piece ended. */
void mt_sql_text_copy(struct mt_sql_text *to, const struct mt_sql_text *from, size_t at, size_t end);
void mt_sql_text_add(struct mt_sql_text *to, const char *words);

/* Is token i this keyword (lower case) or this one sign? False behind the last one. */
bool mt_token_is(const struct mt_sql_text *t, size_t i, const char *word);
bool mt_token_is_any(const struct mt_sql_text *t, size_t i, const char *const *words);
/* Is token i this name, whatever its case and quotes? */
bool mt_token_is_name(const struct mt_sql_text *t, size_t i, const char *name);
/* Equal names, whatever their case and quotes. */
bool mt_token_same(const struct mt_sql_text *t, size_t a, size_t b);

#endif
