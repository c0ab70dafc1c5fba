/* exec.h: what this process executes is recorded too, whatever environment it is given.
 *
 * Decides: which environment the next program gets. One without the agent's settings gets them (`env -i`, clearenv, a dict of
 * Python's), LD_PRELOAD merged with the program's own value; a program whose loader would end or complain because of the agent
 * is not shown it; what will not be recorded is told. Every exec of libc (execv and the like, posix_spawn, system, popen) comes
 * through three functions, whose entries are patched: symbol order would not reach system and popen. See
 * docs/decisions/0025.
 * Invariants: argv, envp and what they point to are never written; the new environment lies on the stack of the caller, which
 * may be a vfork child that runs on its parent's memory, so nothing else is written, but the engine's order of events (mt_engine_exec_seen)
 * and a note of a filter nobody told of. Where something does not fit,
 * the program's own environment goes as it is.
 * Context: any, async-signal safe.
 */
#ifndef MT_HOOK_EXEC_H
#define MT_HOOK_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_exec_luggage {
    const char *const *settings; /* NAME=VALUE */
    size_t count;
    uint64_t filters; /* config.def: of the calling process, those it has installed not counted */
    bool (*follows)(void); /* is what the calling process executes to be recorded? */
    void (*tell)(uint32_t why, const char *path, char *const *argv); /* it will not be; why: wire/ask.h */
};

/* luggage stays valid. False when the entries cannot be patched: then only an environment that is passed on is followed.
 * Context: [agent] start, one thread. */
bool mt_exec_install(const struct mt_exec_luggage *luggage);

#endif
