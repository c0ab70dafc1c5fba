/* lock.c: bounded spin lock. Yields to the scheduler after a short spin so that a preempted holder can finish. */
#include "base/lock.h"

#include "base/atomic.h"
#include "base/os.h"

enum { SPINS_BEFORE_YIELD = 200, YIELDS_BEFORE_GIVING_UP = 50000 };

bool mt_spinlock_try(struct mt_spinlock *lock)
{
    uint32_t expected = 0;
    return mt_cas_acq_rel(&lock->held, &expected, 1u);
}

bool mt_spinlock_lock(struct mt_spinlock *lock)
{
    for (int yields = 0; yields < YIELDS_BEFORE_GIVING_UP; yields++) {
        for (int spins = 0; spins < SPINS_BEFORE_YIELD; spins++) {
            if (mt_load_relaxed(&lock->held) == 0 && mt_spinlock_try(lock)) {
                return true;
            }
            mt_cpu_relax();
        }
        mt_os_yield();
    }
    return false;
}

void mt_spinlock_unlock(struct mt_spinlock *lock)
{
    mt_store_release(&lock->held, 0u);
}

void mt_spinlock_reset(struct mt_spinlock *lock)
{
    mt_store_release(&lock->held, 0u);
}
