/* say.c: see say.h. */
#include "util/say.h"

#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    (void)fprintf(stderr, "%s\n", clean);
    free(clean);
    free(text);
}
