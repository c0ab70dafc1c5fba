/* progress.h: a bar on standard error while something long runs.
 *
 * Decides: shown only when stderr is a terminal, only after half a second, at most ten times a second; erased when
 * done. Never in a pipe. Context: [tool], one bar at a time.
 */
#ifndef MT_UTIL_PROGRESS_H
#define MT_UTIL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct mt_progress {
    const char *label; /* borrowed */
    uint64_t begun_ns;
    uint64_t shown_ns;
    bool enabled;
    bool visible;
};

/* quiet: never show. */
void mt_progress_begin(struct mt_progress *progress, const char *label, bool quiet);
/* done of total in any unit; total 0: unknown, shows the count, or where that is 0 too the time that it has taken. Cheap: one clock read a call. */
void mt_progress_update(struct mt_progress *progress, uint64_t done, uint64_t total);
/* Shows the label at once, for what cannot say how far it is. */
void mt_progress_show(struct mt_progress *progress);
void mt_progress_end(struct mt_progress *progress);

#endif
