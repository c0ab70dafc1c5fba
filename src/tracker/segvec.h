/* segvec.h: an array that grows without moving and gives every item a number.
 *
 * Decides: storage comes in segments that double (segment k holds first << k items), each its own anonymous mapping, so that
 * growth copies nothing, addresses stay valid, and untouched pages cost nothing. Invariant: an item once made stays until
 * fini. Growth by one thread at a time (the owner's lock); reading items below count needs no lock.
 * Rejected: one reserved range (30 GB of address space fails under ulimit -v and strict overcommit).
 */
#ifndef MT_TRACKER_SEGVEC_H
#define MT_TRACKER_SEGVEC_H

#include "base/atomic.h"
#include "base/os.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { MT_SEGVEC_MAX = 24 };

struct mt_segvec {
    uint8_t *segment[MT_SEGVEC_MAX];
    uint32_t item_bytes;
    uint32_t first_log2; /* items of segment 0 */
    uint32_t count;      /* writers: owner; pairing T1: release in add with acquire in readers without the lock */
    uint64_t mapped_bytes;
};

MT_INLINE void mt_segvec_init(struct mt_segvec *s, uint32_t item_bytes, uint32_t first_log2)
{
    *s = (struct mt_segvec){ .item_bytes = item_bytes, .first_log2 = first_log2 };
}

MT_INLINE uint32_t mt_segvec_which(const struct mt_segvec *s, uint32_t index)
{
    return 31u - (uint32_t)__builtin_clz((index >> s->first_log2) + 1u);
}

/* index < count, or the one reserved. */
MT_INLINE void *mt_segvec_at(const struct mt_segvec *s, uint32_t index)
{
    uint32_t which = mt_segvec_which(s, index);
    uint32_t before = ((1u << which) - 1u) << s->first_log2;
    return s->segment[which] + (size_t)(index - before) * s->item_bytes;
}

/* Makes sure that item number count can be written (it reads as zero bytes). */
mt_status mt_segvec_reserve(struct mt_segvec *s) MT_CHECKED;
/* Item number count, reserved before, is there from now on. */
MT_INLINE void mt_segvec_publish(struct mt_segvec *s)
{
    mt_store_release(&s->count, s->count + 1u);
}
/* Both; the item's number in *ret. */
mt_status mt_segvec_add(struct mt_segvec *s, uint32_t *ret) MT_CHECKED;
void mt_segvec_fini(struct mt_segvec *s);

#endif
