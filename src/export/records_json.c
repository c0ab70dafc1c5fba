/* records_json.c: see records_json.h. Context: [tool]. */
#include "export/records_json.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* "12", "-3" or "0.001000000": as JSON writes it. */
static bool is_number(const char *word, size_t bytes)
{
    size_t sign = bytes > 0 && word[0] == '-', whole = strspn(word + sign, "0123456789");
    size_t at = sign + whole;
    bool plain = whole == 1 || (whole > 1 && word[sign] != '0');
    if (plain && at < bytes && word[at] == '.') {
        size_t part = strspn(word + at + 1, "0123456789");
        at += part > 0 ? 1 + part : 0;
    }
    return plain && at == bytes;
}

/* From an opening quote to behind the closing one. */
static const char *put_quoted(struct mt_json *json, const char *at, const char *end)
{
    char *text = mt_alloc((size_t)(end - at) + 1);
    size_t bytes = 0;
    for (at++; at < end && *at != '"'; at++) {
        at += *at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\');
        text[bytes++] = *at;
    }
    mt_json_bytes(json, text, bytes);
    free(text);
    return at < end ? at + 1 : end;
}

static const char *put_word(struct mt_json *json, const char *at, const char *end)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    size_t bytes = (size_t)((space != NULL ? space : end) - at);
    if (is_number(at, bytes)) {
        char *number = mt_strndup(at, bytes);
        mt_json_raw(json, number);
        free(number);
    } else {
        mt_json_bytes(json, at, bytes);
    }
    return at + bytes;
}

static void put_line(struct mt_json *json, const char *at, const char *end)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    size_t name = (size_t)((space != NULL ? space : end) - at);
    mt_json_object(json);
    mt_json_key(json, "record");
    mt_json_bytes(json, at, name);
    mt_json_key(json, "fields");
    mt_json_array(json);
    at += name;
    while (at < end) {
        at += *at == ' ';
        if (at < end) {
            at = *at == '"' ? put_quoted(json, at, end) : put_word(json, at, end);
        }
    }
    mt_json_array_end(json);
    mt_json_object_end(json);
}

void mt_records_json_lines(struct mt_json *json, const char *lines)
{
    for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
        put_line(json, lines, end);
    }
}
