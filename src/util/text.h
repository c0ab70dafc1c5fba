/* text.h: UTF-8 from strangers, made safe to show.
 *
 * Decides: names in a trace are arbitrary bytes (a function may be called "\x1b[2J"). mt_text_deceives alone says what
 * must not reach a person as it is, and mt_text_clean how it is written instead; terminals, CSV, notes, errors and
 * other tools' formats get clean text. JSON (json.h) escapes the same code points and loses nothing. A byte that is not
 * UTF-8 is U+DC00 + byte, a lone surrogate, as in Python (PEP 383): no well-formed text has one. Widths are terminal
 * columns: 0 for combining marks, 2 for East Asian wide and emoji. The ranges of widths are the coarse blocks of UAX
 * #11, not the whole table: a column too many never breaks a report.
 * Context: [tool].
 */
#ifndef MT_UTIL_TEXT_H
#define MT_UTIL_TEXT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_UTF8_BYTE = 0xDC00 };

/* Decodes one code point at *at (< end) and moves on; a byte of ill-formed input (Unicode 15, section 3.9) gives
 * MT_UTF8_BYTE + byte and moves one. */
uint32_t mt_utf8_next(const char **at, const char *end);
/* Encodes; returns the bytes written (1 to 4). */
size_t mt_utf8_put(char ret[4], uint32_t code_point);
/* Terminal columns of a code point / of text. */
unsigned mt_utf8_columns(uint32_t code_point);
size_t mt_text_columns(const char *text, size_t bytes);

/* True for what would not be seen as it is: C0 and C1 controls, which drive terminals; bidirectional controls, which
 * reorder what follows; code points without width; line and paragraph separators; lone surrogates and bytes that are
 * not UTF-8. */
bool mt_text_deceives(uint32_t code_point);
/* A copy on one line, valid UTF-8, with nothing that deceives: \n \t \r, \xNN (a control below 0x80, or a byte that is
 * not UTF-8), \uNNNN and \UNNNNNNNN stand for it. Cleaning clean text changes nothing. malloc'ed. */
char *mt_text_clean(const char *text, size_t bytes);
/* The same in place, cut where it no longer fits. */
void mt_text_clean_buffer(char *text, size_t capacity);

enum mt_cut {
    MT_CUT_END,
    MT_CUT_MIDDLE,
    MT_CUT_PLACE, /* of "app/cache.py:31 ns::handle" what qualifies the function, then folders, then its end; the line never, and the
                     file's own name only where it alone is too long */
    MT_CUT_COMMAND, /* of "/usr/bin/python3 app.py" the program's folders, then the end */
    MT_CUT_NAME,  /* of "ns::Type::handle" what qualifies it, then its end */
    MT_CUT_NAMES, /* of "← ns::a, b, …" what follows the first name, then what qualifies it, then its end */
};
/* At most `columns` wide copy of clean text; what is left out becomes one "…". malloc'ed. */
char *mt_text_fit(const char *text, size_t columns, enum mt_cut cut);

/* Columns that the file's own name of a place needs, with its line. */
size_t mt_text_place_columns(const char *text);
/* The same with the function, without what qualifies it. */
size_t mt_text_place_readable_columns(const char *text);

/* Bytes of a line of the text in so many columns: up to the last space that fits, or all of a long word. */
size_t mt_text_line(const char *text, size_t columns);

/* What follows the last slash; all of it where there is none. Borrows. */
const char *mt_text_base_name(const char *path);
/* The same, but all of it also where nothing follows. */
const char *mt_text_last_name(const char *path);
/* The candidate nearest to word by Damerau-Levenshtein distance, NULL when none is near (more than a third of the
 * letters wrong, and more than one). candidates: NULL-terminated. */
const char *mt_text_nearest(const char *word, const char *const *candidates);

#endif
