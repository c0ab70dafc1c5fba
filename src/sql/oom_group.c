/* oom_group.c: see oom_group.h. Files: Documentation/admin-guide/cgroup-v2.rst (memory.events, memory.max), cgroup-v1/memory.rst. */
#include "sql/oom_group.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 8192 };

static bool read_text(char ret[FILE_BYTES], char *take_path)
{
    FILE *file = fopen(take_path, "re");
    size_t bytes = file != NULL ? fread(ret, 1, FILE_BYTES - 1, file) : 0;
    ret[bytes] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    free(take_path);
    return bytes > 0;
}

/* The number behind "key " at the beginning of a line. */
static bool counted(const char *text, const char *key, uint64_t *ret)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            *ret = strtoull(line + length + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

static uint64_t limit_of(const char *folder, const char *name)
{
    char text[FILE_BYTES];
    uint64_t value;
    if (!read_text(text, mt_format("%s/%s", folder, name))) {
        return UINT64_MAX;
    }
    text[strcspn(text, "\n")] = '\0';
    return mt_parse_count(text, &value) && value < UINT64_C(1) << 60 ? value : UINT64_MAX; /* more than any machine has: no limit */
}

/* A line of /proc/PID/cgroup: "0::/path" or "4:memory:/path". */
static bool read_group(const char *line, const char *mounted, struct mt_oom_group *ret)
{
    const char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;
    bool unified = path != NULL && path == names + 1, older = path != NULL && path - names == 7 && strncmp(names, ":memory", 7) == 0;
    if ((!unified && !older) || strstr(path, "/..") != NULL) { /* outside of what is mounted here */
        return false;
    }
    char text[FILE_BYTES];
    char *folder = mt_format("%s%s%s", mounted, unified ? "" : "/memory", strcmp(path + 1, "/") == 0 ? "" : path + 1);
    bool found = read_text(text, mt_format("%s/%s", folder, unified ? "memory.events" : "memory.oom_control")) &&
                 counted(text, "oom_kill", &ret->killed);
    if (found) {
        ret->limit_bytes = limit_of(folder, unified ? "memory.max" : "memory.limit_in_bytes");
        ret->path = mt_strdup(path + 1);
    }
    free(folder);
    return found;
}

bool mt_oom_group_find(const char *groups, const char *mounted, struct mt_oom_group *ret)
{
    char *text = mt_strdup(groups), *rest = NULL;
    bool found = false;
    *ret = (struct mt_oom_group){ 0 };
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && !found; line = strtok_r(NULL, "\n", &rest)) {
        found = read_group(line, mounted, ret);
    }
    free(text);
    return found;
}

bool mt_oom_group_read(pid_t pid, struct mt_oom_group *ret)
{
    char text[FILE_BYTES];
    return read_text(text, mt_format("/proc/%d/cgroup", (int)pid)) && mt_oom_group_find(text, "/sys/fs/cgroup", ret);
}

void mt_oom_group_fini(struct mt_oom_group *group)
{
    free(group->path);
    *group = (struct mt_oom_group){ 0 };
}
