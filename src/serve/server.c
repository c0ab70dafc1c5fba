/* server.c: see serve.h: requests from the library to who answers them, and replies back.
 *
 * The life of a request, all on the server's thread but for the worker: the headers are there: is it let in, is there such a path;
 * the body comes, up to its limit; it is answered at once, or the connection is suspended and a worker resumes it when the reply is
 * there; the reply is sent; it is forgotten. */
#include "serve/server.h"

#include "base/os.h"
#include "serve/auth.h"
#include "serve/browser.h"
#include "serve/serve.h"
#include "util/memory.h"
#include "util/say.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, CONNECTION_BYTES = 32 * 1024, IDLE_S = 30 };

/* ---- replies ------------------------------------------------------------------------------------------------------ */

static void add_headers(struct MHD_Response *response, const struct mt_response *reply, const char *type)
{
    static const char *const always[][2] = {
        { "Cache-Control", "no-store" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
    };
    bool policy = false;
    (void)mt_http.add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < MT_COUNTOF(always); i++) {
        (void)mt_http.add_response_header(response, always[i][0], always[i][1]);
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        (void)mt_http.add_response_header(response, reply->headers[i].name, reply->headers[i].value);
        policy = policy || strcmp(reply->headers[i].name, "Content-Security-Policy") == 0;
    }
    if (!policy) {
        (void)mt_http.add_response_header(response, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    }
}

static enum MHD_Result send_reply(struct mt_request *request)
{
    const struct mt_response *reply = &request->reply;
    struct MHD_Response *response = request->stream;
    request->stream = NULL;
    if (response == NULL) {
        response = mt_http.create_response_from_buffer(reply->bytes, reply->body, MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL) {
        return MHD_NO;
    }
    bool stream = reply->status == 0;
    add_headers(response, reply, stream ? "text/event-stream" : reply->type);
    enum MHD_Result queued = mt_http.queue_response(request->connection, stream ? MHD_HTTP_OK : reply->status, response);
    mt_http.destroy_response(response);
    return queued;
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static enum MHD_Result check_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct mt_request *request = context;
    (void)kind;
    (void)value;
    if (request->reply.status == 0 && !mt_route_takes(request->route, name)) {
        bool none = request->route->arguments[0] == '\0';
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "%s has no argument of that name; it takes %s", request->path,
                      none ? "none" : request->route->arguments);
    }
    return MHD_YES;
}

static void refuse_path(struct mt_request *request, bool known)
{
    char methods[128];
    if (!known) {
        mt_response_fail(request, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "there is no such path; /openapi.json lists them");
        return;
    }
    mt_route_methods(request->path, methods, sizeof methods);
    mt_response_fail(request, MHD_HTTP_METHOD_NOT_ALLOWED, "METHOD", "%s is for %s", request->path, methods);
    mt_response_header(request, "Allow", methods);
}

static bool announces_too_much(const struct mt_request *request)
{
    const char *length = mt_request_header(request, "Content-Length");
    return length != NULL && (strlen(length) > 9 || strtoul(length, NULL, 10) > MT_REQUEST_BODY_MAX);
}

static void refuse_size(struct mt_request *request)
{
    mt_response_fail(request, 413, "TOO_LARGE", "a body may have %d bytes", MT_REQUEST_BODY_MAX);
}

/* When the headers are there: whoever may not ask is told so before anything else is looked at. */
static void admit(struct mt_request *request)
{
    bool known;
    request->route = mt_route_find(request->method, request->path, &known);
    if (mt_auth_refuses(request) != 0) {
        return;
    }
    if (request->route == NULL) {
        refuse_path(request, known);
    } else if (announces_too_much(request)) {
        refuse_size(request);
    } else {
        (void)mt_http.get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, check_argument, request);
    }
}

static struct mt_request *new_request(const struct mt_listener *listener, struct MHD_Connection *connection, const char *path, const char *method)
{
    struct mt_request *request = mt_alloc_zero(1, sizeof *request);
    *request = (struct mt_request){ .server = listener->server,
                                    .listener = listener,
                                    .connection = connection,
                                    .method = mt_strdup(method),
                                    .path = mt_strdup(path),
                                    .began_ns = mt_os_monotonic_ns() };
    return request;
}

static void take_body(struct mt_request *request, const char *data, size_t bytes)
{
    if (request->body_bytes + bytes > MT_REQUEST_BODY_MAX) {
        request->too_large = true;
        return;
    }
    request->body = mt_alloc_grow(request->body, &request->body_capacity, request->body_bytes + bytes + 1, 1);
    memcpy(request->body + request->body_bytes, data, bytes);
    request->body_bytes += bytes;
    request->body[request->body_bytes] = '\0';
}

/* The whole of it is there. True: there is a reply. */
static bool dispatch(struct mt_request *request)
{
    mt_clients_asked(&request->server->clients, request->connection);
    if (request->too_large) {
        refuse_size(request);
        return true;
    }
    if (request->route->place != MT_ROUTE_WORKER) {
        request->route->answer(request);
        return true;
    }
    request->sent_away = true;
    mt_http.suspend_connection(request->connection);
    if (mt_workers_add(&request->server->workers, request)) {
        return false;
    }
    mt_http.resume_connection(request->connection);
    mt_response_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "BUSY", "too many questions at once; ask again");
    mt_response_header(request, "Retry-After", "1");
    return false; /* the library calls again for a resumed connection */
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                                  const char *data, size_t *bytes, void **own)
{
    const struct mt_listener *listener = context;
    struct mt_request *request = *own;
    (void)version;
    if (request == NULL) {
        *own = request = new_request(listener, connection, path, method);
        admit(request);
        return request->reply.status != 0 ? send_reply(request) : MHD_YES;
    }
    if (*bytes > 0) {
        take_body(request, data, *bytes);
        *bytes = 0;
        return MHD_YES;
    }
    if (!request->sent_away && !dispatch(request)) {
        return MHD_YES;
    }
    return send_reply(request);
}

/* Of streams, which last, and of paths that are not there, no time is remembered. */
static void note_usage(struct mt_request *request)
{
    unsigned status = request->reply.status != 0 ? request->reply.status : MHD_HTTP_OK;
    uint64_t took_ns = mt_os_monotonic_ns() - request->began_ns;
    mt_usage_add(&request->server->usage, request, status, took_ns);
    if (request->route != NULL && request->route->place != MT_ROUTE_STREAM) {
        mt_monitor_slow_endpoint(&request->server->monitor, request->route->method, request->route->path, (double)took_ns / 1e6, status);
    }
}

static void on_completed(void *context, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode why)
{
    struct mt_request *request = *own;
    const struct mt_listener *listener = context;
    (void)why;
    mt_clients_answered(&listener->server->clients, connection);
    if (request == NULL) {
        return;
    }
    note_usage(request);
    mt_response_clear(&request->reply);
    free(request->method);
    free(request->path);
    free(request->body);
    free(request);
    *own = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **own, enum MHD_ConnectionNotificationCode what)
{
    const struct mt_listener *listener = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *own = mt_clients_came(&listener->server->clients, connection);
    } else {
        mt_clients_went(&listener->server->clients, *own);
    }
}

/* ---- beginning ---------------------------------------------------------------------------------------------------- */

static void ignore_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static mt_status start(struct mt_listener *listener, struct mt_error *err)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_Daemon *daemon = mt_http.start_daemon(flags, 0, NULL, NULL, on_request, listener,
                                                     MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
                                                     MHD_OPTION_LISTEN_SOCKET, listener->fd,
                                                     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                                                     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                                                     MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                                     MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
                                                     MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_END);
    return daemon != NULL ? MT_OK : mt_error_set(err, MT_E_IO, "cannot serve at %s: the HTTP library did not start", listener->url);
}

static mt_status listen_everywhere(struct mt_server *server, const struct mt_serve_options *options, struct mt_error *err)
{
    size_t count = options->listen.count > 0 ? options->listen.count : 1;
    mt_status status = count <= MT_LISTENERS_MAX ? MT_OK : mt_error_set(err, MT_E_INVAL, "--listen can be given %d times", MT_LISTENERS_MAX);
    for (size_t i = 0; status == MT_OK && i < count; i++) {
        struct mt_listener *listener = &server->listeners[i];
        listener->server = server;
        status = mt_listen(options->listen.count > 0 ? options->listen.items[i] : NULL, server->token != NULL, listener, err);
        server->listener_count += status == MT_OK;
    }
    for (size_t i = 0; status == MT_OK && i < server->listener_count; i++) {
        status = start(&server->listeners[i], err);
    }
    return status;
}

static void say_where(const struct mt_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        mt_say("memtap: serving at %s%s; Ctrl-C ends it", server->listeners[i].url, server->token != NULL ? " with a token" : "");
    }
}

/* On a thread of its own: it waits for the questions that are being answered. */
static void *monitor(void *context)
{
    struct mt_server *server = context;
    for (;;) {
        (void)sleep(1);
        mt_monitor_look(&server->monitor, &server->targets);
    }
    return NULL;
}

/* What is looked at now and then; for ever. */
static void watch(struct mt_server *server)
{
    for (;;) {
        (void)sleep(1);
        mt_targets_look(&server->targets);
        mt_feed_tick(server);
        mt_clients_tick(&server->clients);
    }
}

mt_status mt_serve(const struct mt_serve_options *options, struct mt_error *err)
{
    static struct mt_server server;
    server.token = options->token;
    server.routes = mt_routes;
    server.route_count = mt_route_count;
    server.began_ns = mt_os_monotonic_ns();
    mt_feed_init(&server.feed);
    mt_clients_init(&server.clients);
    mt_usage_init(&server.usage, mt_routes);
    mt_monitor_init(&server.monitor);
    mt_status status = mt_http_load(err);
    if (status == MT_OK) {
        status = mt_targets_init(&server.targets, &options->targets, err);
    }
    if (status == MT_OK) {
        status = mt_workers_start(&server.workers, err);
    }
    if (status == MT_OK) {
        status = listen_everywhere(&server, options, err);
    }
    if (status == MT_OK) {
        status = mt_workers_thread(monitor, &server, err);
    }
    if (status == MT_OK) {
        say_where(&server);
        if (options->open && !server.listeners[0].is_unix) {
            mt_browser_open(server.listeners[0].url);
        }
        watch(&server);
    }
    return status;
}
