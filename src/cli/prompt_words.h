/* prompt_words.h: what a word of a query that is being typed may become. Internal to cli/. Context: [tool]. */
#ifndef MT_CLI_PROMPT_WORDS_H
#define MT_CLI_PROMPT_WORDS_H

#include "sql/sql.h"
#include "util/line.h"
#include "util/strlist.h"

/* Tables, views and columns of a session, functions and keywords, sorted, each once. */
void mt_prompt_words_read(struct mt_sql *sql, struct mt_strlist *ret);
/* Completes the word before the cursor as far as all words agree that begin like it, whatever their case; ret_choices gets them when there are several
 * and nothing could be added. */
void mt_prompt_words_complete(const struct mt_strlist *words, struct mt_line *line, struct mt_strlist *ret_choices);

#endif
