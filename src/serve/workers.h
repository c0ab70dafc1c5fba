/* workers.h: who does what takes long, so that the server's thread never waits.
 *
 * Decides: a fixed number of workers and a bounded queue; a request may be due later (a profile of the next seconds), which keeps no
 * worker waiting: who answers sets due_ns and makes no reply. A request that runs out of memory is answered so, and the server goes on. Context: [tool].
 */
#ifndef MT_SERVE_WORKERS_H
#define MT_SERVE_WORKERS_H

#include "serve/request.h"

#include <pthread.h>

enum { MT_WORKERS_COUNT = 4, MT_WORKERS_QUEUE_MAX = 256 };

struct mt_workers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mt_request *first; /* in the order they came */
    size_t waiting;
    size_t running;
};

/* A thread without the signals, which are the main thread's. */
mt_status mt_workers_thread(void *(*body)(void *context), void *context, struct mt_error *err) MT_CHECKED;
mt_status mt_workers_start(struct mt_workers *workers, struct mt_error *err) MT_CHECKED;
/* The connection is suspended by the caller and resumed by the worker. False: there are too many already. */
bool mt_workers_add(struct mt_workers *workers, struct mt_request *request);
size_t mt_workers_busy(struct mt_workers *workers); /* waiting and running */

#endif
