/* text.c: UTF-8 from strangers, made safe to show. */
#include "util/text.h"

#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of a sequence by its first byte, 0 for one that cannot begin a sequence, with the allowed range of the second
 * byte (Unicode 15, table 3-7: it excludes overlong forms, surrogates and values over U+10FFFF). */
static unsigned sequence_bytes(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *ret_high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        return 2;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        return 3;
    }
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

uint32_t mt_utf8_next(const char **at, const char *end)
{
    const unsigned char *from = (const unsigned char *)*at;
    unsigned char low;
    unsigned char high;
    (*at)++;
    if (from[0] < 0x80) {
        return from[0];
    }
    unsigned bytes = sequence_bytes(from[0], &low, &high);
    if (bytes == 0 || (size_t)(end - (const char *)from) < bytes || from[1] < low || from[1] > high) {
        return MT_UTF8_BYTE + from[0];
    }
    uint32_t code_point = from[0] & (0x7Fu >> bytes);
    for (unsigned i = 1; i < bytes; i++) {
        if ((from[i] & 0xC0) != 0x80) {
            return MT_UTF8_BYTE + from[0];
        }
        code_point = (code_point << 6) | (from[i] & 0x3Fu);
    }
    *at += bytes - 1;
    return code_point;
}

size_t mt_utf8_put(char ret[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        ret[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = bytes - 1; i > 0; i--) {
        ret[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    ret[0] = (char)(marks[bytes] | code_point);
    return bytes;
}

struct range {
    uint32_t first;
    uint32_t last;
};

static bool in_ranges(uint32_t code_point, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (code_point >= ranges[i].first && code_point <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

unsigned mt_utf8_columns(uint32_t code_point)
{
    static const struct range zero[] = {
        { 0x300, 0x36F }, { 0x200B, 0x200F }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F },
    };
    static const struct range wide[] = {
        { 0x1100, 0x115F },   { 0x2E80, 0x303E },   { 0x3041, 0xA4CF },   { 0xAC00, 0xD7A3 },
        { 0xF900, 0xFAFF },   { 0xFE30, 0xFE6F },   { 0xFF00, 0xFF60 },   { 0xFFE0, 0xFFE6 },
        { 0x1F300, 0x1F64F }, { 0x1F900, 0x1F9FF }, { 0x20000, 0x3FFFD },
    };
    if (code_point < 0x300) {
        return 1;
    }
    if (in_ranges(code_point, zero, MT_COUNTOF(zero))) {
        return 0;
    }
    return in_ranges(code_point, wide, MT_COUNTOF(wide)) ? 2 : 1;
}

size_t mt_text_columns(const char *text, size_t bytes)
{
    size_t columns = 0;
    const char *end = text + bytes;
    while (text < end) {
        columns += mt_utf8_columns(mt_utf8_next(&text, end));
    }
    return columns;
}

size_t mt_text_line(const char *text, size_t columns)
{
    const char *at = text, *end = text + strlen(text), *space = NULL;
    for (size_t taken = 0; at < end && taken <= columns;) {
        space = *at == ' ' && at > text ? at : space;
        taken += mt_utf8_columns(mt_utf8_next(&at, end));
        if (taken <= columns && at == end) {
            return (size_t)(end - text);
        }
    }
    return space != NULL ? (size_t)(space - text) : text[0] == '\0' ? 0 : 1 + strcspn(text + 1, " ");
}

bool mt_text_deceives(uint32_t code_point)
{
    static const struct range unsafe[] = {
        { 0x00, 0x1F },       { 0x7F, 0x9F },       { 0xAD, 0xAD },       { 0x34F, 0x34F },     { 0x61C, 0x61C },
        { 0x115F, 0x1160 },   { 0x17B4, 0x17B5 },   { 0x180B, 0x180F },   { 0x200B, 0x200F },   { 0x2028, 0x202E },
        { 0x2060, 0x206F },   { 0x3164, 0x3164 },   { 0xD800, 0xDFFF },   { 0xFEFF, 0xFEFF },   { 0xFFA0, 0xFFA0 },
        { 0xFFF0, 0xFFFB },   { 0xFFFE, 0xFFFF },   { 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
    };
    return !(code_point >= 0x20 && code_point < 0x7F) && in_ranges(code_point, unsafe, MT_COUNTOF(unsafe));
}

enum { ESCAPE_BYTES = 12 };

/* One code point of clean text, at most four bytes for each of its own; returns how many. */
static size_t put_clean(char to[ESCAPE_BYTES], uint32_t code_point)
{
    static const char letters[] = "\nn\tt\rr";
    if (!mt_text_deceives(code_point)) {
        return mt_utf8_put(to, code_point);
    }
    for (const char *letter = letters; *letter != '\0'; letter += 2) {
        if ((unsigned char)*letter == code_point) {
            return (size_t)snprintf(to, ESCAPE_BYTES, "\\%c", letter[1]);
        }
    }
    bool byte = code_point < 0x80 || (code_point >= MT_UTF8_BYTE && code_point <= MT_UTF8_BYTE + 0xFF);
    return (size_t)(byte                  ? snprintf(to, ESCAPE_BYTES, "\\x%02x", code_point & 0xFF)
                    : code_point < 0x10000 ? snprintf(to, ESCAPE_BYTES, "\\u%04x", code_point)
                                           : snprintf(to, ESCAPE_BYTES, "\\U%08x", code_point));
}

char *mt_text_clean(const char *text, size_t bytes)
{
    char *clean = mt_alloc(bytes * 4 + ESCAPE_BYTES);
    char *to = clean;
    const char *end = text + bytes;
    while (text < end) {
        to += put_clean(to, mt_utf8_next(&text, end));
    }
    *to = '\0';
    return clean;
}

void mt_text_clean_buffer(char *text, size_t capacity)
{
    char *clean = mt_text_clean(text, strlen(text));
    size_t bytes = strlen(clean);
    bytes = bytes < capacity ? bytes : capacity - 1;
    while (bytes > 0 && clean[bytes] != '\0' && ((unsigned char)clean[bytes] & 0xC0) == 0x80) {
        bytes--; /* not within a code point */
    }
    memcpy(text, clean, bytes);
    text[bytes] = '\0';
    free(clean);
}

/* Byte length of the longest prefix of [text, end) at most `columns` wide. */
static size_t prefix_bytes(const char *text, const char *end, size_t columns)
{
    const char *at = text;
    size_t used = 0;
    while (at < end) {
        const char *next = at;
        used += mt_utf8_columns(mt_utf8_next(&next, end));
        if (used > columns) {
            break;
        }
        at = next;
    }
    return (size_t)(at - text);
}

/* Start of the longest suffix at most `columns` wide. */
static const char *suffix_start(const char *text, const char *end, size_t columns)
{
    size_t total = mt_text_columns(text, (size_t)(end - text));
    while (text < end && total > columns) {
        total -= mt_utf8_columns(mt_utf8_next(&text, end));
    }
    return text;
}

/* Where the path of a place ends: behind its line number. What has no line is a path if it is one word, or its first word is a file's
 * name ("cache.py handle"), else none. */
static size_t place_path_bytes(const char *text)
{
    for (const char *colon = strchr(text, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        size_t digits = strspn(colon + 1, "0123456789");
        const char *end = colon + 1 + digits;
        if (digits > 0 && (*end == ' ' || *end == '\0')) {
            return (size_t)(end - text);
        }
    }
    size_t word = strcspn(text, " "), plain = strcspn(text, ":(<[{");
    bool file = plain >= word && (text[word] == '\0' || memchr(text, '.', word) != NULL || memchr(text, '/', word) != NULL);
    return file || text[0] == '/' ? word : 0;
}

size_t mt_text_place_columns(const char *text)
{
    size_t bytes = place_path_bytes(text);
    const char *name = text;
    for (const char *at = text; at < text + bytes; at++) {
        name = *at == '/' ? at + 1 : name;
    }
    return mt_text_columns(name, (size_t)(text + bytes - name)) + (name != text ? 2 : 0);
}

/* Of "ns::Type<a::b>::function" where the next part begins, behind the first "::" or "." that is not within brackets; NULL: there is none,
 * or what stands before it is a word of its own ("import http.server"). */
static const char *next_part(const char *name, const char *end)
{
    int depth = 0;
    for (const char *at = name; at + 1 < end && (depth > 0 || *at != ' '); at++) {
        depth += (*at == '<' || *at == '(' || *at == '{') - (*at == '>' || *at == ')' || *at == '}');
        if (depth <= 0 && at[0] == ':' && at[1] == ':' && at + 2 < end) {
            return at + 2;
        }
        if (depth <= 0 && at[0] == '.' && at > name && at[1] != '.') {
            return at + 1;
        }
    }
    return NULL;
}

/* A function's name: what qualifies it goes first, from the outside; the end of what it is called goes last. */
static char *fit_name(const char *name, const char *end, size_t columns)
{
    const char *from = name;
    for (const char *next = name; next != NULL; next = next_part(next, end)) {
        from = next;
        size_t wide = mt_text_columns(from, (size_t)(end - from)) + (from != name);
        if (wide <= columns) {
            return mt_format("%s%.*s", from != name ? "…" : "", (int)(end - from), from);
        }
    }
    bool dots = from != name && columns > 2;
    return mt_format("%s%.*s…", dots ? "…" : "", (int)prefix_bytes(from, end, columns - 1 - dots), from);
}

/* Columns of the last part of a name, with the dots that stand for the others. */
static size_t last_part_columns(const char *name, const char *end)
{
    const char *from = name;
    for (const char *next = name; next != NULL; next = next_part(next, end)) {
        from = next;
    }
    return mt_text_columns(from, (size_t)(end - from)) + (from != name);
}

/* A file's name that is too long for itself: of its stem the middle goes, its end and the line stay. */
static char *fit_file(const char *path, const char *end, size_t columns)
{
    const char *name = path;
    for (const char *at = path; at < end; at++) {
        name = *at == '/' ? at + 1 : name;
    }
    size_t tail = (columns - 1) * 2 / 3;
    return mt_format("%.*s…%.*s", (int)prefix_bytes(name, end, columns - 1 - tail), name, (int)(end - suffix_start(name, end, tail)),
                     suffix_start(name, end, tail));
}

/* Columns of what is left of a path from `from` on. */
static size_t path_columns(const char *path, const char *from, const char *end)
{
    return mt_text_columns(from, (size_t)(end - from)) + (from != path ? 2 : 0);
}

/* Where a path begins that has lost as many outermost folders as it takes to fit, or all. */
static const char *without_folders(const char *path, const char *end, size_t columns)
{
    const char *from = path, *slash;
    while (path_columns(path, from, end) > columns && (slash = memchr(from, '/', (size_t)(end - from))) != NULL) {
        from = slash + 1;
    }
    return from;
}

/* The path alone. */
static char *fit_path(const char *path, const char *end, size_t columns)
{
    const char *from = without_folders(path, end, columns);
    size_t wide = mt_text_columns(from, (size_t)(end - from));
    if (wide > columns) {
        return fit_file(from, end, columns);
    }
    return mt_format("%s%.*s", from != path && wide + 2 <= columns ? "…/" : "", (int)(end - from), from);
}

/* What qualifies the function goes first, then folders from the outermost on, then the function's end, then the function. */
static char *fit_place(const char *text, size_t columns)
{
    enum { FUNCTION_LEAST = 4 };
    const char *path_end = text + place_path_bytes(text), *end = text + strlen(text), *name = path_end + 1;
    size_t last = *path_end == ' ' ? last_part_columns(name, end) + 1 : 0;
    const char *from = without_folders(text, path_end, columns > last ? columns - last : 0);
    size_t used = path_columns(text, from, path_end);
    size_t least = last == 0 ? 0 : last - 1 < FUNCTION_LEAST ? last - 1 : FUNCTION_LEAST;
    if (last == 0 || used + 1 + least > columns) {
        return fit_path(text, path_end, columns);
    }
    char *function = fit_name(name, end, columns - used - 1);
    char *fitted = mt_format("%s%.*s %s", from != text ? "…/" : "", (int)(path_end - from), from, function);
    free(function);
    return fitted;
}

/* "/usr/bin/python3 app.py": folders of the program go first, then the end. */
static char *fit_command(const char *text, size_t columns)
{
    const char *path_end = text + strcspn(text, " "), *end = text + strlen(text);
    size_t rest = mt_text_columns(path_end, (size_t)(end - path_end));
    const char *from = without_folders(text, path_end, columns > rest ? columns - rest : 0);
    char *shorter = mt_format("%s%s", from != text ? "…/" : "", from);
    char *fitted = mt_text_fit(shorter, columns, MT_CUT_END);
    free(shorter);
    return fitted;
}

/* "← a::b, c, …": what stands behind the first name goes first. */
static char *fit_names(const char *text, size_t columns)
{
    static const char arrow[] = "← ", rest[] = ", …";
    enum { ARROW_COLUMNS = 2, REST_COLUMNS = 3 };
    bool has_arrow = strncmp(text, arrow, sizeof arrow - 1) == 0;
    const char *name = text + (has_arrow ? sizeof arrow - 1 : 0);
    const char *comma = strstr(name, ", "), *end = comma != NULL ? comma : name + strlen(name);
    size_t room = columns - (has_arrow ? ARROW_COLUMNS : 0);
    bool more = comma != NULL && mt_text_columns(name, (size_t)(end - name)) + REST_COLUMNS <= room;
    char *fitted = mt_text_columns(name, (size_t)(end - name)) <= room ? mt_strndup(name, (size_t)(end - name)) : fit_name(name, end, room);
    char *made = mt_format("%s%s%s", has_arrow ? arrow : "", fitted, more ? rest : "");
    free(fitted);
    return made;
}

size_t mt_text_place_readable_columns(const char *text)
{
    size_t bytes = place_path_bytes(text);
    const char *function = text + bytes + (bytes > 0 && text[bytes] == ' '), *comma = strstr(function, ", ");
    const char *end = comma != NULL ? comma : text + strlen(text); /* of several the first */
    return mt_text_place_columns(text) + (function < end ? (bytes > 0) + last_part_columns(function, end) : 0);
}

char *mt_text_fit(const char *text, size_t columns, enum mt_cut cut)
{
    size_t bytes = strlen(text);
    const char *end = text + bytes;
    if (mt_text_columns(text, bytes) <= columns) {
        return mt_strdup(text);
    }
    if (columns == 0) {
        return mt_strdup("");
    }
    enum { NAMED_LEAST = 4 };
    if (cut == MT_CUT_PLACE && columns >= NAMED_LEAST) {
        return place_path_bytes(text) > 0 ? fit_place(text, columns) : fit_name(text, end, columns);
    }
    if (cut == MT_CUT_COMMAND && columns >= NAMED_LEAST) {
        return fit_command(text, columns);
    }
    if (cut == MT_CUT_NAME && columns >= NAMED_LEAST) {
        return fit_name(text, end, columns);
    }
    if (cut == MT_CUT_NAMES && columns >= NAMED_LEAST) {
        return fit_names(text, columns);
    }
    size_t tail = cut == MT_CUT_MIDDLE ? (columns - 1) * 2 / 3 : 0;
    size_t head = columns - 1 - tail;
    return mt_format("%.*s…%s", (int)prefix_bytes(text, end, head), text, suffix_start(text, end, tail));
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment distance of two short words (at most 31 letters). */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    size_t rows[MAX][MAX];
    size_t a_length = strnlen(a, MAX - 1);
    size_t b_length = strnlen(b, MAX - 1);
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            size_t swap = a[i - 1] == b[j - 1] ? 0 : 1;
            rows[i][j] = min3(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + swap);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && rows[i - 2][j - 2] + 1 < rows[i][j]) {
                rows[i][j] = rows[i - 2][j - 2] + 1;
            }
        }
    }
    return rows[a_length][b_length];
}

const char *mt_text_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t forgiven = strlen(word) / 3, best_distance = (forgiven > 0 ? forgiven : 1) + 1;
    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);
        if (d < best_distance) {
            best_distance = d;
            best = *candidates;
        }
    }
    return best;
}

const char *mt_text_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const char *mt_text_last_name(const char *path)
{
    const char *name = mt_text_base_name(path);
    return name[0] != '\0' ? name : path;
}
