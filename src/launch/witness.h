/* witness.h: a process that tells signals to the whole process group from those to memtap alone. Internal to launch/.
 *
 * Decides: what is sent to the group (killpg, kill of a negative number, a shell's kill %1) reaches the program by itself, and must
 * not be passed on as well; nothing in what memtap receives says which it was. So a child of memtap, in the same group, does
 * nothing but take signals and tell of them: what it has got too went to the group. It holds no file of the run, and dies with
 * memtap. The kernel goes through a group from its newest member to its oldest, and the witness is newer than memtap: when
 * memtap has a signal of the group, the witness has it already.
 * Context: [tool], the thread that waits.
 */
#ifndef MT_LAUNCH_WITNESS_H
#define MT_LAUNCH_WITNESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What the witness tells of one signal. */
struct mt_witness_statement {
    int number, code;
    pid_t sender;
    int value; /* queued with it; 0: none */
};

struct mt_witness {
    pid_t pid;     /* 0: there is none, and every signal passes for one to memtap alone */
    int fd;        /* where it writes statements */
    int questions; /* asked so far */
    struct mt_witness_statement *seen; /* of signals that memtap has not taken yet */
    size_t count, capacity;
};

/* Begins; every signal is blocked, and stays so in the witness. No error: without one, see above. */
void mt_witness_begin(struct mt_witness *witness);
/* Did the signal that memtap has just taken reach its whole group? Waits for the witness, a second at most. */
bool mt_witness_saw(struct mt_witness *witness, const siginfo_t *info);
void mt_witness_end(struct mt_witness *witness);

#endif
