/* findings_process.c: what would stop memtap in a running process: seen through /proc only, nothing is touched. */
#include "util/findings.h"

#include "util/memory.h"
#include "util/program.h"

#include <dirent.h>
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

/* A thread by whose number /proc still shows the program: the first one may have ended before the others. */
static pid_t shown_by(pid_t pid)
{
    char *exe = mt_format("/proc/%d/exe", (int)pid), *tasks = mt_format("/proc/%d/task", (int)pid);
    char byte;
    pid_t found = pid;
    DIR *folder = readlink(exe, &byte, 1) <= 0 ? opendir(tasks) : NULL;
    const struct dirent *entry;
    while (folder != NULL && found == pid && (entry = readdir(folder)) != NULL) {
        free(exe);
        exe = mt_format("/proc/%s/exe", entry->d_name);
        found = entry->d_name[0] != '.' && readlink(exe, &byte, 1) > 0 ? (pid_t)strtol(entry->d_name, NULL, 10) : pid;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    free(exe);
    free(tasks);
    return found;
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
    check_program(findings, shown_by(pid));
    check_maps(findings, shown_by(pid));
    return 1;
}
