/* client.c: see client.h. */
#include "control/client.h"

#include "base/os.h"
#include "control/connect.h"
#include "util/human.h"
#include "util/interrupt.h"
#include "util/memory.h"
#include "util/network.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint64_t CONNECT_NS = 5000000000;
enum { STEP_MS = 20 };

void mt_client_close(struct mt_client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    client->fd = -1;
}

void mt_reply_clear(struct mt_reply *reply)
{
    free(reply->payload);
    *reply = (struct mt_reply){ 0 };
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

static mt_status out_of_time(const struct mt_client *client, struct mt_error *err)
{
    return mt_error_set(err, MT_E_BUSY, "%s does not answer", client->text);
}

static mt_status gone(const struct mt_client *client, struct mt_error *err)
{
    return mt_error_set(err, MT_E_NOENT, "%s has closed the connection", client->text);
}

/* Waits for events of the socket; false: the time is up. */
static bool wait_for(const struct mt_client *client, short events, uint64_t until, const struct mt_client_wait *how)
{
    for (;;) {
        struct pollfd watched = { .fd = client->fd, .events = events };
        uint64_t now = mt_os_monotonic_ns();
        uint64_t left_ms = until > now ? (until - now) / 1000000 + 1 : 0;
        bool often = how != NULL && how->meanwhile != NULL;
        int found = poll(&watched, 1, often && left_ms > STEP_MS ? STEP_MS : left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (found > 0) {
            return true;
        }
        if (often) {
            how->meanwhile(how->context);
        }
        if (left_ms == 0) {
            return false;
        }
    }
}

static mt_status send_all(struct mt_client *client, const char *data, size_t bytes, uint64_t until, struct mt_error *err)
{
    while (bytes > 0) {
        ssize_t sent = send(client->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return gone(client, err);
        }
        if (sent < 0 && !wait_for(client, POLLOUT, until, NULL)) {
            return out_of_time(client, err);
        }
        data += sent > 0 ? sent : 0;
        bytes -= (size_t)(sent > 0 ? sent : 0);
    }
    return MT_OK;
}

static mt_status receive_all(struct mt_client *client, char *data, size_t bytes, uint64_t until, const struct mt_client_wait *how,
                             struct mt_error *err)
{
    while (bytes > 0) {
        ssize_t got = recv(client->fd, data, bytes, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return gone(client, err);
        }
        if (got < 0 && !wait_for(client, POLLIN, until, how)) {
            return out_of_time(client, err);
        }
        data += got > 0 ? got : 0;
        bytes -= (size_t)(got > 0 ? got : 0);
    }
    return MT_OK;
}

void mt_client_await_end(struct mt_client *client, uint64_t timeout_ns)
{
    uint64_t until = mt_os_monotonic_ns() + timeout_ns;
    struct mt_error ignored = { 0 };
    char byte;
    while (receive_all(client, &byte, 1, until, NULL, &ignored) == MT_OK) {
    }
}

/* ---- frames --------------------------------------------------------------------------------------------------------- */

mt_status mt_client_send(struct mt_client *client, enum mt_control_kind kind, const char *payload, size_t bytes, uint64_t timeout_ns,
                         struct mt_error *err)
{
    const struct mt_control_frame head = { .magic = MT_CONTROL_MAGIC, .version = MT_CONTROL_VERSION, .kind = (uint16_t)kind, .length = (uint32_t)bytes };
    uint64_t until = mt_os_monotonic_ns() + timeout_ns;
    if (bytes > MT_CONTROL_PAYLOAD_MAX) {
        return mt_error_set(err, MT_E_INVAL, "the request is larger than %s", mt_human_bytes(MT_CONTROL_PAYLOAD_MAX).text);
    }
    mt_status status = send_all(client, (const char *)&head, sizeof head, until, err);
    return status == MT_OK ? send_all(client, payload, bytes, until, err) : status;
}

static mt_status receive_frame(struct mt_client *client, uint64_t until, const struct mt_client_wait *how, struct mt_reply *ret,
                               struct mt_error *err)
{
    struct mt_control_frame head;
    mt_status status = receive_all(client, (char *)&head, sizeof head, until, how, err);
    if (status != MT_OK) {
        return status;
    }
    if (!mt_control_is_frame(&head)) {
        return mt_error_set(err, MT_E_NOENT,
                            memcmp(&head, "HTTP", 4) == 0 ? "%s is a web server, not the socket of a process"
                                                          : "%s does not speak memtap's protocol, or another version of it",
                            client->text);
    }
    char *payload = mt_alloc((size_t)head.length + 1);
    payload[head.length] = '\0';
    status = receive_all(client, payload, head.length, until, how, err);
    if (status != MT_OK) {
        free(payload);
        return status;
    }
    *ret = (struct mt_reply){ .status = head.status, .payload = payload, .bytes = head.length };
    return MT_OK;
}

/* The stream of a text that comes before the end; 0: it is the end. */
static int stream_of(uint32_t status)
{
    static const uint32_t of[] = { MT_CONTROL_IS_OUTPUT, MT_CONTROL_IS_ERRORS, MT_CONTROL_IS_TRACEBACK, MT_CONTROL_IS_ERROR };
    for (size_t i = 0; i < MT_COUNTOF(of); i++) {
        if (of[i] == status) {
            return (int)i + MT_STREAM_OUTPUT;
        }
    }
    return 0;
}

mt_status mt_client_receive(struct mt_client *client, const struct mt_client_wait *how, struct mt_reply *ret, struct mt_error *err)
{
    uint64_t until = mt_os_monotonic_ns() + how->timeout_ns;
    for (;;) {
        mt_status status = receive_frame(client, until, how, ret, err);
        int stream = status == MT_OK ? stream_of(ret->status) : 0;
        if (stream == 0) {
            return status;
        }
        bool goes_on = how->say == NULL || how->say(how->context, stream, ret->payload, ret->bytes);
        mt_reply_clear(ret);
        if (!goes_on) {
            return mt_error_set(err, MT_E_FULL, "it said more than is taken");
        }
    }
}

mt_status mt_client_ask(struct mt_client *client, enum mt_control_kind kind, const struct mt_control_text *payload, uint64_t timeout_ns,
                        struct mt_reply *ret, struct mt_error *err)
{
    const struct mt_client_wait how = { .timeout_ns = timeout_ns };
    mt_status status = mt_client_send(client, kind, payload != NULL ? payload->buf : "", payload != NULL ? payload->length : 0, timeout_ns, err);
    return status == MT_OK ? mt_client_receive(client, &how, ret, err) : status;
}

const char *mt_reply_text(const struct mt_reply *reply, const char *name)
{
    const char *value = mt_control_value(reply->payload, reply->bytes, name);
    return value != NULL ? value : "";
}

uint64_t mt_reply_number(const struct mt_reply *reply, const char *name)
{
    uint64_t value = 0;
    return mt_parse_count(mt_reply_text(reply, name), &value) ? value : 0;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static mt_status present_token(struct mt_client *client, struct mt_error *err)
{
    char words[MT_CONTROL_TOKEN_MAX + 16];
    struct mt_control_text text = { .buf = words, .capacity = sizeof words };
    struct mt_reply reply;
    const char *token = getenv("MEMTAP_TOKEN");
    if (token != NULL && token[0] != '\0') {
        mt_control_add(&text, "TOKEN", token);
    }
    mt_status status = mt_client_ask(client, MT_CONTROL_HELLO, &text, CONNECT_NS, &reply, err);
    if (status != MT_OK) {
        return status;
    }
    if (reply.status != MT_CONTROL_IS_OK) {
        status = mt_error_set(err, MT_E_PERM, "%s: %s", client->text, mt_control_status_text(reply.status));
    }
    mt_reply_clear(&reply);
    return status;
}

static mt_status open_host(const struct mt_endpoint *where, struct mt_client *ret, struct mt_error *err)
{
    mt_status status = mt_connect_host(where->host, where->port, CONNECT_NS, &ret->fd, err);
    if (status == MT_OK) {
        status = present_token(ret, err);
    }
    if (status != MT_OK) {
        mt_client_close(ret);
    }
    return status;
}

mt_status mt_client_open_found(const struct mt_found *found, struct mt_client *ret, struct mt_error *err)
{
    const char *name = found->name;
    *ret = (struct mt_client){ .fd = -1 };
    mt_status status = mt_connect_local(name, found->near, &ret->fd, &ret->pid);
    if (status == MT_E_NOENT && name[0] == '/') {
        mt_found_remove_stale(name);
    }
    if (ret->pid == 0) {
        ret->pid = mt_found_pid(name);
    }
    (void)snprintf(ret->text, sizeof ret->text, "process %d", (int)ret->pid);
    return status == MT_OK ? MT_OK : mt_error_set(err, status, "%s cannot be reached: %s", name, mt_status_text(status));
}

/* Those whose name says it first: they are most likely it. */
static bool reach(pid_t pid, const struct mt_found_list *found, bool named, struct mt_client *ret)
{
    struct mt_error err;
    for (size_t i = 0; i < found->count; i++) {
        if ((mt_found_pid(found->items[i].name) == pid) == named && mt_client_open_found(&found->items[i], ret, &err) == MT_OK) {
            if (ret->pid == pid) {
                return true;
            }
            mt_client_close(ret);
        }
    }
    return false;
}

bool mt_client_reach(pid_t pid, struct mt_client *ret)
{
    struct mt_found_list found = { 0 };
    mt_found_of(pid, &found);
    bool reached = reach(pid, &found, true, ret) || reach(pid, &found, false, ret);
    mt_found_clear(&found);
    return reached;
}

static bool may_enter(pid_t pid)
{
    int fd = mt_network_socket(pid, SOCK_STREAM);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

static mt_status open_process(pid_t pid, struct mt_client *ret, struct mt_error *err)
{
    if (mt_client_reach(pid, ret)) {
        return MT_OK;
    }
    char *folder = mt_format("/proc/%d", (int)pid);
    bool there = access(folder, F_OK) == 0;
    free(folder);
    if (!may_enter(pid)) {
        return mt_error_set(err, MT_E_PERM, "process %d is in a network of its own (a container), which memtap may not enter: use sudo, or give "
                            "host:port or unix:/path",
                            (int)pid);
    }
    return mt_error_set(err, MT_E_NOENT,
                        there ? "process %d does not listen: `memtap attach %d` makes it, or start it with MEMTAP_LISTEN=1 under `memtap run`"
                              : "there is no process %d",
                        (int)pid, (int)pid);
}

static mt_status open_socket(const struct mt_endpoint *where, struct mt_client *ret, struct mt_error *err)
{
    mt_status status = mt_connect_local(where->text, 0, &ret->fd, &ret->pid);
    return status == MT_OK ? MT_OK : mt_error_set(err, status, "cannot connect to %s: %s", where->text, mt_status_text(status));
}

mt_status mt_client_open(const struct mt_endpoint *where, struct mt_client *ret, struct mt_error *err)
{
    *ret = (struct mt_client){ .fd = -1 };
    (void)snprintf(ret->text, sizeof ret->text, "%s%s", where->kind == MT_ENDPOINT_PROCESS ? "process " : "", where->text);
    switch (where->kind) {
    case MT_ENDPOINT_PROCESS:
        return open_process(where->pid, ret, err);
    case MT_ENDPOINT_SOCKET:
        return open_socket(where, ret, err);
    case MT_ENDPOINT_HOST:
        return open_host(where, ret, err);
    case MT_ENDPOINT_FILE:
    default:
        return mt_error_set(err, MT_E_INVAL, "%s is a file; this needs a process that runs", where->text);
    }
}
