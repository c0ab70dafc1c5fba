/* suppress.h: leaks that somebody has decided to live with, in the words of LeakSanitizer.
 *
 * Decides: a file has lines leak:PATTERN; empty lines and those that begin with # say nothing. A pattern is a part of the
 * function, source file or binary of any frame of a stack; * stands for anything, ^ at its begin and $ at its end
 * for begin and end of the name. What an executable says by __lsan_default_suppressions counts as such a file
 * (symbol/lsan.h). The first pattern that fits a stack counts it. Context: [tool].
 */
#ifndef MT_READER_SUPPRESS_H
#define MT_READER_SUPPRESS_H

#include "analysis/analysis.h"
#include "export/report.h"
#include "model/frames.h"
#include "util/error.h"

struct mt_suppressions {
    struct mt_suppression *items;
    size_t count, capacity;
    bool unknown_default; /* some program has a __lsan_default_suppressions that cannot be read without running it */
    struct mt_frames *frames; /* of the set asked about; borrowed, before mt_suppressions_fit */
};

/* Adds those of a file. MT_E_INVAL names the line that is none. */
mt_status mt_suppressions_read(struct mt_suppressions *s, const char *path, struct mt_error *err) MT_CHECKED;
/* Adds those of the programs of a set. */
void mt_suppressions_of_programs(struct mt_suppressions *s, const struct mt_trace_set *set);
/* analysis.h's suppressed; context: struct mt_suppressions. */
bool mt_suppressions_fit(void *context, uint32_t trace_idx, uint32_t stack, const struct mt_amount *live);
/* Does a pattern fit a name? */
bool mt_suppression_fits(const char *pattern, const char *name);
void mt_suppressions_fini(struct mt_suppressions *s);

#endif
