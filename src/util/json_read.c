/* json_read.c: see json_read.h. Recursive descent, as deep as the limit. */
#include "util/json_read.h"

#include "util/memory.h"
#include "util/text.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct reader {
    const char *begin, *at, *end;
    unsigned depth;
    struct mt_error *err;
};

static struct mt_json_value *read_value(struct reader *r);

static void *refuse(struct reader *r, const char *what)
{
    (void)mt_error_set(r->err, MT_E_INVAL, "no JSON: %s at byte %zu", what, (size_t)(r->at - r->begin));
    return NULL;
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
        r->at++;
    }
}

static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c) {
        return false;
    }
    r->at++;
    return true;
}

static struct mt_json_value *make(enum mt_json_type type)
{
    struct mt_json_value *value = mt_alloc_zero(1, sizeof *value);
    value->type = type;
    return value;
}

/* ---- texts -------------------------------------------------------------------------------------------------------- */

static bool read_unit(struct reader *r, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int c = r->at < r->end ? (unsigned char)*r->at : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) {
            return false;
        }
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind \u; a pair of surrogates is one code point. */
static bool read_code_point(struct reader *r, uint32_t *ret)
{
    uint32_t low;
    if (!read_unit(r, ret) || *ret == 0 || (*ret >= 0xDC00 && *ret < 0xE000)) {
        return false;
    }
    if (*ret < 0xD800 || *ret >= 0xDC00) {
        return true;
    }
    if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') {
        return false;
    }
    r->at += 2;
    if (!read_unit(r, &low) || low < 0xDC00 || low >= 0xE000) {
        return false;
    }
    *ret = 0x10000 + ((*ret - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

static bool read_escape(struct reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    uint32_t code_point;
    char c = r->at < r->end ? *r->at++ : '\0';
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    if (known != NULL) {
        *(*to)++ = into[known - from];
        return true;
    }
    if (c != 'u' || !read_code_point(r, &code_point)) {
        return false;
    }
    *to += mt_utf8_put(*to, code_point);
    return true;
}

/* One character that stands for itself. */
static bool read_plain(struct reader *r, char **to)
{
    const char *begin = r->at;
    uint32_t code_point = mt_utf8_next(&r->at, r->end);
    if (code_point < 0x20 || (code_point >= 0xD800 && code_point < 0xE000)) {
        r->at = begin;
        return false;
    }
    memcpy(*to, begin, (size_t)(r->at - begin));
    *to += r->at - begin;
    return true;
}

/* Up to the quote that ends it, or to the end. */
static size_t text_bytes(const struct reader *r)
{
    const char *at = r->at;
    while (at < r->end && *at != '"') {
        at += *at == '\\' && r->end - at > 1 ? 2 : 1;
    }
    return (size_t)(at - r->at);
}

/* Behind its quote; malloc'ed. What is written is never longer than what is read, but for the quote. */
static char *read_text(struct reader *r)
{
    char *text = mt_alloc(text_bytes(r) + 5);
    char *to = text;
    for (;;) {
        if (r->at == r->end) {
            free(text);
            return refuse(r, "a text without its end");
        }
        if (*r->at == '"') {
            r->at++;
            *to = '\0';
            return text;
        }
        bool escaped = *r->at == '\\';
        r->at += escaped;
        if (escaped ? !read_escape(r, &to) : !read_plain(r, &to)) {
            free(text);
            return refuse(r, escaped ? "a \\ before something else" : "a control, or a byte that is not UTF-8,");
        }
    }
}

/* ---- numbers ------------------------------------------------------------------------------------------------------ */

static size_t digits(const char *at, const char *end)
{
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9') {
        count++;
    }
    return count;
}

/* Bytes of the number at `at`; 0: there is none. */
static size_t number_bytes(const char *begin, const char *end, bool *ret_is_whole)
{
    const char *at = begin + (begin < end && *begin == '-');
    size_t count = digits(at, end);
    *ret_is_whole = true;
    if (count == 0 || (count > 1 && *at == '0')) {
        return 0;
    }
    at += count;
    if (at < end && *at == '.') {
        *ret_is_whole = false;
        count = digits(at + 1, end);
        if (count == 0) {
            return 0;
        }
        at += 1 + count;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        *ret_is_whole = false;
        at += 1 + (at + 1 < end && (at[1] == '+' || at[1] == '-'));
        count = digits(at, end);
        if (count == 0) {
            return 0;
        }
        at += count;
    }
    return (size_t)(at - begin);
}

static struct mt_json_value *read_number(struct reader *r)
{
    char text[64];
    bool is_whole;
    size_t bytes = number_bytes(r->at, r->end, &is_whole);
    if (bytes == 0 || bytes >= sizeof text) {
        return refuse(r, bytes == 0 ? "something else than a value" : "a number of too many digits");
    }
    memcpy(text, r->at, bytes);
    text[bytes] = '\0';
    r->at += bytes;
    struct mt_json_value *value = make(MT_JSON_NUMBER);
    value->number = strtod(text, NULL);
    errno = 0;
    value->whole = strtoll(text, NULL, 10);
    value->is_whole = is_whole && errno == 0;
    if (!isfinite(value->number)) {
        free(value);
        return refuse(r, "a number that is too large");
    }
    return value;
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

static bool read_name(struct reader *r, char **ret)
{
    *ret = take(r, '"') ? read_text(r) : refuse(r, "no name of a member");
    if (*ret != NULL && !take(r, ':')) {
        free(*ret);
        *ret = refuse(r, "no colon");
    }
    return *ret != NULL;
}

static struct mt_json_value *read_items(struct reader *r, enum mt_json_type type)
{
    char end = type == MT_JSON_OBJECT ? '}' : ']';
    struct mt_json_value *value = make(type);
    struct mt_json_value **last = &value->first;
    bool more = !take(r, end);
    while (more) {
        char *name = NULL;
        bool named = type == MT_JSON_ARRAY || read_name(r, &name);
        *last = named ? read_value(r) : NULL;
        if (*last == NULL) {
            free(name);
            mt_json_value_free(value);
            return NULL;
        }
        (*last)->name = name;
        last = &(*last)->next;
        more = take(r, ',');
        if (!more && !take(r, end)) {
            mt_json_value_free(value);
            return refuse(r, "neither a comma nor an end");
        }
    }
    return value;
}

static struct mt_json_value *read_word(struct reader *r)
{
    static const char *const words[] = { "null", "false", "true" };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        size_t bytes = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= bytes && memcmp(r->at, words[i], bytes) == 0) {
            r->at += bytes;
            struct mt_json_value *value = make(i == 0 ? MT_JSON_NULL : MT_JSON_BOOL);
            value->truth = i == 2;
            return value;
        }
    }
    return read_number(r);
}

static struct mt_json_value *read_container(struct reader *r, enum mt_json_type type)
{
    if (r->depth == MT_JSON_READ_DEPTH_MAX) {
        return refuse(r, "too deep nesting");
    }
    r->depth++;
    struct mt_json_value *value = read_items(r, type);
    r->depth--;
    return value;
}

static struct mt_json_value *read_value(struct reader *r)
{
    if (take(r, '{')) {
        return read_container(r, MT_JSON_OBJECT);
    }
    if (take(r, '[')) {
        return read_container(r, MT_JSON_ARRAY);
    }
    if (take(r, '"')) {
        char *text = read_text(r);
        struct mt_json_value *value = text != NULL ? make(MT_JSON_TEXT) : NULL;
        if (value != NULL) {
            value->text = text;
        }
        return value;
    }
    return read_word(r);
}

mt_status mt_json_read(const char *text, size_t bytes, struct mt_json_value **ret, struct mt_error *err)
{
    struct mt_error own = { 0 };
    struct reader r = { .begin = text, .at = text, .end = text + bytes, .err = err != NULL ? err : &own };
    struct mt_json_value *value = read_value(&r);
    skip_blanks(&r);
    if (value != NULL && r.at != r.end) {
        mt_json_value_free(value);
        value = refuse(&r, "something behind the value");
    }
    *ret = value;
    return value != NULL ? MT_OK : MT_E_INVAL;
}

void mt_json_value_free(struct mt_json_value *value)
{
    while (value != NULL) {
        struct mt_json_value *next = value->next;
        mt_json_value_free(value->first);
        free(value->text);
        free(value->name);
        free(value);
        value = next;
    }
}

const struct mt_json_value *mt_json_member(const struct mt_json_value *value, const char *name)
{
    const struct mt_json_value *found = NULL;
    for (const struct mt_json_value *at = value != NULL && value->type == MT_JSON_OBJECT ? value->first : NULL; at != NULL; at = at->next) {
        found = strcmp(at->name, name) == 0 ? at : found;
    }
    return found;
}
