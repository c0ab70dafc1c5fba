/* helper.c: see helper.h. */
#include "launch/helper.h"

#include "base/os.h"
#include "util/memory.h"
#include "util/network.h"
#include "wire/ask.h"
#include "wire/format.h"
#include "wire/journal_path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const uint64_t PATIENCE_NS = 1000000000; /* with a guest that says nothing */

/* ---- which file ------------------------------------------------------------------------------------------------- */

enum { IMAGES_MAX = 10000 };

/* The trace of an image of a process: after the n-th exec that was recorded (as agent/config.c). */
static bool image_path(const struct mt_helper_place *place, pid_t pid, int n, char *ret_path, size_t capacity)
{
    int bytes = n > 0 ? snprintf(ret_path, capacity, "%s.d/%d.%d.mtap", place->output, (int)pid, n)
                : (uint64_t)pid == place->root_pid ? snprintf(ret_path, capacity, "%s", place->output)
                                                   : snprintf(ret_path, capacity, "%s.d/%d.mtap", place->output, (int)pid);
    return bytes > 0 && (size_t)bytes < capacity;
}

/* Is path the trace of an image of process pid of this run? */
static bool is_its_trace(const struct mt_helper_place *place, const char *path, pid_t pid)
{
    char own[MT_ASK_PATH_BYTES + 32];
    int n = 0;
    const char *dot = strrchr(path, '/');
    if (dot != NULL && sscanf(dot + 1, "%*d.%5d.mtap", &n) != 1) {
        n = 0;
    }
    return n >= 0 && n < IMAGES_MAX && image_path(place, pid, n, own, sizeof own) && strcmp(own, path) == 0;
}

/* An earlier image of the process left its trace there: it ended by exec, which the new image cannot write there itself. */
static void end_earlier_image(const char *path)
{
    uint32_t state = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && pread(fd, &state, sizeof state, offsetof(struct mt_trace_header, state)) == (ssize_t)sizeof state &&
        state == MT_STATE_RECORDING) {
        state = MT_STATE_EXEC;
        if (pwrite(fd, &state, sizeof state, offsetof(struct mt_trace_header, state)) < 0) {
            state = MT_STATE_RECORDING; /* then it looks killed, which is as well */
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static int make_new(const struct mt_helper_place *place, pid_t pid)
{
    char path[MT_ASK_PATH_BYTES + 32];
    int fd = -1;
    errno = EEXIST;
    for (int n = 0; fd < 0 && errno == EEXIST && n < IMAGES_MAX && image_path(place, pid, n, path, sizeof path); n++) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (fd < 0 && errno == EEXIST) {
            end_earlier_image(path);
            errno = EEXIST;
        }
    }
    return fd;
}

/* The file of the request: the trace of one of the process's images, or the journal beside one. The process may not know the number
 * of its image: it could not see the others. *ret_trace: that trace's path, of its capacity. */
static int open_again(const struct mt_helper_place *place, pid_t pid, const struct mt_ask_request *request, uint64_t journal,
                      char *ret_trace, size_t capacity)
{
    char beside[MT_ASK_PATH_BYTES + 64];
    struct stat info;
    for (int n = 0; n < IMAGES_MAX && image_path(place, pid, n, ret_trace, capacity); n++) {
        const char *path = journal != 0 && mt_journal_path(ret_trace, journal, beside, sizeof beside) ? beside : ret_trace;
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && fstat(fd, &info) == 0 && info.st_dev == request->device && info.st_ino == request->inode) {
            return fd;
        }
        if (fd < 0 && n > 0 && access(ret_trace, F_OK) != 0) {
            return -1;
        }
        if (fd >= 0) {
            (void)close(fd);
            errno = ESTALE;
        }
    }
    return -1;
}

/* Beside the trace of the request, which is its process's own. */
static int make_journal(const struct mt_helper_place *place, pid_t pid, const struct mt_ask_request *request)
{
    char path[MT_ASK_PATH_BYTES + 32], beside[MT_ASK_PATH_BYTES + 64];
    int trace = open_again(place, pid, request, 0, path, sizeof path);
    int fd = -1;
    if (trace >= 0 && request->journal != 0 && mt_journal_path(path, request->journal, beside, sizeof beside)) {
        fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    }
    if (trace >= 0) {
        (void)close(trace);
    }
    return fd;
}

static int find_or_make(const struct mt_helper_place *place, pid_t pid, const struct mt_ask_request *request)
{
    char path[MT_ASK_PATH_BYTES + 32];
    switch (request->kind) {
    case MT_ASK_NEW:
        return make_new(place, pid);
    case MT_ASK_JOURNAL:
        return make_journal(place, pid, request);
    case MT_ASK_AGAIN:
    default:
        return open_again(place, pid, request, request->journal, path, sizeof path);
    }
}

/* ---- one guest -------------------------------------------------------------------------------------------------- */

static void answer(int guest, mt_status status, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct mt_ask_reply reply = { .magic = MT_ASK_MAGIC, .status = (uint32_t)status };
    struct iovec part = { .iov_base = &reply, .iov_len = sizeof reply };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (status == MT_OK) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    (void)sendmsg(guest, &message, MSG_NOSIGNAL | MSG_DONTWAIT); /* gone or not waiting any more: its own affair */
}

static void refuse(struct mt_helper *helper, int guest, pid_t pid, int error)
{
    mt_strlist_print(&helper->refused, "process %d is not recorded: its trace could not be made (%s)", (int)pid, strerror(error));
    answer(guest, mt_status_from_errno(error), -1);
}

static void help(struct mt_helper *helper, const struct mt_helper_place *place, int guest, const struct mt_ask_request *request)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (request->kind == MT_ASK_TICK) {
        answer(guest, place->tick_fd > 0 ? MT_OK : MT_E_UNSUPPORTED, place->tick_fd);
        return;
    }
    if (getsockopt(guest, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || !is_its_trace(place, request->path, peer.pid)) {
        answer(guest, MT_E_PERM, -1);
        return;
    }
    int fd = find_or_make(place, peer.pid, request);
    if (fd >= 0) {
        answer(guest, MT_OK, fd);
        (void)close(fd);
    } else if (request->kind != MT_ASK_AGAIN) {
        refuse(helper, guest, peer.pid, errno);
    } else {
        answer(guest, mt_status_from_errno(errno), -1);
    }
}

static void take_note(struct mt_helper *helper, int guest, struct mt_ask_told *told)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    told->command[sizeof told->command - 1] = '\0';
    if (getsockopt(guest, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0) {
        mt_unrecorded_add(&helper->unrecorded, peer.pid, told->why, told->command);
    }
}

/* False: it has not asked yet. */
static bool hear(struct mt_helper *helper, const struct mt_helper_place *place, int guest)
{
    union {
        struct mt_ask_request request;
        struct mt_ask_told told;
    } heard;
    ssize_t got = recv(guest, &heard, sizeof heard, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got == (ssize_t)sizeof heard.request && heard.request.magic == MT_ASK_MAGIC && heard.request.token == helper->token &&
        memchr(heard.request.path, '\0', sizeof heard.request.path) != NULL) {
        help(helper, place, guest, &heard.request);
    } else if (got == (ssize_t)sizeof heard.told && heard.told.magic == MT_ASK_MAGIC && heard.told.kind == MT_ASK_TOLD &&
               heard.told.token == helper->token) {
        take_note(helper, guest, &heard.told);
    }
    return true;
}

/* ---- the socket ------------------------------------------------------------------------------------------------- */

void mt_helper_open(struct mt_helper *helper, pid_t guest)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(helper->name, sizeof helper->name, "memtap.%d.%016llx", (int)getpid(), (unsigned long long)mt_os_random());
    helper->token = mt_os_random();
    size_t bytes = strlen(helper->name);
    memcpy(address.sun_path + 1, helper->name, bytes);
    int fd = mt_network_socket(guest, SOCK_SEQPACKET);
    if (fd > 0 && bind(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes)) == 0 &&
        listen(fd, SOMAXCONN) == 0) {
        helper->listener = fd;
    } else if (fd >= 0) {
        (void)close(fd);
    }
}

void mt_helper_text(const struct mt_helper *helper, char *ret_text, size_t capacity)
{
    ret_text[0] = '\0';
    if (helper->listener > 0) {
        (void)snprintf(ret_text, capacity, "%s.%016llx", helper->name, (unsigned long long)helper->token);
    }
}

static void dismiss(struct mt_helper *helper, size_t i)
{
    (void)close(helper->guests[i].fd);
    helper->guests[i].fd = 0;
}

static void serve_guests(struct mt_helper *helper, const struct mt_helper_place *place)
{
    uint64_t now = mt_os_monotonic_ns();
    for (size_t i = 0; i < MT_HELPER_GUESTS; i++) {
        if (helper->guests[i].fd > 0 &&
            (hear(helper, place, helper->guests[i].fd) || now - helper->guests[i].since_ns > PATIENCE_NS)) {
            dismiss(helper, i);
        }
    }
}

static size_t free_place(const struct mt_helper *helper)
{
    size_t i = 0;
    while (i < MT_HELPER_GUESTS && helper->guests[i].fd > 0) {
        i++;
    }
    return i;
}

/* Asked each tick: accept makes a socket before it sees that nobody is waiting, and takes it apart again. */
static bool is_somebody_waiting(const struct mt_helper *helper)
{
    struct pollfd one = { .fd = helper->listener, .events = POLLIN };
    return helper->listener > 0 && poll(&one, 1, 0) == 1;
}

/* False: nobody is waiting, or there is no place. */
static bool welcome(struct mt_helper *helper, const struct mt_helper_place *place)
{
    size_t i = free_place(helper);
    bool waits = i < MT_HELPER_GUESTS && is_somebody_waiting(helper);
    int guest = waits ? accept4(helper->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (guest < 0) {
        return false;
    }
    helper->guests[i].fd = guest;
    helper->guests[i].since_ns = mt_os_monotonic_ns();
    if (hear(helper, place, guest)) {
        dismiss(helper, i);
    }
    return true;
}

void mt_helper_serve(struct mt_helper *helper, const struct mt_helper_place *place)
{
    serve_guests(helper, place);
    for (int i = 0; i < SOMAXCONN && welcome(helper, place); i++) { /* as many as can be waiting */
    }
}

void mt_helper_say(const struct mt_helper *helper, struct mt_strlist *ret)
{
    for (size_t i = 0; i < helper->refused.count; i++) {
        mt_strlist_add(ret, helper->refused.items[i]);
    }
    mt_unrecorded_say(&helper->unrecorded, ret);
}

void mt_helper_close(struct mt_helper *helper)
{
    for (size_t i = 0; i < MT_HELPER_GUESTS; i++) {
        if (helper->guests[i].fd > 0) {
            dismiss(helper, i);
        }
    }
    if (helper->listener > 0) {
        (void)close(helper->listener);
        helper->listener = 0;
    }
}

void mt_helper_free(struct mt_helper *helper)
{
    mt_helper_close(helper);
    mt_strlist_clear(&helper->refused);
    mt_unrecorded_clear(&helper->unrecorded);
}
