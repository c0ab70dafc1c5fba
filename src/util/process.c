/* process.c: see process.h. /proc/PID/stat and status: proc(5). */
#include "util/process.h"

#include "base/hash.h"
#include "base/os.h"
#include "util/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t FRESH_NS = 1000000000; /* processes in other namespaces are listed once a second */

/* ---- one process ---------------------------------------------------------------------------------------------------- */

static FILE *open_file(pid_t pid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* The beginning of a file of its; bytes, 0: it cannot be read. */
static size_t read_file(pid_t pid, const char *name, char *ret, size_t capacity)
{
    FILE *file = open_file(pid, name);
    size_t bytes = file != NULL ? fread(ret, 1, capacity, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

bool mt_process_stat_read(pid_t pid, pid_t thread, struct mt_process_stat *ret)
{
    char name[32] = "stat", text[1024];
    unsigned long user = 0, kernel = 0;
    unsigned long long started = 0;
    char state = 0;
    if (thread != 0) {
        (void)snprintf(name, sizeof name, "task/%d/stat", (int)thread);
    }
    text[read_file(pid, name, text, sizeof text - 1)] = '\0';
    const char *behind = strrchr(text, ')'); /* names may have anything in them */
    if (behind == NULL || sscanf(behind + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu", &state, &user, &kernel,
                                 &started) != 4) {
        return false;
    }
    *ret = (struct mt_process_stat){ .state = state, .cpu_ticks = (uint64_t)user + kernel, .started_ticks = started };
    return true;
}

uint64_t mt_process_started(pid_t pid)
{
    struct mt_process_stat stat;
    return mt_process_stat_read(pid, 0, &stat) ? stat.started_ticks : 0;
}

/* The kernel puts a program's stack, loader and random bytes elsewhere at each exec, and tells it where. */
uint64_t mt_process_image(pid_t pid)
{
    char vector[4096];
    size_t bytes = read_file(pid, "auxv", vector, sizeof vector);
    uint64_t hash = bytes > 0 ? mt_hash_bytes(vector, bytes) : 0;
    return bytes > 0 && hash == 0 ? 1 : hash;
}

char *mt_process_command(pid_t pid)
{
    char words[4096];
    size_t bytes = read_file(pid, "cmdline", words, sizeof words - 1);
    while (bytes > 0 && words[bytes - 1] == '\0') {
        bytes--;
    }
    for (size_t i = 0; i < bytes; i++) {
        words[i] = words[i] == '\0' ? ' ' : words[i];
    }
    words[bytes] = '\0';
    return mt_strdup(words);
}

/* "NSpid:	1234	7" */
void mt_process_numbers_read(pid_t pid, struct mt_process_numbers *ret)
{
    char line[512];
    FILE *file = open_file(pid, "status");
    *ret = (struct mt_process_numbers){ .items = { (uint64_t)pid }, .count = 1 };
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *at = strncmp(line, "NSpid:", 6) == 0 ? line + 6 : NULL, *end;
        if (at != NULL) { /* the first is the one we have */
            (void)strtoull(at, &at, 10);
        }
        for (uint64_t number; at != NULL && ret->count < MT_COUNTOF(ret->items); at = end) {
            number = strtoull(at, &end, 10);
            if (end == at) {
                break;
            }
            ret->items[ret->count++] = number;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* ---- who writes a file ---------------------------------------------------------------------------------------------- */

enum holding { HOLDS, HOLDS_NOT, HOLDS_UNSEEN };

static enum holding holds(pid_t pid, const struct stat *file)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL) {
        return errno == ENOENT && kill(pid, 0) != 0 && errno == ESRCH ? HOLDS_NOT : HOLDS_UNSEEN;
    }
    for (const struct dirent *entry = readdir(folder); !found && entry != NULL; entry = readdir(folder)) {
        struct stat info;
        found = entry->d_name[0] != '.' && fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && info.st_ino == file->st_ino &&
                info.st_dev == file->st_dev;
    }
    (void)closedir(folder);
    return found ? HOLDS : HOLDS_NOT;
}

static bool has_agent(pid_t pid)
{
    char line[4096 + 128];
    FILE *maps = open_file(pid, "maps");
    bool found = false;
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        found = strstr(line, "libmemtap-agent") != NULL;
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found;
}

/* Processes of other pid namespaces: few, and looked for among all. */
struct nested {
    pid_t pid;
    uint64_t number;
};
static struct {
    pthread_mutex_t lock;
    uint64_t listed_ns;
    struct nested items[1024];
    size_t count;
} g_nested = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void list_nested_locked(void)
{
    DIR *folder = opendir("/proc");
    g_nested.count = 0;
    g_nested.listed_ns = mt_os_monotonic_ns();
    for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL && g_nested.count < MT_COUNTOF(g_nested.items);
         entry = readdir(folder)) {
        struct mt_process_numbers numbers;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0) {
            mt_process_numbers_read(pid, &numbers);
            if (numbers.count > 1) {
                g_nested.items[g_nested.count++] = (struct nested){ pid, numbers.items[numbers.count - 1] };
            }
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

/* The next one that calls itself so, from *at on; 0: there are no more. */
static pid_t next_nested(uint64_t number, size_t *at)
{
    pid_t pid = 0;
    (void)pthread_mutex_lock(&g_nested.lock);
    if (g_nested.listed_ns == 0 || mt_os_monotonic_ns() - g_nested.listed_ns > FRESH_NS) {
        list_nested_locked();
    }
    for (; pid == 0 && *at < g_nested.count; ++*at) {
        pid = g_nested.items[*at].number == number ? g_nested.items[*at].pid : 0;
    }
    (void)pthread_mutex_unlock(&g_nested.lock);
    return pid;
}

/* Of whom it cannot be seen what they hold, only the owner of a file is taken for who writes it. Root sees everybody's. */
static bool may_hold_unseen(pid_t pid, const struct stat *file)
{
    struct stat process;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return geteuid() == 0 || stat(path, &process) != 0 || process.st_uid == file->st_uid;
}

pid_t mt_process_writing(const char *path, uint64_t number)
{
    struct stat file;
    struct mt_process_numbers numbers;
    if (number == (uint64_t)getpid() && has_agent(getpid())) { /* a program that reads its own trace; it may have a great many descriptors */
        return getpid();
    }
    pid_t same = number > 0 && number <= INT32_MAX && kill((pid_t)number, 0) != -1 ? (pid_t)number : 0;
    same = same == 0 && number > 0 && number <= INT32_MAX && errno == EPERM ? (pid_t)number : same;
    if (stat(path, &file) != 0) {
        return same;
    }
    enum holding here = same != 0 ? holds(same, &file) : HOLDS_NOT;
    size_t at = 0;
    bool look = here != HOLDS && !has_agent(getpid()); /* a recorded program does not pay for a look at all processes */
    for (pid_t pid = look ? next_nested(number, &at) : 0; pid != 0; pid = next_nested(number, &at)) {
        if (pid != same && holds(pid, &file) == HOLDS) {
            return pid;
        }
    }
    if (here == HOLDS || same == 0 || (here == HOLDS_UNSEEN && may_hold_unseen(same, &file))) {
        return same;
    }
    mt_process_numbers_read(same, &numbers);
    return numbers.items[numbers.count - 1] == number && has_agent(same) ? same : 0;
}

void mt_process_writer_find(struct mt_process_writer *w, const char *path, uint64_t number)
{
    bool same = w->pid != 0 && (w->pid == getpid() || (mt_process_started(w->pid) == w->started_ticks && mt_process_image(w->pid) == w->image));
    if (!same) {
        w->pid = mt_process_writing(path, number);
        w->started_ticks = w->pid != 0 ? mt_process_started(w->pid) : 0;
        w->image = w->pid != 0 ? mt_process_image(w->pid) : 0;
    }
}
