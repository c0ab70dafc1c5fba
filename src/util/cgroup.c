/* cgroup.c: see cgroup.h. */
#include "util/cgroup.h"

#include "util/human.h"
#include "util/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 8192 };

/* ---- small files -------------------------------------------------------------------------------------------------- */

/* The beginning of a file; "" where it cannot be read. */
static bool read_text(char ret[FILE_BYTES], const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t bytes = fd >= 0 ? read(fd, ret, FILE_BYTES - 1) : 0;
    ret[bytes > 0 ? bytes : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
    return bytes > 0;
}

static bool read_in(char ret[FILE_BYTES], const char *folder, const char *name)
{
    char *path = mt_format("%s/%s", folder, name);
    bool read = read_text(ret, path);
    free(path);
    return read;
}

/* A file with one number in it; "max" is unknown, and so is what no machine has. */
static uint64_t read_number(const char *folder, const char *name)
{
    char text[FILE_BYTES];
    uint64_t value;
    if (!read_in(text, folder, name)) {
        return MT_CGROUP_UNKNOWN;
    }
    text[strcspn(text, "\n")] = '\0';
    return mt_parse_count(text, &value) && value < (UINT64_C(1) << 60) ? value : MT_CGROUP_UNKNOWN;
}

/* The number behind a word that begins a line. */
static uint64_t number_behind(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, word, length) == 0 && (line[length] == ' ' || line[length] == ':')) {
            return strtoull(line + length + 1, NULL, 10);
        }
    }
    return MT_CGROUP_UNKNOWN;
}

/* ---- limits --------------------------------------------------------------------------------------------------------- */

struct group_files {
    const char *limit, *high, *usage, *kills, *cache[2];
};
static const struct group_files files_of[] = {
    { "memory.limit_in_bytes", NULL, "memory.usage_in_bytes", "memory.oom_control", { "total_active_file", "total_inactive_file" } },
    { "memory.max", "memory.high", "memory.current", "memory.events", { "active_file", "inactive_file" } },
};

const char *mt_cgroup_root(void)
{
    const char *root = getenv("MEMTAP_CGROUP_ROOT");
    return root != NULL && root[0] != '\0' ? root : "/sys/fs/cgroup";
}

uint64_t mt_cgroup_bound(const struct mt_cgroup *group)
{
    return group->high_bytes < group->limit_bytes ? group->high_bytes : group->limit_bytes;
}

static void take_limit(const char *folder, bool unified, struct mt_cgroup *ret)
{
    struct mt_cgroup here = { .limit_bytes = read_number(folder, files_of[unified].limit),
                              .high_bytes = unified ? read_number(folder, files_of[unified].high) : MT_CGROUP_UNKNOWN };
    if (mt_cgroup_bound(&here) < mt_cgroup_bound(ret)) {
        free(ret->tightest);
        ret->tightest = mt_strdup(folder);
        ret->unified = unified;
        ret->limit_bytes = here.limit_bytes;
        ret->high_bytes = here.high_bytes;
    }
}

/* A group and those around it. root: bytes of folder that are not the group's path. */
static void take_limits(char *folder, size_t root, bool unified, struct mt_cgroup *ret)
{
    char text[FILE_BYTES];
    if (ret->own == NULL && read_in(text, folder, files_of[unified].kills)) {
        ret->own = mt_strdup(folder);
        ret->unified = unified;
    }
    for (;;) {
        take_limit(folder, unified, ret);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < root) {
            return;
        }
        *slash = '\0';
    }
}

/* A line of /proc/PID/cgroup: "0::/path" or "4:memory:/path". */
static void read_group(const char *line, const char *mounted, struct mt_cgroup *ret)
{
    const char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;
    if (path == NULL || strstr(path, "/..") != NULL) {
        return;
    }
    bool unified = path == names + 1, of_memory = path - names == 7 && strncmp(names, ":memory", 7) == 0;
    if (!unified && !of_memory) {
        return;
    }
    char *root = mt_format("%s%s", mounted, unified ? "" : "/memory");
    char *folder = mt_format("%s%s", root, strcmp(path + 1, "/") == 0 ? "" : path + 1);
    take_limits(folder, strlen(root), unified, ret);
    free(folder);
    free(root);
}

void mt_cgroup_find(const char *groups, const char *mounted, struct mt_cgroup *ret)
{
    char *text = mt_strdup(groups), *rest = NULL;
    *ret = (struct mt_cgroup){ .limit_bytes = MT_CGROUP_UNKNOWN, .high_bytes = MT_CGROUP_UNKNOWN };
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        read_group(line, mounted, ret);
    }
    free(text);
}

void mt_cgroup_find_of(pid_t pid, struct mt_cgroup *ret)
{
    char text[FILE_BYTES], path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    (void)read_text(text, path);
    mt_cgroup_find(text, mt_cgroup_root(), ret);
}

void mt_cgroup_fini(struct mt_cgroup *group)
{
    free(group->own);
    free(group->tightest);
    *group = (struct mt_cgroup){ .limit_bytes = MT_CGROUP_UNKNOWN, .high_bytes = MT_CGROUP_UNKNOWN };
}

/* ---- what is left --------------------------------------------------------------------------------------------------- */

uint64_t mt_cgroup_usage(const struct mt_cgroup *group)
{
    return group->tightest != NULL ? read_number(group->tightest, files_of[group->unified].usage) : MT_CGROUP_UNKNOWN;
}

uint64_t mt_cgroup_charged(const struct mt_cgroup *group)
{
    char text[FILE_BYTES];
    uint64_t usage = mt_cgroup_usage(group);
    if (usage == MT_CGROUP_UNKNOWN || !read_in(text, group->tightest, "memory.stat")) {
        return usage;
    }
    for (int i = 0; i < 2; i++) {
        uint64_t cache = number_behind(text, files_of[group->unified].cache[i]);
        usage -= cache < usage ? cache : cache != MT_CGROUP_UNKNOWN ? usage : 0;
    }
    return usage;
}

uint64_t mt_cgroup_kills(const struct mt_cgroup *group)
{
    char text[FILE_BYTES];
    bool read = group->own != NULL && read_in(text, group->own, files_of[group->unified].kills);
    return read ? number_behind(text, "oom_kill") : MT_CGROUP_UNKNOWN;
}

double mt_cgroup_pressure(const struct mt_cgroup *group)
{
    static const char word[] = "full avg10=";
    char text[FILE_BYTES];
    bool read = group->tightest != NULL && group->unified ? read_in(text, group->tightest, "memory.pressure")
                                                          : read_text(text, "/proc/pressure/memory");
    const char *at = read ? strstr(text, word) : NULL;
    return at != NULL ? strtod(at + sizeof word - 1, NULL) : 0;
}

/* ---- the machine and a process -------------------------------------------------------------------------------------- */

static uint64_t machine_number(const char *word)
{
    char text[FILE_BYTES];
    uint64_t kib = read_text(text, "/proc/meminfo") ? number_behind(text, word) : MT_CGROUP_UNKNOWN;
    return kib < MT_CGROUP_UNKNOWN / 1024 ? kib * 1024 : MT_CGROUP_UNKNOWN;
}

uint64_t mt_machine_memory(void)
{
    return machine_number("MemTotal");
}

uint64_t mt_machine_available(void)
{
    return machine_number("MemAvailable");
}

uint64_t mt_process_resident(pid_t pid)
{
    char text[FILE_BYTES], path[64];
    unsigned long long size, resident;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    bool known = read_text(text, path) && sscanf(text, "%llu %llu", &size, &resident) == 2;
    return known ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : MT_CGROUP_UNKNOWN;
}
