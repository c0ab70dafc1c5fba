/* lock.c: bounded spin lock. Yields to the scheduler after a short spin so that a preempted holder can finish, and sleeps in
 * the end: where other processes keep the processors busy, a processor that falls idle takes over the waiting holder, one
 * that yields to nobody does not. */
#include "base/lock.h"

#include "base/atomic.h"
#include "base/os.h"

enum { SPINS_BEFORE_YIELD = 200, YIELDS_BEFORE_SLEEP = 2000, SLEEPS_BEFORE_GIVING_UP = 2000, SLEEP_NS = 50000 };

/* The lock this thread took last and holds, outer ones behind it. Its TLS model is the build's: the agent needs initial-exec,
 * Python's extension must not take any of the little static TLS there is. */
static __thread struct mt_spinlock *t_innermost;

static bool take(struct mt_spinlock *lock)
{
    uint32_t expected = 0;
    return mt_cas_acq_rel(&lock->held, &expected, 1u);
}

static void enlist(struct mt_spinlock *lock)
{
    lock->outer = t_innermost;
    t_innermost = lock;
}

bool mt_spinlock_try(struct mt_spinlock *lock)
{
    if (!take(lock)) {
        return false;
    }
    enlist(lock);
    return true;
}

bool mt_spinlock_is_any_held(void)
{
    return t_innermost != NULL;
}

#ifdef MT_CHECKS
static void check_rank(const struct mt_spinlock *wanted)
{
    for (const struct mt_spinlock *held = t_innermost; held != NULL; held = held->outer) {
        if (held->rank > wanted->rank || held == wanted) {
            __builtin_trap();
        }
    }
}
#else
#define check_rank(wanted) ((void)(wanted))
#endif

static bool spin(struct mt_spinlock *lock)
{
    for (int spins = 0; spins < SPINS_BEFORE_YIELD; spins++) {
        if (mt_load_relaxed(&lock->held) == 0 && take(lock)) {
            return true;
        }
        mt_cpu_relax();
    }
    return false;
}

bool mt_spinlock_take_unlisted(struct mt_spinlock *lock)
{
    check_rank(lock);
    for (int yields = 0; yields < YIELDS_BEFORE_SLEEP; yields++) {
        if (spin(lock)) {
            return true;
        }
        mt_os_yield();
    }
    for (int sleeps = 0; sleeps < SLEEPS_BEFORE_GIVING_UP; sleeps++) {
        if (spin(lock)) {
            return true;
        }
        mt_os_pause_ns(SLEEP_NS);
    }
    return false;
}

bool mt_spinlock_lock(struct mt_spinlock *lock)
{
    if (!mt_spinlock_take_unlisted(lock)) {
        return false;
    }
    enlist(lock);
    return true;
}

/* Takes it out of the holder's list; mostly it is the first there. */
static void forget_held(struct mt_spinlock *lock)
{
    struct mt_spinlock **at = &t_innermost;
    while (*at != NULL && *at != lock) {
        at = &(*at)->outer;
    }
    if (*at == lock) {
        *at = lock->outer;
    }
}

void mt_spinlock_unlock(struct mt_spinlock *lock)
{
    forget_held(lock);
    mt_store_release(&lock->held, 0u);
}

unsigned mt_spinlock_release_all(void)
{
    unsigned count = 0;
    while (t_innermost != NULL) {
        struct mt_spinlock *lock = t_innermost;
        t_innermost = lock->outer;
        mt_store_release(&lock->held, 0u);
        count++;
    }
    return count;
}

void mt_spinlock_reset(struct mt_spinlock *lock)
{
    forget_held(lock);
    mt_store_release(&lock->held, 0u);
}
