/* usage.h: how the server itself is asked: requests by route and kind of answer, and their time. Context: [tool], the servers' threads. */
#ifndef MT_SERVE_USAGE_H
#define MT_SERVE_USAGE_H

#include "serve/request.h"

#include <pthread.h>

enum { MT_USAGE_ROUTES_MAX = 64, MT_USAGE_CLASSES = 6 }; /* 1xx to 5xx; 0: none */

struct mt_usage_row {
    uint64_t count[MT_USAGE_CLASSES];
    uint64_t total_ns;
};

struct mt_usage {
    pthread_mutex_t lock;
    const struct mt_route *routes; /* the first of them */
    struct mt_usage_row rows[MT_USAGE_ROUTES_MAX + 1]; /* by route; the last: what is no route */
};

void mt_usage_init(struct mt_usage *usage, const struct mt_route *routes);
void mt_usage_add(struct mt_usage *usage, const struct mt_request *request, unsigned status, uint64_t took_ns);
void mt_usage_copy(struct mt_usage *usage, struct mt_usage_row ret[MT_USAGE_ROUTES_MAX + 1]);

#endif
