/* totals_private.h: what totals.c and totals_copy.c share. */
#ifndef MT_HEAP_TOTALS_PRIVATE_H
#define MT_HEAP_TOTALS_PRIVATE_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/lock.h"
#include "heap/hashtab.h"
#include "heap/totals.h"

enum { MT_TOTALS_POINTS = 1024 }; /* even */

/* Everything but broken under the lock. */
struct mt_totals_state {
    struct mt_spinlock lock;
    struct mt_totals_row *rows;
    uint64_t count, capacity;
    struct mt_hashtab row_of; /* hash(place) -> row, 1-based */
    uint64_t current, current_count; /* sums of what is alive, in units */
    uint64_t peak, peak_number, peak_clock;
    uint64_t rise_clock;      /* when it last grew */
    uint64_t free_row;        /* + 1; the next one in its rate_bytes; 0: none */
    struct mt_totals_point points[MT_TOTALS_POINTS]; /* intervals that have ended */
    size_t point_count;
    uint64_t due_clock, step_ns; /* the end of the present one, and how long each is */
    uint64_t most;               /* bytes in the present one */
    uint32_t program_fpu;     /* of the thread that has the lock (base/fpu.h) */
    uint32_t stream, label;   /* of the record of a range that is being counted */
    bool arenas;              /* the interpreter's count as memory */
    bool broken;              /* shared: nothing is said any more */
};
extern struct mt_totals_state mt_g_totals MT_HIDDEN;

/* False: nothing is to be counted. */
bool mt_totals_enter(void) MT_CHECKED;
void mt_totals_leave(void);
/* The row of that place, made if need be; key: with no sums. NULL: no memory. Valid until the next row is made. */
struct mt_totals_row *mt_totals_row_locked(const struct mt_totals_row *key);
/* The row at that place can be found. False: no memory. */
bool mt_totals_index_locked(uint64_t at) MT_CHECKED;
/* Of a row that was freed. */
MT_INLINE bool mt_totals_is_free(const struct mt_totals_row *row)
{
    return row->stack == UINT32_MAX;
}
/* It can still be found until all are indexed anew. */
void mt_totals_free_row_locked(uint64_t at);
/* What a row held at the peak is kept before it changes. */
void mt_totals_rebase_locked(struct mt_totals_row *row);
/* Time goes on to clock: intervals end. totals_time.c */
void mt_totals_pass_time_locked(struct mt_totals_state *s, uint64_t clock);
void mt_totals_begin_time(struct mt_totals_state *s, uint64_t clock);
/* The intervals so far, at most `most` of them, the last one up to the horizon; returns how many. */
size_t mt_totals_copy_points_locked(struct mt_totals_state *s, struct mt_totals_point *to, size_t most, uint64_t horizon);
/* Is what is held now more than ever before? Then that is the peak. */
void mt_totals_note_peak_locked(void);
void mt_totals_add(struct mt_totals_sum *to, const struct mt_totals_sum *sum, int sign);

#endif
