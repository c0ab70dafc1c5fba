/* selection.h: which memory a report is about.
 *
 * Decides: the meaning of what commands and the library offer to select (peak, leaks, temporary N, at T, between T0,T1, total,
 * one thread, native frames), and how it becomes an analysis. A time given as "peak" needs the whole
 * trace read once to know when that was; every other selection is one pass. Context: [tool].
 */
#ifndef MT_READER_SELECTION_H
#define MT_READER_SELECTION_H

#include "analysis/analysis.h"
#include "analysis/profile.h"
#include "analysis/resident.h"
#include "model/frames.h"
#include "model/trace.h"
#include "reader/suppress.h"
#include "util/error.h"
#include "util/timepoint.h"

enum mt_selected { MT_SELECT_PEAK, MT_SELECT_LEAKS, MT_SELECT_TEMPORARY, MT_SELECT_AT, MT_SELECT_BETWEEN, MT_SELECT_TOTAL };

struct mt_selection {
    enum mt_selected what;
    uint64_t temporary_max;       /* 1 unless asked for another */
    struct mt_timepoint times[2];
    const char *thread;           /* number or name; NULL: all */
    int storage;                  /* enum mt_storage; 0: the heap */
    bool all;                     /* leaks include what the C and C++ libraries keep for themselves, and what is suppressed */
};

/* The analysis that most reports are made of, kept for the next one. While there is one, loads may borrow it. */
struct mt_memo {
    struct mt_analysis analysis;
    bool made, all; /* all: of leaks nothing is left out */
};
void mt_memo_clear(struct mt_memo *memo); /* no load that was made with it is in use */

struct mt_load_options {
    bool profile; /* stacks are shown: make the profile */
    bool by_thread, by_label, by_allocator;
    bool bound_will_do; /* a peak that is only known to be at most something is shown as such */
    size_t timeline_points;
    size_t edges; /* what changed between so many moments, equally far from each other, the last of them the end; 0: not */
    struct mt_suppressions *suppressions; /* of leaks, with frames; NULL: none */
    const struct mt_resident *kept; /* answers instead of a reading of the set; NULL: nothing is kept */
    const struct mt_cursor_losses *kept_losses; /* of what it counted */
    struct mt_memo *memo; /* of the set, which does not change any more; NULL: each load reads it */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* as in analysis.h */
    void *context;
};

/* What a report is made of. */
struct mt_loaded {
    struct mt_analysis analysis;
    bool is_borrowed; /* it is the memo's */
    struct mt_profile profile;
    uint64_t *edges_ns; /* the options' edges; NULL: none */
    enum mt_measure measure;
    uint64_t thread_tid; /* 0: all */
    char *words;         /* "at the peak (1.20 s)" */
};

/* Can what is kept of a trace (analysis/resident.h) answer this? */
bool mt_selection_is_kept(const struct mt_selection *selection);
/* Analyses the set. MT_E_INVAL: the selection cannot be (no such thread, T0 after T1) or is not known (refusal.h). ret must be given to
 * mt_loaded_fini, also after a failure. */
mt_status mt_selection_load(const struct mt_trace_set *set, const struct mt_selection *selection,
                            const struct mt_load_options *options, struct mt_loaded *ret,
                            struct mt_error *err) MT_CHECKED;
void mt_loaded_fini(struct mt_loaded *loaded);

#endif
