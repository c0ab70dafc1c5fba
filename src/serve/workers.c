/* workers.c: see workers.h. */
#include "serve/workers.h"

#include "base/os.h"
#include "util/memory.h"

#include <signal.h>
#include <string.h>
#include <time.h>

mt_status mt_workers_thread(void *(*body)(void *context), void *context, struct mt_error *err)
{
    pthread_t thread;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, body, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        return mt_error_set_errno(err, failed, "cannot start a thread");
    }
    (void)pthread_detach(thread);
    return MT_OK;
}

/* The first that is due; NULL: none, *ret_next_ns: when the next one will be, or UINT64_MAX. */
static struct mt_request *take(struct mt_workers *workers, uint64_t now_ns, uint64_t *ret_next_ns)
{
    *ret_next_ns = UINT64_MAX;
    for (struct mt_request **at = &workers->first; *at != NULL; at = &(*at)->next) {
        struct mt_request *request = *at;
        if (request->due_ns <= now_ns) {
            *at = request->next;
            workers->waiting--;
            return request;
        }
        *ret_next_ns = request->due_ns < *ret_next_ns ? request->due_ns : *ret_next_ns;
    }
    return NULL;
}

static void wait_until(struct mt_workers *workers, uint64_t when_ns)
{
    if (when_ns == UINT64_MAX) {
        (void)pthread_cond_wait(&workers->changed, &workers->lock);
        return;
    }
    const struct timespec when = { .tv_sec = (time_t)(when_ns / 1000000000), .tv_nsec = (long)(when_ns % 1000000000) };
    (void)pthread_cond_timedwait(&workers->changed, &workers->lock, &when);
}

static struct mt_request *wait_for_one(struct mt_workers *workers)
{
    uint64_t next_ns;
    struct mt_request *request;
    while ((request = take(workers, mt_os_monotonic_ns(), &next_ns)) == NULL) {
        wait_until(workers, next_ns);
    }
    workers->running++;
    if (workers->waiting > 0) { /* who was woken took this one, not what it was woken for; or somebody has to wait for what is due later */
        (void)pthread_cond_signal(&workers->changed);
    }
    return request;
}

static void answer(void *context)
{
    struct mt_request *request = context;
    request->route->answer(request);
}

/* What the reply had is released by the attempt. */
static void give_up(void *context)
{
    struct mt_request *request = context;
    request->reply = (struct mt_response){ 0 };
    request->due_ns = 0;
}

static void *work(void *context)
{
    struct mt_workers *workers = context;
    (void)pthread_mutex_lock(&workers->lock);
    for (;;) {
        struct mt_request *request = wait_for_one(workers);
        uint64_t was_due_ns = request->due_ns;
        (void)pthread_mutex_unlock(&workers->lock);
        bool done = mt_memory_try(answer, give_up, request);
        if (!done) {
            mt_response_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "NO_MEMORY", "there is not enough memory for this question");
        }
        bool later = request->reply.status == 0 && request->due_ns > was_due_ns;
        if (!later && request->reply.status == 0) {
            mt_response_fail(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "INTERNAL", "nothing answered");
        }
        if (!later) {
            mt_http.resume_connection(request->connection);
        }
        (void)pthread_mutex_lock(&workers->lock);
        workers->running--;
        if (later) {
            request->next = workers->first;
            workers->first = request;
            workers->waiting++;
        }
    }
    return NULL;
}

mt_status mt_workers_start(struct mt_workers *workers, struct mt_error *err)
{
    pthread_condattr_t monotonic;
    mt_status status = MT_OK;
    *workers = (struct mt_workers){ .lock = PTHREAD_MUTEX_INITIALIZER };
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&workers->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    for (int i = 0; status == MT_OK && i < MT_WORKERS_COUNT; i++) {
        status = mt_workers_thread(work, workers, err);
    }
    return status;
}

bool mt_workers_add(struct mt_workers *workers, struct mt_request *request)
{
    (void)pthread_mutex_lock(&workers->lock);
    bool room = workers->waiting < MT_WORKERS_QUEUE_MAX;
    if (room) {
        struct mt_request **last = &workers->first;
        while (*last != NULL) {
            last = &(*last)->next;
        }
        request->next = NULL;
        *last = request;
        workers->waiting++;
        (void)pthread_cond_signal(&workers->changed);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return room;
}

size_t mt_workers_busy(struct mt_workers *workers)
{
    (void)pthread_mutex_lock(&workers->lock);
    size_t busy = workers->waiting + workers->running;
    (void)pthread_mutex_unlock(&workers->lock);
    return busy;
}
