/* profile.h: one measure of an analysis as a list of stacks with amounts: what trees, tables and exporters start from.
 *
 * Decides: which sites are in (storage, thread, measure not zero) and how fine they stay. Rows with the same stack of
 * the same trace are added up unless thread, label or allocator is asked for. Sorted by bytes, then count, then number, so
 * equal input gives equal output. Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_PROFILE_H
#define MT_ANALYSIS_PROFILE_H

#include "analysis/analysis.h"

struct mt_profile_row {
    uint32_t trace_idx;
    uint32_t stack;
    uint32_t stream;   /* 0 unless split by thread */
    uint32_t label;    /* 0 unless split by label */
    uint8_t allocator; /* 0 unless split by allocator */
    uint8_t storage;
    struct mt_amount amount;
};

struct mt_profile_options {
    enum mt_measure measure;
    bool by_thread, by_label, by_allocator; /* keep rows apart */
    enum mt_storage storage;      /* only this one; the heap by default */
    uint64_t thread_tid;          /* only this thread id; 0 all */
};

struct mt_profile {
    struct mt_profile_row *rows; /* largest first */
    size_t count;
    struct mt_amount sum;
    enum mt_measure measure;
};

/* set: the one analysed (thread ids come from it). ret to mt_profile_fini. */
mt_status mt_profile_make(const struct mt_trace_set *set, const struct mt_analysis *analysis,
                          const struct mt_profile_options *options, struct mt_profile *ret) MT_CHECKED;
void mt_profile_fini(struct mt_profile *profile);

#endif
