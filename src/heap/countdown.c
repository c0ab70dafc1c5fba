/* countdown.c: see countdown.h. */
#include "heap/countdown.h"

static uint64_t draw_step(struct mt_thread *t)
{
    return t->rate != MT_RATE_PAUSED ? mt_sampler_step(&t->sampler, t->rate) : MT_COUNTDOWN_FAR;
}

/* Sets the countdown; in pieces where nobody else may write to it, so that a change of rate is noticed soon, and in a pause,
 * where the poke that ends it could be lost to a subtraction of the owner's and nothing else would come. */
static void arm(struct mt_thread *t, uint64_t step)
{
    bool whole = t->tls != NULL && t->rate != MT_RATE_PAUSED;
    uint64_t piece = whole || step < MT_COUNTDOWN_CHUNK ? step : MT_COUNTDOWN_CHUNK;
    t->beyond = step - piece;
    t_mt.left = piece;
}

/* Only a piece of the countdown has ended: goes on with the rest. t_mt.left is what the fast path left, below zero. */
static bool countdown_goes_on(struct mt_thread *t)
{
    int64_t rest = (int64_t)(t->beyond + t_mt.left);
    if (t->beyond == 0 || rest <= 0) {
        return false;
    }
    arm(t, (uint64_t)rest);
    return true;
}

/* True when the rate has changed since the countdown was set. */
static bool take_rate(struct mt_thread *t)
{
    uint32_t generation = mt_load_acquire(&g_mt.rate_generation);
    if (MT_LIKELY(t->rate_generation == generation)) {
        return false;
    }
    t->rate_generation = generation;
    t->rate = mt_load_relaxed(&g_mt.rate);
    return true;
}

/* At the rate in force now: a mark of an old one, found later, would be thrown away, and with it the sample it stands for. */
void mt_countdown_draw(struct mt_thread *t)
{
    t->in_sample = false;
    if (mt_mode() == MT_MODE_SAMPLE) {
        (void)take_rate(t);
        arm(t, draw_step(t));
    } else {
        t_mt.left = 0;
    }
}

bool mt_countdown_ended(struct mt_thread *t, size_t size)
{
    if (MT_UNLIKELY(mt_mode() != MT_MODE_SAMPLE)) { /* it has just changed: whatever it is now, look again next time */
        t_mt.left = 0;
        return false;
    }
    if (MT_UNLIKELY(take_rate(t))) {
        uint64_t step = draw_step(t); /* the old step is thrown away: it had no memory */
        if (step > size) {
            arm(t, step - size);
            return false;
        }
    } else if (countdown_goes_on(t)) {
        return false;
    }
    t->beyond = 0;
    t->sampled_in = mt_load_relaxed(&g_mt.generation) & ~1u; /* also while it is held */
    t->in_sample = true;
    t->counted = size;
    t_mt.left = MT_COUNTDOWN_CALL; /* until the end of this call: what the real function allocates itself does not count */
    if (size == 0) {
        mt_countdown_settle();
    }
    return size > 0;
}

/* What was allocated under the guard has been taken off the countdown: the next allocation draws a new step, as after a
 * change of rate. */
void mt_engine_leave_own(void)
{
    t_mt.depth -= MT_DEPTH_OWN;
    if (t_mt.depth == 0 && (t_mt.state & MT_THREAD_HAS_BLOCK) != 0 && mt_mode() == MT_MODE_SAMPLE) {
        t_mt.thread->rate_generation = 0;
        t_mt.left = 0;
    }
}
