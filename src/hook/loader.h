/* loader.h: hooks of dlopen, dlmopen, dlclose and pthread_create, shared by all banks and entered by a tail jump.
 *
 * Safe points: the moments in these hooks when no loader call of this thread is under way; what changed in the set of
 * loaded objects is then found and acted on (loader.c). Context: [hook], outside the allocator.
 */
#ifndef MT_HOOK_LOADER_H
#define MT_HOOK_LOADER_H

#include "hook/table.h"

void *mt_loader_open(const char *file, int mode, const struct mt_originals *real);
void *mt_loader_open_in(long space, const char *file, int mode, const struct mt_originals *real);
void *mt_loader_symbol(void *handle, const char *name, const struct mt_originals *real);
int mt_loader_close(void *handle, const struct mt_originals *real);
int mt_thread_create(unsigned long *ret_thread, const void *attr, void *(*start)(void *), void *arg,
                     const struct mt_originals *real);

/* What is loaded now is known: only later changes count. Context: [agent] start. */
void mt_loader_start(void);
/* Looks whether objects came or went since the last time, and acts on it. errno and dlerror are untouched. */
void mt_loader_safe_point(void);
/* Before a mapping that the code returning to pc asks for: a constructor that runs inside dlopen may be an allocator's, whose
 * functions are then patched before it goes on. */
void mt_loader_before_map(uint64_t pc);
/* Called after objects came. One callback; NULL for none. Context: [agent] start. */
void mt_loader_on_load(void (*callback)(void));

/* The program calls pthread_create: whether it did tells what may be patched after a dlopen. Context: [hook]. */
void mt_loader_count_thread(void);
/* Creates the key that tells of thread ends. Idempotent. Context: [agent] start. */
void mt_thread_install(void);

#endif
