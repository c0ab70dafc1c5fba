/* descriptor.c: see descriptor.h. */
#include "heap/descriptor.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "wire/format.h"

#include <string.h>

enum {
    STDIO_END = 3,
    ROOM_BELOW = 24,   /* where the limit cannot be passed: this far from its end, or from USUAL_LIMIT */
    USUAL_LIMIT = 1024,
    LIMIT_PASSED_MAX = 4096, /* the kernel's table grows with the largest number and is copied by fork */
};

static struct kept {
    char path[MT_PATH_MAX];
    struct mt_os_file file;
    mt_descriptor_opener *open_again;
    int fd;  /* shared; -1: none. Writers: under the lock */
    int pid; /* whose table it is in: a vfork child has another one and the same memory */
    uint64_t journal;
} g_kept[MT_KEPT__COUNT] = { [MT_KEPT_TRACE] = { .fd = -1 }, [MT_KEPT_JOURNAL] = { .fd = -1 } };

static struct mt_spinlock g_opening = MT_SPINLOCK_INIT(MT_RANK_DESCRIPTOR);

/* A number the program's own calls never yield: those end at the soft limit, which is moved for the one call. */
static bool move_above_limit(int fd, uint64_t soft, uint64_t hard, int *ret_fd)
{
    if (soft >= hard || soft > LIMIT_PASSED_MAX) {
        return false;
    }
    uint64_t room = hard - soft < ROOM_BELOW ? hard - soft : ROOM_BELOW;
    bool moved = mt_os_set_descriptor_limit(soft + room, hard) == MT_OK &&
                 mt_os_duplicate_above(fd, (int)soft, ret_fd) == MT_OK;
    return mt_os_set_descriptor_limit(soft, hard) == MT_OK && moved;
}

static bool move_below_limit(int fd, uint64_t soft, int *ret_fd)
{
    uint64_t end = soft < USUAL_LIMIT ? soft : USUAL_LIMIT;
    int least = end > ROOM_BELOW + STDIO_END ? (int)(end - ROOM_BELOW) : STDIO_END;
    return mt_os_duplicate_above(fd, least, ret_fd) == MT_OK;
}

/* The number fd had is the program's next one: it gets it back. Where nothing better is free, it stays as it is. */
static int out_of_the_way(int fd, bool alone)
{
    uint64_t soft = 0;
    uint64_t hard = 0;
    int better = -1;
    if (mt_os_descriptor_limit(&soft, &hard) != MT_OK ||
        !((alone && move_above_limit(fd, soft, hard, &better)) || move_below_limit(fd, soft, &better))) {
        return fd;
    }
    mt_os_close(fd);
    return better;
}

static bool is_same(const struct mt_os_file *a, const struct mt_os_file *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Is it the kept file, and whole? A file that is shorter than its header has been emptied by somebody. */
static mt_status check(const struct kept *k, int fd)
{
    struct mt_os_file now;
    mt_status status = mt_os_identify(fd, &now);
    if (status != MT_OK) {
        return status;
    }
    if (!is_same(&now, &k->file)) {
        return MT_E_REPLACED;
    }
    return now.names == 0 ? MT_E_NOENT : now.bytes < MT_TRACE_HEADER_BYTES ? MT_E_TRUNCATED : MT_OK;
}

/* True: fd is ours, whatever else may be wrong with the file. */
static bool is_kept_file(mt_status checked)
{
    return checked == MT_OK || checked == MT_E_NOENT || checked == MT_E_TRUNCATED;
}

mt_status mt_descriptor_keep(enum mt_kept which, int fd, const struct mt_keep *how)
{
    struct kept *k = &g_kept[which];
    size_t length = strlen(how->path);
    mt_status status = length < MT_PATH_MAX ? mt_os_identify(fd, &k->file) : MT_E_INVAL;
    if (status != MT_OK) {
        mt_os_close(fd);
        return status;
    }
    memcpy(k->path, how->path, length + 1);
    k->open_again = how->open_again;
    k->journal = how->journal;
    k->pid = mt_os_pid();
    mt_store_release(&k->fd, out_of_the_way(fd, how->alone));
    return MT_OK;
}

/* fd, if it leads to the file; else it is closed. */
static mt_status checked(const struct kept *k, mt_status opened, int fd)
{
    mt_status status = opened == MT_OK ? check(k, fd) : opened;
    if (opened == MT_OK && status != MT_OK) {
        mt_os_close(fd);
    }
    return status;
}

/* By its path, or with help. In a vfork child the descriptor is for this one use. */
static mt_status open_again_locked(struct kept *k, int *ret_fd)
{
    int fd = -1;
    mt_status status = checked(k, mt_os_open(k->path, MT_OPEN_READ_WRITE, &fd), fd);
    if (status != MT_OK && k->open_again != NULL && checked(k, k->open_again(k->journal, &k->file, &fd), fd) == MT_OK) {
        status = MT_OK;
    }
    if (status != MT_OK) {
        return status; /* of our own try: what the tool cannot do either is no news */
    }
    if (k->pid == mt_os_pid()) {
        fd = out_of_the_way(fd, false);
        mt_store_release(&k->fd, fd);
    }
    *ret_fd = fd;
    return MT_OK;
}

mt_status mt_descriptor_use(enum mt_kept which, int *ret_fd)
{
    struct kept *k = &g_kept[which];
    int fd = mt_load_acquire(&k->fd);
    mt_status status = check(k, fd);
    if (is_kept_file(status)) {
        *ret_fd = fd;
        return status;
    }
    if (!mt_spinlock_lock(&g_opening)) {
        return MT_E_BUSY;
    }
    fd = mt_load_relaxed(&k->fd); /* another thread may have been first */
    status = check(k, fd);
    if (is_kept_file(status)) {
        *ret_fd = fd;
    } else {
        status = open_again_locked(k, ret_fd);
    }
    mt_spinlock_unlock(&g_opening);
    return status;
}

void mt_descriptor_done(enum mt_kept which, int fd)
{
    if (fd != mt_load_relaxed(&g_kept[which].fd)) {
        mt_os_close(fd);
    }
}

const struct mt_os_file *mt_descriptor_file(enum mt_kept which)
{
    return &g_kept[which].file;
}

bool mt_descriptor_is_at_its_path(enum mt_kept which)
{
    const struct kept *k = &g_kept[which];
    struct mt_os_file now;
    int fd = -1;
    if (mt_os_open(k->path, MT_OPEN_READ_WRITE, &fd) != MT_OK) {
        return false;
    }
    bool same = mt_os_identify(fd, &now) == MT_OK && is_same(&now, &k->file);
    mt_os_close(fd);
    return same;
}

void mt_descriptor_remove(enum mt_kept which)
{
    if (mt_descriptor_is_at_its_path(which)) {
        (void)(mt_os_unlink(g_kept[which].path) == MT_OK);
    }
}

void mt_descriptor_close(enum mt_kept which)
{
    struct kept *k = &g_kept[which];
    int fd = k->fd;
    k->fd = -1;
    if (fd >= 0 && is_kept_file(check(k, fd))) {
        mt_os_close(fd);
    }
}

void mt_descriptor_after_fork(void)
{
    mt_spinlock_reset(&g_opening);
    for (int i = 0; i < MT_KEPT__COUNT; i++) {
        mt_descriptor_close((enum mt_kept)i);
    }
}
