/* listen.c: see listen.h. */
#include "serve/listen.h"

#include "serve/serve.h"
#include "util/interrupt.h"
#include "util/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* ---- unix sockets ------------------------------------------------------------------------------------------------- */

/* A socket, and of this user: nothing else is ever removed. */
static bool is_own_socket(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_uid == geteuid();
}

/* Nobody answers there any more. */
static bool is_dead(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        (void)close(fd);
    }
    return dead;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0177);
    int failed = bind(fd, (const struct sockaddr *)address, sizeof *address);
    (void)umask(before);
    return failed;
}

static mt_status listen_unix(const char *path, struct mt_listener *ret, struct mt_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path) {
        return mt_error_set(err, MT_E_INVAL, "--listen unix:%s: give a path from / on, of at most %zu bytes", path, sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return mt_error_set_errno(err, errno, "cannot make a socket");
    }
    int failed = bind_private(fd, &address);
    bool taken = failed != 0 && errno == EADDRINUSE;
    if (taken && !is_own_socket(path)) {
        (void)close(fd);
        return mt_error_set(err, MT_E_INVAL, "--listen unix:%s: there is something that is no socket of this user: remove it or give another path", path);
    }
    if (taken && is_dead(&address)) {
        (void)unlink(path);
        failed = bind_private(fd, &address);
    }
    if (failed != 0 || listen(fd, BACKLOG) != 0) {
        mt_status status = mt_error_set_errno(err, errno, "cannot listen at unix:%s", path);
        (void)close(fd);
        return status;
    }
    mt_interrupt_remove_later(path);
    ret->fd = fd;
    ret->is_unix = true;
    (void)snprintf(ret->url, sizeof ret->url, "unix:%s", path);
    return MT_OK;
}

/* ---- TCP ---------------------------------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    }
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int open_tcp(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return -1;
}

static void name_tcp(struct mt_listener *listener)
{
    struct sockaddr_storage address = { 0 };
    socklen_t bytes = sizeof address;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    (void)getsockname(listener->fd, (struct sockaddr *)&address, &bytes);
    if (getnameinfo((struct sockaddr *)&address, bytes, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return;
    }
    (void)snprintf(listener->url, sizeof listener->url, address.ss_family == AF_INET6 ? "http://[%s]:%s/" : "http://%s:%s/", host, port);
}

static mt_status listen_at(const struct addrinfo *at, const char *text, bool has_token, struct mt_listener *ret, struct mt_error *err)
{
    if (!has_token && !is_loopback(at->ai_addr)) {
        return mt_error_set(err, MT_E_INVAL,
                            "--listen %s is not only this machine: that needs a token. Put one into MEMTAP_TOKEN or --token-file FILE", text);
    }
    ret->fd = open_tcp(at);
    if (ret->fd < 0) {
        return mt_error_set_errno(err, errno, "cannot listen at %s", text);
    }
    name_tcp(ret);
    return MT_OK;
}

static mt_status listen_tcp(const char *text, bool has_token, struct mt_listener *ret, struct mt_error *err)
{
    const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0') {
        return mt_error_set(err, MT_E_INVAL, "--listen \"%s\" is no address: give HOST:PORT, [V6]:PORT or unix:/PATH", text);
    }
    bool bracket = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    char *host = mt_strndup(text + bracket, (size_t)(colon - text) - 2 * (size_t)bracket);
    int failed = getaddrinfo(host[0] != '\0' ? host : "127.0.0.1", colon + 1, &wanted, &found);
    free(host);
    if (failed != 0) {
        return mt_error_set(err, MT_E_INVAL, "--listen \"%s\": %s; give HOST:PORT, [V6]:PORT or unix:/PATH", text, gai_strerror(failed));
    }
    mt_status status = listen_at(found, text, has_token, ret, err);
    freeaddrinfo(found);
    return status;
}

mt_status mt_listen(const char *address, bool has_token, struct mt_listener *ret, struct mt_error *err)
{
    char usual[32];
    if (address == NULL) {
        (void)snprintf(usual, sizeof usual, "127.0.0.1:%d", MT_SERVE_PORT);
        struct mt_error taken = { 0 };
        return listen_tcp(usual, has_token, ret, &taken) == MT_OK ? MT_OK : listen_tcp("127.0.0.1:0", has_token, ret, err);
    }
    return strncmp(address, "unix:", 5) == 0 ? listen_unix(address + 5, ret, err) : listen_tcp(address, has_token, ret, err);
}
