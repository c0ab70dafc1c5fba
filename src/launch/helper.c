/* helper.c: see helper.h. */
#include "launch/helper.h"

#include "base/os.h"
#include "util/memory.h"
#include "util/tracepath.h"
#include "wire/ask.h"
#include "wire/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const uint64_t PATIENCE_NS = 1000000000; /* with a guest that says nothing */

/* ---- which file ------------------------------------------------------------------------------------------------- */

/* Path without ".mtap". */
static size_t stem_bytes(const char *path)
{
    size_t bytes = strlen(path);
    return bytes > 5 && strcmp(path + bytes - 5, ".mtap") == 0 ? bytes - 5 : bytes;
}

/* Is path the trace of process pid of this run? The first process writes the output, others `<stem>….<pid>.mtap` or
 * `<folder of the run>/<pid>.mtap`. */
static bool is_its_trace(const struct mt_helper_place *place, const char *path, pid_t pid)
{
    char end[32];
    size_t stem = stem_bytes(place->output);
    if (strcmp(path, place->output) == 0) {
        return (uint64_t)pid == place->root_pid;
    }
    (void)snprintf(end, sizeof end, "%d.mtap", (int)pid);
    size_t bytes = strlen(path);
    size_t end_bytes = strlen(end);
    if (bytes <= stem + end_bytes || strncmp(path, place->output, stem) != 0 || strcmp(path + bytes - end_bytes, end) != 0) {
        return false;
    }
    const char *between = path + stem;
    size_t between_bytes = bytes - end_bytes - stem;
    static const char *const allowed[] = { ".", ".d/", ".mtap.d/" };
    for (size_t i = 0; i < MT_COUNTOF(allowed); i++) {
        if (strlen(allowed[i]) == between_bytes && strncmp(between, allowed[i], between_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* The name of an earlier image's trace, which is free: `….<pid>.<n>.mtap`. */
static bool free_name(const char *path, pid_t pid, bool root, char *ret_name, size_t capacity)
{
    int stem = (int)stem_bytes(path);
    for (int n = 1; n < 10000; n++) {
        int bytes = root ? snprintf(ret_name, capacity, "%.*s.%d.%d.mtap", stem, path, (int)pid, n)
                         : snprintf(ret_name, capacity, "%.*s.%d.mtap", stem, path, n);
        if (bytes < 0 || (size_t)bytes >= capacity) {
            return false;
        }
        if (access(ret_name, F_OK) != 0 && errno == ENOENT) {
            return true;
        }
    }
    return false;
}

/* An earlier image of the process left its trace there and could not move it aside itself: it ended by exec. */
static void set_aside(const char *path, pid_t pid, bool root)
{
    char name[MT_ASK_PATH_BYTES + 32];
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
    if (free_name(path, pid, root, name, sizeof name)) {
        (void)rename(path, name);
    }
}

static int make_new(const char *path, pid_t pid, bool root)
{
    enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY };
    int fd = open(path, FLAGS, 0600);
    if (fd < 0 && errno == EEXIST) {
        set_aside(path, pid, root);
        fd = open(path, FLAGS, 0600);
    }
    return fd;
}

static int open_again(const struct mt_ask_request *request)
{
    struct stat info;
    int fd = open(request->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, &info) != 0 || info.st_dev != request->device || info.st_ino != request->inode)) {
        (void)close(fd);
        errno = ESTALE;
        return -1;
    }
    return fd;
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
    if (getsockopt(guest, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || !is_its_trace(place, request->path, peer.pid)) {
        answer(guest, MT_E_PERM, -1);
        return;
    }
    bool root = strcmp(request->path, place->output) == 0;
    int fd = request->kind == MT_ASK_NEW ? make_new(request->path, peer.pid, root) : open_again(request);
    if (fd >= 0) {
        answer(guest, MT_OK, fd);
        (void)close(fd);
    } else if (request->kind == MT_ASK_NEW) {
        refuse(helper, guest, peer.pid, errno);
    } else {
        answer(guest, mt_status_from_errno(errno), -1);
    }
}

/* False: it has not asked yet. */
static bool hear(struct mt_helper *helper, const struct mt_helper_place *place, int guest)
{
    struct mt_ask_request request;
    ssize_t got = recv(guest, &request, sizeof request, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got == (ssize_t)sizeof request && request.magic == MT_ASK_MAGIC && request.token == helper->token &&
        memchr(request.path, '\0', sizeof request.path) != NULL) {
        help(helper, place, guest, &request);
    }
    return true;
}

/* ---- the socket ------------------------------------------------------------------------------------------------- */

void mt_helper_open(struct mt_helper *helper)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(helper->name, sizeof helper->name, "memtap.%d.%016llx", (int)getpid(), (unsigned long long)mt_os_random());
    helper->token = mt_os_random();
    size_t bytes = strlen(helper->name);
    memcpy(address.sun_path + 1, helper->name, bytes);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
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

void mt_helper_serve(struct mt_helper *helper, const struct mt_helper_place *place)
{
    serve_guests(helper, place);
    for (size_t i = 0; helper->listener > 0 && i < MT_HELPER_GUESTS; i++) {
        if (helper->guests[i].fd > 0) {
            continue;
        }
        int guest = accept4(helper->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (guest < 0) {
            break;
        }
        helper->guests[i].fd = guest;
        helper->guests[i].since_ns = mt_os_monotonic_ns();
        if (hear(helper, place, guest)) {
            dismiss(helper, i);
        }
    }
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
}
