/* recorded.c: see recorded.h. */
#include "attach/recorded.h"

#include "util/memory.h"
#include "util/process.h"
#include "wire/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_trace_of(const char *link, const struct mt_process_numbers *numbers)
{
    struct mt_trace_header header;
    struct stat info;
    int fd = stat(link, &info) == 0 && S_ISREG(info.st_mode) ? open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool whole = fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header;
    bool own = false;
    if (fd >= 0) {
        (void)close(fd);
    }
    for (size_t i = 0; whole && i < numbers->count; i++) {
        own = own || header.pid == numbers->items[i];
    }
    return own && memcmp(header.magic, MT_TRACE_MAGIC, sizeof header.magic) == 0 && header.state == MT_STATE_RECORDING;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A name that leads from here to what the descriptor is; NULL: there is none. malloc'ed. */
static char *name_of(const char *link, pid_t pid)
{
    char target[PATH_MAX];
    ssize_t bytes = readlink(link, target, sizeof target - 1);
    if (bytes <= 0) {
        return NULL;
    }
    target[bytes] = '\0';
    if (is_same_file(link, target)) {
        return mt_strdup(target);
    }
    char *inside = mt_format("/proc/%d/root%s", (int)pid, target);
    if (!is_same_file(link, inside)) {
        free(inside);
        inside = NULL;
    }
    return inside;
}

mt_status mt_recorded_trace(pid_t pid, char **ret, struct mt_error *err)
{
    struct mt_process_numbers numbers;
    char *folder = mt_format("/proc/%d/fd", (int)pid), *found = NULL;
    DIR *descriptors = opendir(folder);
    int error = errno;
    if (descriptors != NULL) {
        mt_process_numbers_read(pid, &numbers);
        for (struct dirent *entry; found == NULL && (entry = readdir(descriptors)) != NULL;) {
            char *link = mt_format("%s/%s", folder, entry->d_name);
            found = entry->d_name[0] != '.' && is_trace_of(link, &numbers) ? name_of(link, pid) : NULL;
            free(link);
        }
        (void)closedir(descriptors);
    }
    free(folder);
    if (descriptors == NULL) {
        return mt_error_set_errno(err, error, "cannot look at the descriptors of process %d", (int)pid);
    }
    *ret = found;
    return found != NULL ? MT_OK : MT_E_NOENT;
}
