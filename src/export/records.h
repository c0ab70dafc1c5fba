/* records.h: every record of a trace as a line of text, for debugging the format.
 *
 * Decides: the wording of `memtap parse`. Stable: words and order of a line do not change without a CHANGELOG entry,
 * new words are added at the end. Numbers are decimal, addresses hexadecimal, times seconds from the start. Context:
 * [tool].
 */
#ifndef MT_EXPORT_RECORDS_H
#define MT_EXPORT_RECORDS_H

#include "model/trace.h"
#include "util/error.h"
#include "util/out.h"
#include "wire/decode_file.h"

/* Help text of the wording. */
extern const char mt_records_wording[];

/* Damage is a line ("bad …"), not an error: the rest is still shown. MT_E_CORRUPT when there was any. */
mt_status mt_records_write(struct mt_out *out, const struct mt_reader *reader, struct mt_error *err) MT_CHECKED;
/* The same for each process, under a line "process PID". json: an array with an object a line (records_json.h). */
mt_status mt_records_write_run(struct mt_out *out, const struct mt_trace_set *set, bool json, struct mt_error *err) MT_CHECKED;

#endif
