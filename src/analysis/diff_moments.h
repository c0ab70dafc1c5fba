/* diff_moments.h: how sure a difference between two moments of one sampled recording is.
 *
 * Decides: a sample that is alive at both moments adds the same to both amounts and nothing to the error of their difference. Only
 * those count that are gone at the later moment, and those that were allocated since the earlier one: the two are independent. Of two
 * recordings nothing is shared, and variances add up (diff.h). A block that realloc has enlarged in between counts as gone and new,
 * so the error is rather too large. Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_DIFF_MOMENTS_H
#define MT_ANALYSIS_DIFF_MOMENTS_H

#include "analysis/diff.h"

/* Sets the variances of diff, made by lines, functions or files as `by` says. later: the side of the later moment. since: what of it was
 * allocated after the earlier one, grouped alike. */
void mt_diff_share_samples(struct mt_diff *diff, enum mt_table_by by, unsigned later, const struct mt_diff_side *since);

#endif
