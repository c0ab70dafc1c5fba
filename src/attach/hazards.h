/* hazards.h: where in a process's code a thread must not be borrowed, and what of that code memtap uses.
 *
 * Decides: ranges come from the symbols as they are mapped. A range is widened to the neighbouring symbols of other kinds, because
 * the functions of one source file lie together and those without a name lie between them: too much, never too little.
 * Context: [tool].
 */
#ifndef MT_ATTACH_HAZARDS_H
#define MT_ATTACH_HAZARDS_H

#include "attach/refusal.h"

enum mt_hazard {
    MT_HAZARD_NONE,      /* the program's, or a library's that has no part in this */
    MT_HAZARD_LIBC,
    MT_HAZARD_LOADER,    /* ld.so, libdl; dlopen and its kin in libc */
    MT_HAZARD_ALLOCATOR, /* malloc's source file in libc; a library that defines malloc */
    MT_HAZARD_FORK,      /* fork, which calls handlers of the program */
    MT_HAZARD_CALLS_OUT, /* functions that hold a lock of the loader while they call the program: dl_iterate_phdr */
    MT_HAZARD_THREADS,   /* making threads, and keeping their stacks; also what every thread but the first begins in */
    MT_HAZARD_KERNEL,    /* the vDSO */
    MT_HAZARD_OWN,       /* memtap's agent or landing */
};

struct mt_hazard_range {
    uint64_t low, high;
    enum mt_hazard hazard;
};

struct mt_hazards {
    struct mt_hazard_range *items; /* the first that holds an address says what it is */
    size_t count;
    size_t capacity;
    bool program_is_allocator; /* the executable defines malloc itself: nowhere in it is known to be safe */
    uint64_t *waits;           /* where the functions of libc begin that wait, or read, and take no lock but what they are asked for */
    size_t wait_count;
    size_t wait_capacity;

    uint64_t syscall_return;   /* a syscall instruction followed by ret */
    uint64_t signal_return;    /* libc's way out of a signal handler */
    uint64_t errno_location, dlopen, dlsym, dlerror; /* dlerror: 0 when there is none */
    int dlopen_flags;
    uint64_t agent;            /* memtap_agent_api of an agent that is there; 0: none */
};

/* MT_E_UNSUPPORTED: something that is needed is not there. */
mt_status mt_hazards_find(const struct mt_subject *subject, struct mt_hazards *ret, struct mt_error *err) MT_CHECKED;
void mt_hazards_clear(struct mt_hazards *hazards);
enum mt_hazard mt_hazard_of(const struct mt_hazards *hazards, uint64_t address);
/* Does one of the functions begin there that wait with nothing held but what the program holds? */
bool mt_hazard_is_wait(const struct mt_hazards *hazards, uint64_t start);

#endif
