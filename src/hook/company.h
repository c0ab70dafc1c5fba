/* company.h: other tools that rewrite the slots we rewrote (memray, heaptrack injected, whoever patches the GOT).
 *
 * Decides: ours goes in front of theirs, so that both see every call. They come without a word, but all of them find slots
 * through dl_iterate_phdr, which is hooked for that: right after it we look whether our hooks are still in their slots (one
 * compare each), and put them back. When they end they put back what the functions are without us, the same way. Who does
 * it differently is found when a thread is made, when Python makes an arena and when a recording begins or ends; what was
 * called meanwhile is lost, and the trace says so and by whom. With a preloaded agent nothing is done: their hooks call ours
 * by its exported name.
 * Context: outside our locks; loader hooks, [agent], and arena hooks of Python. Guard set or not.
 */
#ifndef MT_HOOK_COMPANY_H
#define MT_HOOK_COMPANY_H

#include "hook/table.h"

/* Puts hooks back that were taken and notes in the trace what that means. */
void mt_company_look(void);
/* Notes in the trace that has just begun who runs the program: valgrind, whose library is in every program it runs. */
void mt_company_note(void);
/* dl_iterate_phdr as the program calls it. */
int mt_company_iterate(int (*visit)(void *, size_t, void *), void *context, const struct mt_originals *real);

#endif
