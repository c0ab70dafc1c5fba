/* json.c: streaming JSON. */
#include "util/json.h"

#include "util/memory.h"
#include "util/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mt_json_init(struct mt_json *json, struct mt_out *out, unsigned broken_lines)
{
    *json = (struct mt_json){ .out = out, .broken_lines = broken_lines };
}

static void new_line(struct mt_json *json)
{
    mt_out_byte(json->out, '\n');
    for (unsigned i = 0; i < json->depth; i++) {
        mt_out_write(json->out, "  ", 2);
    }
}

/* Comma and line break before an item of the current container; nothing between a key and its value. */
static void before_item(struct mt_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (json->has_items[json->depth]) {
        mt_out_byte(json->out, ',');
    }
    if (json->depth > 0 && json->depth <= json->broken_lines) {
        new_line(json);
    } else if (json->has_items[json->depth]) {
        mt_out_byte(json->out, ' ');
    }
    json->has_items[json->depth] = true;
}

static void open_container(struct mt_json *json, char bracket)
{
    before_item(json);
    assert(json->depth + 1 < MT_JSON_DEPTH_MAX);
    mt_out_byte(json->out, bracket);
    json->depth++;
    json->has_items[json->depth] = false;
}

static void close_container(struct mt_json *json, char bracket)
{
    assert(json->depth > 0 && !json->after_key);
    bool broken = json->has_items[json->depth] && json->depth <= json->broken_lines;
    json->depth--;
    if (broken) {
        new_line(json);
    }
    mt_out_byte(json->out, bracket);
}

void mt_json_object(struct mt_json *json)
{
    open_container(json, '{');
}

void mt_json_object_end(struct mt_json *json)
{
    close_container(json, '}');
}

void mt_json_array(struct mt_json *json)
{
    open_container(json, '[');
}

void mt_json_array_end(struct mt_json *json)
{
    close_container(json, ']');
}

/* \u escapes are UTF-16. */
static void put_escape(struct mt_out *out, uint32_t code_point)
{
    if (code_point >= 0x10000) {
        mt_out_print(out, "\\u%04x", 0xD800 + ((code_point - 0x10000) >> 10));
        code_point = 0xDC00 + (code_point & 0x3FF);
    }
    mt_out_print(out, "\\u%04x", code_point);
}

static void put_code_point(struct mt_out *out, uint32_t code_point)
{
    static const char short_escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *escape = code_point < 0x80 && code_point > 0 ? strchr(short_escapes, (int)code_point) : NULL;
    if (escape != NULL && (code_point < 0x20 || code_point == '"' || code_point == '\\')) {
        const char pair[2] = { '\\', escape[1] };
        mt_out_write(out, pair, 2);
    } else if (mt_text_deceives(code_point)) {
        put_escape(out, code_point);
    } else {
        char utf8[4];
        mt_out_write(out, utf8, mt_utf8_put(utf8, code_point));
    }
}

static bool is_plain(char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

static void put_string(struct mt_out *out, const char *text, size_t bytes)
{
    const char *end = text + bytes;
    mt_out_byte(out, '"');
    while (text < end) {
        const char *run = text;
        while (run < end && is_plain(*run)) {
            run++;
        }
        mt_out_write(out, text, (size_t)(run - text));
        text = run;
        if (text < end) {
            put_code_point(out, mt_utf8_next(&text, end));
        }
    }
    mt_out_byte(out, '"');
}

void mt_json_key_text(struct mt_json *json, const char *key)
{
    before_item(json);
    put_string(json->out, key, strlen(key));
    mt_out_write(json->out, ": ", 2);
    json->after_key = true;
}

void mt_json_key(struct mt_json *json, const char *key)
{
    mt_json_key_text(json, key);
}

void mt_json_bytes(struct mt_json *json, const char *text, size_t bytes)
{
    before_item(json);
    put_string(json->out, text, bytes);
}

void mt_json_text(struct mt_json *json, const char *text)
{
    if (text == NULL) {
        mt_json_null(json);
        return;
    }
    mt_json_bytes(json, text, strlen(text));
}

void mt_json_u64(struct mt_json *json, uint64_t value)
{
    before_item(json);
    mt_out_print(json->out, "%llu", (unsigned long long)value);
}

void mt_json_s64(struct mt_json *json, int64_t value)
{
    before_item(json);
    mt_out_print(json->out, "%lld", (long long)value);
}

void mt_json_double(struct mt_json *json, double value)
{
    if (!isfinite(value)) {
        mt_json_null(json);
        return;
    }
    char text[40];
    before_item(json);
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    mt_out_string(json->out, text);
}

void mt_json_bool(struct mt_json *json, bool value)
{
    before_item(json);
    mt_out_string(json->out, value ? "true" : "false");
}

void mt_json_null(struct mt_json *json)
{
    before_item(json);
    mt_out_string(json->out, "null");
}

void mt_json_raw(struct mt_json *json, const char *text)
{
    before_item(json);
    mt_out_string(json->out, text);
}

void mt_json_put_text(struct mt_json *json, const char *key, const char *text)
{
    mt_json_key(json, key);
    mt_json_text(json, text);
}

void mt_json_put_u64(struct mt_json *json, const char *key, uint64_t value)
{
    mt_json_key(json, key);
    mt_json_u64(json, value);
}

void mt_json_put_double(struct mt_json *json, const char *key, double value)
{
    mt_json_key(json, key);
    mt_json_double(json, value);
}

void mt_json_put_bool(struct mt_json *json, const char *key, bool value)
{
    mt_json_key(json, key);
    mt_json_bool(json, value);
}

/* True for text that a spreadsheet would take for a formula; the full-width forms are folded to these by some. */
static bool is_formula(const char *text)
{
    static const char *const starts[] = { "=",  "+",  "-",            "@",            "\t",
                                          "\r", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0" };
    for (size_t i = 0; i < MT_COUNTOF(starts); i++) {
        if (strncmp(text, starts[i], strlen(starts[i])) == 0) {
            return true;
        }
    }
    return false;
}

void mt_csv_field(struct mt_out *out, const char *text)
{
    char *clean = mt_text_clean(text, strlen(text));
    bool formula = is_formula(text);
    if (!formula && clean[strcspn(clean, ",;\"")] == '\0') {
        mt_out_string(out, clean);
        free(clean);
        return;
    }
    mt_out_string(out, formula ? "\"'" : "\"");
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '"') {
            mt_out_byte(out, '"');
        }
        mt_out_byte(out, *at);
    }
    mt_out_byte(out, '"');
    free(clean);
}
