/* control.c: see control.h. */
#include "wire/control.h"

#include <string.h>

bool mt_control_is_frame(const struct mt_control_frame *frame)
{
    return frame->magic == MT_CONTROL_MAGIC && frame->version == MT_CONTROL_VERSION && frame->length <= MT_CONTROL_PAYLOAD_MAX;
}

const char *mt_control_status_text(uint32_t status)
{
    switch (status) {
#define MT_CONTROL_STATUS(number, name, text)                                                                          \
    case number:                                                                                                       \
        return text;
#include "wire/control.def"
    default:
        return "its agent answers what this memtap does not know; use the memtap that it was started with";
    }
}

const char *mt_control_next(const char *payload, size_t bytes, const char *at)
{
    if (bytes == 0 || payload[bytes - 1] != '\0') {
        return NULL;
    }
    const char *next = at == NULL ? payload : at + strlen(at) + 1;
    return next < payload + bytes ? next : NULL;
}

const char *mt_control_value(const char *payload, size_t bytes, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = mt_control_next(payload, bytes, NULL); at != NULL; at = mt_control_next(payload, bytes, at)) {
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            return at + length + 1;
        }
    }
    return NULL;
}

/* Reads as many bytes of what was given, and as many of the right one, whatever is in them. */
bool mt_control_is_token(const char *right, const char *given)
{
    size_t given_bytes = strlen(given), right_bytes = strlen(right);
    unsigned difference = given_bytes != right_bytes || right_bytes == 0;
    for (size_t i = 0; i < given_bytes; i++) {
        unsigned char of_right = (unsigned char)(right_bytes > 0 ? right[i % right_bytes] : 0);
        difference |= (unsigned)(of_right ^ (unsigned char)given[i]);
    }
    return difference == 0;
}

void mt_control_add(struct mt_control_text *text, const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);
    if (name_bytes + value_bytes + 2 > text->capacity - text->length) {
        text->cut = true;
        return;
    }
    char *at = text->buf + text->length;
    memcpy(at, name, name_bytes);
    at[name_bytes] = '=';
    memcpy(at + name_bytes + 1, value, value_bytes + 1);
    text->length += name_bytes + value_bytes + 2;
}

void mt_control_add_number(struct mt_control_text *text, const char *name, uint64_t value)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    mt_control_add(text, name, digits + at);
}
