/* headline.h: the first line above rows or a tree: how much, selected how, and how sure that is. Context: [tool]. */
#ifndef MT_EXPORT_HEADLINE_H
#define MT_EXPORT_HEADLINE_H

#include "export/report.h"

/* "12.4 MiB in 22,142 blocks alive now", of several recordings how many they are; a line where few samples make shares rough: where the
 * first, the largest row, is known to less than 30 % (NULL: there is none); an empty line. */
void mt_headline_write(struct mt_out *out, const struct mt_report *report, const struct mt_amount *sum, const struct mt_amount *first);

#endif
