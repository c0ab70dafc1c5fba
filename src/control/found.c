/* found.c: see found.h. */
#include "control/found.h"

#include "util/memory.h"
#include "util/network.h"
#include "wire/control.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NETWORKS_MAX = 256 };

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

static void add(struct mt_found_list *list, char *take_name, pid_t near)
{
    list->items = mt_alloc_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = (struct mt_found){ take_name, near };
}

void mt_found_clear(struct mt_found_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
    }
    free(list->items);
    *list = (struct mt_found_list){ 0 };
}

/* Those of the network of a process; 0: of ours. */
static void find_abstract(pid_t near, struct mt_found_list *ret)
{
    char line[512], path[64] = "/proc/net/unix";
    if (near != 0) {
        (void)snprintf(path, sizeof path, "/proc/%d/net/unix", (int)near);
    }
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *name = strchr(line, '@');
        if (name != NULL && mt_found_pid(name) != 0) {
            name[strcspn(name, "\n")] = '\0';
            add(ret, mt_strdup(name), near);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void find_files(const char *folder, struct mt_found_list *ret)
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
            add(ret, mt_format("%s/%s", folder, entry->d_name), 0);
        }
    }
    (void)closedir(entries);
}

/* A process in each network but ours; those that may not be looked at have none. */
static void find_other_networks(struct mt_found_list *ret)
{
    uint64_t seen[NETWORKS_MAX] = { 0 };
    size_t count = 0;
    DIR *processes = opendir("/proc");
    for (const struct dirent *entry = processes != NULL ? readdir(processes) : NULL; entry != NULL && count < NETWORKS_MAX;
         entry = readdir(processes)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        uint64_t network = pid > 0 && mt_network_is_other(pid) ? mt_network_of(pid) : 0;
        bool known = network == 0;
        for (size_t i = 0; i < count; i++) {
            known = known || seen[i] == network;
        }
        if (!known) {
            seen[count++] = network;
            find_abstract(pid, ret);
        }
    }
    if (processes != NULL) {
        (void)closedir(processes);
    }
}

static void find_all_files(struct mt_found_list *ret)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && runtime[0] == '/') {
        char *folder = mt_format("%s/memtap", runtime);
        find_files(folder, ret);
        free(folder);
    }
    char *folder = mt_format("/tmp/memtap-%u", (unsigned)geteuid());
    find_files(folder, ret);
    free(folder);
}

void mt_found_sockets(struct mt_found_list *ret)
{
    find_abstract(0, ret);
    find_other_networks(ret);
    find_all_files(ret);
}

void mt_found_of(pid_t pid, struct mt_found_list *ret)
{
    find_abstract(mt_network_is_other(pid) ? pid : 0, ret);
    find_all_files(ret);
}

void mt_found_remove_stale(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_uid == geteuid()) {
        (void)unlink(path);
    }
}
