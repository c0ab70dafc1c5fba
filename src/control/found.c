/* found.c: see found.h. */
#include "control/found.h"

#include "util/memory.h"
#include "wire/control.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

pid_t mt_found_pid(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *at = slash != NULL ? slash + 1 : name + (name[0] == '@');
    char *end = NULL;
    if (strncmp(at, MT_CONTROL_PREFIX, sizeof MT_CONTROL_PREFIX - 1) != 0) {
        return 0;
    }
    unsigned long pid = strtoul(at + sizeof MT_CONTROL_PREFIX - 1, &end, 10);
    return *end == '-' && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static void find_abstract(struct mt_strlist *ret)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen("/proc/net/unix", "re");
    while (file != NULL && getline(&line, &capacity, file) > 0) {
        char *name = strchr(line, '@');
        if (name != NULL && mt_found_pid(name) != 0) {
            name[strcspn(name, "\n")] = '\0';
            mt_strlist_add(ret, name);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(line); /* not one of memory.h's; it knows */
}

static void find_files(const char *folder, struct mt_strlist *ret)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    struct stat info;
    if (entries == NULL || fstat(fd, &info) != 0 || (info.st_uid != geteuid() && geteuid() != 0)) {
        if (entries != NULL) {
            (void)closedir(entries);
        } else if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        const char *dot = strrchr(entry->d_name, '.');
        if (mt_found_pid(entry->d_name) != 0 && dot != NULL && strcmp(dot, ".sock") == 0) {
            char *path = mt_format("%s/%s", folder, entry->d_name);
            mt_strlist_add(ret, path);
            free(path);
        }
    }
    (void)closedir(entries);
}

void mt_found_sockets(struct mt_strlist *ret)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    find_abstract(ret);
    if (runtime != NULL && runtime[0] == '/') {
        char *folder = mt_format("%s/memtap", runtime);
        find_files(folder, ret);
        free(folder);
    }
    char *folder = mt_format("/tmp/memtap-%u", (unsigned)geteuid());
    find_files(folder, ret);
    free(folder);
}

void mt_found_remove_stale(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_uid == geteuid()) {
        (void)unlink(path);
    }
}
