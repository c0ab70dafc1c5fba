/* server.h: what all parts of a server share. Private to serve/. Context: [tool]. */
#ifndef MT_SERVE_SERVER_H
#define MT_SERVE_SERVER_H

#include "serve/clients.h"
#include "serve/listen.h"
#include "serve/monitor.h"
#include "serve/feed.h"
#include "serve/workers.h"
#include "serve/targets.h"
#include "serve/usage.h"

enum { MT_LISTENERS_MAX = 8 };

struct mt_server {
    const char *token; /* NULL: none */
    const struct mt_route *routes; /* routes.h; who answers knows them by this */
    size_t route_count;
    struct mt_targets targets;
    struct mt_workers workers;
    struct mt_feed feed;
    struct mt_clients clients;
    struct mt_usage usage;
    struct mt_monitor monitor;
    struct mt_listener listeners[MT_LISTENERS_MAX];
    size_t listener_count;
    uint64_t began_ns;
};

/* The target that ?target= names, opened for questions; NULL: the reply says why not. To mt_serve_close. */
struct mt_opened *mt_serve_open(struct mt_request *request, struct mt_target **ret_target);
void mt_serve_close(struct mt_target *target, struct mt_opened *opened);
/* A failure of memtap/profile.h as a reply. */
void mt_serve_fail(struct mt_request *request, const struct mt_profile_failure *failure);
unsigned mt_serve_status_of(int profile_code);

#endif
