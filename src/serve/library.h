/* library.h: libmicrohttpd, which is looked for when a server is started.
 *
 * Decides: the library is loaded by `memtap serve` alone and no other command: Debian's has nine more libraries behind it (TLS), which
 * every start of memtap would pay for otherwise (docs/decisions/0068). Only its header is needed to build. Context: [tool].
 */
#ifndef MT_SERVE_LIBRARY_H
#define MT_SERVE_LIBRARY_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h> /* what microhttpd.h expects to be there */
#include <sys/socket.h>

#include <microhttpd.h>

#define MT_HTTP_FUNCTIONS(X)                                                                                           \
    X(start_daemon)                                                                                                    \
    X(get_connection_values)                                                                                           \
    X(lookup_connection_value)                                                                                         \
    X(get_connection_info)                                                                                             \
    X(suspend_connection)                                                                                              \
    X(resume_connection)                                                                                               \
    X(create_response_from_buffer)                                                                                     \
    X(create_response_from_callback)                                                                                   \
    X(add_response_header)                                                                                             \
    X(queue_response)                                                                                                  \
    X(destroy_response)

struct mt_http {
#define X(name) __typeof__(MHD_##name) *name;
    MT_HTTP_FUNCTIONS(X)
#undef X
};

/* Filled by mt_http_load; nothing else may be called before. */
extern struct mt_http mt_http;
/* MT_E_NOENT: it is not installed; the sentence says how to get it. */
mt_status mt_http_load(struct mt_error *err) MT_CHECKED;

#endif
