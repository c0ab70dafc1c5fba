/* past.h: what was seen before: the amounts at the mark, and those of the last seconds.
 *
 * Decides: a rate is over the last WINDOW of looks, so that it says what happens now; before there are two looks it is over the whole
 * recording. A site that was not there before held nothing then. Context: [tool], pure.
 */
#ifndef MT_TOP_PAST_H
#define MT_TOP_PAST_H

#include "top/look.h"

/* A value over the last seconds. All zero is empty. */
enum { MT_TOP_RING = 16 };
struct mt_top_ring {
    struct {
        uint64_t time_ns;
        double value;
    } items[MT_TOP_RING];
    unsigned count; /* oldest first */
};
void mt_top_ring_add(struct mt_top_ring *ring, uint64_t time_ns, double value);
/* Change a second since the oldest one kept; `otherwise` before there are two. */
double mt_top_ring_rate(const struct mt_top_ring *ring, double otherwise);

/* Of the rows of one kind. */
struct mt_top_past;
struct mt_top_past *mt_top_past_new(void);
void mt_top_past_free(struct mt_top_past *past); /* NULL is fine */
/* Takes in what a look found, and fills in since_mark_bytes and rate_bytes_per_s of its sites, whose rate is that of the whole
 * recording so far. The first look is a mark. */
void mt_top_past_add(struct mt_top_past *past, struct mt_top_look *look, uint64_t now_ns);
/* From now on changes are since the last look. */
void mt_top_past_mark(struct mt_top_past *past, uint64_t now_ns);
/* They are not known any more: the mark was set while other rows were looked at. */
void mt_top_past_unmark(struct mt_top_past *past);
/* When it was; 0: never. */
uint64_t mt_top_past_marked_ns(const struct mt_top_past *past);

#endif
