/* error.h: what went wrong, in words for a person.
 *
 * Decides: how a failure's detail travels on the tool side. mt_status says which kind of failure, struct mt_error
 * carries one sentence: what failed, on what, and what to do next; clean (text.h), whatever was put in. Libraries fill it and return; only commands print
 * it. The first message wins when a caller adds context with mt_error_prefix. Every function accepts err == NULL.
 * Context: [tool].
 */
#ifndef MT_UTIL_ERROR_H
#define MT_UTIL_ERROR_H

#include "base/status.h"

enum { MT_ERROR_TEXT_BYTES = 1024 };

struct mt_error {
    mt_status status; /* MT_OK: nothing has gone wrong */
    char text[MT_ERROR_TEXT_BYTES];
};

/* Stores status and a formatted sentence (cut at the buffer's end); returns status, so that
 * `return mt_error_set(err, MT_E_IO, …)` reads well. */
mt_status mt_error_set(struct mt_error *err, mt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As mt_error_set with the kind taken from an errno value; ": <strerror>" is appended. */
mt_status mt_error_set_errno(struct mt_error *err, int err_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "<prefix>: " in front of the text that is there. Returns the status that is there. */
mt_status mt_error_prefix(struct mt_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text, or the status in words when there is none. Never NULL. */
const char *mt_error_text(const struct mt_error *err);

#endif
