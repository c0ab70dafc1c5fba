/* countdown.h: the bytes a thread may still allocate before its next sample.
 *
 * Decides: when t_mt.left is set and to what. An exponential step is drawn after each sample and after each change of rate
 * (the distribution has no memory, so an old step may be thrown away). A thread whose TLS nobody else may touch counts down
 * in pieces, so that it notices a change of rate soon. While an allocator call is a sample, left is far away: what the real
 * function allocates itself does not count. Contexts: [hook].
 */
#ifndef MT_HEAP_COUNTDOWN_H
#define MT_HEAP_COUNTDOWN_H

#include "heap/thread.h"

#define MT_COUNTDOWN_FAR (UINT64_MAX / 2) /* countdown of a thread that records nothing */
/* The same while a call is a sample: who jumps out of it is noticed so many bytes later. */
#define MT_COUNTDOWN_CALL ((uint64_t)64 << 20)

/* The countdown ran out (or the rate changed): is this allocation a sample? If so the end of the call draws the next step. */
bool mt_countdown_ended(struct mt_thread *t, size_t size) MT_CHECKED;
/* Draws the step to the next sample; 0 where a sampled trace has ended meanwhile. */
void mt_countdown_draw(struct mt_thread *t);

/* Leaving a call that begin let in: in sample mode the step to the next sample is drawn now. */
MT_INLINE void mt_countdown_settle(void)
{
    if (MT_UNLIKELY(t_mt.thread->in_sample)) {
        mt_countdown_draw(t_mt.thread);
    }
}

#endif
