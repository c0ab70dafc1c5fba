/* got.h: interception by rewriting the slots through which loaded objects call the hooked functions.
 *
 * Decides: which slots lead to a hook, and which original each hook then has. The common mechanism for an agent that comes
 * late; with a preloaded agent it adds what symbol order cannot reach: objects loaded with RTLD_DEEPBIND, and libraries
 * bound to a malloc that the executable defines.
 * Invariants: a slot is only rewritten when its value is understood (a definition of that very name, the executable's PLT
 * stub for it, the object's own lazy stub, or another tool's hook where slots are all there is); NULL stays NULL; the old value is kept and put back only in an object that
 * is still the same one; RELRO is opened once an object and closed again, never closed on an object the loader has not
 * closed yet. All state is changed under the loader's own lock, inside a dl_iterate_phdr callback.
 * Context: [agent] start, loader hooks; never inside an allocator hook.
 */
#ifndef MT_HOOK_GOT_H
#define MT_HOOK_GOT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* preloaded: calls that already come to the agent's exported symbols are left alone. */
mt_status mt_got_install(bool preloaded) MT_CHECKED;
/* Patches new objects, forgets objects that are gone, repairs slots the loader rewrote (lazy binding that raced with us).
 * Does nothing before mt_got_install. */
void mt_got_rescan(void);
/* Patches anew what somebody took since the last look, where slots are all there is. Returns in how many objects that was;
 * ret_taker: an address in the object of who did it, 0 where he left nothing. */
uint32_t mt_got_retake(uint64_t *ret_taker) MT_CHECKED;
void mt_got_uninstall(void);
/* Context: [fork-child]. */
void mt_got_after_fork(void);

/* True when the agent's symbols are not exported in front of libc's: slots are the only way. */
bool mt_got_stands_alone(void);
/* Is this function called through slots that lead to a hook? */
bool mt_got_leads(unsigned index);
/* True for the names of hooked functions. */
bool mt_got_knows(const char *name);
/* The hook that forwards to address, a function of this name; NULL when no bank does. */
void *mt_got_hook_for(const char *name, const void *address);

/* For tests and notes: slots that lead to a hook now, and slots left alone because no bank was free. */
size_t mt_got_patched_count(void);
size_t mt_got_unbanked_count(void);

#endif
