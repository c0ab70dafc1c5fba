/* rate.c: see rate.h. */
#include "heap/rate.h"

#include "heap/notes.h"
#include "heap/thread.h"

/* Every thread looks again at its next allocation. A store may be lost to its owner's subtraction: then the owner notices
 * at its next sample. Threads that may be gone already are not touched. */
void mt_rate_end_countdowns(void)
{
    if (mt_spinlock_lock(&g_mt.threads_lock)) {
        for (struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
            if (t->tls != NULL) {
                mt_store_relaxed(&t->tls->left, (uint64_t)0);
            }
        }
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
}

static void change_rate(uint64_t rate)
{
    mt_store_relaxed(&g_mt.rate, rate);
    mt_store_release(&g_mt.rate_generation, g_mt.rate_generation + 1);
    mt_rate_end_countdowns();
}

mt_status mt_engine_pause(void)
{
    if (mt_mode() != MT_MODE_SAMPLE) {
        return MT_E_INVAL;
    }
    change_rate(MT_RATE_PAUSED);
    mt_engine_note("sampling", "paused");
    return MT_OK;
}

mt_status mt_engine_set_rate(uint64_t rate_bytes)
{
    if (rate_bytes == 0 || rate_bytes == MT_RATE_PAUSED || mt_mode() != MT_MODE_SAMPLE) {
        return MT_E_INVAL;
    }
    change_rate(rate_bytes);
    mt_notes_rate(rate_bytes);
    return MT_OK;
}

uint64_t mt_engine_rate(void)
{
    uint64_t rate = mt_load_relaxed(&g_mt.rate);
    return rate != MT_RATE_PAUSED ? rate : 0;
}
