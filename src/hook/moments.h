/* moments.h: entry points whose call is a moment in the life of the program.
 *
 * Decides: which functions those are: libc's exit, which main returns into, where Python begins its main program, where it
 * begins to end, and where it raises MemoryError. They are patched (patch.h) one by one: one that cannot be is a moment not known, no more.
 * Nothing of ours is on the stack while the real function runs.
 */
#ifndef MT_HOOK_MOMENTS_H
#define MT_HOOK_MOMENTS_H

#include <link.h>

/* Patches what the object has of them; nobody may be running its code. Context: [agent] start, loader hooks; under the
 * loader's lock. */
void mt_moments_patch(const struct dl_phdr_info *info);
/* callback is called when Python begins to end, with the guard set and the GIL held. Context: [agent]. */
void mt_moments_before_python_ends(void (*callback)(void));

#endif
