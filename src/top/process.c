/* process.c: see process.h. */
#include "top/process.h"

#include "util/cgroup.h"
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

void mt_top_limits_read(const char *groups, const char *mounted, struct mt_top_process *ret)
{
    struct mt_cgroup group;
    mt_cgroup_find(groups, mounted, &group);
    ret->limit_bytes = mt_cgroup_bound(&group);
    ret->charged_bytes = mt_cgroup_usage(&group);
    mt_cgroup_fini(&group);
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
        mt_top_limits_read(text, mt_cgroup_root(), ret);
    }
}
