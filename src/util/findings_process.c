/* findings_process.c: what would stop memtap in a running process: seen through /proc only, nothing is touched. */
#include "util/findings.h"

#include "util/memory.h"
#include "util/program.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long status_field(pid_t pid, const char *name)
{
    char line[256];
    char *path = mt_format("/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    long value = -1;
    while (file != NULL && value < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            value = strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(path);
    return value;
}

static void check_program(struct mt_findings *f, pid_t pid)
{
    struct mt_program_info info;
    char exe[512];
    char *link = mt_format("/proc/%d/exe", (int)pid);
    ssize_t bytes = readlink(link, exe, sizeof exe - 1);
    exe[bytes > 0 ? bytes : 0] = '\0';
    mt_program_examine(link, &info);
    if (info.kind == MT_PROGRAM_DYNAMIC) {
        mt_findings_add(f, MT_FINDING_OK, "program", "%s is a dynamic glibc program", exe);
    } else {
        mt_findings_add(f, MT_FINDING_PROBLEM, "program", "%s: %s", exe, mt_program_obstacle(info.kind));
    }
    free(link);
}

/* What the process has mapped: an agent. */
static void check_maps(struct mt_findings *f, pid_t pid)
{
    char *path = mt_format("/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    char line[1024];
    bool agent = false;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        agent = agent || strstr(line, "libmemtap-agent.so") != NULL;
    }
    if (file == NULL) {
        mt_findings_add(f, MT_FINDING_NOTE, "recording", "whether an agent is loaded cannot be seen");
    } else {
        (void)fclose(file);
        mt_findings_add(f, MT_FINDING_OK, "recording", agent ? "the agent is loaded" : "no agent is loaded");
    }
    free(path);
}

int mt_findings_process(struct mt_findings *findings, pid_t pid)
{
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        mt_findings_add(findings, MT_FINDING_PROBLEM, "process", "there is no process %d (in this pid namespace)",
                        (int)pid);
        return 0;
    }
    long uid = status_field(pid, "Uid");
    mt_findings_add(findings, MT_FINDING_OK, "process", "%d exists, user %ld", (int)pid, uid);
    check_program(findings, pid);
    check_maps(findings, pid);
    return 1;
}
