/* witness.c: see witness.h. A question is a signal of its own to the witness, of the highest number: the kernel hands out lower
 * numbers first, so that an answer says that all that came before it has been told. */
#include "launch/witness.h"

#include "util/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* the headers of glibc 2.28, which wheels are built with, are older */
#endif

enum { ANSWER_MS = 1000 };

/* ---- the witness ------------------------------------------------------------------------------------------------- */

/* Whoever waits for the end of a pipe of memtap's must not wait for the witness. */
static void close_all_but(int fd)
{
    if (dup2(fd, 0) != 0) {
        _exit(1);
    }
    if (syscall(SYS_close_range, 1u, ~0u, 0u) != 0) { /* before Linux 5.9 */
        for (long i = sysconf(_SC_OPEN_MAX) - 1; i > 0; i--) {
            (void)close((int)i);
        }
    }
}

static void testify(int fd, pid_t memtap)
{
    sigset_t all;
    siginfo_t info;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_all_but(fd);
    (void)sigfillset(&all);
    while (getppid() == memtap) {
        if (sigwaitinfo(&all, &info) <= 0) {
            continue;
        }
        struct mt_witness_statement statement = { info.si_signo, info.si_code, info.si_pid,
                                                  info.si_code == SI_QUEUE ? info.si_value.sival_int : 0 };
        if (write(0, &statement, sizeof statement) != (ssize_t)sizeof statement) {
            break; /* nobody reads any more, or the pipe is full of what nobody asks for */
        }
    }
}

void mt_witness_begin(struct mt_witness *witness)
{
    int ends[2];
    *witness = (struct mt_witness){ .fd = -1 };
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    pid_t memtap = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        testify(ends[1], memtap);
        _exit(0);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return;
    }
    witness->pid = pid;
    witness->fd = ends[0];
}

/* ---- memtap ------------------------------------------------------------------------------------------------------ */

static bool same(const struct mt_witness_statement *a, const struct mt_witness_statement *b)
{
    return a->number == b->number && a->code == b->code && a->sender == b->sender && a->value == b->value;
}

/* False: it does not speak. */
static bool hear(const struct mt_witness *witness, struct mt_witness_statement *ret)
{
    struct pollfd readable = { .fd = witness->fd, .events = POLLIN };
    int got;
    do {
        got = poll(&readable, 1, ANSWER_MS);
    } while (got < 0 && errno == EINTR);
    return got > 0 && read(witness->fd, ret, sizeof *ret) == (ssize_t)sizeof *ret;
}

/* Takes in what the witness has got until now. */
static bool ask(struct mt_witness *witness)
{
    struct mt_witness_statement heard;
    const struct mt_witness_statement answer = { SIGRTMAX, SI_QUEUE, getpid(), ++witness->questions };
    if (sigqueue(witness->pid, SIGRTMAX, (union sigval){ .sival_int = answer.value }) != 0) {
        return false;
    }
    while (hear(witness, &heard)) {
        if (same(&heard, &answer)) {
            return true;
        }
        witness->seen = mt_alloc_grow(witness->seen, &witness->capacity, witness->count + 1, sizeof heard);
        witness->seen[witness->count++] = heard;
    }
    return false;
}

/* Standard signals do not queue: of several, the witness may have had more than memtap. Of one that memtap has no more of, it has
 * taken all. */
static void forget_taken(struct mt_witness *witness, const sigset_t *waiting)
{
    size_t kept = 0;
    for (size_t i = 0; i < witness->count; i++) {
        if (sigismember(waiting, witness->seen[i].number) == 1) {
            witness->seen[kept++] = witness->seen[i];
        }
    }
    witness->count = kept;
}

bool mt_witness_saw(struct mt_witness *witness, const siginfo_t *info)
{
    const struct mt_witness_statement taken = { info->si_signo, info->si_code, info->si_pid,
                                                info->si_code == SI_QUEUE ? info->si_value.sival_int : 0 };
    sigset_t waiting;
    bool found = false;
    if (witness->pid == 0 || !ask(witness)) {
        return false;
    }
    (void)sigpending(&waiting);
    for (size_t i = 0; i < witness->count && !found; i++) {
        found = same(&witness->seen[i], &taken);
        if (found) {
            witness->count--;
            memmove(&witness->seen[i], &witness->seen[i + 1], (witness->count - i) * sizeof witness->seen[0]);
        }
    }
    forget_taken(witness, &waiting);
    return found;
}

void mt_witness_end(struct mt_witness *witness)
{
    if (witness->pid == 0) {
        return;
    }
    (void)kill(witness->pid, SIGKILL);
    (void)waitpid(witness->pid, NULL, 0);
    (void)close(witness->fd);
    free(witness->seen);
    *witness = (struct mt_witness){ .fd = -1 };
}
