/* memory_now.h: what others than /proc say of the memory of a process that runs: its trace, and its allocator. Internal to cli/.
 * Context: [tool]. */
#ifndef MT_CLI_MEMORY_NOW_H
#define MT_CLI_MEMORY_NOW_H

#include "cli/memory_view.h"

#include <sys/types.h>

/* What its trace says: who holds most, which the view gets, and the recorder's own memory. False: it cannot be read. */
bool mt_memory_recorded(const char *trace, struct mt_memory_view *view, struct mt_explain_trace *ret);
/* An armed process is asked what its own allocator says; of another one it is not known. */
void mt_memory_ask_allocator(pid_t pid, struct mt_explained *explained);

#endif
