/* left_out.h: what was alive when the program ended and is not listed as such.
 *
 * Decides: nothing is left out without a word: how much the C and C++ libraries keep for themselves (model/own_stacks.h), and how much
 * each suppression took away. Context: [tool].
 */
#ifndef MT_EXPORT_LEFT_OUT_H
#define MT_EXPORT_LEFT_OUT_H

#include "export/report.h"

/* Lines behind a table of what is alive; nothing when nothing was left out. */
void mt_left_out_write(struct mt_out *out, const struct mt_report *report);
/* The same as rows of stats, below what is alive. */
void mt_left_out_rows(struct mt_out *out, const struct mt_report *report);
/* "suppressions": [ { pattern, bytes, count } … ]. */
void mt_left_out_put(struct mt_json *json, const struct mt_report *report);

#endif
