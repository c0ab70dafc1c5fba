/* profile.c: see profile.h. Context: [tool]. */
#include "analysis/profile.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>

struct maker {
    struct mt_profile *profile;
    size_t capacity;
    struct mt_index index;
};

static bool same_row(const struct mt_profile_row *a, const struct mt_profile_row *b)
{
    return a->stack == b->stack && a->trace_idx == b->trace_idx && a->stream == b->stream && a->label == b->label &&
           a->allocator == b->allocator && a->storage == b->storage;
}

static uint64_t row_hash(const struct mt_profile_row *row)
{
    return mt_hash_pair((uint64_t)row->trace_idx << 32 | row->stack,
                        mt_hash_pair((uint64_t)row->stream << 32 | row->label, (uint64_t)row->allocator << 8 | row->storage));
}

static void add_row(struct maker *m, const struct mt_profile_row *row)
{
    struct mt_profile *profile = m->profile;
    uint64_t hash = row_hash(row);
    size_t probe = 0;
    uint32_t at;
    mt_amount_add(&profile->sum, &row->amount);
    while ((at = mt_index_next(&m->index, hash, &probe)) != MT_INDEX_NONE) {
        if (same_row(&profile->rows[at], row)) {
            mt_amount_add(&profile->rows[at].amount, &row->amount);
            return;
        }
    }
    profile->rows = mt_alloc_grow(profile->rows, &m->capacity, profile->count + 1, sizeof *profile->rows);
    profile->rows[profile->count] = *row;
    mt_index_add(&m->index, hash, (uint32_t)profile->count++);
}

static int compare_rows(const void *a, const void *b)
{
    const struct mt_profile_row *x = a, *y = b;
    if (x->amount.bytes != y->amount.bytes) {
        return x->amount.bytes > y->amount.bytes ? -1 : 1;
    }
    if (x->amount.count != y->amount.count) {
        return x->amount.count > y->amount.count ? -1 : 1;
    }
    if (x->trace_idx != y->trace_idx) {
        return x->trace_idx < y->trace_idx ? -1 : 1;
    }
    if (x->stack != y->stack) {
        return x->stack < y->stack ? -1 : 1;
    }
    if (x->stream != y->stream) {
        return x->stream < y->stream ? -1 : 1;
    }
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    return (int)x->allocator - (int)y->allocator;
}

static bool thread_matches(const struct mt_trace_set *set, const struct mt_site *site, uint64_t tid)
{
    if (tid == 0) {
        return true;
    }
    const struct mt_trace_thread *thread = mt_trace_thread(set->traces[site->trace_idx], site->stream);
    return thread != NULL && thread->tid == tid;
}

mt_status mt_profile_make(const struct mt_trace_set *set, const struct mt_analysis *analysis,
                          const struct mt_profile_options *options, struct mt_profile *ret)
{
    *ret = (struct mt_profile){ .measure = options->measure };
    struct maker m = { .profile = ret };
    for (size_t i = 0; i < analysis->site_count; i++) {
        const struct mt_site *site = &analysis->sites[i];
        const struct mt_amount *amount = &site->amount[options->measure];
        if ((amount->bytes == 0 && amount->count == 0) ||
            site->storage != options->storage || !thread_matches(set, site, options->thread_tid)) {
            continue;
        }
        struct mt_profile_row row = { .trace_idx = site->trace_idx,
                                      .stack = site->stack,
                                      .stream = options->by_thread ? site->stream : 0,
                                      .label = options->by_label ? site->label : 0,
                                      .allocator = options->by_allocator ? site->allocator : 0,
                                      .storage = site->storage,
                                      .amount = *amount };
        add_row(&m, &row);
    }
    mt_index_fini(&m.index);
    if (ret->count > 0) {
        qsort(ret->rows, ret->count, sizeof *ret->rows, compare_rows);
    }
    return MT_OK;
}

void mt_profile_fini(struct mt_profile *profile)
{
    free(profile->rows);
    *profile = (struct mt_profile){ 0 };
}
