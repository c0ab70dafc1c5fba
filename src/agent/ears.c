/* ears.c: see ears.h. */
#include "agent/ears.h"

#include "base/os.h"
#include "wire/control.h"

#include <string.h>

enum { FOLDER_BYTES = 80, PATH_BYTES = 104, HOST_BYTES = 64, NUMBER_LEAST = 200, USUAL_LIMIT = 1024 };
static const uint32_t UNMAPPED = 65534; /* /proc/sys/kernel/overflowuid, as it is everywhere */

enum waker_end { WAITS, KNOCKS };

static struct {
    char folder[FOLDER_BYTES], path[PATH_BYTES], host[HOST_BYTES];
    char token[MT_CONTROL_TOKEN_MAX + 1];
    struct {
        int fd;
        uint64_t identity;
        struct mt_os_address address;
    } ears[MT_EAR__COUNT];
    struct {
        int fd;
        uint64_t identity;
    } waker[2]; /* a pair of sockets: the one that waits, the one that knocks. Unlike an eventfd's, their identity is theirs alone */
} g_ears;

/* ---- texts ---------------------------------------------------------------------------------------------------------- */

/* Appends as much as there is room for; false: not all of it. */
static bool put(char *text, size_t room, const char *more)
{
    size_t used = strlen(text), bytes = strlen(more);
    if (used + bytes >= room) {
        return false;
    }
    memcpy(text + used, more, bytes + 1);
    return true;
}

static bool put_number(char *text, size_t room, uint64_t number, unsigned base, unsigned least_digits)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0 || sizeof digits - 1 - at < least_digits);
    return put(text, room, digits + at);
}

static bool put_name(char *text, size_t room)
{
    return put(text, room, MT_CONTROL_PREFIX) && put_number(text, room, (uint64_t)mt_os_pid(), 10, 1) && put(text, room, "-") &&
           put_number(text, room, mt_os_random(), 16, 16);
}

void mt_ears_configure(const char *host, const char *token, const char *runtime_folder)
{
    g_ears.folder[0] = g_ears.token[0] = g_ears.host[0] = '\0';
    bool runtime = strcmp(runtime_folder, "/tmp") != 0 && runtime_folder[0] == '/' && put(g_ears.folder, FOLDER_BYTES, runtime_folder) &&
                   put(g_ears.folder, FOLDER_BYTES, "/memtap");
    if (!runtime && runtime_folder[0] != '\0') {
        g_ears.folder[0] = '\0';
        (void)(put(g_ears.folder, FOLDER_BYTES, "/tmp/memtap-") && put_number(g_ears.folder, FOLDER_BYTES, mt_os_user(), 10, 1));
    }
    if (token != NULL && !put(g_ears.token, sizeof g_ears.token, token)) {
        g_ears.token[0] = '\0';
    }
    (void)put(g_ears.host, HOST_BYTES, host);
    for (int i = 0; i < MT_EAR__COUNT; i++) {
        g_ears.ears[i].fd = -1;
    }
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

int mt_ears_move_away(int fd)
{
    uint64_t soft = 0, hard = 0;
    int better = -1;
    if (fd < 0 || mt_os_descriptor_limit(&soft, &hard) != MT_OK) {
        return fd;
    }
    uint64_t end = soft < USUAL_LIMIT ? soft : USUAL_LIMIT;
    if (end < 2 * NUMBER_LEAST || mt_os_duplicate_above(fd, (int)end - NUMBER_LEAST, &better) != MT_OK) {
        return fd;
    }
    mt_os_close(fd);
    return better;
}

int mt_ears_descriptor(enum mt_ear ear)
{
    int fd = g_ears.ears[ear].fd;
    uint64_t identity = g_ears.ears[ear].identity; /* 0: nothing was ever opened */
    bool ours = identity != 0 && fd >= 0 && mt_os_socket_identity(fd) == identity;
    if (!ours) {
        g_ears.ears[ear].fd = -1; /* whoever has the number now keeps it */
    }
    return ours ? fd : -1;
}

static bool keep(enum mt_ear ear, const struct mt_os_address *address, int fd)
{
    fd = mt_ears_move_away(fd);
    g_ears.ears[ear].address = *address;
    g_ears.ears[ear].identity = mt_os_socket_identity(fd);
    g_ears.ears[ear].fd = fd;
    return true;
}

static int waker(enum waker_end end)
{
    bool ours = g_ears.waker[end].identity != 0 && mt_os_socket_identity(g_ears.waker[end].fd) == g_ears.waker[end].identity;
    return ours ? g_ears.waker[end].fd : -1;
}

static void close_waker(void)
{
    for (int end = WAITS; end <= KNOCKS; end++) {
        mt_os_close(waker((enum waker_end)end));
        g_ears.waker[end].identity = 0;
    }
}

static void open_waker(void)
{
    int fds[2];
    if (waker(WAITS) >= 0 && waker(KNOCKS) >= 0) {
        return;
    }
    close_waker(); /* one without the other is of no use */
    if (mt_os_socket_pair(fds) == MT_OK) {
        for (int end = WAITS; end <= KNOCKS; end++) {
            g_ears.waker[end].fd = mt_ears_move_away(fds[end]);
            g_ears.waker[end].identity = mt_os_socket_identity(g_ears.waker[end].fd);
        }
    }
}

int mt_ears_waker(void)
{
    return waker(WAITS);
}

void mt_ears_wake_up(void)
{
    char knock;
    size_t got = 0;
    while (mt_os_socket_receive(waker(WAITS), &knock, 1, &got) == MT_OK && got == 1) {
    }
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static bool open_abstract(void)
{
    char name[PATH_BYTES] = "";
    struct mt_os_address address;
    int fd = -1;
    return put_name(name, sizeof name) && mt_os_address_abstract(name, &address) && mt_os_socket_listen(&address, &fd) == MT_OK &&
           keep(MT_EAR_ABSTRACT, &address, fd);
}

/* Made under another name and listening before it gets its own: a socket of that name that refuses is a dead one. The folder is
 * reached by its descriptor, so that it is the one that was looked at. */
static bool open_file_in(int folder)
{
    char through[PATH_BYTES] = "/proc/self/fd/", made[PATH_BYTES] = "", name[PATH_BYTES] = "";
    struct mt_os_address address;
    int fd = -1;
    if (!put_number(through, sizeof through, (uint64_t)folder, 10, 1) || !put(through, sizeof through, "/") || !put_name(name, sizeof name) ||
        !put(made, sizeof made, through) || !put(made, sizeof made, ".") || !put(made, sizeof made, name) ||
        !put(through, sizeof through, name) || !put(through, sizeof through, ".sock") || !mt_os_address_file(made, &address) ||
        mt_os_socket_listen(&address, &fd) != MT_OK) {
        return false;
    }
    g_ears.path[0] = '\0';
    bool named = put(g_ears.path, PATH_BYTES, g_ears.folder) && put(g_ears.path, PATH_BYTES, "/") && put(g_ears.path, PATH_BYTES, name) &&
                 put(g_ears.path, PATH_BYTES, ".sock") && mt_os_address_file(g_ears.path, &address) && mt_os_rename(made, through) == MT_OK;
    if (!named) {
        (void)(mt_os_unlink(made) == MT_OK);
        mt_os_close(fd);
        return false;
    }
    return keep(MT_EAR_FILE, &address, fd);
}

static bool open_file(void)
{
    int folder = -1;
    if (g_ears.folder[0] == '\0' || mt_os_private_folder(g_ears.folder, &folder) != MT_OK) {
        return false;
    }
    bool opened = open_file_in(folder);
    mt_os_close(folder);
    return opened;
}

static bool open_host(void)
{
    struct mt_os_address address;
    int fd = -1;
    return mt_os_address_host(g_ears.host, &address) && (mt_os_address_is_loopback(&address) || g_ears.token[0] != '\0') &&
           mt_os_socket_listen(&address, &fd) == MT_OK && keep(MT_EAR_HOST, &address, fd);
}

bool mt_ears_open(void)
{
    open_waker();
    bool any = mt_ears_descriptor(MT_EAR_ABSTRACT) >= 0 || open_abstract();
    any = mt_ears_descriptor(MT_EAR_FILE) >= 0 || open_file() || any;
    return mt_ears_descriptor(MT_EAR_HOST) >= 0 || open_host() || any;
}

void mt_ears_forget_file(void)
{
    if (g_ears.path[0] != '\0') {
        (void)(mt_os_unlink(g_ears.path) == MT_OK);
    }
}

void mt_ears_close(void)
{
    close_waker();
    g_ears.path[0] = '\0';
    for (int i = 0; i < MT_EAR__COUNT; i++) {
        mt_os_close(mt_ears_descriptor((enum mt_ear)i));
        g_ears.ears[i].fd = -1;
    }
}

void mt_ears_knock(void)
{
    size_t sent = 0;
    int knocks = waker(KNOCKS);
    if (knocks >= 0) {
        mt_status status = mt_os_socket_send(knocks, "", 1, &sent);
        if (status == MT_OK || status == MT_E_BUSY) { /* busy: it is full of knocks */
            return;
        }
    }
    for (int i = 0; i < MT_EAR__COUNT; i++) {
        int fd = -1;
        if (g_ears.ears[i].address.length != 0 && mt_os_socket_connect(&g_ears.ears[i].address, &fd) == MT_OK) {
            mt_os_close(fd);
            return;
        }
    }
}

/* ---- who may ask ---------------------------------------------------------------------------------------------------- */

/* Are users told apart here? In a user namespace all that it has no number for read as UNMAPPED. */
static bool is_told_apart(uint32_t user)
{
    static const char identity[] = "0 0 4294967295";
    char text[128], squeezed[128];
    size_t got = 0, used = 0;
    int fd = -1;
    if (user != UNMAPPED) {
        return true;
    }
    if (mt_os_open("/proc/self/uid_map", MT_OPEN_READ, &fd) != MT_OK) {
        return false;
    }
    bool read = mt_os_read(fd, text, sizeof text, &got) == MT_OK;
    mt_os_close(fd);
    for (size_t i = 0; read && i < got && text[i] != '\n'; i++) { /* columns are padded */
        if (text[i] != ' ' || (used > 0 && squeezed[used - 1] != ' ')) {
            squeezed[used++] = text[i];
        }
    }
    return used == sizeof identity - 1 && memcmp(squeezed, identity, used) == 0;
}

bool mt_ears_knows(enum mt_ear ear, int connection, uint32_t *ret_user, bool *ret_allowed)
{
    uint32_t user = UINT32_MAX;
    if (ear == MT_EAR_HOST) {
        *ret_allowed = true;
        return g_ears.token[0] == '\0';
    }
    *ret_allowed = mt_os_socket_peer_user(connection, &user) == MT_OK &&
                   (user == 0 || (mt_os_is_only_user(user) && is_told_apart(user)));
    *ret_user = user;
    return *ret_allowed;
}

bool mt_ears_accept_token(const char *given)
{
    return g_ears.token[0] != '\0' && mt_control_is_token(g_ears.token, given);
}

const char *mt_ears_host(unsigned *ret_port)
{
    int fd = mt_ears_descriptor(MT_EAR_HOST);
    *ret_port = fd >= 0 ? mt_os_socket_port(fd) : 0;
    return fd >= 0 ? g_ears.host : "";
}
