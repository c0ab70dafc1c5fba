/* ask.h: help from the tool for a process that cannot make or open its trace (another user, another root, no folder any more), and
 * what the tool is told.
 *
 * Decides: how long a program may be kept waiting for it. Internal to agent/. Context: [agent], [hook] with the guard set.
 */
#ifndef MT_AGENT_ASK_H
#define MT_AGENT_ASK_H

#include "base/os.h"

/* helper: MEMTAP_HELPER; empty: there is nobody to ask. */
void mt_ask_configure(const char *helper);
/* Which recording later questions are about. path stays valid; its text may change with the recording. */
void mt_ask_about(const char *path);
/* A new file at the recording's path, made by the tool. */
mt_status mt_ask_for_new(int *ret_fd) MT_CHECKED;
/* The tool's clock page. */
mt_status mt_ask_for_tick(int *ret_fd) MT_CHECKED;
/* The journal of that number, made beside this trace. */
mt_status mt_ask_for_journal(uint64_t journal, const struct mt_os_file *trace, int *ret_fd) MT_CHECKED;
/* The trace (journal 0) or its journal again, if it is this file. */
mt_status mt_ask_for_again(uint64_t journal, const struct mt_os_file *wanted, int *ret_fd) MT_CHECKED;
/* path is about to be executed and cannot be recorded, for that reason (wire/ask.h). Waits for nothing; nobody may be there to
 * hear it. Context: any, also a vfork child: writes no memory of the process. */
void mt_ask_tell(uint32_t why, const char *path, char *const *argv);

#endif
