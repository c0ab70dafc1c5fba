/* listen.h: where a server is reached: its sockets.
 *
 * Decides: HOST:PORT, [V6]:PORT or unix:/PATH. A unix socket is its user's alone (0600); one that nobody answers at any more is
 * replaced. Without a token only loopback is listened at. Context: [tool].
 */
#ifndef MT_SERVE_LISTEN_H
#define MT_SERVE_LISTEN_H

#include "util/error.h"

#include <stdbool.h>

struct mt_server;

struct mt_listener {
    struct mt_server *server;
    int fd;
    bool is_unix;
    char url[512]; /* for people: http://127.0.0.1:7070/ or unix:/PATH */
};

/* address NULL: loopback, at MT_SERVE_PORT or, where that is taken, at any port that is free. MT_E_INVAL: it is no address, or not
 * for want of a token. */
mt_status mt_listen(const char *address, bool has_token, struct mt_listener *ret, struct mt_error *err) MT_CHECKED;

#endif
