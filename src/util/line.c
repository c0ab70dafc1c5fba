/* line.c: see line.h. */
#include "util/line.h"

#include "util/memory.h"
#include "util/terminal.h"
#include "util/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void mt_line_fini(struct mt_line *line)
{
    free(line->text);
    *line = (struct mt_line){ 0 };
}

const char *mt_line_text(const struct mt_line *line)
{
    return line->text != NULL ? line->text : "";
}

void mt_line_insert(struct mt_line *line, const char *text, size_t bytes)
{
    line->text = mt_alloc_grow(line->text, &line->capacity, line->bytes + bytes + 1, 1);
    memmove(line->text + line->at + bytes, line->text + line->at, line->bytes - line->at);
    memcpy(line->text + line->at, text, bytes);
    line->bytes += bytes;
    line->at += bytes;
    line->text[line->bytes] = '\0';
}

void mt_line_remove(struct mt_line *line, size_t from, size_t to)
{
    if (from < to && to <= line->bytes) {
        memmove(line->text + from, line->text + to, line->bytes - to + 1);
        line->bytes -= to - from;
        line->at = line->at >= to ? line->at - (to - from) : line->at > from ? from : line->at;
    }
}

void mt_line_set(struct mt_line *line, const char *text)
{
    mt_line_remove(line, 0, line->bytes);
    mt_line_insert(line, text, strlen(text));
}

/* ---- places ------------------------------------------------------------------------------------------------------- */

static uint32_t point_at(const struct mt_line *line, size_t at, size_t *ret_after)
{
    const char *byte = line->text + at;
    uint32_t point = mt_utf8_next(&byte, line->text + line->bytes);
    *ret_after = (size_t)(byte - line->text);
    return point;
}

/* Behind the character at a place, with the marks that combine with it. */
static size_t after(const struct mt_line *line, size_t at)
{
    size_t end;
    if (at < line->bytes) {
        (void)point_at(line, at, &at);
    }
    while (at < line->bytes && mt_utf8_columns(point_at(line, at, &end)) == 0) {
        at = end;
    }
    return at;
}

/* Where the character begins that ends at a place; a byte that is of none is one of its own. */
static size_t point_before(const struct mt_line *line, size_t at)
{
    size_t end;
    for (size_t bytes = sizeof line->part; bytes > 1; bytes--) {
        if (bytes <= at) {
            (void)point_at(line, at - bytes, &end);
            if (end == at) {
                return at - bytes;
            }
        }
    }
    return at > 0 ? at - 1 : 0;
}

static size_t before(const struct mt_line *line, size_t at)
{
    size_t end, found = point_before(line, at);
    while (found > 0 && mt_utf8_columns(point_at(line, found, &end)) == 0) {
        found = point_before(line, found);
    }
    return found;
}

static bool is_word(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || (byte & 0x80) != 0;
}

static size_t word_begin(const struct mt_line *line)
{
    size_t at = line->at;
    while (at > 0 && !is_word(line->text[at - 1])) {
        at--;
    }
    while (at > 0 && is_word(line->text[at - 1])) {
        at--;
    }
    return at;
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

static size_t character_bytes(unsigned char first)
{
    return first < 0xC2 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 1;
}

/* A byte of a character; it is put in when its last one is there. */
static void take_byte(struct mt_line *line, char byte)
{
    bool follows = (byte & 0xC0) == 0x80;
    if (!follows) {
        line->part_bytes = 0;
    }
    line->part[line->part_bytes++] = byte;
    if (line->part_bytes == character_bytes((unsigned char)line->part[0])) {
        mt_line_insert(line, line->part, line->part_bytes);
        line->part_bytes = 0;
    }
}

static bool move_key(struct mt_line *line, int key)
{
    switch (key) {
    case MT_KEY_CTRL('b'):
    case MT_KEY_LEFT:
        line->at = before(line, line->at);
        return true;
    case MT_KEY_CTRL('f'):
    case MT_KEY_RIGHT:
        line->at = after(line, line->at);
        return true;
    case MT_KEY_CTRL('a'):
    case MT_KEY_HOME:
        line->at = 0;
        return true;
    case MT_KEY_CTRL('e'):
    case MT_KEY_END:
        line->at = line->bytes;
        return true;
    default:
        return false;
    }
}

static bool erase_key(struct mt_line *line, int key)
{
    switch (key) {
    case MT_KEY_ERASE:
        mt_line_remove(line, before(line, line->at), line->at);
        return true;
    case MT_KEY_CTRL('d'):
    case MT_KEY_DELETE:
        mt_line_remove(line, line->at, after(line, line->at));
        return true;
    case MT_KEY_CTRL('k'):
        mt_line_remove(line, line->at, line->bytes);
        return true;
    case MT_KEY_CTRL('u'):
        mt_line_remove(line, 0, line->at);
        return true;
    case MT_KEY_CTRL('w'):
        mt_line_remove(line, word_begin(line), line->at);
        return true;
    default:
        return false;
    }
}

bool mt_line_key(struct mt_line *line, int key)
{
    if (key >= ' ' && key < 256 && key != MT_KEY_ERASE) {
        take_byte(line, (char)key);
        return true;
    }
    line->part_bytes = 0;
    return move_key(line, key) || erase_key(line, key);
}

/* ---- what is seen ------------------------------------------------------------------------------------------------- */

static size_t columns_of(const struct mt_line *line, size_t from, size_t to)
{
    char *shown = mt_line_shown(line, from, to);
    size_t columns = mt_text_columns(shown, strlen(shown));
    free(shown);
    return columns;
}

/* Is there room for one character more? */
static bool takes(const struct mt_line *line, size_t from, size_t to, size_t columns, size_t *used)
{
    size_t more = columns_of(line, from, to);
    bool fits = *used + more <= columns;
    *used += fits ? more : 0;
    return fits;
}

/* It begins as far left as the cursor lets it, and the cursor may stand behind the last character. Not more of the line is read than is seen. */
void mt_line_window(const struct mt_line *line, size_t columns, size_t *ret_from, size_t *ret_to)
{
    size_t used = 1; /* by the cursor */
    *ret_from = *ret_to = line->at;
    for (size_t next; *ret_from > 0; *ret_from = next) {
        next = before(line, *ret_from);
        if (!takes(line, next, *ret_from, columns, &used)) {
            break;
        }
    }
    for (size_t next; *ret_to < line->bytes; *ret_to = next) {
        next = after(line, *ret_to);
        if (!takes(line, *ret_to, next, columns, &used)) {
            break;
        }
    }
}

char *mt_line_shown(const struct mt_line *line, size_t from, size_t to)
{
    char *shown = mt_alloc(4 * (to - from) + 1);
    size_t bytes = 0;
    while (from < to) {
        size_t next;
        uint32_t point = point_at(line, from, &next);
        bytes += mt_utf8_put(shown + bytes, mt_text_deceives(point) ? '?' : point);
        from = next;
    }
    shown[bytes] = '\0';
    return shown;
}
