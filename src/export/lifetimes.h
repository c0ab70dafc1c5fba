/* lifetimes.h: how long the blocks lived that are gone, as data.
 *
 * Decides: a row a power of two, from the shortest that occurs, those that do not occur left out. Recorded blocks are counted: in sample
 * mode that are samples, of which large blocks have more than their share. Context: [tool].
 */
#ifndef MT_EXPORT_LIFETIMES_H
#define MT_EXPORT_LIFETIMES_H

#include "export/report.h"

void mt_lifetimes_write(struct mt_out *out, const struct mt_report *report);

#endif
