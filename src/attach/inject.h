/* inject.h: has a thread of another process load memtap's agent, if it is not there, and call it.
 *
 * Decides: which thread is borrowed, for how long any may be stopped, when to try again and when to give up. Until a thread has been
 * sent to the landing everything can be taken back; from then on it comes back by itself. Context: [tool].
 */
#ifndef MT_ATTACH_INJECT_H
#define MT_ATTACH_INJECT_H

#include "attach/landing.h"
#include "attach/refusal.h"

struct mt_injection {
    enum mt_landing_task task;
    const char *agent;           /* path of libmemtap-agent.so here */
    const char *const *settings; /* NAME=VALUE, NULL-terminated; attach only */
    uint64_t max_stop_ns;        /* no thread is stopped longer */
    uint64_t timeout_ns;         /* of all tries together */
    void (*meanwhile)(void *context); /* called while the thread is away; may be NULL */
    void *context;
};

struct mt_injected {
    enum memtap_agent_code code;     /* what the agent said */
    struct memtap_agent_state state; /* and what it does now */
    uint64_t longest_stop_ns;        /* of any thread */
    uint64_t away_ns;                /* how long the borrowed thread was away */
    long user;                       /* of the process; -1: unknown */
    unsigned tries;                  /* threads that were stopped */
    bool loaded;                     /* the agent was not there before */
};

/* MT_E_BUSY: not in time, nothing is left behind; MT_E_PERM, MT_E_UNSUPPORTED: refused; MT_E_NOENT: the process has ended. */
mt_status mt_inject(struct mt_subject *subject, const struct mt_injection *how, struct mt_injected *ret, struct mt_error *err) MT_CHECKED;

#endif
