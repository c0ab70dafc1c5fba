/* os_socket.h: the part of os.h that listens at sockets (agent/listen.c).
 *
 * Decides: that every socket is close-on-exec, never waits, and raises no signal. Raw system calls as in os.h. Context: any.
 */
#ifndef MT_BASE_OS_SOCKET_H
#define MT_BASE_OS_SOCKET_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where to listen: an abstract name, the path of a file, or an address of the Internet. */
struct mt_os_address {
    union {
        uint64_t aligned;
        unsigned char bytes[128]; /* struct sockaddr_* */
    };
    uint32_t length;
};

/* False: the name is too long, or "host:port" is none ("127.0.0.1:8080", "localhost:0", "[::1]:8080"). */
bool mt_os_address_abstract(const char *name, struct mt_os_address *ret) MT_CHECKED;
bool mt_os_address_file(const char *path, struct mt_os_address *ret) MT_CHECKED;
bool mt_os_address_host(const char *text, struct mt_os_address *ret) MT_CHECKED;
bool mt_os_address_is_loopback(const struct mt_os_address *address);
/* The port of an Internet socket that listens; 0: not known. */
unsigned mt_os_socket_port(int fd);

mt_status mt_os_socket_listen(const struct mt_os_address *address, int *ret_fd) MT_CHECKED;
/* Connected at once or not at all. */
mt_status mt_os_socket_connect(const struct mt_os_address *address, int *ret_fd) MT_CHECKED;
/* Two that are connected to each other, for datagrams: the end of one is no event at the other. */
mt_status mt_os_socket_pair(int ret_fds[2]) MT_CHECKED;
mt_status mt_os_socket_accept(int listener, int *ret_fd) MT_CHECKED;
/* Who connected to this socket of the kernel's own kind (SO_PEERCRED). */
mt_status mt_os_socket_peer_user(int fd, uint32_t *ret_user) MT_CHECKED;
/* Which socket a descriptor leads to; 0: to none. */
uint64_t mt_os_socket_identity(int fd);
/* MT_E_BUSY: nothing is there, or there is no room, just now. *ret_bytes 0 with MT_OK: the peer has closed. */
mt_status mt_os_socket_receive(int fd, void *data, size_t bytes, size_t *ret_bytes) MT_CHECKED;
mt_status mt_os_socket_send(int fd, const void *data, size_t bytes, size_t *ret_bytes) MT_CHECKED;

struct mt_os_waited {
    int fd;
    int16_t wanted; /* MT_OS_READABLE, MT_OS_WRITABLE */
    int16_t is;     /* what it is, or MT_OS_GONE */
};
enum { MT_OS_READABLE = 1, MT_OS_WRITABLE = 4, MT_OS_GONE = 8 | 16 | 32 };
/* Waits until one of them is what was wanted, timeout_ns at most (UINT64_MAX: without end), or a signal comes. False: the kernel
 * refuses, and did not wait. */
bool mt_os_wait(struct mt_os_waited *waited, size_t count, uint64_t timeout_ns);

uint32_t mt_os_user(void); /* effective */
/* Is the process that user's alone: its real, effective and saved number? */
bool mt_os_is_only_user(uint32_t user);
/* A folder of this user's that nobody else may enter; made if it is not there, and opened. MT_E_PERM: it is another's, open to others or
 * a link. */
mt_status mt_os_private_folder(const char *path, int *ret_fd) MT_CHECKED;
/* Is a thread of this process with that number there? */
bool mt_os_thread_is_there(int tid);

#endif
