/* process.c: see process.h. */
#include "top/process.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 8192 };

/* The beginning of a small file; "" where it cannot be read. */
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

uint64_t mt_top_field(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            return strtoull(line + length + 1, NULL, 10);
        }
    }
    return MT_TOP_UNKNOWN;
}

static uint64_t kib(const char *text, const char *key)
{
    uint64_t value = mt_top_field(text, key);
    return value < MT_TOP_UNKNOWN / 1024 ? value * 1024 : MT_TOP_UNKNOWN;
}

/* ---- control groups --------------------------------------------------------------------------------------------- */

/* A file with one number in it; "max" and what cannot be read are unknown, and so is what no machine has. */
static uint64_t read_number(const char *folder, const char *name)
{
    char text[FILE_BYTES];
    uint64_t value;
    if (!read_text(text, mt_format("%s/%s", folder, name))) {
        return MT_TOP_UNKNOWN;
    }
    text[strcspn(text, "\n")] = '\0';
    return mt_parse_count(text, &value) && value < (UINT64_C(1) << 60) ? value : MT_TOP_UNKNOWN;
}

struct group_files {
    const char *limit, *charged;
};

/* The tightest limit of a group and those around it. folder: changed. root: bytes of it that are not the group's path. */
static void take_limits(char *folder, size_t root, const struct group_files *files, struct mt_top_process *ret)
{
    for (;;) {
        uint64_t limit = read_number(folder, files->limit);
        if (limit < ret->limit_bytes) {
            ret->limit_bytes = limit;
            ret->charged_bytes = read_number(folder, files->charged);
        }
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < root) {
            return;
        }
        *slash = '\0';
    }
}

/* A line of /proc/PID/cgroup: "0::/path" or "4:memory:/path". */
static void read_group(char *line, const char *mounted, struct mt_top_process *ret)
{
    static const struct group_files unified = { "memory.max", "memory.current" },
                                    older = { "memory.limit_in_bytes", "memory.usage_in_bytes" };
    char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;
    if (path == NULL || strstr(path, "/..") != NULL) {
        return;
    }
    bool is_unified = path == names + 1, is_memory = path - names == 7 && strncmp(names, ":memory", 7) == 0;
    if (!is_unified && !is_memory) {
        return;
    }
    char *root = mt_format("%s%s", mounted, is_unified ? "" : "/memory");
    char *folder = mt_format("%s%s", root, strcmp(path + 1, "/") == 0 ? "" : path + 1);
    take_limits(folder, strlen(root), is_unified ? &unified : &older, ret);
    free(folder);
    free(root);
}

void mt_top_limits_read(const char *groups, const char *mounted, struct mt_top_process *ret)
{
    char *text = mt_strdup(groups), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        read_group(line, mounted, ret);
    }
    free(text);
}

void mt_top_process_read(uint64_t pid, struct mt_top_process *ret)
{
    char text[FILE_BYTES];
    *ret = (struct mt_top_process){ .rss_bytes = MT_TOP_UNKNOWN,
                                    .anonymous_bytes = MT_TOP_UNKNOWN,
                                    .threads = MT_TOP_UNKNOWN,
                                    .limit_bytes = MT_TOP_UNKNOWN,
                                    .charged_bytes = MT_TOP_UNKNOWN };
    if (!read_text(text, mt_format("/proc/%llu/status", (unsigned long long)pid))) {
        return;
    }
    ret->rss_bytes = kib(text, "VmRSS");
    ret->anonymous_bytes = kib(text, "RssAnon");
    ret->threads = mt_top_field(text, "Threads");
    ret->alive = ret->rss_bytes != MT_TOP_UNKNOWN; /* one that nobody has waited for has no memory */
    if (read_text(text, mt_format("/proc/%llu/cgroup", (unsigned long long)pid))) {
        mt_top_limits_read(text, "/sys/fs/cgroup", ret);
    }
}
