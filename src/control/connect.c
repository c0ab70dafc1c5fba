/* connect.c: see connect.h. */
#include "control/connect.h"

#include "util/network.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What it answers is believed, and root's tool would be told things by anybody: its user is this one, or root, or this is root. */
static mt_status look_at_peer(int fd, pid_t *ret_pid)
{
    struct ucred peer = { 0 };
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        return MT_E_IO;
    }
    *ret_pid = peer.pid;
    return peer.uid == geteuid() || peer.uid == 0 || geteuid() == 0 ? MT_OK : MT_E_PERM;
}

static mt_status status_of_errno(int number)
{
    return number == EACCES || number == EPERM ? MT_E_PERM : number == EAGAIN ? MT_E_BUSY : MT_E_NOENT;
}

mt_status mt_connect_local(const char *name, pid_t near, int *ret_fd, pid_t *ret_pid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t bytes = strlen(name);
    bool abstract = name[0] == '@';
    if (bytes >= sizeof address.sun_path) {
        return MT_E_INVAL;
    }
    memcpy(address.sun_path, name, bytes);
    if (abstract) {
        address.sun_path[0] = '\0';
    }
    int fd = mt_network_socket(near, SOCK_STREAM);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + !abstract);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, length) != 0) {
        int number = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return status_of_errno(number);
    }
    mt_status status = look_at_peer(fd, ret_pid);
    if (status != MT_OK) {
        (void)close(fd);
        return status;
    }
    *ret_fd = fd;
    return MT_OK;
}

/* errno of a connection that was begun, 0: it is there. */
static int finish_connecting(int fd, uint64_t timeout_ns)
{
    struct pollfd watched = { .fd = fd, .events = POLLOUT };
    int number = 0;
    socklen_t length = sizeof number;
    int found;
    do {
        found = poll(&watched, 1, (int)(timeout_ns / 1000000));
    } while (found < 0 && errno == EINTR);
    if (found <= 0) {
        return ETIMEDOUT;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) == 0 ? number : errno;
}

/* errno, 0: connected. */
static int try_address(const struct addrinfo *address, uint64_t timeout_ns, int *ret_fd)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
    if (fd < 0) {
        return errno;
    }
    int number = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    number = number == EINPROGRESS ? finish_connecting(fd, timeout_ns) : number;
    if (number != 0) {
        (void)close(fd);
    } else {
        *ret_fd = fd;
    }
    return number;
}

mt_status mt_connect_host(const char *host, const char *port, uint64_t timeout_ns, int *ret_fd, struct mt_error *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int number = getaddrinfo(host, port, &hints, &found);
    if (number != 0) {
        return mt_error_set(err, MT_E_NOENT, "there is no host %s: %s", host, gai_strerror(number));
    }
    number = EHOSTUNREACH;
    for (const struct addrinfo *at = found; at != NULL && number != 0; at = at->ai_next) {
        number = try_address(at, timeout_ns, ret_fd);
    }
    freeaddrinfo(found);
    if (number == 0) {
        return MT_OK;
    }
    return number == ETIMEDOUT ? mt_error_set(err, MT_E_BUSY, "%s:%s does not answer", host, port)
                               : mt_error_set_errno(err, number, "cannot connect to %s:%s", host, port);
}
