/* fork.c: trackers on both sides of a fork().
 *
 * Decides: the forking thread takes every lock of every tracker first, so that the child gets tables nobody was writing, and
 * gives them back on both sides. A lock that cannot be had within its bound is left alone: the parent goes on, the child
 * makes it free. Order: list, timers, then the shards of all trackers, their pools, names, stacks (ranks of base/lock.h).
 * The child has no timer thread: automatic snapshots are off there until they are set again.
 * Context: pthread_atfork handlers; the list also [tool].
 */
#include "tracker/private.h"

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER; /* of the list; held across fork */
static struct mt_tracker *g_first;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static struct mt_spinlock *lock_at(struct mt_tracker *tracker, size_t i)
{
    if (i < MT_SHARDS_ALL) {
        return &tracker->shards[i].lock;
    }
    if (i == MT_SHARDS_ALL) {
        return &tracker->pool.lock;
    }
    if (i == MT_SHARDS_ALL + 1) {
        return &tracker->kinds.lock;
    }
    return &tracker->stacks.parts[i - MT_SHARDS_ALL - 2].lock;
}

static void before_fork(void)
{
    (void)pthread_mutex_lock(&g_mutex);
    for (struct mt_tracker *tracker = g_first; tracker != NULL; tracker = tracker->next) {
        (void)pthread_mutex_lock(&tracker->timer.mutex);
    }
    for (size_t i = 0; i < MT_TRACKER_LOCKS; i++) {
        for (struct mt_tracker *tracker = g_first; tracker != NULL; tracker = tracker->next) {
            tracker->held_at_fork[i] = mt_spinlock_lock(lock_at(tracker, i));
        }
    }
}

static void after_in_parent(void)
{
    for (struct mt_tracker *tracker = g_first; tracker != NULL; tracker = tracker->next) {
        for (size_t i = 0; i < MT_TRACKER_LOCKS; i++) {
            if (tracker->held_at_fork[i]) {
                mt_spinlock_unlock(lock_at(tracker, i));
            }
        }
        (void)pthread_mutex_unlock(&tracker->timer.mutex);
    }
    (void)pthread_mutex_unlock(&g_mutex);
}

static void after_in_child(void)
{
    for (struct mt_tracker *tracker = g_first; tracker != NULL; tracker = tracker->next) {
        for (size_t i = 0; i < MT_TRACKER_LOCKS; i++) {
            mt_spinlock_reset(lock_at(tracker, i));
        }
        mt_snapshot_timer_forget(&tracker->timer);
    }
    (void)pthread_mutex_unlock(&g_mutex);
}

static void register_handlers(void)
{
    (void)pthread_atfork(before_fork, after_in_parent, after_in_child);
}

void mt_tracker_enlist(struct mt_tracker *tracker)
{
    (void)pthread_once(&g_once, register_handlers);
    (void)pthread_mutex_lock(&g_mutex);
    tracker->next = g_first;
    if (g_first != NULL) {
        g_first->previous = tracker;
    }
    g_first = tracker;
    (void)pthread_mutex_unlock(&g_mutex);
}

void mt_tracker_delist(struct mt_tracker *tracker)
{
    (void)pthread_mutex_lock(&g_mutex);
    if (tracker->previous != NULL) {
        tracker->previous->next = tracker->next;
    } else {
        g_first = tracker->next;
    }
    if (tracker->next != NULL) {
        tracker->next->previous = tracker->previous;
    }
    (void)pthread_mutex_unlock(&g_mutex);
}
