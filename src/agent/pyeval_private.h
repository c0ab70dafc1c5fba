/* pyeval_private.h: what pyeval.c (threads and time), pycalls.c (what eval.py calls) and pyoutput.c share. Internal to agent/. */
#ifndef MT_AGENT_PYEVAL_PRIVATE_H
#define MT_AGENT_PYEVAL_PRIVATE_H

#include "agent/pyapi.h"
#include "agent/pyeval.h"

#include <stdint.h>

extern const char mt_eval_source[] MT_HIDDEN; /* eval.py, NUL-terminated */

/* RUNNING -> ENDED by the eval's thread, ENDED -> TAKEN by who waits for it, RUNNING -> LEFT by who waits no longer, TAKEN and
 * LEFT -> IDLE by the eval's thread, which is gone then. Pairing P1: what the eval's thread wrote before ENDED is read after it
 * (release, acquire), and what the next caller writes comes after IDLE in the same way. */
enum mt_eval_state { MT_EVAL_IDLE, MT_EVAL_RUNNING, MT_EVAL_ENDED, MT_EVAL_TAKEN, MT_EVAL_LEFT };

struct mt_eval_session {
    uint32_t state;
    uint32_t serial;      /* of the eval: who is late must not interrupt the next one */
    int pid;              /* the process it runs in; its fork children have a copy of all this and no such thread */
    unsigned long thread; /* pthread_self() of the eval's thread, which is Python's own identifier of it */
    char *code;
    size_t bytes, mapped_bytes;
    enum mt_eval_end end;
    uint64_t cpu_ns;         /* that the thread took between getting the GIL and giving it back for good */
    uint64_t signals;        /* that its thread keeps waiting while the code of who asked runs: as the program's main thread */
    void *tstate;            /* its thread state; valid until TAKEN */
    uint32_t has_begun;      /* it has had the GIL */
    uint32_t is_interruptible; /* under lock: the code of who asked is what runs */
    uint32_t lock;           /* held for a few instructions, and a call of Python's API that waits for nobody */
    uint32_t hears_nothing;  /* output is dropped: nobody takes it any more */
    mt_py *time_limit, *keyboard_interrupt; /* borrowed from eval.py and builtins */
};
extern struct mt_eval_session mt_g_eval MT_HIDDEN;
/* False: it was in another. */
bool mt_eval_change_state(enum mt_eval_state from, enum mt_eval_state to);
uint32_t mt_eval_state_now(void); /* enum mt_eval_state */

/* The calling thread is an eval's, or the copy of one in a process that the eval's code has forked. */
extern __thread bool t_mt_is_eval __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* pycalls.c. All with the GIL. */
/* Runs the session's code through eval.py. */
enum mt_eval_end mt_pycalls_run(const struct mt_py_api *py);
/* Raises exception in the eval's thread if that runs code of who asked, and is the eval with this number. */
void mt_pycalls_interrupt(const struct mt_py_api *py, uint32_t serial, bool time_is_over);

/* pystreams.c, with the GIL. What eval.py calls goes into its names, before it is run; */
bool mt_pystreams_fill(const struct mt_py_api *py, mt_py *names);
/* and what it has made is found there, afterwards. */
bool mt_pystreams_ready(mt_py *names);

/* pyoutput.c: a ring of bytes from the eval's thread to who waits for it. */
bool mt_pyoutput_open(void); /* empties it; false: no memory */
void mt_pyoutput_close(void);
/* As many bytes as there is room for (at most 64 KiB at a time); 0: it is full. */
size_t mt_pyoutput_put(int stream, const char *text, size_t bytes);
/* Hands all that is there to say. */
void mt_pyoutput_take(const struct mt_eval_asker *asker);

#endif
