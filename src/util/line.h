/* line.h: a line that is being typed: its text, where the cursor is in it, and what a key does to it.
 *
 * Decides: the keys of readline's Emacs mode, as far as people use them in a prompt. The cursor stands between characters of UTF-8; bytes of one
 * that is not whole yet are kept until it is. Context: [tool], pure.
 */
#ifndef MT_UTIL_LINE_H
#define MT_UTIL_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Ctrl and a letter. */
#define MT_KEY_CTRL(letter) ((letter) & 31)

/* All zero is empty. */
struct mt_line {
    char *text; /* malloc'ed, NUL behind it; NULL: empty */
    size_t bytes, capacity;
    size_t at; /* of the cursor, in bytes */
    char part[4]; /* the beginning of a character */
    size_t part_bytes;
};

void mt_line_fini(struct mt_line *line);
const char *mt_line_text(const struct mt_line *line); /* never NULL */
/* Another text, the cursor behind it. */
void mt_line_set(struct mt_line *line, const char *text);
/* At the cursor, which then stands behind it. */
void mt_line_insert(struct mt_line *line, const char *text, size_t bytes);
/* Takes away what stands between two places; the cursor stays with its neighbours. */
void mt_line_remove(struct mt_line *line, size_t from, size_t to);
/* What a key (util/terminal.h) does to the text or the cursor. False: it is no key of these. */
bool mt_line_key(struct mt_line *line, int key);

/* The part of it that fits into so many columns, at least one, with the cursor in it: *ret_from and *ret_to in bytes. As shown, controls are
 * '?' (mt_line_shown). */
void mt_line_window(const struct mt_line *line, size_t columns, size_t *ret_from, size_t *ret_to);
/* A copy of the text between two places that drives no terminal. malloc'ed. */
char *mt_line_shown(const struct mt_line *line, size_t from, size_t to);

#endif
