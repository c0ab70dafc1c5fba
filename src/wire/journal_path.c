/* journal_path.c: see journal_path.h. */
#include "wire/journal_path.h"

#include <string.h>

#define SUFFIX ".journal"
enum { NAME_KEPT_MAX = 200, DIGITS = 16 };

static char *put(char *at, const char *text, size_t bytes)
{
    memcpy(at, text, bytes);
    return at + bytes;
}

static char *put_hex(char *at, uint64_t number)
{
    for (int shift = 4 * (DIGITS - 1); shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[number >> shift & 15];
    }
    return at;
}

bool mt_journal_path(const char *trace, uint64_t number, char *ret_path, size_t capacity)
{
    const char *slash = strrchr(trace, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - trace) : 0;
    size_t name = strlen(trace + folder);
    name = name < NAME_KEPT_MAX ? name : NAME_KEPT_MAX;
    if (folder + name + 2 + DIGITS + sizeof SUFFIX > capacity) {
        return false;
    }
    char *at = put(ret_path, trace, folder);
    *at++ = '.';
    at = put(at, trace + folder, name);
    *at++ = '.';
    at = put_hex(at, number);
    (void)put(at, SUFFIX, sizeof SUFFIX);
    return true;
}

bool mt_journal_trace_path(const char *journal, char *ret_path, size_t capacity)
{
    const char *slash = strrchr(journal, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - journal) : 0;
    size_t bytes = strlen(journal + folder);
    const size_t around = 2 + DIGITS + sizeof SUFFIX - 1;
    if (journal[folder] != '.' || bytes <= around || folder + bytes - around >= capacity) {
        return false;
    }
    char *at = put(ret_path, journal, folder);
    at = put(at, journal + folder + 1, bytes - around);
    *at = '\0';
    return true;
}
