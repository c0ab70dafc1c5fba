/* totals.c: see totals.h. What a base takes of it: totals_copy.c. */
#include "heap/totals.h"

#include "base/fpu.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/weight.h"
#include "heap/aggregate_private.h"
#include "heap/bound.h"
#include "heap/slots.h"
#include "heap/totals_private.h"

#include <string.h>

enum { FIRST_ROWS = 512 };

struct mt_totals_state mt_g_totals = { .lock = MT_SPINLOCK_INIT(MT_RANK_TOTALS), .row_of = { .locked = true } };

bool mt_g_totals_are_kept;

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct mt_totals_row *row)
{
    uint64_t place = mt_hash_pair((uint64_t)row->stack << 32 | row->allocator, (uint64_t)row->stream << 32 | row->label);
    return mt_hash_step(place, row->rate_bytes) | 1;
}

static bool grow_rows_locked(void)
{
    void *base = NULL;
    uint64_t capacity = mt_g_totals.capacity == 0 ? FIRST_ROWS : 2 * mt_g_totals.capacity;
    if (mt_os_map_anonymous(capacity * sizeof *mt_g_totals.rows, &base) != MT_OK) {
        return false;
    }
    struct mt_totals_row *old = mt_g_totals.rows;
    uint64_t old_bytes = mt_g_totals.capacity * sizeof *old;
    if (old != NULL) {
        memcpy(base, old, mt_g_totals.count * sizeof *old);
    }
    mt_g_totals.rows = base;
    mt_g_totals.capacity = capacity;
    mt_fence_compiler();
    if (old != NULL) { /* last: another thread may fork at any time, and the child goes on with what stands here */
        mt_os_unmap(old, old_bytes);
    }
    return true;
}

bool mt_totals_index_locked(uint64_t at)
{
    return mt_hashtab_put(&mt_g_totals.row_of, hash_of(&mt_g_totals.rows[at]), (uint32_t)at + 1);
}

/* Where a new row goes; UINT64_MAX: no memory. */
static uint64_t place_locked(void)
{
    if (mt_g_totals.free_row != 0) {
        uint64_t at = mt_g_totals.free_row - 1;
        mt_g_totals.free_row = mt_g_totals.rows[at].rate_bytes;
        return at;
    }
    bool room = mt_g_totals.count < UINT32_MAX - 1 && (mt_g_totals.count < mt_g_totals.capacity || grow_rows_locked());
    return room ? mt_g_totals.count++ : UINT64_MAX;
}

void mt_totals_free_row_locked(uint64_t at)
{
    mt_g_totals.rows[at] = (struct mt_totals_row){ .stack = UINT32_MAX, .rate_bytes = mt_g_totals.free_row };
    mt_g_totals.free_row = at + 1;
}

/* A new row has not changed since the peak: it held nothing then. */
static struct mt_totals_row *new_row_locked(const struct mt_totals_row *key)
{
    uint64_t at = place_locked();
    if (at == UINT64_MAX) {
        return NULL;
    }
    mt_g_totals.rows[at] = *key;
    return mt_totals_index_locked(at) ? &mt_g_totals.rows[at] : NULL;
}

struct mt_totals_row *mt_totals_row_locked(const struct mt_totals_row *key)
{
    uint32_t number;
    if (mt_hashtab_get(&mt_g_totals.row_of, hash_of(key), &number)) {
        return &mt_g_totals.rows[number - 1];
    }
    return new_row_locked(key);
}

/* ---- what is alive --------------------------------------------------------------------------------------------------- */

void mt_totals_add(struct mt_totals_sum *to, const struct mt_totals_sum *sum, int sign)
{
    to->bytes += sign > 0 ? sum->bytes : -sum->bytes;
    to->count += sign > 0 ? sum->count : -sum->count;
    to->bytes_variance += sign * sum->bytes_variance;
    to->count_variance += sign * sum->count_variance;
}

void mt_totals_rebase_locked(struct mt_totals_row *row)
{
    if (row->peak_number != mt_g_totals.peak_number) {
        row->peak_number = mt_g_totals.peak_number;
        row->peak = row->live;
    }
}

static void grow_locked(struct mt_totals_row *row, uint64_t clock, const struct mt_totals_sum *sum)
{
    mt_totals_pass_time_locked(&mt_g_totals, clock);
    mt_totals_rebase_locked(row);
    mt_totals_add(&row->live, sum, 1);
    mt_g_totals.current += sum->bytes;
    mt_g_totals.current_count += sum->count;
    mt_g_totals.most = mt_g_totals.current > mt_g_totals.most ? mt_g_totals.current : mt_g_totals.most;
    mt_g_totals.rise_clock = clock > mt_g_totals.rise_clock && sum->bytes > 0 ? clock : mt_g_totals.rise_clock;
}

/* Before anything goes away a rise has ended. */
void mt_totals_note_peak_locked(void)
{
    if (mt_g_totals.current > mt_g_totals.peak) {
        mt_g_totals.peak = mt_g_totals.current;
        mt_g_totals.peak_clock = mt_g_totals.rise_clock;
        mt_g_totals.peak_number++;
    }
}

static void shrink_locked(struct mt_totals_row *row, uint64_t clock, const struct mt_totals_sum *sum)
{
    mt_totals_pass_time_locked(&mt_g_totals, clock);
    mt_totals_note_peak_locked();
    mt_totals_rebase_locked(row);
    mt_totals_add(&row->live, sum, -1);
    mt_g_totals.current -= sum->bytes;
    mt_g_totals.current_count -= sum->count;
    if (row->live.count == 0) { /* rounding does not outlive the last one */
        row->live.bytes_variance = row->live.count_variance = 0;
    }
}

/* ---- the door -------------------------------------------------------------------------------------------------------- */

void mt_totals_give_up(void)
{
    mt_store_relaxed(&mt_g_totals.broken, true);
}

bool mt_totals_enter(void)
{
    if (!mt_bound_is_on() || mt_load_relaxed(&mt_g_totals.broken)) {
        return false;
    }
    bool had = mt_spinlock_lock(&mt_g_totals.lock);
    if (!had) {
        mt_totals_give_up();
        return false;
    }
    mt_g_totals.program_fpu = mt_fpu_enter();
    return true;
}

void mt_totals_leave(void)
{
    mt_fpu_leave(mt_g_totals.program_fpu);
    mt_spinlock_unlock(&mt_g_totals.lock);
}

static struct mt_totals_sum weight_of(uint64_t size, uint64_t rate_bytes)
{
    struct mt_weight w = mt_weight_of(size, rate_bytes);
    return (struct mt_totals_sum){ .bytes = mt_weight_units(w.bytes, MT_WEIGHT_SCALE_BITS),
                                   .count = mt_weight_units(w.count, MT_WEIGHT_SCALE_BITS),
                                   .bytes_variance = w.bytes_variance,
                                   .count_variance = w.count_variance };
}

/* Its row; NULL, and nothing is said any more, without memory. */
static struct mt_totals_row *row_of_locked(const struct mt_sample *sample)
{
    struct mt_totals_row *row = mt_totals_row_locked(&(struct mt_totals_row){ .stack = sample->birth.stack,
                                                                              .allocator = sample->birth.allocator,
                                                                              .stream = sample->birth.stream,
                                                                              .label = sample->birth.label,
                                                                              .rate_bytes = sample->rate_bytes });
    if (row == NULL) {
        mt_totals_give_up();
    }
    return row;
}

void mt_totals_began(const struct mt_sample *sample)
{
    if (!mt_totals_enter()) {
        return;
    }
    struct mt_totals_row *row = row_of_locked(sample);
    if (row != NULL) {
        struct mt_totals_sum sum = weight_of(sample->size, sample->rate_bytes);
        grow_locked(row, sample->birth.clock, &sum);
    }
    mt_totals_leave();
}

void mt_totals_ended(const struct mt_sample *sample, uint64_t clock)
{
    if (!mt_totals_enter()) {
        return;
    }
    struct mt_totals_row *row = row_of_locked(sample);
    if (row != NULL) {
        struct mt_totals_sum sum = weight_of(sample->size, sample->rate_bytes);
        shrink_locked(row, clock, &sum);
    }
    mt_totals_leave();
}

/* Of a block that goes on, what it grew by has been allocated (analysis/pass_growth.c). */
static void leave_growth(struct mt_totals_sum *sum, const struct mt_sample *before)
{
    struct mt_totals_sum was = { 0 };
    if (before->size != 0) {
        was = weight_of(before->size, before->rate_bytes);
    }
    sum->bytes -= was.bytes < sum->bytes ? was.bytes : sum->bytes;
    sum->bytes_variance -= was.bytes_variance;
    sum->count = 0;
    sum->count_variance = 0;
}

void mt_totals_allocated(const struct mt_sample *sample, const struct mt_sample *before)
{
    if (!mt_totals_enter()) {
        return;
    }
    struct mt_totals_row *row = row_of_locked(sample);
    if (row != NULL) {
        struct mt_totals_sum sum = weight_of(sample->size, sample->rate_bytes);
        if (before != NULL) {
            leave_growth(&sum, before);
        }
        mt_totals_add(&row->total, &sum, 1);
    }
    mt_totals_leave();
}

/* ---- ranges: what aggregate_ranges.c calls, in our lock ----------------------------------------------------------------- */

static uint32_t range_row_locked(uint32_t stack, enum mt_allocator allocator)
{
    const struct mt_totals_row *row = mt_totals_row_locked(&(struct mt_totals_row){ .stack = stack,
                                                                                    .allocator = (uint32_t)allocator,
                                                                                    .stream = mt_g_totals.stream,
                                                                                    .label = mt_g_totals.label });
    return row != NULL ? (uint32_t)(row - mt_g_totals.rows) + 1 : MT_AGGREGATE_NO_ROW;
}

static struct mt_totals_sum exactly(uint64_t bytes, uint64_t count)
{
    return (struct mt_totals_sum){ .bytes = bytes << MT_WEIGHT_SCALE_BITS, .count = count << MT_WEIGHT_SCALE_BITS };
}

static void range_grow_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count)
{
    struct mt_totals_row *row = &mt_g_totals.rows[number - 1];
    struct mt_totals_sum sum = exactly(bytes, count);
    grow_locked(row, clock, &sum);
    mt_totals_add(&row->total, &sum, 1);
}

static void range_shrink_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count)
{
    struct mt_totals_sum sum = exactly(bytes, count);
    shrink_locked(&mt_g_totals.rows[number - 1], clock, &sum);
}

static const struct mt_range_books range_books = { range_row_locked, range_grow_locked, range_shrink_locked };

static bool is_access(enum mt_map_kind kind)
{
    return kind == MT_MAP_OPENED || kind == MT_MAP_CLOSED || kind == MT_MAP_EMPTIED;
}

void mt_totals_mapped(const struct mt_birth *birth, uint64_t addr, uint64_t bytes, enum mt_map_kind kind)
{
    if (bytes == 0 || !mt_totals_enter()) {
        return;
    }
    enum mt_map_kind counts_as = kind == MT_MAP_ARENA && mt_g_totals.arenas ? MT_MAP_ANONYMOUS : kind;
    mt_g_totals.stream = birth->stream;
    mt_g_totals.label = birth->label;
    bool kept = is_access(kind) ? mt_aggregate_access_locked(birth->clock, addr, addr + bytes, kind, birth->stack)
                                : mt_aggregate_map_locked(birth->clock, addr, addr + bytes, counts_as, birth->stack);
    mt_totals_leave();
    if (!kept) {
        mt_totals_give_up();
    }
}

void mt_totals_unmapped(uint64_t clock, uint64_t addr, uint64_t bytes)
{
    if (bytes > 0 && mt_totals_enter()) {
        mt_aggregate_unmap_locked(clock, addr, addr + bytes);
        mt_totals_leave();
    }
}

/* ---- beginning ---------------------------------------------------------------------------------------------------------- */

void mt_totals_clear(uint64_t clock, bool arenas)
{
    mt_store_relaxed(&mt_g_totals_are_kept, mt_slots_limit() != 0);
    mt_totals_begin_time(&mt_g_totals, clock);
    mt_hashtab_clear(&mt_g_totals.row_of);
    mt_g_totals.count = mt_g_totals.free_row = 0;
    mt_g_totals.current = mt_g_totals.current_count = mt_g_totals.peak = mt_g_totals.peak_number = 0;
    mt_g_totals.peak_clock = mt_g_totals.rise_clock = 0;
    mt_g_totals.arenas = arenas;
    mt_aggregate_begin_ranges(&range_books);
    mt_store_relaxed(&mt_g_totals.broken, false);
}

void mt_totals_after_fork(void)
{
    mt_spinlock_reset(&mt_g_totals.lock);
    mt_totals_give_up();
}
