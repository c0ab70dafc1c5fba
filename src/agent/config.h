/* config.h: what the agent was asked to do, from MEMTAP_* variables.
 *
 * Decides: whether to record at all, and where a process's trace goes: the first process writes MEMTAP_OUTPUT, what
 * follows it by exec and every other process writes into the folder MEMTAP_OUTPUT.d. What the variables mean is said by
 * wire/config.def. Context: [agent] (start, fork child).
 */
#ifndef MT_AGENT_CONFIG_H
#define MT_AGENT_CONFIG_H

#include "wire/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_agent_config {
    bool wanted; /* MEMTAP_OUTPUT is set: record */
    struct mt_config asked;
};

/* Reads the variables; unknown values mean the default. envp: NULL-terminated NAME=VALUE strings. */
void mt_agent_config_read(char *const *envp, struct mt_agent_config *ret);
/* Were they added by the exec hook to what the program was given? */
bool mt_agent_config_is_carried(char *const *envp);
/* Takes the agent out of an environment, in place: its variables and its parts of LD_PRELOAD (the first)
 * and ASAN_OPTIONS (the last). */
void mt_agent_config_hide(char **envp);
/* Path of a trace of this process: of the image that follows the n-th exec that was recorded. capacity at least
 * MT_CONFIG_PATH_BYTES + 64. */
/* FILE.d: the folder of the other processes' traces. */
void mt_agent_folder_path(const struct mt_agent_config *config, char *ret_path, size_t capacity);
void mt_agent_trace_path(const struct mt_agent_config *config, uint64_t pid, unsigned n, char *ret_path, size_t capacity);

#endif
