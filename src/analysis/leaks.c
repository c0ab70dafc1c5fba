/* leaks.c: see leaks.h. Context: [tool]. */
#include "analysis/leaks.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* A row while it is summed up: first a stack of a thread or allocator, as far as the grouping tells them apart, then what
 * the grouping says. */
struct row {
    struct mt_leak leak;
    uint64_t oldest_ns;
    uint64_t heaviest; /* live bytes of its heaviest stack, + 1 */
};

struct maker {
    bool grouped;
    enum mt_table_by by;
    struct row *rows;
    size_t count, capacity;
    struct mt_index index;
};

static uint64_t row_hash(const struct mt_leak *leak)
{
    return mt_hash_pair((uint64_t)leak->trace_idx << 32 | leak->stack, mt_hash_pair((uint64_t)leak->stream << 32 | leak->label, leak->allocator));
}

static uint64_t rehash_row(const void *context, uint32_t position)
{
    const struct maker *m = context;
    return row_hash(&m->rows[position].leak);
}

static bool same_stack(const struct mt_leak *a, const struct mt_leak *b)
{
    return a->trace_idx == b->trace_idx && a->stack == b->stack && a->stream == b->stream && a->label == b->label &&
           a->allocator == b->allocator;
}

static struct row *row_of(struct maker *m, const struct mt_site *site)
{
    struct mt_leak key = { .trace_idx = site->trace_idx,
                           .stack = site->stack,
                           .stream = m->by == MT_BY_THREAD ? site->stream : 0,
                           .label = mt_table_by_is_label(m->by) ? site->label : 0,
                           .allocator = m->grouped ? site->allocator : 0,
                           .frame = UINT32_MAX };
    uint64_t hash = row_hash(&key);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&m->index, hash, &probe)) != MT_INDEX_NONE) {
        if (same_stack(&m->rows[at].leak, &key)) {
            return &m->rows[at];
        }
    }
    m->rows = mt_alloc_grow(m->rows, &m->capacity, m->count + 1, sizeof *m->rows);
    m->rows[m->count] = (struct row){ .leak = key, .oldest_ns = UINT64_MAX };
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

/* ---- rows of the report ------------------------------------------------------------------------------------------ */

static double age_of(const struct row *row, const struct mt_live_at *live_at)
{
    uint64_t end_ns = live_at[row->leak.trace_idx].time_ns;
    return row->oldest_ns < end_ns ? (double)(end_ns - row->oldest_ns) * 1e-9 : 0;
}

static bool is_timed(const struct mt_trace *trace)
{
    return (mt_trace_info(trace)->flags & MT_TRACE_AGGREGATE) == 0;
}

/* Adds the row of one stack to that of the report. */
static void add_row(struct row *to, const struct row *from)
{
    bool first = to->heaviest == 0;
    mt_amount_add(&to->leak.live, &from->leak.live);
    mt_amount_add(&to->leak.total, &from->leak.total);
    to->leak.growth_bytes_per_s += from->leak.growth_bytes_per_s;
    to->leak.age_s = from->leak.age_s > to->leak.age_s ? from->leak.age_s : to->leak.age_s;
    to->leak.timed = from->leak.timed && (first || to->leak.timed);
    if (from->leak.live.bytes + 1 > to->heaviest) {
        to->heaviest = from->leak.live.bytes + 1;
        to->leak.trace_idx = from->leak.trace_idx;
        to->leak.stack = from->leak.stack;
        to->leak.stream = from->leak.stream;
        to->leak.allocator = from->leak.allocator;
    }
}

/* From rows of stacks to the rows the grouping makes of them. */
static void group_rows(struct maker *m, struct mt_grouping *g, struct mt_frames *frames, struct mt_rowstacks *stacks)
{
    struct row *rows = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct mt_leak *leak = &m->rows[i].leak;
        struct mt_frame_list list = mt_frames_stack(frames, leak->trace_idx, leak->stack);
        struct mt_grouping_item item = { leak->trace_idx, leak->stack, leak->stream, leak->label, leak->allocator };
        uint32_t number = mt_grouping_row(g, &item, &list);
        if (number >= count) {
            rows = mt_alloc_grow(rows, &capacity, (size_t)number + 1, sizeof *rows);
            memset(rows + count, 0, (number + 1 - count) * sizeof *rows);
            count = (size_t)number + 1;
        }
        add_row(&rows[number], &m->rows[i]);
        mt_rowstacks_add(stacks, &rows[number].leak.stacks,
                         (struct mt_row_stack){ .trace_idx = leak->trace_idx,
                                                .stack = leak->stack,
                                                .allocator = leak->allocator,
                                                .bytes = leak->live.bytes });
    }
    free(m->rows);
    m->rows = rows;
    m->count = count;
}

/* What the grouping knows of its rows; names move into one text of the list. */
static void describe(struct maker *m, const struct mt_grouping *g, struct mt_leaks *ret)
{
    size_t text_bytes = 1;
    for (size_t i = 0; i < m->count; i++) {
        text_bytes += mt_grouping_group(g, (uint32_t)i)->key_bytes + 1;
    }
    char *text = ret->text = mt_alloc(text_bytes);
    for (size_t i = 0; i < m->count; i++) {
        const struct mt_group *group = mt_grouping_group(g, (uint32_t)i);
        m->rows[i].leak.frame = group->frame;
        m->rows[i].leak.import = group->import;
        if (group->name != NULL) {
            memcpy(text, group->key, group->key_bytes);
            text[group->key_bytes] = '\0';
            m->rows[i].leak.name = text;
            text += group->key_bytes + 1;
        }
    }
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

/* Keeps the stacks of which something is alive. */
static void drop_freed(struct maker *m, const struct mt_trace_set *set, const struct mt_live_at *live_at)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct row *row = &m->rows[i];
        row->leak.age_s = age_of(row, live_at);
        row->leak.timed = is_timed(set->traces[row->leak.trace_idx]);
        if (row->leak.live.count > 0) {
            m->rows[kept++] = *row;
        }
    }
    m->count = kept;
}

static void keep_rows(const struct maker *m, double min_age_s, struct mt_leaks *ret)
{
    ret->rows = mt_alloc(m->count * sizeof *ret->rows);
    for (size_t i = 0; i < m->count; i++) {
        struct mt_leak leak = m->rows[i].leak;
        leak.score = score(&leak);
        if (leak.live.count > 0 && leak.age_s >= min_age_s) {
            mt_amount_add(&ret->sum, &leak.live);
            ret->rows[ret->count++] = leak;
        }
    }
    qsort(ret->rows, ret->count, sizeof *ret->rows, compare_leaks);
}

mt_status mt_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_grouping *grouping,
                        double min_age_s, uint64_t thread_tid, struct mt_leaks *ret)
{
    struct maker m = { .grouped = grouping != NULL, .by = grouping != NULL ? mt_grouping_by(grouping) : MT_BY_LINE };
    *ret = (struct mt_leaks){ 0 };
    for (size_t i = 0; i < analysis->site_count; i++) {
        const struct mt_site *site = &analysis->sites[i];
        if (site->storage == MT_STORAGE_HEAP && thread_matches(set, site, thread_tid)) {
            add_site(row_of(&m, site), site);
        }
    }
    drop_freed(&m, set, analysis->live_at);
    if (grouping != NULL) {
        group_rows(&m, grouping, mt_grouping_frames(grouping), &ret->stacks);
        describe(&m, grouping, ret);
    }
    keep_rows(&m, min_age_s, ret);
    mt_index_fini(&m.index);
    free(m.rows);
    return MT_OK;
}

void mt_leaks_fini(struct mt_leaks *leaks)
{
    mt_rowstacks_fini(&leaks->stacks);
    free(leaks->rows);
    free(leaks->text);
    *leaks = (struct mt_leaks){ 0 };
}
