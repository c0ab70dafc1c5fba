/* leaks.c: see leaks.h. Context: [tool]. */
#include "analysis/leaks.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row while it is summed up: first a stack of a thread or allocator, as far as the grouping tells them apart, then what
 * the grouping says. */
struct row {
    struct mt_leak leak;
    uint64_t heaviest; /* live bytes of its heaviest stack, + 1 */
    uint64_t first_ns;
    double held_byte_s;      /* integral of what was alive since first_ns */
    double could_hold_byte_s; /* had all that is alive been there since first_ns, in each process; of a row of the report */
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
                           .oldest_ns = UINT64_MAX,
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
    m->rows[m->count] = (struct row){ .leak = key, .first_ns = UINT64_MAX };
    mt_index_add(&m->index, hash, (uint32_t)m->count);
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
    row->leak.oldest_ns = site->oldest_ns < row->leak.oldest_ns ? site->oldest_ns : row->leak.oldest_ns;
    row->first_ns = site->first_ns < row->first_ns ? site->first_ns : row->first_ns;
    row->held_byte_s += site->held_byte_s;
    row->leak.moved += site->moved_count;
}

/* ---- rows of the report ------------------------------------------------------------------------------------------ */

static double age_of(const struct row *row, const struct mt_live_at *live_at)
{
    uint64_t end_ns = live_at[row->leak.trace_idx].time_ns;
    return row->leak.oldest_ns < end_ns ? (double)(end_ns - row->leak.oldest_ns) * 1e-9 : 0;
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
    to->leak.moved += from->leak.moved;
    to->held_byte_s += from->held_byte_s;
    to->leak.age_s = from->leak.age_s > to->leak.age_s ? from->leak.age_s : to->leak.age_s;
    to->leak.oldest_ns = first || from->leak.oldest_ns < to->leak.oldest_ns ? from->leak.oldest_ns : to->leak.oldest_ns;
    to->leak.timed = from->leak.timed && (first || to->leak.timed);
    if (from->leak.live.bytes + 1 > to->heaviest) {
        to->heaviest = from->leak.live.bytes + 1;
        to->leak.trace_idx = from->leak.trace_idx;
        to->leak.stack = from->leak.stack;
        to->leak.stream = from->leak.stream;
        to->leak.allocator = from->leak.allocator;
    }
}

/* ---- since when it is held ------------------------------------------------------------------------------------------ */

/* What one process holds at one row of the report. */
struct holding {
    uint32_t row, trace_idx;
    uint64_t first_ns, live_bytes;
};

static int compare_holdings(const void *a, const void *b)
{
    const struct holding *x = a, *y = b;
    if (x->row != y->row) {
        return x->row < y->row ? -1 : 1;
    }
    return (x->trace_idx > y->trace_idx) - (x->trace_idx < y->trace_idx);
}

/* Each process by itself: a pool of workers that fill a table each does not grow. */
static void add_holdings(struct row *rows, struct holding *holdings, size_t count, const struct mt_live_at *live_at)
{
    qsort(holdings, count, sizeof *holdings, compare_holdings);
    for (size_t i = 0, next; i < count; i = next) {
        struct holding of = holdings[i];
        for (next = i + 1; next < count && compare_holdings(&of, &holdings[next]) == 0; next++) {
            of.first_ns = holdings[next].first_ns < of.first_ns ? holdings[next].first_ns : of.first_ns;
            of.live_bytes += holdings[next].live_bytes;
        }
        uint64_t end_ns = live_at[of.trace_idx].time_ns;
        double seconds = of.first_ns < end_ns ? (double)(end_ns - of.first_ns) * 1e-9 : 0;
        rows[of.row].could_hold_byte_s += of.first_ns == UINT64_MAX ? NAN : (double)of.live_bytes * seconds;
    }
}

static struct holding holding_of(const struct row *from, size_t row)
{
    return (struct holding){ .row = (uint32_t)row, .trace_idx = from->leak.trace_idx, .first_ns = from->first_ns, .live_bytes = from->leak.live.bytes };
}

/* Where each stack is a row. */
static void hold_stacks(struct maker *m, const struct mt_live_at *live_at)
{
    struct holding *holdings = mt_alloc((m->count + 1) * sizeof *holdings);
    for (size_t i = 0; i < m->count; i++) {
        holdings[i] = holding_of(&m->rows[i], i);
    }
    add_holdings(m->rows, holdings, m->count, live_at);
    free(holdings);
}

/* From rows of stacks to the rows the grouping makes of them. */
static void group_rows(struct maker *m, struct mt_grouping *g, const struct mt_live_at *live_at, struct mt_frames *frames, struct mt_rowstacks *stacks)
{
    struct row *rows = NULL;
    struct holding *holdings = mt_alloc((m->count + 1) * sizeof *holdings);
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
        holdings[i] = holding_of(&m->rows[i], number);
        mt_rowstacks_add(stacks, &rows[number].leak.stacks,
                         (struct mt_row_stack){ .trace_idx = leak->trace_idx,
                                                .stack = leak->stack,
                                                .allocator = leak->allocator,
                                                .bytes = leak->live.bytes });
    }
    add_holdings(rows, holdings, m->count, live_at);
    free(holdings);
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
        m->rows[i].leak.group = (uint32_t)i;
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
    return 1 - ((double)leak->freed + 1) / ((double)leak->total.count + 2);
}

static uint64_t freed_of(const struct mt_leak *leak)
{
    uint64_t kept = leak->live.count + leak->moved;
    return leak->total.count > kept ? leak->total.count - kept : 0;
}

/* Most of what is alive came over time. */
static bool grows(const struct row *row, double run_s)
{
    enum { FIFTHS_HELD_MOST = 4 };
    return isnan(row->could_hold_byte_s) ? row->leak.growth_bytes_per_s * run_s > (double)row->leak.live.bytes / 2
                                         : row->held_byte_s * 5 < row->could_hold_byte_s * FIFTHS_HELD_MOST;
}

static bool is_suspect(const struct row *row, uint64_t own_bytes, double run_s)
{
    enum { MANY_BLOCKS = 100, FREED_SHARE = 20, BYTES_SHARE = 20 };
    const struct mt_leak *leak = &row->leak;
    bool much = leak->live.count >= MANY_BLOCKS || leak->moved >= MT_LEAK_STEPS;
    return leak->timed && !leak->import && leak->total.bytes_variance <= 0 && much && leak->freed * FREED_SHARE <= leak->total.count &&
           leak->live.bytes * BYTES_SHARE >= own_bytes && grows(row, run_s);
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

static uint64_t own_bytes(const struct maker *m)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->count; i++) {
        bytes += m->rows[i].leak.import ? 0 : m->rows[i].leak.live.bytes;
    }
    return bytes;
}

static void keep_rows(struct maker *m, double min_age_s, double run_s, struct mt_leaks *ret)
{
    uint64_t own = own_bytes(m);
    ret->rows = mt_alloc(m->count * sizeof *ret->rows);
    for (size_t i = 0; i < m->count; i++) {
        m->rows[i].leak.freed = freed_of(&m->rows[i].leak);
        struct mt_leak leak = m->rows[i].leak;
        leak.score = score(&leak);
        leak.suspect = is_suspect(&m->rows[i], own, run_s);
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
        group_rows(&m, grouping, analysis->live_at, mt_grouping_frames(grouping), &ret->stacks);
        describe(&m, grouping, ret);
    } else {
        hold_stacks(&m, analysis->live_at);
    }
    keep_rows(&m, min_age_s, (double)analysis->totals.duration_ns * 1e-9, ret);
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
