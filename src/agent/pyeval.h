/* pyeval.h: Python that a tool has sent, run in this process. Internal to agent/.
 *
 * Whether it is there decides the linker: the agent answers that there is no Python where it is not.
 * Context: a thread of the agent's that is for this alone, without the GIL.
 */
#ifndef MT_AGENT_PYEVAL_H
#define MT_AGENT_PYEVAL_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum mt_eval_end { MT_EVAL_DONE, MT_EVAL_RAISED, MT_EVAL_TIMEOUT, MT_EVAL_NO_PYTHON, MT_EVAL_BUSY, MT_EVAL_DENIED };

/* Runs code; what it prints goes to say: stream 1 output, 2 errors. */
MT_HIDDEN __attribute__((weak)) enum mt_eval_end mt_eval_run(const char *code, size_t bytes, uint64_t timeout_ms,
                                                             void (*say)(void *context, int stream, const char *text, size_t bytes),
                                                             void *context, uint64_t *ret_held_ns);

#endif
