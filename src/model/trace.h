/* trace.h: one opened trace (one process), or several together.
 *
 * Decides: what a reader knows before it reads the first event: header facts, dictionaries (stacks.h), threads, notes,
 * RSS samples, rate changes, and how complete the file is. Opening costs the block headers and the metadata stream;
 * events stay in the file until a cursor (cursor.h) reads them, one block a stream at a time.
 * A live trace (state RECORDING) is a snapshot of the moment it was opened or polled (follow.h does that): numbers and texts stay
 * as they are, columns may move. Context: [tool]; const until it is polled, so any number of threads may read with a cursor each.
 */
#ifndef MT_MODEL_TRACE_H
#define MT_MODEL_TRACE_H

#include "base/status.h"
#include "base/tsc.h"
#include "model/stacks.h"
#include "wire/decode.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_reader;
struct mt_ticks;

/* Header facts. Times are ns on the trace's own axis: 0 is the start of the recording. */
struct mt_trace_info {
    const char *path;         /* as opened; "" when from memory */
    uint64_t pid, parent_pid; /* as the process knows them */
    uint64_t process;         /* its number in our pid namespace, while it writes; 0: it does not, or is not to be seen */
    uint64_t flags;           /* enum mt_trace_flag */
    enum mt_trace_state state;
    enum mt_end_reason end_reason; /* state FILE_FULL */
    uint64_t start_realtime_ns;
    uint64_t start_clock;
    uint64_t duration_ns;     /* end - start; last clock seen in a block header while recording or killed */
    uint64_t horizon_clock;   /* of what was freed by then nothing is here; 0: the trace has all */
    bool ended;               /* it is known when the process ended; else the duration is up to its last event */
    uint64_t end_within_ns;   /* it ended up to this much earlier than the duration says; 0 exactly then */
    uint64_t rate_bytes;      /* at the start; 0 exact */
    enum mt_clock_kind clock_kind;
    struct mt_tsc_line clock_line; /* what a live process makes its clocks of; scale 0: of CLOCK_MONOTONIC */
    uint64_t clock_resolution_ns; /* of the times that such clocks give, 0 unknown */
    uint32_t python_version;  /* PY_VERSION_HEX, 0 not Python */
    bool exit_known;          /* exit_status is a wait status */
    int exit_status;
    uint64_t rss_peak_bytes;  /* largest known, 0 unknown */
    bool rss_parted;          /* the next two are known, from the largest sample that has them */
    uint64_t rss_file_bytes;  /* of it file-backed or shared pages: libraries, mapped files */
    uint64_t rss_own_bytes;   /* of it the recorder's own memory */
    struct mt_trace_memory memory; /* what it may have, as the tool saw it last; its clock is a time of the trace */
    const char *command;      /* arguments separated by NUL, and a NUL after the last */
    size_t command_bytes;     /* without the last NUL */
    uint64_t file_bytes;
    uint64_t event_bytes;     /* stored bytes of event blocks: the measure of progress */
    uint64_t events_known;    /* events in blocks by their headers (slots not counted) */
    uint64_t counters[MT_COUNTER__COUNT];
};

/* How much of what happened is here. Everything zero: complete. */
struct mt_trace_completeness {
    uint64_t holes, hole_bytes, first_hole;
    uint64_t truncated_at;      /* file ends here too early; 0 no */
    uint64_t lost_blocks;       /* gaps in streams */
    bool journal_missing;       /* the last events of each thread are lost with it */
    uint64_t dropped_events;    /* header counter */
    bool metadata_broken;       /* numbered records ignored from metadata_error on */
    struct mt_wire_error metadata_error;
    bool killed;                /* state RECORDING but the file is not live: the process died without exit handlers.
                                   Only known to whoever checks the pid; the model leaves it false */
};

struct mt_trace_thread {
    uint32_t stream;
    uint64_t tid;
    struct mt_text name;  /* latest */
    uint64_t first_ns;    /* time of its first THREAD record */
};

struct mt_trace_note {
    struct mt_text key, value;
};

struct mt_trace_rss {
    uint64_t time_ns;
    uint64_t bytes;
    bool parted; /* what of it is not the program's heap was measured, too */
    uint64_t file_bytes; /* file-backed or shared pages */
    uint64_t own_bytes;  /* the recorder's own memory */
};

struct mt_trace_rate {
    uint64_t time_ns;
    uint64_t rate_bytes; /* 0 exact */
};

/* Something that happened once (trace.md section 2, MARK). */
struct mt_trace_mark {
    uint64_t time_ns;
    uint64_t clock;      /* events up to it lie before the mark */
    uint64_t value;      /* what the kind says */
    uint32_t stream;     /* the thread; 0 none */
    uint32_t kind;       /* enum mt_mark_kind, or one not known yet */
    uint32_t stack;      /* where it happened; 0 unknown */
    struct mt_text text;
};

/* What threads do while events carry its number. */
struct mt_trace_label {
    uint32_t number;
    uint32_t kind; /* enum mt_label_kind, or one not known yet */
    uint32_t under; /* number of the label that it is inside, known when this one was given its; 0: none */
    struct mt_text text;
};

/* What a torch training loop held at a hook of one of its modules or of its optimizer; amounts in bytes. */
struct mt_trace_torch {
    uint64_t time_ns;
    uint64_t step, micro_step;
    const char *module, *stage, *source;
    uint64_t allocated, max_allocated, cached, max_cached;
    uint64_t offset_ns, duration_ns;
    int64_t allocated_delta, max_allocated_delta;
    uint32_t seq;
};

/* An amount in units of 2^-MT_WEIGHT_SCALE_BITS, and its variances. */
struct mt_trace_sum {
    uint64_t bytes, count;
    double bytes_variance, count_variance;
};

/* What a site had allocated by the horizon, and held at the peak before it. Of memory alone (heap). */
struct mt_trace_site {
    uint32_t stack, stream, label; /* stream 0: of threads that have ended; a place may come more than once */
    uint8_t allocator;
    uint64_t rate_bytes; /* of its samples; 0: mappings */
    struct mt_trace_sum total, peak;
};

/* An interval: what was held at its end, and at most in it, in those units. */
struct mt_trace_point {
    uint64_t clock, held_bytes, most_bytes, held_count;
};

/* What a trace with a horizon knows of the time before it. */
struct mt_trace_before {
    uint64_t peak_clock, peak_units; /* when most was held, and how much */
    const struct mt_trace_site *sites;
    size_t site_count;
    const struct mt_trace_point *points; /* from the start to the horizon */
    size_t point_count;
};

struct mt_trace;

/* Opens a trace file. Errors and ret_error (may be NULL) as mt_reader_open; damage inside is no error, it is in the
 * completeness report. */
mt_status mt_trace_open(const char *path, struct mt_trace **ret, struct mt_wire_error *ret_error) MT_CHECKED;
/* Over bytes in memory, borrowed until close. */
mt_status mt_trace_open_memory(const void *data, size_t bytes, struct mt_trace **ret,
                               struct mt_wire_error *ret_error) MT_CHECKED;
/* The traces of other processes inside this one, and one of them (index < count) as a trace of its own; it does not need
 * `outer` afterwards. Its path is the file's. Errors as mt_trace_open. */
size_t mt_trace_nested_count(const struct mt_trace *outer);
mt_status mt_trace_open_nested(const struct mt_trace *outer, size_t index, struct mt_trace **ret,
                               struct mt_wire_error *ret_error) MT_CHECKED;
/* Which of the traces in its file it is: 0 the first, 1 + index of one inside. */
size_t mt_trace_place(const struct mt_trace *trace);
/* The trace at a place of the file at path. MT_E_NOENT: there is none. */
mt_status mt_trace_open_place(const char *path, size_t place, struct mt_trace **ret,
                              struct mt_wire_error *ret_error) MT_CHECKED;
/* The same trace once more, as it is now. */
mt_status mt_trace_open_again(const struct mt_trace *trace, struct mt_trace **ret,
                              struct mt_wire_error *ret_error) MT_CHECKED;
void mt_trace_close(struct mt_trace *trace);

/* For follow.h. Right after it was opened: finds what later asks for all events, where the process is gone and there will be no more. */
void mt_trace_will_be_polled(struct mt_trace *trace);
/* Can the trace be polled? */
bool mt_trace_can_poll(const struct mt_trace *trace);
/* Takes in what was written since it was opened or polled. MT_E_BUSY: it has to be opened anew. After any error it is to be closed. */
mt_status mt_trace_poll(struct mt_trace *trace) MT_CHECKED;
/* Closes its files until it is polled. */
void mt_trace_rest(struct mt_trace *trace);

const struct mt_trace_info *mt_trace_info(const struct mt_trace *trace);
const struct mt_trace_completeness *mt_trace_completeness(const struct mt_trace *trace);
const struct mt_reader *mt_trace_reader(const struct mt_trace *trace);

/* What orders the events of its threads: "tick" (there was one), "tsc", "counter"; "unknown" in older traces. */
const char *mt_trace_clock_word(const struct mt_trace_info *info);
/* The present moment: later than whatever the calling thread did. ticks 0: the counter may not be read here. */
struct mt_tsc_moment mt_trace_moment(void);
/* That moment on the clock of a live process's events, which is up to 20 millionths of the process's age away from
 * CLOCK_MONOTONIC. */
uint64_t mt_trace_clock_at(const struct mt_trace_info *info, const struct mt_tsc_moment *moment);
/* Is the trace's process alive and its clock ours, so that more may be written? now: CLOCK_MONOTONIC. */
bool mt_trace_is_live(const struct mt_trace_info *info, uint64_t now);

/* Clock to time: ns since the start, 0 for clocks before it. */
uint64_t mt_trace_time(const struct mt_trace *trace, uint64_t clock);
/* The same for clocks of events, which may have been counted between two readings (model/ticks.h). */
uint64_t mt_trace_event_time(const struct mt_trace *trace, uint64_t clock);
/* What does so; NULL: all clocks are times, or not all events of a trace that is polled are known. The trace's. */
struct mt_ticks *mt_trace_ticks(const struct mt_trace *trace);

/* Columns; ret_count always set. */
const struct mt_trace_thread *mt_trace_threads(const struct mt_trace *trace, size_t *ret_count); /* by stream */
const struct mt_trace_note *mt_trace_notes(const struct mt_trace *trace, size_t *ret_count);
const struct mt_trace_rss *mt_trace_rss(const struct mt_trace *trace, size_t *ret_count);
const struct mt_trace_rate *mt_trace_rates(const struct mt_trace *trace, size_t *ret_count);
const struct mt_trace_mark *mt_trace_marks(const struct mt_trace *trace, size_t *ret_count); /* as they were recorded */
const struct mt_trace_torch *mt_trace_torch(const struct mt_trace *trace, size_t *ret_count); /* as they were recorded */
/* NULL: nothing, or there is no horizon. */
const struct mt_trace_before *mt_trace_before(const struct mt_trace *trace);
/* The label of a number that events carry, the last of that number; NULL when the trace does not say. */
const struct mt_trace_label *mt_trace_label(const struct mt_trace *trace, uint32_t number);
/* The innermost text at that label or around it that names a task or a thread; else, one of another kind. Empty: there is none.
 * The trace's. */
struct mt_text mt_trace_label_text(const struct mt_trace *trace, uint32_t number, bool task);
/* The thread of a stream, NULL when the trace does not say. */
const struct mt_trace_thread *mt_trace_thread(const struct mt_trace *trace, uint32_t stream);
/* Value of the last note with this key, NULL when there is none. */
const char *mt_trace_note(const struct mt_trace *trace, const char *key);

/* ---- several traces ------------------------------------------------------------------------------------------- */

/* A set of traces (a process and its children). Each keeps its own addresses and stacks; results add up. */
struct mt_trace_set {
    struct mt_trace **traces;
    size_t count;
};

/* Opens every path with all processes of its run: those in the file behind the first, and those in the folder FILE.d. What is
 * met twice is taken once. A directory stands for its *.mtap files (sorted by name). A file that cannot be opened ends it:
 * ret_path (may be NULL) is then set to its path (malloc'ed, the caller frees it). MT_E_NOENT for an empty directory.
 * */
mt_status mt_trace_set_open(const char *const *paths, size_t count, struct mt_trace_set *ret,
                            struct mt_wire_error *ret_error, char **ret_path) MT_CHECKED;
void mt_trace_set_close(struct mt_trace_set *set);

#endif
