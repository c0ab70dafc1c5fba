/* diff_junit.h: a difference as test cases, for a CI server that shows JUnit's XML.
 *
 * Decides: the first case is the memory as a whole, then comes one for each place that grew or appeared. The whole fails where it grew by
 * more than is allowed, which is when the command fails; a place fails where the whole does and it alone grew by more. Names are
 * of the file and the function, without the line, so that a case is the same one when its line has moved. Context: [tool].
 */
#ifndef MT_EXPORT_DIFF_JUNIT_H
#define MT_EXPORT_DIFF_JUNIT_H

#include "export/diff_view.h"

void mt_diff_junit_write(struct mt_out *out, const struct mt_diff_report *report);

#endif
