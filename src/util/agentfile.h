/* agentfile.h: where libmemtap-agent.so is.
 *
 * Decides: MEMTAP_AGENT, else beside the memtap binary (a build tree), else ../lib/memtap and the distribution's
 * library folders (an installation). The path must suit LD_PRELOAD, which splits at blanks and colons. Context: [tool].
 */
#ifndef MT_UTIL_AGENTFILE_H
#define MT_UTIL_AGENTFILE_H

#include "util/error.h"

/* Absolute path, malloc'ed. MT_E_NOENT with the places looked at. */
mt_status mt_agentfile_find(char **ret, struct mt_error *err) MT_CHECKED;
/* own_exe: the binary to look from (tests); the environment is not asked. */
mt_status mt_agentfile_find_beside(const char *own_exe, char **ret, struct mt_error *err) MT_CHECKED;

#endif
