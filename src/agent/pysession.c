/* pysession.c: the one eval that there may be. See pyeval_private.h. */
#include "agent/pyeval_private.h"
#include "base/atomic.h"

struct mt_eval_session mt_g_eval;

bool mt_eval_change_state(enum mt_eval_state from, enum mt_eval_state to)
{
    uint32_t expected = from;
    return mt_cas_acq_rel(&mt_g_eval.state, &expected, (uint32_t)to);
}

uint32_t mt_eval_state_now(void)
{
    return mt_load_acquire(&mt_g_eval.state);
}
