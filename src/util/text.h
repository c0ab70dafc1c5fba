/* text.h: UTF-8 from strangers, made safe to show.
 *
 * Decides: names in a trace are arbitrary bytes (a function may be called "\x1b[2J"). Before a person or a parser sees
 * them, ill-formed UTF-8 becomes U+FFFD (one per maximal ill-formed byte, Unicode 15 section 3.9) and control
 * characters become visible escapes. Widths are terminal columns: 0 for combining marks, 2 for East Asian wide and
 * emoji. The ranges are the coarse blocks of UAX #11, not the whole table: a column too many never breaks a report.
 * Context: [tool].
 */
#ifndef MT_UTIL_TEXT_H
#define MT_UTIL_TEXT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_UTF8_BAD = 0xFFFD };

/* Decodes one code point at *at (< end) and moves on; ill-formed input gives MT_UTF8_BAD and moves one byte. */
uint32_t mt_utf8_next(const char **at, const char *end);
/* Encodes; returns the bytes written (1 to 4). */
size_t mt_utf8_put(char ret[4], uint32_t code_point);
/* Terminal columns of a code point / of text. */
unsigned mt_utf8_columns(uint32_t code_point);
size_t mt_text_columns(const char *text, size_t bytes);

/* A copy that is valid UTF-8 on one line without control characters (\n \t \\ stay readable as escapes, others as
 * \xNN). malloc'ed. */
char *mt_text_clean(const char *text, size_t bytes);

enum mt_cut { MT_CUT_END, MT_CUT_MIDDLE };
/* At most `columns` wide copy of clean text; what is left out becomes one "…". malloc'ed. */
char *mt_text_fit(const char *text, size_t columns, enum mt_cut cut);

/* The candidate nearest to word by Damerau-Levenshtein distance, NULL when none is near (more than a third of the
 * letters wrong). candidates: NULL-terminated. */
const char *mt_text_nearest(const char *word, const char *const *candidates);

#endif
