/* hold.c: see hold.h. */
#include "heap/hold.h"

enum { POLL_NS = 20 * 1000, LEAVE_POLLS = 250, URGENT_POLLS = 5000, WAIT_POLLS = 20000 };

static bool others_leave(const struct mt_thread *self, int patience)
{
    mt_os_barrier_all_threads();
    for (int polls = 0; mt_thread_others_record(self); polls++) {
        if (polls == patience) {
            return false;
        }
        mt_os_pause_ns(POLL_NS);
    }
    return true;
}

bool mt_hold_begin(const struct mt_thread *self, bool urgent)
{
    uint32_t none = MT_HOLD_NONE;
    if (!mt_cas_acq_rel(&g_mt.held, &none, (uint32_t)MT_HOLD_BASE)) {
        return false;
    }
    mt_store_release(&g_mt.generation, self->generation | 1);
    if (!others_leave(self, urgent ? URGENT_POLLS : LEAVE_POLLS)) {
        mt_hold_end();
        return false;
    }
    return true;
}

/* The generation first: who sees it odd sees who has made it so. */
void mt_hold_end(void)
{
    mt_store_release(&g_mt.generation, g_mt.generation & ~1u);
    mt_store_release(&g_mt.held, (uint32_t)MT_HOLD_NONE);
}

bool mt_hold_take_over(void)
{
    uint32_t before = MT_HOLD_NONE;
    for (int polls = 0; !mt_cas_acq_rel(&g_mt.held, &before, (uint32_t)MT_HOLD_END) && before != MT_HOLD_END; polls++) {
        if (polls == WAIT_POLLS) {
            return false;
        }
        before = MT_HOLD_NONE;
        mt_os_pause_ns(POLL_NS);
    }
    mt_store_release(&g_mt.generation, g_mt.generation | 1);
    return true;
}
