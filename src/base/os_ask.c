/* os_ask.c: the part of os.h that asks another process for a descriptor. */
#include "base/os.h"

#include "base/rawcall.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

static mt_status connect_abstract(int fd, const char *name, size_t bytes)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (bytes + 1 > sizeof address.sun_path) {
        return MT_E_INVAL;
    }
    memcpy(address.sun_path + 1, name, bytes);
    return mt_raw_status(mt_raw4(SYS_connect, fd, (long)&address, (long)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes), 0));
}

static bool wait_readable(int fd, uint64_t timeout_ns)
{
    struct pollfd watched = { .fd = fd, .events = POLLIN };
    const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u) };
    struct timespec left = timeout;
    long result;
    do {
        result = mt_raw6(SYS_ppoll, (long)&watched, 1, (long)&left, 0, 0, 0); /* the kernel keeps `left` */
    } while (result == -EINTR);
    return result > 0;
}

/* One message and the descriptor that came with it; -1: none did. */
static mt_status receive(int fd, void *reply, size_t bytes, int *ret_fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec part = { .iov_base = reply, .iov_len = bytes };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    long got = mt_raw_above_stdio(SYS_recvmsg, fd, (long)&message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0);
    if (got < 0) {
        return mt_status_from_errno((int)-got);
    }
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *ret_fd = -1;
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        memcpy(ret_fd, CMSG_DATA(head), sizeof *ret_fd);
    }
    return got == (long)bytes ? MT_OK : MT_E_IO;
}

static mt_status connect_and_send(int fd, const char *name, size_t name_bytes, const void *message, size_t bytes)
{
    mt_status status = connect_abstract(fd, name, name_bytes);
    if (status != MT_OK) {
        return status;
    }
    long sent = mt_raw6(SYS_sendto, fd, (long)message, (long)bytes, MSG_NOSIGNAL, 0, 0);
    if (sent != (long)bytes) {
        return sent < 0 ? mt_status_from_errno((int)-sent) : MT_E_IO;
    }
    return MT_OK;
}

static mt_status exchange(int fd, const struct mt_os_question *question, int *ret_fd)
{
    mt_status status = connect_and_send(fd, question->name, question->name_bytes, question->request, question->request_bytes);
    if (status != MT_OK) {
        return status;
    }
    return wait_readable(fd, question->timeout_ns) ? receive(fd, question->reply, question->reply_bytes, ret_fd) : MT_E_BUSY;
}

static long new_socket(void)
{
    return mt_raw_above_stdio(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0);
}

mt_status mt_os_ask(const struct mt_os_question *question, int *ret_fd)
{
    long fd = new_socket();
    if (fd < 0) {
        return mt_status_from_errno((int)-fd);
    }
    mt_status status = exchange((int)fd, question, ret_fd);
    mt_os_close((int)fd);
    return status;
}

mt_status mt_os_tell(const char *name, size_t name_bytes, const void *message, size_t bytes)
{
    long fd = new_socket();
    if (fd < 0) {
        return mt_status_from_errno((int)-fd);
    }
    mt_status status = connect_and_send((int)fd, name, name_bytes, message, bytes);
    mt_os_close((int)fd);
    return status;
}
