/* ask_chain.h: a question about memory as a chain of queries whose answers become sentences. Internal to cli/. docs/decisions/0054.
 *
 * Decides: each number in a sentence comes from a query that is kept beside it, or from what the process's allocator says (explain/), so that an answer can
 * be checked. What nothing was recorded of is said, never guessed. Context: [tool].
 */
#ifndef MT_CLI_ASK_CHAIN_H
#define MT_CLI_ASK_CHAIN_H

#include "cli/query_session.h"

enum { MT_ASK_CELLS_MAX = 10 };

/* The first row of an answer; all zero: there is none. */
struct mt_ask_row {
    bool there;
    size_t count;
    char *text[MT_ASK_CELLS_MAX];    /* malloc'ed; NULL: not known */
    double number[MT_ASK_CELLS_MAX]; /* 0: not known */
};
void mt_ask_row_fini(struct mt_ask_row *row);

/* A query that was asked, and the cells of its first row with their names. */
struct mt_ask_step {
    char *sql, *row_json; /* malloc'ed; row_json NULL: it had none */
};

struct mt_ask {
    struct mt_query_session *session;
    struct mt_strlist sentences; /* clean; the first one is the answer */
    const char *cause;           /* a word for programs */
    char *function, *file;       /* of the cause, malloc'ed; NULL: no line is */
    uint64_t line;
    double bytes;
    struct mt_ask_step *steps;
    size_t step_count, step_capacity;
    struct mt_error err; /* the first failure; what follows is then not asked */
};
void mt_ask_fini(struct mt_ask *ask);

/* Asks; the format makes the query. Columns in the order of the select list. */
struct mt_ask_row mt_ask_for(struct mt_ask *ask, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A text as SQL writes it, NULL as NULL. malloc'ed. */
char *mt_ask_quoted(const char *text);
/* "FILE:LINE (function)" of a row that has function, file and line from a cell on. malloc'ed. */
char *mt_ask_place(const struct mt_ask_row *row, size_t cell);
/* That place is the cause, of so many bytes. */
void mt_ask_blame(struct mt_ask *ask, const char *cause, const struct mt_ask_row *row, size_t cell, double bytes);

/* The questions. */
void mt_ask_leak(struct mt_ask *ask);
void mt_ask_rss(struct mt_ask *ask);
void mt_ask_peak(struct mt_ask *ask);

#endif
