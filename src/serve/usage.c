/* usage.c: see usage.h. */
#include "serve/usage.h"

#include <string.h>

void mt_usage_init(struct mt_usage *usage, const struct mt_route *routes)
{
    *usage = (struct mt_usage){ .lock = PTHREAD_MUTEX_INITIALIZER, .routes = routes };
}

void mt_usage_add(struct mt_usage *usage, const struct mt_request *request, unsigned status, uint64_t took_ns)
{
    size_t row = request->route != NULL ? (size_t)(request->route - usage->routes) : MT_USAGE_ROUTES_MAX;
    struct mt_usage_row *at = &usage->rows[row < MT_USAGE_ROUTES_MAX ? row : MT_USAGE_ROUTES_MAX];
    (void)pthread_mutex_lock(&usage->lock);
    at->count[status / 100 < MT_USAGE_CLASSES ? status / 100 : 0]++;
    at->total_ns += took_ns;
    (void)pthread_mutex_unlock(&usage->lock);
}

void mt_usage_copy(struct mt_usage *usage, struct mt_usage_row ret[MT_USAGE_ROUTES_MAX + 1])
{
    (void)pthread_mutex_lock(&usage->lock);
    memcpy(ret, usage->rows, sizeof usage->rows);
    (void)pthread_mutex_unlock(&usage->lock);
}
