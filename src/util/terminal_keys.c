/* terminal_keys.c: what terminals send for keys. Context: [tool], pure. */
#include "util/terminal.h"

#include <string.h>

/* ESC [ 5 ~ and the like. */
static int numbered(unsigned number)
{
    switch (number) {
    case 1:
    case 7:
        return MT_KEY_HOME;
    case 3:
        return MT_KEY_DELETE;
    case 4:
    case 8:
        return MT_KEY_END;
    case 5:
        return MT_KEY_PAGE_UP;
    case 6:
        return MT_KEY_PAGE_DOWN;
    default:
        return MT_KEY_NONE;
    }
}

static int lettered(char letter)
{
    switch (letter) {
    case 'A':
        return MT_KEY_UP;
    case 'B':
        return MT_KEY_DOWN;
    case 'C':
        return MT_KEY_RIGHT;
    case 'D':
        return MT_KEY_LEFT;
    case 'F':
        return MT_KEY_END;
    case 'H':
        return MT_KEY_HOME;
    default:
        return MT_KEY_NONE;
    }
}

/* Behind ESC [ or ESC O: parameters, and a letter or ~. */
static bool parse_sequence(const char **at, const char *end, int *ret)
{
    unsigned number = 0;
    const char *byte = *at;
    while (byte < end && (unsigned char)*byte >= 0x20 && (unsigned char)*byte < 0x40) {
        number = *byte >= '0' && *byte <= '9' && number < 1000 ? number * 10 + (unsigned)(*byte - '0') : number;
        byte++;
    }
    if (byte == end) {
        return false;
    }
    *ret = *byte == '~' ? numbered(number) : lettered(*byte);
    *at = byte + 1;
    return true;
}

bool mt_key_parse(const char **at, const char *end, int *ret)
{
    const char *byte = *at;
    if (byte == end) {
        return false;
    }
    if (*byte == 27 && end - byte >= 2 && (byte[1] == '[' || byte[1] == 'O')) {
        const char *rest = byte + 2;
        if (!parse_sequence(&rest, end, ret)) {
            return false;
        }
        *at = rest;
        return true;
    }
    *ret = *byte == 8 ? MT_KEY_ERASE : *byte == 10 ? MT_KEY_ENTER : (unsigned char)*byte;
    *at = byte + 1;
    return true;
}
