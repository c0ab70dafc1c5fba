/* os_socket.c: see os_socket.h. */
#include "base/os_socket.h"

#include "base/os.h"
#include "base/rawcall.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

static_assert(MT_OS_READABLE == POLLIN && MT_OS_WRITABLE == POLLOUT && MT_OS_GONE == (POLLERR | POLLHUP | POLLNVAL), "as the kernel's");
static_assert(sizeof(struct mt_os_waited) == sizeof(struct pollfd), "as the kernel's");

enum { BACKLOG = 16 };

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static bool local_address(const char *name, size_t lead, struct mt_os_address *ret)
{
    size_t bytes = strlen(name), room = sizeof((struct sockaddr_un *)0)->sun_path;
    const uint16_t family = AF_UNIX;
    if (bytes == 0 || lead + bytes >= room) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    memcpy(ret->bytes, &family, sizeof family);
    memcpy(ret->bytes + offsetof(struct sockaddr_un, sun_path) + lead, name, bytes);
    ret->length = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + lead + bytes + (lead == 0));
    return true;
}

bool mt_os_address_abstract(const char *name, struct mt_os_address *ret)
{
    return local_address(name, 1, ret);
}

bool mt_os_address_file(const char *path, struct mt_os_address *ret)
{
    return local_address(path, 0, ret);
}

/* A decimal number of at most `most`; NULL: there is none at `at`. */
static const char *read_number(const char *at, unsigned most, unsigned *ret)
{
    unsigned value = 0;
    const char *from = at;
    for (; *at >= '0' && *at <= '9' && value <= most; at++) {
        value = value * 10 + (unsigned)(*at - '0');
    }
    *ret = value;
    return at == from || value > most ? NULL : at;
}

static bool read_port(const char *at, uint16_t *ret)
{
    unsigned port = 0;
    const char *end = read_number(at, UINT16_MAX, &port);
    *ret = (uint16_t)(((port & 255) << 8) | (port >> 8));
    return end != NULL && *end == '\0';
}

static const char *read_four(const char *at, unsigned char ret[4])
{
    static const char local[] = "localhost:";
    if (strncmp(at, local, sizeof local - 1) == 0) {
        memcpy(ret, (const unsigned char[]){ 127, 0, 0, 1 }, 4);
        return at + sizeof local - 2;
    }
    for (int i = 0; i < 4; i++) {
        unsigned part = 0;
        at = read_number(at, 255, &part);
        if (at == NULL || *at != (i < 3 ? '.' : ':')) {
            return NULL;
        }
        ret[i] = (unsigned char)part;
        at += i < 3;
    }
    return at;
}

/* Of the longer addresses, those that a listener has a use for: [::1] and [::]. */
static bool host_of_six(const char *text, struct mt_os_address *ret)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    const char *port = strncmp(text, "[::1]:", 6) == 0 ? text + 6 : strncmp(text, "[::]:", 5) == 0 ? text + 5 : NULL;
    if (port == NULL || !read_port(port, &six.sin6_port)) {
        return false;
    }
    six.sin6_addr.s6_addr[15] = text[3] == '1';
    memset(ret, 0, sizeof *ret);
    memcpy(ret->bytes, &six, sizeof six);
    ret->length = sizeof six;
    return true;
}

bool mt_os_address_host(const char *text, struct mt_os_address *ret)
{
    struct sockaddr_in four = { .sin_family = AF_INET };
    unsigned char host[4];
    if (text[0] == '[') {
        return host_of_six(text, ret);
    }
    const char *colon = read_four(text, host);
    if (colon == NULL || !read_port(colon + 1, &four.sin_port)) {
        return false;
    }
    memcpy(&four.sin_addr, host, sizeof host);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->bytes, &four, sizeof four);
    ret->length = sizeof four;
    return true;
}

static int family_of(const struct mt_os_address *address)
{
    uint16_t family;
    memcpy(&family, address->bytes, sizeof family);
    return family;
}

bool mt_os_address_is_loopback(const struct mt_os_address *address)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    memcpy(&six, address->bytes, sizeof six);
    memcpy(&four, address->bytes, sizeof four);
    return family_of(address) == AF_INET6 ? six.sin6_addr.s6_addr[15] == 1 : ((const unsigned char *)&four.sin_addr)[0] == 127;
}

unsigned mt_os_socket_port(int fd)
{
    struct sockaddr_in6 name = { 0 };
    uint32_t length = sizeof name;
    long result = mt_raw4(SYS_getsockname, fd, (long)&name, (long)&length, 0);
    const unsigned char *port = (const unsigned char *)&name.sin6_port; /* both families have it at the same place */
    return result == 0 ? (unsigned)port[0] * 256 + port[1] : 0;
}

/* ---- sockets -------------------------------------------------------------------------------------------------------- */

static long new_socket(const struct mt_os_address *address)
{
    return mt_raw_off_stdio(mt_raw_above_stdio(SYS_socket, family_of(address), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0));
}

static mt_status finish(long fd, long result, int *ret_fd)
{
    if (result < 0) {
        mt_os_close((int)fd);
        return mt_status_from_errno((int)-result);
    }
    *ret_fd = (int)fd;
    return MT_OK;
}

mt_status mt_os_socket_listen(const struct mt_os_address *address, int *ret_fd)
{
    long fd = new_socket(address);
    if (fd < 0) {
        return mt_status_from_errno((int)-fd);
    }
    const int yes = 1;
    if (family_of(address) != AF_UNIX) { /* a port is free at once when its last process has ended */
        (void)mt_raw6(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, (long)&yes, sizeof yes, 0);
    }
    long result = mt_raw4(SYS_bind, fd, (long)address->bytes, address->length, 0);
    if (result == 0) {
        result = mt_raw4(SYS_listen, fd, BACKLOG, 0, 0);
    }
    return finish(fd, result, ret_fd);
}

mt_status mt_os_socket_connect(const struct mt_os_address *address, int *ret_fd)
{
    long fd = new_socket(address);
    if (fd < 0) {
        return mt_status_from_errno((int)-fd);
    }
    return finish(fd, mt_raw4(SYS_connect, fd, (long)address->bytes, address->length, 0), ret_fd);
}

mt_status mt_os_socket_pair(int ret_fds[2])
{
    long result = mt_raw_above_stdio(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (long)ret_fds);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    ret_fds[0] = (int)mt_raw_off_stdio(ret_fds[0]);
    ret_fds[1] = (int)mt_raw_off_stdio(ret_fds[1]);
    if (ret_fds[0] < 0 || ret_fds[1] < 0) {
        mt_os_close(ret_fds[0]);
        mt_os_close(ret_fds[1]);
        return MT_E_NOFILES;
    }
    return MT_OK;
}

mt_status mt_os_socket_accept(int listener, int *ret_fd)
{
    long fd = mt_raw_off_stdio(mt_raw_above_stdio(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd < 0) {
        return fd == -EAGAIN || fd == -ECONNABORTED || fd == -EINTR ? MT_E_BUSY : mt_status_from_errno((int)-fd);
    }
    *ret_fd = (int)fd;
    return MT_OK;
}

mt_status mt_os_socket_peer_user(int fd, uint32_t *ret_user)
{
    struct {
        int32_t pid;
        uint32_t user, group;
    } peer = { 0 };
    uint32_t length = sizeof peer;
    long result = mt_raw6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&length, 0);
    *ret_user = peer.user;
    return mt_raw_status(result);
}

uint64_t mt_os_socket_identity(int fd)
{
    struct stat info = { 0 };
    return fd >= 0 && mt_raw4(SYS_fstat, fd, (long)&info, 0, 0) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

static mt_status outcome(long result, size_t *ret_bytes)
{
    if (result < 0) {
        return result == -EAGAIN || result == -EINTR ? MT_E_BUSY : mt_status_from_errno((int)-result);
    }
    *ret_bytes = (size_t)result;
    return MT_OK;
}

mt_status mt_os_socket_receive(int fd, void *data, size_t bytes, size_t *ret_bytes)
{
    return outcome(mt_raw6(SYS_recvfrom, fd, (long)data, (long)bytes, MSG_DONTWAIT, 0, 0), ret_bytes);
}

mt_status mt_os_socket_send(int fd, const void *data, size_t bytes, size_t *ret_bytes)
{
    return outcome(mt_raw6(SYS_sendto, fd, (long)data, (long)bytes, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0), ret_bytes);
}

bool mt_os_wait(struct mt_os_waited *waited, size_t count, uint64_t timeout_ns)
{
    struct timespec left = { .tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u) };
    long result = mt_raw6(SYS_ppoll, (long)waited, (long)count, timeout_ns != UINT64_MAX ? (long)&left : 0, 0, 0, 0);
    for (size_t i = 0; result <= 0 && i < count; i++) {
        waited[i].is = 0;
    }
    return result >= 0 || result == -EINTR;
}

/* ---- users, folders, threads ---------------------------------------------------------------------------------------- */

uint32_t mt_os_user(void)
{
    return (uint32_t)mt_raw4(SYS_geteuid, 0, 0, 0, 0);
}

bool mt_os_is_only_user(uint32_t user)
{
    uint32_t real = 0, effective = 0, saved = 0;
    return mt_raw4(SYS_getresuid, (long)&real, (long)&effective, (long)&saved, 0) == 0 && real == user && effective == user && saved == user;
}

mt_status mt_os_private_folder(const char *path, int *ret_fd)
{
    enum { OTHERS = 077, OWN = 0700 };
    struct stat info = { 0 };
    long made = mt_raw4(SYS_mkdirat, AT_FDCWD, (long)path, OWN, 0);
    if (made < 0 && made != -EEXIST) {
        return mt_status_from_errno((int)-made);
    }
    long fd = mt_raw_above_stdio(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        return fd == -ELOOP || fd == -ENOTDIR ? MT_E_PERM : mt_status_from_errno((int)-fd);
    }
    long result = mt_raw4(SYS_fstat, fd, (long)&info, 0, 0);
    if (result == 0 && (info.st_uid != mt_os_user() || (info.st_mode & OTHERS) != 0)) {
        result = -EPERM;
    }
    return finish(fd, result, ret_fd);
}

bool mt_os_thread_is_there(int tid)
{
    return mt_raw4(SYS_tgkill, mt_os_pid(), tid, 0, 0) != -ESRCH;
}
