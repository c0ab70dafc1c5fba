/* state.c: see state.h. */
#include "heap/state.h"

#include "heap/clock.h"
#include "heap/livetab.h"

__thread struct mt_tls t_mt __attribute__((tls_model("initial-exec")));
static const uint32_t g_mode_off = MT_MODE_OFF;
struct mt_engine g_mt = {
    .live_mode = &g_mode_off,
    .threads_lock = MT_SPINLOCK_INIT(MT_RANK_AGENT),
    .orphan_lock = MT_SPINLOCK_INIT(MT_RANK_ORPHAN),
};

void mt_state_set_header(struct mt_trace_header *header)
{
    mt_store_release(&g_mt.header, header);
    mt_account_move_to(header);
}

void mt_state_make_mode_page(void)
{
    void *page = NULL;
    static uint32_t plain[2]; /* where there is no memory */
    uint32_t *words = g_mt.mode_page;
    if (words == NULL && mt_os_map_anonymous(mt_os_page_bytes(), &page) == MT_OK) {
        (void)mt_os_advise_wipeonfork(page, mt_os_page_bytes()); /* kernel before 4.14: the atfork handler must do */
        words = page;
    }
    words = words != NULL ? words : plain; /* likewise */
    mt_store_relaxed(&words[1], 1u); /* before anybody finds the page: without it this looks like a child of fork */
    mt_store_release(&g_mt.mode_page, words);
    if (g_mt.live_mode != words) {
        mt_store_release(&g_mt.live_mode, (const uint32_t *)words);
    }
}

void mt_state_publish_mode(enum mt_engine_mode mode)
{
    mt_store_release(&g_mt.mode, mode);
    if (g_mt.mode_page != NULL) {
        mt_store_release(g_mt.mode_page, (uint32_t)mode);
    }
}

void mt_engine_stop(enum mt_trace_state state)
{
    enum mt_engine_mode before = mt_exchange_acq_rel(&g_mt.mode, MT_MODE_OFF);
    mt_state_publish_mode(MT_MODE_OFF);
    mt_livetab_show(MT_FILTER_NONE);
    if (before == MT_MODE_OFF) {
        return;
    }
    if (g_mt.header != NULL && mt_load_acquire(&g_mt.header->state) != MT_STATE_FILE_FULL) { /* then it knows its end */
        mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
        mt_store_release(&g_mt.header->state, (uint32_t)state);
    }
    /* Slots stay mapped: other threads may be writing their last record; the reader takes slots as they are. Whoever can
     * wait for them calls mt_engine_finish. */
}

static enum mt_end_reason reason_of(mt_status why)
{
    static const uint8_t reasons[MT_STATUS__COUNT] = {
        [MT_E_SIZE] = MT_END_SIZE,
        [MT_E_NOSPACE] = MT_END_NO_SPACE,
        [MT_E_TOO_LARGE] = MT_END_FILE_LIMIT,
        [MT_E_NOFILES] = MT_END_NO_DESCRIPTOR,
        [MT_E_NOMEM] = MT_END_NO_MEMORY,
        [MT_E_PERM] = MT_END_NOT_PERMITTED,
        [MT_E_READONLY] = MT_END_READ_ONLY,
        [MT_E_NOENT] = MT_END_REMOVED,
        [MT_E_REPLACED] = MT_END_REPLACED,
        [MT_E_TRUNCATED] = MT_END_EMPTIED,
        [MT_E_INTERRUPTED] = MT_END_JUMPED,
    };
    if (mt_os_is_restricted() && why == MT_E_PERM) {
        return MT_END_SECCOMP;
    }
    return reasons[why] != 0 ? (enum mt_end_reason)reasons[why] : MT_END_IO;
}

void mt_state_give_up(mt_status why)
{
    uint32_t none = MT_END_NONE;
    if (g_mt.header != NULL && mt_mode() != MT_MODE_OFF) {
        (void)mt_cas_acq_rel(&g_mt.header->end_reason, &none, (uint32_t)reason_of(why));
    }
    mt_engine_stop(MT_STATE_FILE_FULL);
}

void mt_state_lost_from(uint64_t clock, mt_status why)
{
    uint32_t none = MT_END_NONE;
    (void)mt_cas_acq_rel(&g_mt.header->end_reason, &none, (uint32_t)reason_of(why));
    mt_store_relaxed(&g_mt.header->end_clock, clock);
    mt_store_release(&g_mt.header->state, (uint32_t)MT_STATE_FILE_FULL);
}
