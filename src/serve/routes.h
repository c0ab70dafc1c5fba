/* routes.h: the paths there are (routes.def). Context: [tool]. */
#ifndef MT_SERVE_ROUTES_H
#define MT_SERVE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct mt_request;

enum mt_route_access { MT_ROUTE_PUBLIC, MT_ROUTE_TOKEN };
/* Who answers: the server's thread, which must not wait for anything; a worker; or it goes on and on (feed.h). */
enum mt_route_place { MT_ROUTE_AT_ONCE, MT_ROUTE_WORKER, MT_ROUTE_STREAM };

struct mt_route {
    const char *method, *path;
    void (*answer)(struct mt_request *request); /* makes the reply; NULL: a stream */
    enum mt_route_access access;
    enum mt_route_place place;
    const char *arguments; /* names of ?name=value, between blanks */
    const char *type;      /* of what it answers */
    const char *summary;
};

extern const struct mt_route mt_routes[];
extern const size_t mt_route_count;

/* NULL: none. *ret_known: the path is there, for other methods. */
const struct mt_route *mt_route_find(const char *method, const char *path, bool *ret_known);
/* "GET, POST": methods of a path. */
void mt_route_methods(const char *path, char *ret, size_t capacity);
/* Does the route take an argument of that name? */
bool mt_route_takes(const struct mt_route *route, const char *name);

#endif
