/* biggest.c: see biggest.h. Context: [tool]. */
#include "analysis/biggest.h"

#include "util/memory.h"

#include <stdlib.h>

/* Stacks named at first; each further round names so many times more. */
enum { FIRST_NAMED = 16, FACTOR = 4 };
/* Of the whole: what a line of Python, and a native one, holds to be told of before imports. A smaller share of native ones would need
 * all names of every Python's start. */
enum { FIFTIETH = 50, TENTH = 10 };

static bool is_share(uint64_t bytes, unsigned share, uint64_t sum_bytes)
{
    return bytes * share >= sum_bytes;
}

/* Is this a row that stacks without Python frames have no part of? Native frames have a module or no file. */
static bool is_closed(struct mt_frames *frames, const struct mt_table_row *row)
{
    const struct mt_frame *frame = mt_frames_frame(frames, row->frame);
    return row->import || (frame->kind == MT_FRAME_PYTHON && frame->file[0] != '\0');
}

/* Enough to be told of before imports? */
static bool is_much(struct mt_frames *frames, const struct mt_table_row *row, uint64_t sum_bytes)
{
    return !row->import && is_share(row->self.bytes, is_closed(frames, row) ? FIFTIETH : TENTH, sum_bytes);
}

const struct mt_table_row *mt_biggest_row(const struct mt_table *table, struct mt_frames *frames)
{
    for (size_t i = 0; i < table->count; i++) {
        if (is_much(frames, &table->rows[i], table->sum.bytes)) {
            return &table->rows[i];
        }
    }
    return table->count > 0 ? &table->rows[0] : NULL;
}

struct search {
    const struct mt_trace_set *set;
    struct mt_places *places;
    struct mt_profile known;   /* stacks whose frames need no symbols; borrows rows */
    struct mt_profile unnamed; /* the others, largest first; borrows rows */
};

/* What a table of the known stacks says. */
struct leaders {
    const struct mt_table_row *line, *import; /* the largest that no unnamed stack can belong to; NULL: none, or two are equal */
    uint64_t line_bytes, import_bytes;
    uint64_t open_bytes; /* the largest row that unnamed stacks may add to */
};

/* ---- stacks ----------------------------------------------------------------------------------------------------------- */

static void add_row(struct mt_profile *to, const struct mt_profile_row *row)
{
    to->rows[to->count++] = *row;
    to->sum.bytes += row->amount.bytes;
}

/* A row and where it belongs: the number of the trace and of the Python node. */
struct keyed {
    uint64_t key;
    size_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = (x->key > y->key) - (x->key < y->key);
    return order != 0 ? order : (x->row > y->row) - (x->row < y->row);
}

/* Stacks of one place of a Python program one after the other, so that its frames are looked up once. */
static void sort_by_python(const struct mt_trace_set *set, struct mt_profile *p)
{
    struct mt_profile_row *rows = mt_alloc(p->count * sizeof *rows + 1);
    struct keyed *keyed = mt_alloc(p->count * sizeof *keyed + 1);
    for (size_t i = 0; i < p->count; i++) {
        uint32_t python = mt_trace_stack(set->traces[p->rows[i].trace_idx], p->rows[i].stack).python;
        rows[i] = p->rows[i];
        keyed[i] = (struct keyed){ (uint64_t)rows[i].trace_idx << 32 | python, i };
    }
    qsort(keyed, p->count, sizeof *keyed, by_key);
    for (size_t i = 0; i < p->count; i++) {
        p->rows[i] = rows[keyed[i].row];
    }
    free(keyed);
    free(rows);
}

/* The unnamed in the profile's order. */
static struct mt_profile_row *split(struct search *s, const struct mt_profile *profile)
{
    struct mt_frames *frames = mt_places_frames(s->places);
    struct mt_profile_row *rows = mt_alloc(2 * (profile->count + 1) * sizeof *rows);
    s->known.rows = rows;
    s->unnamed.rows = rows + profile->count;
    for (size_t i = 0; i < profile->count; i++) {
        const struct mt_profile_row *row = &profile->rows[i];
        add_row(mt_frames_need_symbols(frames, row->trace_idx, row->stack) ? &s->unnamed : &s->known, row);
    }
    sort_by_python(s->set, &s->known);
    return rows;
}

/* Rows come largest first. The order of equal ones depends on their totals. */
static void take_leader(const struct mt_table_row *row, const struct mt_table_row **leader, uint64_t *bytes)
{
    if (*bytes == 0) {
        *leader = row;
        *bytes = row->self.bytes;
    } else if (*bytes == row->self.bytes) {
        *leader = NULL;
    }
}

static struct leaders leaders_of(struct search *s, const struct mt_table *table)
{
    struct mt_frames *frames = mt_places_frames(s->places);
    struct leaders l = { 0 };
    for (size_t i = 0; i < table->count; i++) {
        const struct mt_table_row *row = &table->rows[i];
        if (!is_closed(frames, row)) {
            l.open_bytes = row->self.bytes > l.open_bytes ? row->self.bytes : l.open_bytes;
        } else if (row->import) {
            take_leader(row, &l.import, &l.import_bytes);
        } else {
            take_leader(row, &l.line, &l.line_bytes);
        }
    }
    return l;
}

/* ---- certainty -------------------------------------------------------------------------------------------------------- */

/* The row, when no native line holds more than other_bytes; NULL: that is not enough to know. */
static const struct mt_table_row *decide(const struct leaders *l, uint64_t other_bytes, uint64_t sum_bytes)
{
    bool other = is_share(other_bytes, TENTH, sum_bytes);
    if (l->line_bytes > 0 && is_share(l->line_bytes, FIFTIETH, sum_bytes)) {
        return !other || l->line_bytes > other_bytes ? l->line : NULL;
    }
    if (other || l->line_bytes == l->import_bytes) {
        return NULL;
    }
    bool line = l->line_bytes > l->import_bytes;
    return (line ? l->line_bytes : l->import_bytes) > other_bytes ? (line ? l->line : l->import) : NULL;
}

/* The most that one row can have of the unnamed stacks, when the first `count` of them are looked up. */
static uint64_t most_of_unnamed(struct search *s, size_t count)
{
    static const struct mt_grouping_options by_line = { .by = MT_BY_LINE, .self_only = true };
    struct mt_profile named = s->unnamed;
    struct mt_table table = { 0 };
    uint64_t bytes = s->unnamed.sum.bytes, most = 0;
    named.count = count;
    for (size_t i = 0; i < count; i++) {
        bytes -= named.rows[i].amount.bytes;
    }
    if (count > 0 && mt_table_make(s->set, &named, s->places, &by_line, &table) == MT_OK) {
        most = table.rows[0].self.bytes;
    }
    mt_table_fini(&table);
    return most + bytes;
}

static const struct mt_table_row *find(struct search *s, const struct mt_table *known, uint64_t sum_bytes)
{
    struct leaders l = leaders_of(s, known);
    const struct mt_table_row *row = decide(&l, l.open_bytes + s->unnamed.sum.bytes, sum_bytes);
    for (size_t count = FIRST_NAMED; row == NULL && count < s->unnamed.count; count *= FACTOR) {
        row = decide(&l, l.open_bytes + most_of_unnamed(s, count), sum_bytes);
    }
    return row;
}

mt_status mt_biggest_make(const struct mt_trace_set *set, const struct mt_profile *profile, struct mt_places *places,
                          struct mt_table *ret, const struct mt_table_row **ret_row)
{
    static const struct mt_grouping_options by_line = { .by = MT_BY_LINE, .self_only = true };
    struct search s = { .set = set, .places = places };
    struct mt_profile_row *rows = split(&s, profile);
    mt_status status = MT_OK;
    *ret = (struct mt_table){ 0 };
    *ret_row = NULL;
    if (s.known.count > 0) {
        status = mt_table_make(set, &s.known, places, &by_line, ret);
        *ret_row = status == MT_OK ? find(&s, ret, profile->sum.bytes) : NULL;
    }
    if (status == MT_OK && *ret_row == NULL) {
        mt_table_fini(ret);
        status = mt_table_make(set, profile, places, NULL, ret);
        *ret_row = status == MT_OK ? mt_biggest_row(ret, mt_places_frames(places)) : NULL;
    }
    free(rows);
    return status;
}
