/* client.h: a connection to an armed process.
 *
 * Decides: how one is found and checked. A process is looked for among the sockets of this machine (found.h), and the one that is taken
 * is the one that the kernel says is its (SO_PEERCRED), whatever its name. Failures are sentences that say what to do:
 * MT_E_NOENT, MT_E_PERM: it cannot be reached; MT_E_BUSY: no answer in time. Context: [tool].
 */
#ifndef MT_CONTROL_CLIENT_H
#define MT_CONTROL_CLIENT_H

#include "control/endpoint.h"
#include "control/found.h"
#include "wire/control.h"

#include <stdint.h>

struct mt_client {
    int fd;
    pid_t pid;     /* as this process sees it; 0: not known */
    char text[288]; /* how it was reached, for messages */
};

struct mt_reply {
    uint32_t status; /* enum mt_control_status */
    char *payload;   /* malloc'ed, a NUL behind it */
    size_t bytes;
};

enum mt_client_stream { MT_STREAM_OUTPUT = 1, MT_STREAM_ERRORS, MT_STREAM_TRACEBACK, MT_STREAM_ERROR };
/* Text that comes before the end of a reply. False: no more is wanted, and the connection is of no use any longer. */
typedef bool mt_client_say(void *context, int stream, const char *text, size_t bytes);

/* To a process that is not armed: MT_E_NOENT. FILE endpoints: MT_E_INVAL. Sends HELLO with MEMTAP_TOKEN where it is TCP. */
mt_status mt_client_open(const struct mt_endpoint *where, struct mt_client *ret, struct mt_error *err) MT_CHECKED;
/* One of found.h. */
mt_status mt_client_open_found(const struct mt_found *found, struct mt_client *ret, struct mt_error *err) MT_CHECKED;
/* Is the process armed? Then the connection is open. */
bool mt_client_reach(pid_t pid, struct mt_client *ret);
void mt_client_close(struct mt_client *client);
/* Until the process closes the connection, or the time is up. */
void mt_client_await_end(struct mt_client *client, uint64_t timeout_ns);

/* One request, and its reply, which the caller clears. payload: strings. A reply with a status that is not OK is no failure here. */
mt_status mt_client_ask(struct mt_client *client, enum mt_control_kind kind, const struct mt_control_text *payload, uint64_t timeout_ns,
                        struct mt_reply *ret, struct mt_error *err) MT_CHECKED;
/* The same in two steps; say gets what comes before the end. meanwhile (may be NULL) is called often. */
mt_status mt_client_send(struct mt_client *client, enum mt_control_kind kind, const char *payload, size_t bytes, uint64_t timeout_ns,
                         struct mt_error *err) MT_CHECKED;
struct mt_client_wait {
    uint64_t timeout_ns;
    mt_client_say *say; /* NULL: dropped */
    void (*meanwhile)(void *context);
    void *context;
};
mt_status mt_client_receive(struct mt_client *client, const struct mt_client_wait *how, struct mt_reply *ret, struct mt_error *err) MT_CHECKED;
/* A value of the reply, "" when it has none; a number, 0. */
const char *mt_reply_text(const struct mt_reply *reply, const char *name);
uint64_t mt_reply_number(const struct mt_reply *reply, const char *name);
void mt_reply_clear(struct mt_reply *reply);

#endif
