/* pymem.h: Python's own allocator domains MEM and OBJ, and its arenas.
 *
 * Decides: which of Python's blocks are counted here. Blocks that pymalloc serves from its arenas (1 to 512 bytes) never
 * reach malloc and are counted here one by one; larger ones, and the RAW domain, go to malloc and are counted by its hook.
 * mimalloc (free-threaded builds, PYTHONMALLOC=mimalloc) never calls malloc: every size is counted here. With
 * PYTHONMALLOC=malloc nothing is installed. Arenas are recorded as ranges of kind ARENA.
 * No Python header is used; the two structs of the C API are stable since 3.5 (PEP 445).
 */
#ifndef MT_HOOK_PYMEM_H
#define MT_HOOK_PYMEM_H

#include <stdbool.h>

/* Wraps the domains. False when there is no Python, or nothing to wrap. Before Py_Initialize, or with the GIL held (3.8 to
 * 3.12 and default builds), or in a thread of a stopped world. Idempotent. */
bool mt_pymem_install(void);
/* Unwraps where we are still outermost. Same context. */
void mt_pymem_uninstall(void);
/* Wraps again what was set over us (PYTHONMALLOC and -X dev at start-up, the end of tracemalloc). Cheap. Context: loader
 * hooks (nothing happens in a thread without the GIL) and arena allocation. Does nothing before mt_pymem_install. */
void mt_pymem_check(void);
/* Notes in the trace which allocator Python uses, where that is not said yet. Context: [hook] with the guard set and the GIL held. */
void mt_pymem_tell(void);
/* Context: [fork-child]. */
void mt_pymem_after_fork(void);
/* Objects were unloaded: forgets Python if it was among them. Context: loader hooks. */
void mt_pymem_objects_gone(void);

#endif
