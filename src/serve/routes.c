/* routes.c: see routes.h. */
#include "serve/routes.h"

#include "base/compiler.h"
#include "serve/answers.h"

#include <stdio.h>
#include <string.h>

#define MT_ROUTE(method, path, answer, access, place, arguments, type, summary)                                        \
    { method, path, mt_serve_##answer, MT_ROUTE_##access, MT_ROUTE_##place, arguments, type, summary },
const struct mt_route mt_routes[] = {
#include "serve/routes.def"
};
#undef MT_ROUTE
const size_t mt_route_count = MT_COUNTOF(mt_routes);

const struct mt_route *mt_route_find(const char *method, const char *path, bool *ret_known)
{
    *ret_known = false;
    for (size_t i = 0; i < mt_route_count; i++) {
        const struct mt_route *route = &mt_routes[i];
        bool here = strcmp(route->path, path) == 0;
        bool head = strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0 && route->place != MT_ROUTE_STREAM;
        *ret_known = *ret_known || here;
        if (here && (head || strcmp(route->method, method) == 0)) {
            return route;
        }
    }
    return NULL;
}

void mt_route_methods(const char *path, char *ret, size_t capacity)
{
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < mt_route_count; i++) {
        if (strcmp(mt_routes[i].path, path) == 0 && at < capacity) {
            int bytes = snprintf(ret + at, capacity - at, "%s%s", at > 0 ? ", " : "", mt_routes[i].method);
            at += bytes > 0 ? (size_t)bytes : 0;
        }
    }
}

bool mt_route_takes(const struct mt_route *route, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = route->arguments; bytes > 0 && (at = strstr(at, name)) != NULL; at += bytes) {
        bool begins = at == route->arguments || at[-1] == ' ';
        if (begins && (at[bytes] == ' ' || at[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}
