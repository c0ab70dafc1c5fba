/* asked.c: see asked.h. */
#include "agent/asked.h"

#include "base/decimal.h"
#include "heap/engine.h"

#include <string.h>

enum { NOTE_BYTES = 96 };

void mt_asked_note(const char *what, uint64_t user)
{
    char line[NOTE_BYTES] = "", digits[MT_DECIMAL_BYTES];
    bool is_user = user != MT_ASKED_BY_TOKEN && user != MT_ASKED_BY_UNKNOWN;
    const char *by = is_user ? " by user " : user == MT_ASKED_BY_TOKEN ? " by token" : " by unknown";
    const char *const words[] = { what, by, is_user ? mt_decimal(user, digits) : "" };
    size_t used = 0;
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        size_t bytes = strlen(words[i]);
        if (used + bytes < sizeof line) {
            memcpy(line + used, words[i], bytes + 1);
            used += bytes;
        }
    }
    mt_engine_note("control", line);
}
