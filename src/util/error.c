/* error.c: formatting of struct mt_error. A message that does not fit is cut, never lost: the kind of failure is in the
 * status. Messages quote what they are about, so all of them are cleaned. */
#include "util/error.h"

#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mt_status mt_error_set(struct mt_error *err, mt_status status, const char *format, ...)
{
    if (err == NULL) {
        return status;
    }
    va_list args;
    va_start(args, format);
    err->status = status;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    mt_text_clean_buffer(err->text, sizeof err->text);
    return status;
}

mt_status mt_error_set_errno(struct mt_error *err, int err_number, const char *format, ...)
{
    mt_status status = mt_status_from_errno(err_number);
    if (err == NULL) {
        return status;
    }
    va_list args;
    va_start(args, format);
    err->status = status;
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text) {
        char words[128];
        (void)snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s",
                       strerror_r(err_number, words, sizeof words));
    }
    mt_text_clean_buffer(err->text, sizeof err->text);
    return status;
}

mt_status mt_error_prefix(struct mt_error *err, const char *format, ...)
{
    if (err == NULL) {
        return MT_OK;
    }
    char old[MT_ERROR_TEXT_BYTES];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text) {
        (void)snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", old);
    }
    mt_text_clean_buffer(err->text, sizeof err->text);
    return err->status;
}

const char *mt_error_text(const struct mt_error *err)
{
    return err->text[0] != '\0' ? err->text : mt_status_text(err->status);
}
