/* helper.h: help for recorded processes that cannot make or open their trace: under another user, in another root, where the
 * folder is closed to them. They ask over an abstract socket (wire/ask.h) and get a descriptor; others tell there what they
 * start and what will not be recorded.
 *
 * Decides: whom to help. A request must carry the token of the run's environment; the file it gets bears the process id the
 * kernel states for it (SO_PEERCRED) and lies where the traces of this run lie, so that a process with fewer rights than the
 * tool can have nothing made or opened but its own trace. Never waits: what a process has not said yet is looked for at
 * the next tick. Context: [tool].
 */
#ifndef MT_LAUNCH_HELPER_H
#define MT_LAUNCH_HELPER_H

#include "launch/unrecorded.h"
#include "util/strlist.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { MT_HELPER_GUESTS = 64 };

struct mt_helper {
    int listener; /* 0: closed */
    uint64_t token;
    char name[64]; /* of the socket */
    struct {
        int fd; /* connected, has not asked yet; 0: free */
        uint64_t since_ns;
    } guests[MT_HELPER_GUESTS];
    struct mt_strlist refused;    /* sentences about processes that could not be helped */
    struct mt_unrecorded unrecorded; /* what was told of others */
};

/* What a run's processes may be given: where the traces lie, and whose is the first; the clock. */
struct mt_helper_place {
    const char *output; /* absolute */
    uint64_t root_pid;
    int tick_fd; /* the clock page; 0: there is none */
};

/* guest: who is helped, a process that may be in another network; 0: who is here. Without a socket nobody is helped: no error. */
void mt_helper_open(struct mt_helper *helper, pid_t guest);
/* MEMTAP_HELPER; empty when closed. */
void mt_helper_text(const struct mt_helper *helper, char *ret_text, size_t capacity);
/* Answers what has been asked by now, and hears what was told. */
void mt_helper_serve(struct mt_helper *helper, const struct mt_helper_place *place);
void mt_helper_close(struct mt_helper *helper); /* keeps `refused` and `unrecorded` */
/* Appends what a reader must know of processes that are not recorded. */
void mt_helper_say(const struct mt_helper *helper, struct mt_strlist *ret);
void mt_helper_free(struct mt_helper *helper);

#endif
