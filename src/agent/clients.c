/* clients.c: see clients.h.
 *
 * A client is idle, has sent a part of a request, or has an answer that is not taken yet; only the latter two have a deadline. A
 * request is read whole before it is looked at, an answer is made whole before it is sent, so that a slow client holds memory and
 * never the thread.
 */
#include "agent/clients.h"

#include "agent/answer.h"
#include "agent/ears.h"
#include "base/atomic.h"
#include "base/os.h"

#include <string.h>

enum { CLIENTS = 16, REPLY_BYTES = 64 * 1024, STRANGER_BYTES = 4096, HEAD_BYTES = sizeof(struct mt_control_frame) };
static const uint64_t PATIENCE_NS = 10000000000;
static const uint64_t REFUSED_NS = 100000000; /* the next attempt when the kernel refuses */

struct client {
    int fd; /* 0: the place is free */
    uint64_t identity;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    uint64_t user;        /* as of struct mt_asked */
    bool trusted;
    struct mt_control_frame head;
    size_t got; /* of head and payload */
    char *payload;
    char *reply; /* head and payload of the answer, mapped while one is under way */
    size_t reply_bytes, sent;
};

static struct client g_clients[CLIENTS];

/* What is waited for: only what there is, because the kernel counts the places against the limit of descriptors. */
enum { WAKER = MT_EAR__COUNT + CLIENTS, PLACES };
struct watch {
    struct mt_os_waited waited[PLACES];
    int places[PLACES]; /* an ear, MT_EAR__COUNT and a client, or the waker */
    size_t count;
};

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

/* A fork at any moment copies a request or reply that is there or none: its child unmaps what it finds. */
static void unmap(char **mapped, size_t bytes)
{
    char *base = *mapped;
    mt_store_release(mapped, NULL);
    if (base != NULL) {
        mt_os_unmap(base, bytes);
    }
}

static void forget_request(struct client *c)
{
    unmap(&c->payload, c->head.length);
    c->got = 0;
}

static void drop(struct client *c)
{
    forget_request(c);
    unmap(&c->reply, REPLY_BYTES);
    if (c->identity != 0 && mt_os_socket_identity(c->fd) == c->identity) {
        mt_os_close(c->fd);
    }
    *c = (struct client){ 0 };
}

void mt_clients_forget(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (g_clients[i].fd != 0) {
            drop(&g_clients[i]);
        }
    }
}

/* ---- answers -------------------------------------------------------------------------------------------------------- */

static void send_more(struct client *c)
{
    size_t sent = 0;
    mt_status status = mt_os_socket_send(c->fd, c->reply + c->sent, c->reply_bytes - c->sent, &sent);
    if (status != MT_OK) {
        if (status != MT_E_BUSY) {
            drop(c);
        }
        return;
    }
    c->sent += sent;
    if (c->sent == c->reply_bytes) {
        unmap(&c->reply, REPLY_BYTES);
        c->deadline_ns = c->trusted ? UINT64_MAX : c->deadline_ns;
    }
}

static void answer_with(struct client *c, enum mt_control_status status, const struct mt_control_text *text)
{
    const struct mt_control_frame head = { .magic = MT_CONTROL_MAGIC,
                                           .version = MT_CONTROL_VERSION,
                                           .kind = c->head.kind,
                                           .status = (uint32_t)status,
                                           .length = (uint32_t)text->length };
    memcpy(c->reply, &head, HEAD_BYTES);
    c->reply_bytes = HEAD_BYTES + text->length;
    c->sent = 0;
    c->deadline_ns = c->trusted ? mt_os_monotonic_ns() + PATIENCE_NS : c->deadline_ns; /* a stranger has ten seconds in all */
    forget_request(c);
    send_more(c);
}

static bool make_reply(struct client *c)
{
    void *base = NULL;
    if (mt_os_map_anonymous(REPLY_BYTES, &base) != MT_OK) {
        return false;
    }
    c->reply = base;
    return true;
}

static bool may_ask(struct client *c)
{
    if (!c->trusted) {
        const char *token = mt_control_value(c->payload, c->head.length, "TOKEN");
        c->trusted = c->head.kind == MT_CONTROL_HELLO && token != NULL && mt_ears_accept_token(token);
        c->user = c->trusted ? MT_ASKED_BY_TOKEN : c->user;
    }
    return c->trusted;
}

/* To another thread, to which the connection and the request belong from then on. The request is nobody's for a moment: a fork then leaves
 * its child a mapping more, and never one that two think theirs. */
static bool hand_over(struct client *c, enum mt_control_status *ret_status)
{
    char *payload = c->payload;
    const struct mt_asked asked = { c->head.kind, c->user, payload, c->head.length };
    mt_store_release(&c->payload, NULL);
    if (!mt_answer_apart(&asked, c->fd, c->head.length, ret_status)) {
        mt_store_release(&c->payload, payload);
        return false;
    }
    unmap(&c->reply, REPLY_BYTES);
    *c = (struct client){ 0 };
    return true;
}

static void answer(struct client *c)
{
    const struct mt_asked asked = { c->head.kind, c->user, c->payload, c->head.length };
    enum mt_control_status status = MT_CONTROL_IS_DENIED;
    if (!make_reply(c)) {
        drop(c);
        return;
    }
    struct mt_control_text text = { .buf = c->reply + HEAD_BYTES, .capacity = REPLY_BYTES - HEAD_BYTES };
    if (may_ask(c)) {
        status = MT_CONTROL_IS_UNKNOWN;
        if (hand_over(c, &status)) {
            return;
        }
        if (status == MT_CONTROL_IS_UNKNOWN) {
            status = mt_answer(&asked, &text);
        }
    }
    answer_with(c, status, &text);
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

/* A browser or curl has come: it is told what this is, as far as its socket takes it now. */
static void say_what_this_is(struct client *c)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 66\r\nConnection: close\r\n\r\n"
                               "This is memtap's control socket, not HTTP. Ask with `memtap list`.\n";
    size_t sent = 0;
    if ((c->head.magic & 0x80808080u) == 0) {
        (void)(mt_os_socket_send(c->fd, text, sizeof text - 1, &sent) == MT_OK);
    }
}

/* False: the client is gone. */
static bool begin_payload(struct client *c)
{
    void *base = NULL;
    if (!mt_control_is_frame(&c->head)) {
        say_what_this_is(c);
        drop(c);
        return false;
    }
    if (!c->trusted && c->head.length > STRANGER_BYTES) {
        drop(c);
        return false;
    }
    if (c->head.length > 0) {
        if (mt_os_map_anonymous(c->head.length, &base) != MT_OK) {
            drop(c);
            return false;
        }
        c->payload = base;
    }
    return true;
}

/* Reads what is there into one place; the bytes read, 0: nothing more now, or the client is gone. */
static size_t receive(struct client *c, void *to, size_t bytes)
{
    size_t got = 0;
    mt_status status = mt_os_socket_receive(c->fd, to, bytes, &got);
    if (status != MT_OK || got == 0) {
        if (status != MT_E_BUSY) {
            drop(c);
        }
        return 0;
    }
    if (c->deadline_ns == UINT64_MAX) {
        c->deadline_ns = mt_os_monotonic_ns() + PATIENCE_NS;
    }
    c->got += got;
    return got;
}

static void read_request(struct client *c)
{
    if (c->got < HEAD_BYTES &&
        (receive(c, (char *)&c->head + c->got, HEAD_BYTES - c->got) == 0 || c->got < HEAD_BYTES || !begin_payload(c))) {
        return;
    }
    if (c->got < HEAD_BYTES + c->head.length &&
        receive(c, c->payload + (c->got - HEAD_BYTES), HEAD_BYTES + c->head.length - c->got) == 0) {
        return;
    }
    if (c->got == HEAD_BYTES + c->head.length) {
        answer(c);
    }
}

/* ---- the turn ------------------------------------------------------------------------------------------------------- */

/* NULL: everybody here may be. */
static struct client *oldest_stranger(void)
{
    struct client *oldest = NULL;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &g_clients[i];
        if (c->fd != 0 && !c->trusted && (oldest == NULL || c->deadline_ns < oldest->deadline_ns)) {
            oldest = c;
        }
    }
    return oldest;
}

static bool is_full(void)
{
    bool full = true;
    for (int i = 0; i < CLIENTS; i++) {
        full = full && g_clients[i].fd != 0;
    }
    return full;
}

/* Strangers keep nobody out who is known. */
static void take_in(int fd, bool trusted, uint32_t user)
{
    struct client *stranger = trusted && is_full() ? oldest_stranger() : NULL;
    if (stranger != NULL) {
        drop(stranger);
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (g_clients[i].fd == 0) {
            g_clients[i] = (struct client){ .fd = mt_ears_move_away(fd),
                                            .trusted = trusted,
                                            .user = user,
                                            .deadline_ns = trusted ? UINT64_MAX : mt_os_monotonic_ns() + PATIENCE_NS };
            g_clients[i].identity = mt_os_socket_identity(g_clients[i].fd);
            return;
        }
    }
    mt_os_close(fd); /* there are too many */
}

/* False: whoever waits there cannot be let in now, for want of descriptors, and goes on waiting. */
static bool hear(enum mt_ear ear)
{
    int listener = mt_ears_descriptor(ear), fd = -1;
    bool allowed = false;
    uint32_t user = MT_ASKED_BY_UNKNOWN;
    mt_status status = listener >= 0 ? mt_os_socket_accept(listener, &fd) : MT_E_BUSY;
    if (status != MT_OK) {
        return status == MT_E_BUSY;
    }
    bool trusted = mt_ears_knows(ear, fd, &user, &allowed);
    if (allowed) {
        take_in(fd, trusted, user);
    } else {
        mt_os_close(fd);
    }
    return true;
}

static void attend(struct client *c, int16_t is, uint64_t now)
{
    if (c->identity == 0 || mt_os_socket_identity(c->fd) != c->identity) {
        drop(c);
    } else if (c->reply != NULL && (is & (MT_OS_WRITABLE | MT_OS_GONE)) != 0) {
        send_more(c);
    } else if (c->reply == NULL && (is & (MT_OS_READABLE | MT_OS_GONE)) != 0) {
        read_request(c);
    }
    if (c->fd != 0 && now >= c->deadline_ns) {
        drop(c);
    }
}

static uint64_t time_left(uint64_t now)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        if (g_clients[i].fd != 0 && g_clients[i].deadline_ns < first) {
            first = g_clients[i].deadline_ns;
        }
    }
    return first == UINT64_MAX ? UINT64_MAX : first > now ? first - now : 0;
}

static void watch_for(struct watch *watch, int place, int fd, int16_t wanted)
{
    if (fd >= 0) {
        watch->places[watch->count] = place;
        watch->waited[watch->count++] = (struct mt_os_waited){ .fd = fd, .wanted = wanted };
    }
}

/* False: the kernel refuses to wait. */
static bool wait_for_any(uint64_t at_most_ns, int16_t is[PLACES])
{
    struct watch watch = { .count = 0 };
    for (int i = 0; i < MT_EAR__COUNT; i++) {
        watch_for(&watch, i, mt_ears_descriptor((enum mt_ear)i), MT_OS_READABLE);
    }
    for (int i = 0; i < CLIENTS; i++) {
        const struct client *c = &g_clients[i];
        watch_for(&watch, MT_EAR__COUNT + i, c->fd != 0 ? c->fd : -1, c->reply != NULL ? MT_OS_WRITABLE : MT_OS_READABLE);
    }
    watch_for(&watch, WAKER, mt_ears_waker(), MT_OS_READABLE);
    uint64_t left = time_left(mt_os_monotonic_ns());
    bool waited = mt_os_wait(watch.waited, watch.count, left < at_most_ns ? left : at_most_ns);
    for (size_t i = 0; i < watch.count; i++) {
        is[watch.places[i]] = watch.waited[i].is;
    }
    return waited;
}

void mt_clients_turn(uint64_t at_most_ns)
{
    int16_t is[PLACES] = { 0 };
    bool well = wait_for_any(at_most_ns, is);
    uint64_t now = mt_os_monotonic_ns();
    for (int i = 0; i < CLIENTS; i++) {
        if (g_clients[i].fd != 0) {
            attend(&g_clients[i], is[MT_EAR__COUNT + i], now);
        }
    }
    if (is[WAKER] != 0) {
        mt_ears_wake_up();
    }
    for (int i = 0; i < MT_EAR__COUNT; i++) {
        well = (is[i] == 0 || hear((enum mt_ear)i)) && well;
    }
    if (!well) {
        mt_os_pause_ns(REFUSED_NS);
    }
}
