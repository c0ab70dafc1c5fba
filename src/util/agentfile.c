/* agentfile.c: where libmemtap-agent.so is. */
#include "util/agentfile.h"

#include "util/memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT "libmemtap-agent.so"

/* Takes path over: returns MT_OK with its real form when it is a readable file fit for LD_PRELOAD. */
static mt_status accept_path(char *path, char **ret, struct mt_error *err)
{
    char *real = access(path, R_OK) == 0 ? realpath(path, NULL) : NULL;
    free(path);
    if (real == NULL) {
        return MT_E_NOENT;
    }
    if (strpbrk(real, " \t\n:") != NULL) {
        mt_status status = mt_error_set(err, MT_E_INVAL,
                                        "the agent's path \"%s\" holds a blank or a colon, which LD_PRELOAD "
                                        "cannot express; copy %s elsewhere and set MEMTAP_AGENT to it",
                                        real, AGENT);
        free(real);
        return status;
    }
    *ret = real;
    return MT_OK;
}

mt_status mt_agentfile_find_beside(const char *own_exe, char **ret, struct mt_error *err)
{
    static const char *const places[] = { "", "../lib/memtap/", "../lib64/memtap/", "../lib/x86_64-linux-gnu/memtap/",
                                          "../lib/aarch64-linux-gnu/memtap/" };
    const char *slash = strrchr(own_exe, '/');
    size_t folder_bytes = slash != NULL ? (size_t)(slash - own_exe) + 1 : 0;
    for (size_t i = 0; i < MT_COUNTOF(places); i++) {
        mt_status status = accept_path(mt_format("%.*s%s" AGENT, (int)folder_bytes, own_exe, places[i]), ret, err);
        if (status != MT_E_NOENT) {
            return status;
        }
    }
    return mt_error_set(err, MT_E_NOENT,
                        "cannot find " AGENT " in %.*s or ../lib/memtap beside it; build it "
                        "(`make`) or set MEMTAP_AGENT to its path",
                        (int)folder_bytes, own_exe);
}

mt_status mt_agentfile_find(char **ret, struct mt_error *err)
{
    const char *wanted = getenv("MEMTAP_AGENT");
    if (wanted != NULL && wanted[0] != '\0') {
        mt_status status = accept_path(mt_strdup(wanted), ret, err);
        return status != MT_E_NOENT
                   ? status
                   : mt_error_set(err, status, "MEMTAP_AGENT=%s: there is no such readable file", wanted);
    }
    char own[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof own - 1);
    own[bytes > 0 ? bytes : 0] = '\0';
    return mt_agentfile_find_beside(own, ret, err);
}
