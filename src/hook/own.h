/* own.h: allocators inside the program and its libraries, whose functions no symbol order and no slot leads to us.
 *
 * Decides: which objects' functions are patched. All entry points of an object, or none: an allocator whose frees are not
 * seen would show leaks. Where it is none, the trace says that the object has an allocator of its own that is not seen.
 * Invariants: code is patched only while nothing can be running it: the process has one thread, or the object came with
 * the dlopen that has just returned and no thread was made meanwhile. No page is ever writable and executable: code is
 * written through /proc/self/mem, the new code is finished before it is made executable.
 * The memory of patched libraries that are unloaded again is not reused (docs/decisions/0019).
 */
#ifndef MT_HOOK_OWN_H
#define MT_HOOK_OWN_H

#include <stdbool.h>
#include <stdint.h>

/* Looks at all loaded objects, and from now on at those that come. Context: [agent] start, before the GOT patcher. */
void mt_own_install(void);
/* Looks at objects that came. came_alone: by a dlopen of the calling thread that has returned, and no thread was made since
 * it began. Nothing before mt_own_install. Context: loader hooks. */
void mt_own_rescan(bool came_alone);
/* True when pc lies in an object that was looked at. Takes no lock; while objects come and go it may be wrong. */
bool mt_own_has_seen(uint64_t pc);
/* Writes to the trace which objects have an allocator that is not seen. Context: [agent], a trace has begun. */
void mt_own_note(void);
/* True when a call of the function at address is recorded by its patched entry. Context: [agent], loader hooks. */
bool mt_own_is_patched(uint64_t address);

#endif
