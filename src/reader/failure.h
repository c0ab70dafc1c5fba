/* failure.h: how a library call fails: a code, a sentence, and never the end of the process. The sentences about
 * files that cannot be opened are the commands' too.
 *
 * Decides: which public code a status is, and that every public function runs inside mt_memory_try, because the layers
 * below end a tool that is out of memory and a library must not end its host. Context: [tool], any thread.
 */
#ifndef MT_READER_FAILURE_H
#define MT_READER_FAILURE_H

#include "memtap/profile.h"
#include "util/error.h"
#include "wire/decode.h"

/* "cannot read PATH: …" from a reader's error; returns status. */
mt_status mt_failure_explain_open(mt_status status, const char *path, const struct mt_wire_error *wire,
                                  struct mt_error *err);

/* Fills *failure (may be NULL) from err and returns its code; MT_PROFILE_OK for MT_OK. */
int mt_failure_of(mt_status status, const struct mt_error *err, struct mt_profile_failure *failure);
/* MT_PROFILE_USAGE with a formatted sentence. */
int mt_failure_usage(struct mt_profile_failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs body(context, err) inside mt_memory_try. recover(handle) as there: makes the handle (NULL: there is none yet) forget what can be
 * made again, so that it answers the next call; out of memory is an error of this one alone. */
int mt_failure_guard(mt_status (*body)(void *context, struct mt_error *err), void *context, void (*recover)(void *handle),
                     void *handle, struct mt_profile_failure *failure);

#endif
