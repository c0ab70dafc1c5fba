/* pyeval.h: Python code of somebody else, run in the program's interpreter.
 *
 * Decides: the code runs on a thread of its own that takes the GIL as any thread of Python does: never in a signal handler, never
 * on a thread of the program. What is Python about it is eval.py, beside this file. What it allocates is on our account, and
 * blocks of the program that it ends are seen to end.
 * Invariants: one eval at a time. One that does not end when its time is over (a call that never comes back to the interpreter)
 * is left to itself: its output is no longer taken, and no other begins before it has ended. Why so: docs/decisions/0066.
 */
#ifndef MT_AGENT_PYEVAL_H
#define MT_AGENT_PYEVAL_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_eval_end {
    MT_EVAL_DONE,
    MT_EVAL_RAISED,
    MT_EVAL_TIMEOUT,   /* interrupted, or it has not ended yet: mt_eval_is_stuck */
    MT_EVAL_NO_PYTHON, /* none here, none started yet, or one that is ending */
    MT_EVAL_BUSY,      /* an earlier one has not ended */
    MT_EVAL_DENIED,    /* MEMTAP_ALLOW_EVAL=0 in the program's environment */
};

enum mt_eval_stream {
    MT_EVAL_OUT = 1,
    MT_EVAL_ERR = 2,
    MT_EVAL_TRACEBACK = 3,
    MT_EVAL_ERROR = 4, /* the last line of the traceback */
};

/* Who asks. say takes what the code prints as it comes, and at the end traceback and error: pieces of UTF-8 text, cut
 * anywhere, valid during the call. gone (NULL: never) is asked every few milliseconds whether nobody listens any more: then
 * the code gets a KeyboardInterrupt. Both are called by the thread that called mt_eval_run. */
struct mt_eval_asker {
    void (*say)(void *context, int stream, const char *text, size_t bytes);
    bool (*gone)(void *context);
    void *context;
};

/* Runs code (UTF-8, no NUL in it) and waits for it. timeout_ms bounds all of it; 2 s more when it has to be interrupted.
 * ret_held_ns: how long it held the GIL in all, looked at every millisecond; 0 in a Python without one.
 * Context: [agent], a thread of ours, without the GIL. */
enum mt_eval_end mt_eval_run(const char *code, size_t bytes, uint64_t timeout_ms, const struct mt_eval_asker *asker,
                             uint64_t *ret_held_ns);
/* Is one still running that nobody waits for? */
bool mt_eval_is_stuck(void);
/* That of the parent. Context: a fork child. */
void mt_eval_forget(void);

#endif
