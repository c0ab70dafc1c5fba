/* foothold.h: making a landing in a process that has none yet, and finding one that is there.
 *
 * Decides: two system calls (mmap, mprotect) are made in a stopped thread, at a syscall instruction of libc that a ret follows. Below the thread's red zone lies, meanwhile, a frame as the kernel makes it for a signal handler: should memtap die
 * between the call and what puts the thread's registers back, the ret leads there, and the kernel puts them back itself. No text of
 * the process is written to. Context: [tool].
 */
#ifndef MT_ATTACH_FOOTHOLD_H
#define MT_ATTACH_FOOTHOLD_H

#include "attach/landing.h"
#include "attach/hazards.h"
#include "attach/thread.h"

struct mt_foothold {
    uint64_t box; /* address in the process; 0: there is none */
};

/* A landing that an earlier detour has left. */
bool mt_foothold_find(const struct mt_subject *subject, struct mt_foothold *ret);

enum mt_foothold_answer { MT_FOOTHOLD_MADE, MT_FOOTHOLD_LATER /* the thread is let go */, MT_FOOTHOLD_DENIED /* so is it; *ret_error */ };
/* thread: at a safe point. After MADE it is still stopped. */
enum mt_foothold_answer mt_foothold_make(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_thread *thread,
                                         uint64_t patience_ns, struct mt_foothold *ret, int *ret_error) MT_CHECKED;

/* Bytes of all processor state by XSAVE here, which is the target's machine; 0: this processor has no XSAVE. */
uint64_t mt_foothold_vector_bytes(void);

#endif
