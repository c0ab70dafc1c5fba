/* hook.h: what agent/ calls to put the hooks in place.
 *
 * Decides nothing about recording: hooks ask the engine, and forward when it is off. Context: [agent] start unless said
 * otherwise.
 */
#ifndef MT_HOOK_HOOK_H
#define MT_HOOK_HOOK_H

#include "base/status.h"
#include "heap/engine.h"
#include "hook/elf.h"

#include <stdbool.h>

enum mt_hook_method {
    MT_HOOK_PRELOAD, /* exported symbols precede libc's; the GOT patcher adds what they miss */
    MT_HOOK_GOT,     /* the agent came late: GOT patching alone */
};

/* True when the dynamic loader put the agent before the library that defines malloc: its exported hooks are found first.
 * Context: [agent], constructor. */
bool mt_hooks_are_preloaded(void);
/* Defined by agent/, or by nobody (tests of this folder): starts the agent. Called at hooked calls of the program until
 * the agent has started; false when it has, or is about to. Context: [hook], one thread, the loader has relocated everything. */
extern bool mt_hooks_first_call(void) MT_HIDDEN __attribute__((weak));
/* Patches allocators inside the program and its libraries, and those of libraries that come (own.h). Before mt_hooks_install,
 * with MT_HOOK_PRELOAD only. */
void mt_hooks_patch_own_allocators(void);
/* Notes in the trace that has just begun which of them cannot be seen. */
void mt_hooks_note_own_allocators(void);
/* Notes in the trace that has just begun which allocator Python uses, where an earlier one had it. */
void mt_hooks_note_python(void);
/* Notes in the trace that has just begun that valgrind runs the program. */
void mt_hooks_note_company(void);
/* Puts the hooks in place. python_allocators: count Python's small objects one by one. MT_E_UNSUPPORTED when the process
 * has no malloc to forward to. Idempotent. */
mt_status mt_hooks_install(enum mt_hook_method method, bool python_allocators) MT_CHECKED;
/* Takes back what can be taken back: patched slots, Python's allocators where they are still ours (needs the GIL in a
 * running interpreter). Hooks already entered go on; preloaded symbols keep forwarding. */
void mt_hooks_uninstall(void);
/* Does torch's CPU allocator go through the hooks of this process? */
bool mt_hooks_see_tensors(void);
/* Looks whether another tool took hooks out, puts them back and notes it in the trace. Context: [agent]. */
void mt_hooks_look_for_company(void);
/* Python is in the process now: wraps its allocators if that was asked for. Context: loader hooks, start. */
void mt_hooks_python_arrived(void);
/* callback: called when a thread of the program ends, the calling one too, as the last of its key destructors. False: no
 * end can be heard of. Context: [agent]. */
bool mt_hooks_on_thread_end(void (*callback)(void));
/* A thread of ours: small, detached, with all signals but libc's own held. `main` is called outside the engine. False: this process
 * cannot have one. The caller is a thread of the program, outside its allocator and the loader. Context: [agent]. */
bool mt_hooks_start_thread(void *(*main)(void *), void *argument, size_t stack_bytes) MT_CHECKED;
/* callback: called after each load that brought new objects, guard set, outside malloc. NULL: none. */
void mt_hooks_on_load(void (*callback)(void));

#endif
