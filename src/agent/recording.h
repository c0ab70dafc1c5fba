/* recording.h: one recording of this process, whoever asked for it. Internal to agent/. Context: [agent]. */
#ifndef MT_AGENT_RECORDING_H
#define MT_AGENT_RECORDING_H

#include "agent/config.h"
#include "heap/engine.h"

/* The recording `memtap run` asked for: its trace has the name the configuration gives this process. What an earlier image
 * of the process left there stays as it is, marked as ended by exec. A failure leaves the process unrecorded. */
void mt_recording_start_configured(const struct mt_agent_config *config, bool fork_child, uint64_t parent_pid);
/* A recording asked for from inside. Fields of `wanted` that are facts of the process are filled in here. */
mt_status mt_recording_start(struct mt_engine_config wanted) MT_CHECKED;
/* One that attach asked for: at the configuration's output, or at what the tool makes there for this process, which may see other
 * folders or have other rights. The configuration names the folder of the output. */
mt_status mt_recording_start_attached(const struct mt_agent_config *config) MT_CHECKED;
/* Path of the present or the last trace; empty before the first. */
const char *mt_recording_path(void);
/* Python may be in the process from the start or arrive with a library: has its frames walked from now on. */
void mt_recording_look_for_python(void);

#endif
