/* timer.c: the thread that takes snapshots.
 *
 * Decides: one thread a tracker, made when automatic snapshots are first wanted, with all signals blocked; it sleeps on a
 * condition that every change of the settings signals, and keeps to multiples of the interval (a late wake-up does not shift
 * the next). Invariant: the mutex is never held while a snapshot is taken or the thread waited for.
 * Context: not inside allocators (it creates a thread).
 */
#include "tracker/private.h"

#include <signal.h>
#include <time.h>

#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u

static bool make_sync(struct mt_snapshot_timer *timer)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    bool is_made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&timer->changed, &attributes) == 0 && pthread_mutex_init(&timer->mutex, NULL) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_made;
}

mt_status mt_snapshot_timer_init(struct mt_snapshot_timer *timer, uint32_t interval_ms, int (*take)(struct mt_tracker *tracker))
{
    timer->take = take;
    timer->interval_ms = interval_ms;
    return make_sync(timer) ? MT_OK : MT_E_NOMEM;
}

static void wait_until(struct mt_snapshot_timer *timer, uint64_t due_ns)
{
    struct timespec due = { .tv_sec = (time_t)(due_ns / NS_PER_S), .tv_nsec = (long)(due_ns % NS_PER_S) };
    (void)pthread_cond_timedwait(&timer->changed, &timer->mutex, &due);
}

/* Sleeps until the next snapshot is due; false: the thread shall end. The mutex is held before and after. */
static bool wait_for_turn_locked(struct mt_tracker *tracker, uint64_t *due_ns)
{
    struct mt_snapshot_timer *timer = &tracker->timer;
    uint32_t interval_ms = 0;
    while (!timer->quit) {
        uint64_t now = mt_os_monotonic_ns();
        if (!timer->on || !mt_load_relaxed(&tracker->enabled)) {
            (void)pthread_cond_wait(&timer->changed, &timer->mutex);
            interval_ms = 0;
            *due_ns = 0;
            continue;
        }
        if (*due_ns == 0 || (interval_ms != 0 && interval_ms != timer->interval_ms)) {
            *due_ns = now + (uint64_t)timer->interval_ms * NS_PER_MS;
        }
        interval_ms = timer->interval_ms;
        if (now >= *due_ns) {
            uint64_t next = *due_ns + (uint64_t)interval_ms * NS_PER_MS;
            *due_ns = next > now ? next : now + (uint64_t)interval_ms * NS_PER_MS;
            return true;
        }
        wait_until(timer, *due_ns);
    }
    return false;
}

static void *run(void *context)
{
    struct mt_tracker *tracker = context;
    uint64_t due_ns = 0;
    (void)pthread_mutex_lock(&tracker->timer.mutex);
    while (wait_for_turn_locked(tracker, &due_ns)) {
        (void)pthread_mutex_unlock(&tracker->timer.mutex);
        (void)tracker->timer.take(tracker);
        (void)pthread_mutex_lock(&tracker->timer.mutex);
    }
    (void)pthread_mutex_unlock(&tracker->timer.mutex);
    return NULL;
}

static bool start_thread(struct mt_tracker *tracker)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    mt_store_release(&tracker->timer.has_thread, pthread_create(&tracker->timer.thread, NULL, run, tracker) == 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return tracker->timer.has_thread;
}

int mt_tracker_set_auto_snapshot(struct mt_tracker *tracker, bool on, uint32_t interval_ms)
{
    struct mt_snapshot_timer *timer = &tracker->timer;
    if (interval_ms < 1) {
        return MT_TRACKER_RANGE;
    }
    (void)pthread_mutex_lock(&timer->mutex);
    timer->on = on;
    timer->interval_ms = interval_ms;
    bool is_running = !on || timer->has_thread || start_thread(tracker);
    (void)pthread_cond_broadcast(&timer->changed);
    (void)pthread_mutex_unlock(&timer->mutex);
    return is_running ? MT_TRACKER_OK : MT_TRACKER_NO_MEMORY;
}

/* Without a thread there is nobody to tell, and so enabling and disabling takes no mutex (hooks may do it). */
void mt_snapshot_timer_poke(struct mt_snapshot_timer *timer)
{
    if (mt_load_acquire(&timer->has_thread)) {
        (void)pthread_mutex_lock(&timer->mutex);
        (void)pthread_cond_broadcast(&timer->changed);
        (void)pthread_mutex_unlock(&timer->mutex);
    }
}

/* Made anew: destroying a condition that a vanished thread waits on would wait for that thread. */
void mt_snapshot_timer_forget(struct mt_snapshot_timer *timer)
{
    timer->has_thread = false;
    timer->on = false;
    (void)make_sync(timer);
}

void mt_snapshot_timer_fini(struct mt_snapshot_timer *timer)
{
    (void)pthread_mutex_lock(&timer->mutex);
    timer->quit = true;
    (void)pthread_cond_broadcast(&timer->changed);
    (void)pthread_mutex_unlock(&timer->mutex);
    if (timer->has_thread) {
        (void)pthread_join(timer->thread, NULL);
    }
    (void)pthread_cond_destroy(&timer->changed);
    (void)pthread_mutex_destroy(&timer->mutex);
}
