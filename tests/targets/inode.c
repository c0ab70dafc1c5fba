/* inode.c: a program that, in the middle of known work, does something to the trace's name or to the descriptor behind it.
 *
 * Usage: inode WHAT TRACE. The work before and after is large enough for many blocks to be written. The last act is the
 * truth. Exit status: 0, 77 when this is not permitted here, 3 when a file of the program's own has changed.
 */
#include "truth.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { BLOCKS = 60000, NUMBERS = 1100, NOT_PERMITTED = 77, CHANGED = 3 };
static const char NOTES[] = "my notes\n";

CASE static void case_before(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000));
        TRUTH_FREED(100 + i % 1000);
    }
}

CASE static void case_after(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000));
        TRUTH_FREED(100 + i % 1000);
    }
}

static void write_notes(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    (void)!write(fd, NOTES, sizeof NOTES - 1);
    close(fd);
}

static int move(const char *trace)
{
    char moved[4096];
    snprintf(moved, sizeof moved, "%s.moved", trace);
    return rename(trace, moved);
}

static int replace(const char *trace)
{
    unlink(trace);
    write_notes(trace);
    return 0;
}

static int replace_by_move(const char *trace)
{
    int status = move(trace);
    write_notes(trace);
    return status;
}

static int link_elsewhere(const char *trace)
{
    char notes[4096];
    snprintf(notes, sizeof notes, "%s.notes", trace);
    write_notes(notes);
    return move(trace) | symlink(notes, trace);
}

static int empty(const char *trace)
{
    return truncate(trace, 0);
}

/* To about the half of what it has. */
static int cut(const char *trace)
{
    struct stat info;
    return stat(trace, &info) != 0 || truncate(trace, info.st_size / 2) != 0;
}

/* The traces of the run's other processes, this one's among them. */
static int empty_others(const char *trace)
{
    char others[4096], path[8192];
    int emptied = 0;
    snprintf(others, sizeof others, "%s.d", trace);
    DIR *folder = opendir(others);
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder)) {
        snprintf(path, sizeof path, "%s/%s", others, entry->d_name);
        emptied += entry->d_name[0] != '.' && truncate(path, 0) == 0;
    }
    closedir(folder);
    return emptied == 0;
}

static int become_nobody(const char *trace)
{
    (void)trace;
    return setgid(65534) == 0 && setuid(65534) == 0 ? 0 : NOT_PERMITTED;
}

static int change_root(const char *trace)
{
    char empty[4096];
    snprintf(empty, sizeof empty, "%s.root", trace);
    mkdir(empty, 0755);
    return chroot(empty) == 0 && chdir("/") == 0 ? 0 : NOT_PERMITTED;
}

static int close_all(const char *trace)
{
    (void)trace;
    return (int)syscall(SYS_close_range, 3u, ~0u, 0);
}

/* A file of the program's own at every number that may have been the trace's. */
static int take_numbers(const char *trace)
{
    char own[4096];
    snprintf(own, sizeof own, "%s.own", trace);
    close_all(trace);
    write_notes(own);
    int fd = open(own, O_RDWR);
    for (int number = 3; number < NUMBERS; number++) {
        dup2(fd, number);
    }
    return 0;
}

static int own_file_is_whole(const char *trace)
{
    char own[4096];
    struct stat info;
    snprintf(own, sizeof own, "%s.own", trace);
    return stat(own, &info) != 0 || info.st_size == sizeof NOTES - 1;
}

/* No descriptor is free while the usual work is done. */
static int use_up(const char *trace)
{
    static int taken[4096];
    struct rlimit limit = { 256, 256 };
    int count = 0;
    (void)trace;
    setrlimit(RLIMIT_NOFILE, &limit);
    while ((taken[count] = open("/dev/null", O_RDONLY)) >= 0) {
        count++;
    }
    case_before();
    while (count > 0) {
        close(taken[--count]);
    }
    return 0;
}

static void *work_in_thread(void *unused)
{
    case_before();
    return unused;
}

/* No file may grow while the usual work is done, by a thread that begins and ends meanwhile too. */
static int limit_size(const char *trace)
{
    struct rlimit before, none;
    (void)trace;
    getrlimit(RLIMIT_FSIZE, &before);
    none = before;
    none.rlim_cur = 1;
    setrlimit(RLIMIT_FSIZE, &none);
    pthread_t thread;
    pthread_create(&thread, NULL, work_in_thread, NULL);
    case_before();
    pthread_join(thread, NULL);
    return setrlimit(RLIMIT_FSIZE, &before);
}

static const struct {
    const char *name;
    int (*act)(const char *trace);
} g_acts[] = {
    { "move", move },
    { "replace", replace },
    { "replace_by_move", replace_by_move },
    { "link_elsewhere", link_elsewhere },
    { "empty", empty },
    { "cut", cut },
    { "empty_others", empty_others },
    { "become_nobody", become_nobody },
    { "change_root", change_root },
    { "close_all", close_all },
    { "take_numbers", take_numbers },
    { "use_up", use_up },
    { "limit_size", limit_size },
};

static int act(const char *name, const char *trace)
{
    for (size_t i = 0; i < sizeof g_acts / sizeof g_acts[0]; i++) {
        if (strcmp(name, g_acts[i].name) == 0) {
            return g_acts[i].act(trace);
        }
    }
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    case_before();
    int status = act(argv[1], argv[2]);
    case_after();
    truth_print(1);
    return status != 0 ? status : own_file_is_whole(argv[2]) ? 0 : CHANGED;
}
