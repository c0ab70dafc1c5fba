/* request.h: one request while it is answered, and what is said to it.
 *
 * Decides: a reply is made whole in memory before a byte of it is sent, so that a failure in the middle is a failure and not half an
 * answer; only live updates stream (feed.h). Failures are JSON with `detail`, `code` and `message`. A request is its server
 * thread's, then one worker's, then the server thread's again: never two at once. Context: [tool].
 */
#ifndef MT_SERVE_REQUEST_H
#define MT_SERVE_REQUEST_H

#include "serve/library.h"
#include "serve/routes.h"
#include "util/json.h"

enum { MT_REQUEST_BODY_MAX = 64 * 1024, MT_RESPONSE_HEADERS_MAX = 4 };

struct mt_server;
struct mt_listener;

struct mt_response {
    unsigned status;     /* 0: none yet */
    const char *type;    /* of the body; static */
    char *body;          /* malloc'ed */
    size_t bytes;
    bool shared;         /* the body is somebody else's, who keeps it: release is called when it was sent */
    void (*release)(void *context);
    void *context;
    struct mt_response_header {
        const char *name;
        char *value;
    } headers[MT_RESPONSE_HEADERS_MAX];
    size_t header_count;
};

struct mt_request {
    struct mt_server *server;
    const struct mt_listener *listener; /* that it came by */
    struct MHD_Connection *connection;
    const struct mt_route *route; /* NULL: no such path, or not by this method */
    char *method, *path;
    char *body; /* NUL-terminated */
    size_t body_bytes, body_capacity;
    bool too_large, sent_away; /* to a worker */
    bool counted;              /* among those in flight */
    uint64_t began_ns;
    uint64_t begin_clock_ns;   /* of what lasts: when it was asked for */
    struct mt_response reply;
    struct MHD_Response *stream; /* instead of the reply, of what goes on */
    struct mt_request *next; /* of the workers */
    uint64_t due_ns;         /* not before: CLOCK_MONOTONIC */
};

/* The value of ?name=; NULL: it is not there. */
const char *mt_request_argument(const struct mt_request *request, const char *name);
const char *mt_request_header(const struct mt_request *request, const char *name);

/* Each replaces what was there. code: a word for programs; what: a sentence. */
void mt_response_fail(struct mt_request *request, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The text of a memory output, which is ended. */
void mt_response_text(struct mt_request *request, unsigned status, const char *type, struct mt_out *out);
void mt_response_bytes(struct mt_request *request, const char *type, char *taken, size_t bytes);
void mt_response_header(struct mt_request *request, const char *name, const char *value);
/* Begins an answer in JSON; ended by mt_response_json_end. */
struct mt_json mt_response_json(void);
void mt_response_json_end(struct mt_request *request, unsigned status, struct mt_json *json);
void mt_response_clear(struct mt_response *reply);

#endif
