/* out.h: where a command's data goes: buffered, all or nothing.
 *
 * Decides: data for FILE is written to a temporary beside it and renamed over FILE by commit, so that Ctrl-C, an error
 * or a full disk leaves either the old file or none, never half of one. "-" and NULL are standard output. Errors are
 * sticky: writers need not check each call, commit reports the first one. A reader that goes away (EPIPE, as in `|
 * head`) is not an error: the rest is dropped. Temporary files are listed for mt_interrupt (interrupt.h), which removes
 * them on a signal. Context: [tool], one thread.
 */
#ifndef MT_UTIL_OUT_H
#define MT_UTIL_OUT_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_out;

/* path NULL or "-": standard output. A path that exists as something other than a regular file (a fifo, /dev/null, a
 * tty) is written directly. The caller ends it with exactly one of commit, discard. */
mt_status mt_out_open(const char *path, struct mt_out **ret, struct mt_error *err) MT_CHECKED;
/* An output that keeps what is written in memory (tests, composed cells). */
struct mt_out *mt_out_open_memory(void);
/* A memory output whose text the caller writes to fd: it is laid out for the terminal there, if that is one. */
void mt_out_shown_at(struct mt_out *out, int fd);
/* The bytes of a memory output, NUL-terminated, owned by it. */
const char *mt_out_text(struct mt_out *out, size_t *ret_bytes);

void mt_out_write(struct mt_out *out, const void *data, size_t bytes);
void mt_out_string(struct mt_out *out, const char *text);
void mt_out_byte(struct mt_out *out, char byte);
void mt_out_print(struct mt_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool mt_out_is_terminal(const struct mt_out *out);
/* True after a write error or when the reader went away: a long producer may stop. */
bool mt_out_failed(const struct mt_out *out);
/* Flushes, renames into place and frees out, also on error. */
mt_status mt_out_commit(struct mt_out *out, struct mt_error *err) MT_CHECKED;
/* Forgets everything and frees out; NULL is fine. What standard output has already taken stays there. */
void mt_out_discard(struct mt_out *out);

#endif
