/* leaks.c: see leaks.h. Context: [tool]. */
#include "analysis/leaks.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>

/* A row while it is summed up. shown: hash of the frames that a report shows of its stack, and of the trace. 64 bits are
 * taken for equality: with 100,000 rows two different stacks meet once in 4 billion reports. */
struct row {
    struct mt_leak leak;
    uint64_t oldest_ns;
    uint64_t shown;
};

struct maker {
    struct row *rows;
    size_t count, capacity;
    struct mt_index index;
};

static uint64_t row_hash(uint32_t trace_idx, uint32_t stack)
{
    return mt_hash_u64((uint64_t)trace_idx << 32 | stack);
}

static uint64_t rehash_row(const void *context, uint32_t position)
{
    const struct maker *m = context;
    return row_hash(m->rows[position].leak.trace_idx, m->rows[position].leak.stack);
}

static struct row *row_of(struct maker *m, const struct mt_site *site)
{
    uint64_t hash = row_hash(site->trace_idx, site->stack);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&m->index, hash, &probe)) != MT_INDEX_NONE) {
        if (m->rows[at].leak.trace_idx == site->trace_idx && m->rows[at].leak.stack == site->stack) {
            return &m->rows[at];
        }
    }
    m->rows = mt_alloc_grow(m->rows, &m->capacity, m->count + 1, sizeof *m->rows);
    m->rows[m->count] = (struct row){ .leak = { .trace_idx = site->trace_idx, .stack = site->stack },
                                      .oldest_ns = UINT64_MAX };
    mt_index_add(&m->index, hash, (uint32_t)m->count, rehash_row, m);
    return &m->rows[m->count++];
}

static bool thread_matches(const struct mt_trace_set *set, const struct mt_site *site, uint64_t tid)
{
    const struct mt_trace_thread *thread =
        tid != 0 ? mt_trace_thread(set->traces[site->trace_idx], site->stream) : NULL;
    return tid == 0 || (thread != NULL && thread->tid == tid);
}

static void add_site(struct row *row, const struct mt_site *site)
{
    mt_amount_add(&row->leak.live, &site->amount[MT_MEASURE_LIVE]);
    mt_amount_add(&row->leak.total, &site->amount[MT_MEASURE_TOTAL]);
    row->leak.growth_bytes_per_s += site->growth_bytes_per_s;
    row->oldest_ns = site->oldest_ns < row->oldest_ns ? site->oldest_ns : row->oldest_ns;
}

/* ---- stacks that look the same ---------------------------------------------------------------------------------- */

static uint64_t hash_shown(struct mt_frames *frames, const struct mt_leak *leak)
{
    struct mt_frame_list list = mt_frames_stack(frames, leak->trace_idx, leak->stack);
    uint64_t hash = mt_hash_pair(leak->trace_idx, list.count);
    for (size_t i = 0; i < list.count; i++) {
        hash = mt_hash_step(hash, list.ids[i]);
    }
    return mt_hash_u64(hash);
}

static uint64_t rehash_shown(const void *context, uint32_t position)
{
    return ((const struct row *)context)[position].shown;
}

static void add_row(struct row *row, const struct row *other)
{
    mt_amount_add(&row->leak.live, &other->leak.live);
    mt_amount_add(&row->leak.total, &other->leak.total);
    row->leak.growth_bytes_per_s += other->leak.growth_bytes_per_s;
    row->oldest_ns = other->oldest_ns < row->oldest_ns ? other->oldest_ns : row->oldest_ns;
}

/* The row so far that shows the same frames; NULL: none. */
static struct row *same_shown(struct row *rows, const struct mt_index *index, uint64_t shown)
{
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(index, shown, &probe)) != MT_INDEX_NONE) {
        if (rows[at].shown == shown) {
            return &rows[at];
        }
    }
    return NULL;
}

/* Keeps the rows with something alive, one for each stack as it is shown. */
static void merge_shown(struct maker *m, struct mt_frames *frames)
{
    struct mt_index index = { 0 };
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct row row = m->rows[i];
        if (row.leak.live.count == 0) {
            continue;
        }
        row.shown = hash_shown(frames, &row.leak);
        struct row *same = same_shown(m->rows, &index, row.shown);
        if (same != NULL) {
            add_row(same, &row);
            continue;
        }
        m->rows[kept] = row;
        mt_index_add(&index, row.shown, (uint32_t)kept++, rehash_shown, m->rows);
    }
    m->count = kept;
    mt_index_fini(&index);
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

static double score(const struct mt_leak *leak)
{
    double allocations = (double)leak->total.count;
    double frees = allocations - (double)leak->live.count;
    return 1 - ((frees > 0 ? frees : 0) + 1) / (allocations + 2);
}

static int compare_leaks(const void *a, const void *b)
{
    const struct mt_leak *x = a, *y = b;
    if (x->live.bytes != y->live.bytes) {
        return x->live.bytes > y->live.bytes ? -1 : 1;
    }
    if (x->live.count != y->live.count) {
        return x->live.count > y->live.count ? -1 : 1;
    }
    if (x->trace_idx != y->trace_idx) {
        return x->trace_idx < y->trace_idx ? -1 : 1;
    }
    return x->stack < y->stack ? -1 : x->stack > y->stack;
}

static bool is_timed(const struct mt_trace *trace)
{
    return (mt_trace_info(trace)->flags & MT_TRACE_AGGREGATE) == 0;
}

static void keep_rows(const struct maker *m, const struct mt_trace_set *set, const struct mt_axis *axis,
                      double min_age_s, struct mt_leaks *ret)
{
    ret->rows = mt_alloc(m->count * sizeof *ret->rows);
    for (size_t i = 0; i < m->count; i++) {
        struct mt_leak leak = m->rows[i].leak;
        uint64_t oldest = m->rows[i].oldest_ns, end_ns = axis->spans[leak.trace_idx].end_ns;
        leak.age_s = oldest < end_ns ? (double)(end_ns - oldest) * 1e-9 : 0;
        leak.score = score(&leak);
        leak.timed = is_timed(set->traces[leak.trace_idx]);
        if (leak.live.count > 0 && leak.age_s >= min_age_s) {
            mt_amount_add(&ret->sum, &leak.live);
            ret->rows[ret->count++] = leak;
        }
    }
    qsort(ret->rows, ret->count, sizeof *ret->rows, compare_leaks);
}

mt_status mt_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_frames *frames,
                        double min_age_s, uint64_t thread_tid, struct mt_leaks *ret)
{
    struct maker m = { 0 };
    *ret = (struct mt_leaks){ 0 };
    for (size_t i = 0; i < analysis->site_count; i++) {
        const struct mt_site *site = &analysis->sites[i];
        if (site->storage == MT_STORAGE_HEAP && thread_matches(set, site, thread_tid)) {
            add_site(row_of(&m, site), site);
        }
    }
    if (frames != NULL) {
        merge_shown(&m, frames);
    }
    keep_rows(&m, set, &analysis->axis, min_age_s, ret);
    mt_index_fini(&m.index);
    free(m.rows);
    return MT_OK;
}

void mt_leaks_fini(struct mt_leaks *leaks)
{
    free(leaks->rows);
    *leaks = (struct mt_leaks){ 0 };
}
