/* filtered.c: see filtered.h. /proc/PID/stat, status, environ: proc(5). */
#include "launch/filtered.h"

#include "util/memory.h"
#include "wire/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(pid_t pid, const char *name)
{
    char *path = mt_format("/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    free(path);
    return file;
}

/* The kernel writes env_end, field 51, when everything that exec gives to the program is there. */
static bool has_environment(pid_t pid)
{
    enum { ENV_END = 51, BEHIND_NAME = 2 };
    char text[1024];
    FILE *file = open_file(pid, "stat");
    size_t bytes = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    char *at = strrchr(text, ')'); /* names may have anything in them */
    for (int field = BEHIND_NAME; at != NULL && field < ENV_END; field++) {
        at = strchr(at + 1, ' ');
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return at != NULL && strtoull(at, NULL, 10) != 0;
}

static uint64_t count_filters(pid_t pid)
{
    char line[512];
    unsigned long long count = 0;
    FILE *file = open_file(pid, "status");
    while (file != NULL && fgets(line, sizeof line, file) != NULL && sscanf(line, "Seccomp_filters: %llu", &count) != 1) {
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

/* False: it has no settings of the agent's. */
static bool read_known(pid_t pid, uint64_t *ret)
{
    static const char output[] = MT_CONFIG_PREFIX "OUTPUT=", filters[] = MT_CONFIG_PREFIX "FILTERS=";
    char *variable = NULL;
    size_t capacity = 0;
    bool there = false;
    FILE *file = open_file(pid, "environ");
    *ret = 0;
    while (file != NULL && getdelim(&variable, &capacity, '\0', file) > 0) {
        there |= strncmp(variable, output, sizeof output - 1) == 0;
        if (strncmp(variable, filters, sizeof filters - 1) == 0) {
            *ret = strtoull(variable + sizeof filters - 1, NULL, 10);
        }
    }
    free(variable);
    if (file != NULL) {
        (void)fclose(file);
    }
    return there;
}

enum mt_filtered mt_filtered_look(pid_t pid)
{
    uint64_t known = 0;
    if (!has_environment(pid)) {
        return MT_FILTERED_NOT_KNOWN_YET;
    }
    uint64_t count = count_filters(pid);
    return count > 0 && read_known(pid, &known) && count > known ? MT_FILTERED_UNKNOWN : MT_FILTERED_NOT;
}
