/* launch.h: starting a program under the agent: prepare, spawn, tick and wait, finish.
 *
 * Decides: who does what around the recorded program. Prepare finds program, agent and output. Spawn builds the
 * environment the agent reads and starts the program with fork and exec, in the same process group, terminal, limits and
 * folder. Wait keeps the shared clock (tick) fresh while the program lives and passes signals on. Finish completes the
 * traces and says what was found (closing). Nothing here may change what the program does: output, signals and exit code
 * are its own. Context: [tool].
 */
#ifndef MT_LAUNCH_LAUNCH_H
#define MT_LAUNCH_LAUNCH_H

#include "base/tick.h"
#include "base/tsc.h"
#include "launch/helper.h"
#include "launch/limit.h"
#include "launch/watch.h"
#include "launch/witness.h"
#include "util/error.h"
#include "util/tracepath.h"
#include "wire/config.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_run_options {
    const char *output;  /* NULL: memtap-NAME.PID.mtap */
    const char *module;  /* -m */
    const char *code;    /* -c */
    const char *listen;  /* MEMTAP_LISTEN; NULL: not chosen */
    int mode;            /* enum mt_engine_mode */
    uint64_t rate_bytes; /* 0: not given */
    uint64_t budget_parts; /* millionths; 0: none */
    uint64_t duration_ns;
    uint64_t max_file_bytes;
    int snapshot_signal; /* 0: none */
    struct mt_snapshot_at snapshot_at;
    bool force;
    bool native;
    bool python_allocators;
    bool follow;
    bool aggregate;
    bool quiet;
    bool pack;
};

/* The clock page shared with the agent (base/tick.h). */
struct mt_tick {
    uint64_t *words; /* NULL: not open */
    struct mt_tsc_moment first; /* where the line of this run's time begins; ticks 0: the counter is no clock here */
    struct mt_tsc_line line;
    int fd;          /* of the memfd */
    char path[64];   /* where the programs open it */
};

struct mt_run {
    struct mt_run_options options;
    char *program;    /* path to execute */
    char **argv;      /* what it gets, NULL-terminated */
    const char *name; /* for the default output and messages */
    char *agent;
    bool alone; /* its loader would refuse the agent, and so the program: it runs without, unrecorded */
    char *folder;          /* of the output, absolute */
    char output[PATH_MAX]; /* FILE: the trace of the first process, absolute; complete once started */
    char *others;          /* FILE.d: where the other processes write, malloc'ed; NULL until started */
    int others_fd;         /* of FILE.d, held with an exclusive flock: this run is not over; -1: none */
    int trace_fd;          /* of the first process's trace, whatever becomes of its name; -1: not seen yet */
    int journal_fd;        /* of its journal; -1: not seen, or there is none */
    char *journal;         /* where that lies, malloc'ed */
    struct mt_tick tick;
    struct mt_helper helper;
    struct mt_watch watch;
    struct mt_limit limit;
    struct mt_witness witness;
    uint64_t alive_clock; /* the program was seen alive then */
    uint64_t ended_clock; /* and found dead then */
    pid_t pid;
    uint64_t started_realtime_ns;
    int wait_status;
    uint64_t rss_peak_bytes;
    sigset_t before; /* signal mask memtap was started with: the program's */
    int stop_asked;  /* signal by which memtap was asked to stop; it waits for the program to do so; 0: none */
};

/* Finds program, agent and output, checks that the output can be written. Nothing is started. On failure *ret_code is
 * the exit code: 2, or 127/126 for a program that is not there / not executable. */
mt_status mt_run_prepare(struct mt_run *run, char **operands, int count, int *ret_code,
                         struct mt_error *err) MT_CHECKED;
/* Starts the program. *ret_code as above. */
mt_status mt_run_start(struct mt_run *run, int *ret_code, struct mt_error *err) MT_CHECKED;
/* Mode off: this process becomes the program, with the agent in it. Returns only when that fails. */
void mt_run_become(struct mt_run *run, int *ret_code, struct mt_error *err);
void mt_run_release(struct mt_run *run);

/* Takes the first look at the clocks: the longer before mt_tick_open, the better. */
void mt_tick_begin(struct mt_tick *tick);
/* Makes the page; the time of the run is settled then. */
mt_status mt_tick_open(struct mt_tick *tick, struct mt_error *err) MT_CHECKED;
void mt_tick_close(struct mt_tick *tick);
/* The present time of the run, of which the clocks of its events are made; also after mt_tick_close. */
uint64_t mt_tick_read(const struct mt_tick *tick);
/* Tells the programs what time it is. */
void mt_tick_now(struct mt_tick *tick);
/* Tells them that memory is low: what is left, and of what. */
void mt_tick_say_low(struct mt_tick *tick, uint64_t left_bytes, const char *what);
/* Asks them for a snapshot. */
void mt_tick_ask_snapshot(struct mt_tick *tick);
/* Keeps the clock, passes signals on, enforces --duration; returns when the program has ended. */
mt_status mt_run_wait(struct mt_run *run, struct mt_error *err) MT_CHECKED;

/* Completes and packs the traces, puts them into one file and prints the summary. Problems are messages only: the exit code is the program's. */
void mt_run_finish(struct mt_run *run);

#endif
