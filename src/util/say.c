/* say.c: see say.h. */
#include "util/say.h"

#include "util/grid.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* columns: 0 where nothing wraps. Further lines are indented. */
static void put(const char *text, size_t columns)
{
    enum { INDENT = 2 };
    int indent = 0;
    for (const char *at = text; *at != '\0' || at == text; indent = INDENT) {
        size_t bytes = columns > INDENT ? mt_text_line(at, columns - (size_t)indent) : strlen(at);
        (void)fprintf(stderr, "%*s%.*s\n", indent, "", (int)bytes, at);
        at += bytes + (at[bytes] == ' ');
        if (*at == '\0') {
            break;
        }
    }
}

void mt_say(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    if (bytes < 0) {
        return; /* out of memory: what follows will say so */
    }
    char *clean = mt_text_clean(text, (size_t)bytes);
    put(clean, mt_terminal_columns_of(STDERR_FILENO));
    free(clean);
    free(text);
}
