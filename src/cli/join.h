/* join.h: beginning and ending the recording of a process that runs: the trace's name and folder, the agent, and the injection
 * (attach/inject.h), or the request, where the process waits for one (control/client.h). What attach, detach and top share. Nothing is printed. Context: [tool].
 */
#ifndef MT_CLI_JOIN_H
#define MT_CLI_JOIN_H

#include "attach/inject.h"
#include "wire/config.h"

struct mt_join {
    const char *output; /* the trace; NULL: memtap-NAME.PID.mtap here, with a number where that is taken */
    enum mt_engine_mode mode;
    uint64_t rate_bytes;
    uint64_t max_file_bytes;
    uint64_t max_stop_ns, timeout_ns;
    bool native, python_allocators;
    bool listen; /* the process can be asked afterwards (docs/formats/control.md) */
};
#define MT_JOIN_DEFAULTS                                                                                               \
    ((struct mt_join){                                                                                                 \
        .mode = MT_MODE_SAMPLE, .rate_bytes = MT_RATE_DEFAULT, .native = true, .python_allocators = true, .max_stop_ns = 20000000,         \
        .timeout_ns = 5000000000 })

/* Times of zero and a rate of zero are refused in words. *ret_config: what it is recorded with, where ret->code is MEMTAP_AGENT_OK. On failure *ret_code is the exit code. */
mt_status mt_join_begin(const struct mt_join *how, pid_t pid, struct mt_config *ret_config, struct mt_injected *ret, int *ret_code,
                        struct mt_error *err) MT_CHECKED;
/* Ends what attach began; the times of `how` apply. */
mt_status mt_join_end(const struct mt_join *how, pid_t pid, struct mt_injected *ret, int *ret_code, struct mt_error *err) MT_CHECKED;
/* May the process's user not remove the journal beside the trace, when the recording ends without detach? */
bool mt_join_leaves_journal(const struct mt_config *config, const struct mt_injected *done);
/* Why the agent did not begin, in words. */
const char *mt_join_failure(enum memtap_agent_code code);

#endif
