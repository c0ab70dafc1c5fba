/* profile.h: reading what memtap recorded, from C11 and C++17.
 *
 * The handle is a recording: one trace or several (a process and its children), finished or still being written to, by this very process
 * too. It gives reports as the JSON that the command `memtap` prints, conversions for other tools, the events one by one, and what
 * is alive now, sample by sample. What was read of a trace that grows is kept, and names are looked up once: a further
 * question costs what is new.
 *
 * Rules. A function that can fail returns enum mt_profile_code (0 is success), leaves its outputs alone on failure and
 * says in *failure, when given, what went wrong and what to do. Nothing here ends the process, prints, or trusts the
 * bytes of a trace: damage and cut files give what can be read and a warning in the report. Several threads may ask one
 * recording: they take turns (a reader of events is one thread's at a time); it is not asked from its own callbacks. Different handles are
 * independent. What a function hands out is the handle's unless a release function is named. Times are ns of CLOCK_MONOTONIC, as
 * recorded (resolution: a few ms; order is exact), unless said otherwise.
 * Link with libmemtap_tool (static) or use the Python package.
 */
#ifndef MEMTAP_PROFILE_H
#define MEMTAP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mt_profile_code {
    MT_PROFILE_OK = 0,
    MT_PROFILE_NO_MEMORY = 1, /* of this call: the handle has given up what it kept, and reads it again for the next */
    MT_PROFILE_NO_FILE = 2,
    MT_PROFILE_NOT_ALLOWED = 3, /* permission */
    MT_PROFILE_DAMAGED = 4,     /* not a trace, or cut inside its header */
    MT_PROFILE_NEWER = 5,       /* written by a newer memtap */
    MT_PROFILE_USAGE = 6,       /* an argument that cannot be */
    MT_PROFILE_IO = 7,
    MT_PROFILE_INTERRUPTED = 8, /* the caller's `interrupted` said so */
};

/* What went wrong: one sentence for a person, NUL-terminated. */
struct mt_profile_failure {
    int code;
    char text[1024];
};

/* ---- recordings: reports, conversions, events ------------------------------------------------------------------ */

struct mt_recording;

/* Opens traces; a folder stands for its *.mtap files. paths are copied. Close with mt_recording_close. */
int mt_recording_open(const char *const *paths, size_t count, struct mt_recording **ret,
                      struct mt_profile_failure *failure);
void mt_recording_close(struct mt_recording *recording); /* NULL is fine */

/* Facts of the process that started the others. Texts are the handle's. */
struct mt_recording_info {
    uint64_t pid;
    uint64_t start_realtime_ns; /* since the epoch */
    uint64_t start_clock_ns;    /* the same moment on CLOCK_MONOTONIC */
    uint64_t duration_ns;
    uint64_t rate_bytes;        /* sampling rate at the start; 0 exact */
    uint64_t file_bytes;        /* of all traces */
    size_t traces;
    bool live;                  /* some trace is being written to */
    const char *mode;           /* "exact", "sample" or "aggregate" */
    uint64_t process;           /* pid, as it is in the pid namespace of who reads; known while it is live */
};
int mt_recording_info(struct mt_recording *recording, struct mt_recording_info *ret,
                      struct mt_profile_failure *failure);
/* Events of traces that grow, read by all calls so far for reports that what is kept answers, and for snapshots. */
uint64_t mt_recording_events_read(const struct mt_recording *recording);

/* Path of one of its files, from 0 on; NULL: there are no more. A file may hold several processes, each a trace. */
const char *mt_recording_path(const struct mt_recording *recording, size_t file);

/* One of the traces, by the number that events and stacks know it by: a process, or what exec made of one. Texts are the handle's, until
 * its next call. */
struct mt_recording_process {
    uint64_t pid;
    uint64_t start_clock_ns; /* CLOCK_MONOTONIC */
    const char *path;        /* of its file */
    size_t place;            /* which of the traces in that file */
};
/* MT_PROFILE_USAGE: there is no trace with that number; they run from 0 on. */
int mt_recording_process(struct mt_recording *recording, size_t trace, struct mt_recording_process *ret,
                         struct mt_profile_failure *failure);

enum mt_profile_report {
    MT_PROFILE_STATS,   /* object: the numbers of the recording as a whole */
    MT_PROFILE_SUMMARY, /* array: functions with what they hold themselves and with callees */
    MT_PROFILE_TREE,    /* array: the call tree, parents before children */
    MT_PROFILE_TABLE,   /* array: rows by line, function, file, type, thread, module or process */
    MT_PROFILE_LEAKS,   /* array: what is alive at the end, rows as of the table */
    MT_PROFILE_PARSE,   /* text, not JSON: every record of one trace; damage is a line, not a failure */
    MT_PROFILE_TIMELINE, /* array: the heap over time, rows intervals of equal length (0: 1000) */
    MT_PROFILE_LIFETIMES, /* array: how many blocks lived how long before they were freed, a row a power of two */
};

/* What to select, as the options of the command. All zero and NULL: the peak, everything, as the command without
 * options. Set struct_bytes to sizeof(struct mt_profile_query). */
struct mt_profile_query {
    size_t struct_bytes;
    const char *selection; /* NULL or "peak", "leaks", "temporary", "at", "between", "total" */
    const char *time;      /* of "at": "1.5", "250ms", "50%", "peak"; of "between": "T0,T1" */
    uint32_t temporary_max; /* "temporary": freed after at most so many further allocations of its thread; 0: 1 */
    const char *thread;    /* id or name; NULL all */
    const char *by;        /* table, leaks: NULL (line), function, file, line, type, thread, module, process; tree: function,
                              line */
    bool native;           /* show native frames of Python stacks too */
    bool invert;           /* tree: from the allocating frame out; table, leaks: a row what allocated */
    uint64_t min_age_ns;   /* leaks */
    uint64_t rows;         /* at most so many; 0 all */
    /* Asked now and then while events are read, from the calling thread; true ends the call with
     * MT_PROFILE_INTERRUPTED. May be NULL. */
    bool (*interrupted)(void *context);
    void *context;
    bool all_frames;       /* nothing is folded: the import system's frames and what starts threads and programs; memory
                              belongs to the frame that allocated it */
    bool stacks;           /* table, leaks: a row a stack as it is shown */
    bool bare;             /* table, leaks: without by and stacks of rows, for which binaries are opened */
    const char *const *wrappers; /* NULL-terminated: names of more functions whose memory is their caller's ('*' at the end:
                                    all that begin so); NULL: none */
    bool all;              /* leaked is also what the C and C++ libraries keep for themselves and what is suppressed */
    const char *suppressions; /* path of a file of LeakSanitizer's lines leak:PATTERN: such leaks are left out, and counted in
                                 MT_PROFILE_STATS; NULL: only those of the programs (__lsan_default_suppressions). The
                                 environment is not asked: LSAN_OPTIONS is the command's */
    bool temporary_at_once; /* temporary_max 0 means 0: freed before its thread allocated anything else */
};

/* A report as text, NUL-terminated; release with mt_profile_release. query may be NULL. Of one process that still records, what
 * was read is kept: a report costs what is new where its selection is peak, leaks, total or temporary (temporary_max 1), of all
 * threads. A moment, a window, one thread or another temporary_max are a reading of the whole, as are several processes. A timeline
 * of a trace that grows has up to half fewer intervals than asked for. */
int mt_recording_report(struct mt_recording *recording, enum mt_profile_report report,
                        const struct mt_profile_query *query, char **ret_text, size_t *ret_bytes,
                        struct mt_profile_failure *failure);
/* What changed since an earlier recording, as `memtap diff -f json` has it; before: its paths, opened for this call. query says
 * which memory of both (by: line, function or file; rows: of each kind of change); before_time: the moment of the earlier one
 * instead, as text, NULL: the same. */
int mt_recording_diff(struct mt_recording *recording, const char *const *before, size_t before_count, const char *before_time,
                      const struct mt_profile_query *query, char **ret_text, size_t *ret_bytes,
                      struct mt_profile_failure *failure);
/* Writes a file for other tools, whole or not at all. format: collapsed, speedscope, pprof, csv, json, chrome,
 * heaptrack; NULL: by the suffix of path. */
int mt_recording_export(struct mt_recording *recording, const char *path, const char *format,
                        const struct mt_profile_query *query, struct mt_profile_failure *failure);
void mt_profile_release(void *text); /* NULL is fine */

/* ---- SQL ------------------------------------------------------------------------------------------------------- */

/* All rows of one query in the language of `memtap query`, over the recording as it is now; independent of it from then on. */
struct mt_answer;

enum mt_answer_type { MT_ANSWER_NULL, MT_ANSWER_INTEGER, MT_ANSWER_REAL, MT_ANSWER_TEXT };
struct mt_answer_value {
    enum mt_answer_type type;
    int64_t integer;
    double real;
    const char *text; /* NUL-terminated, the answer's; bytes as recorded, not always UTF-8 */
    size_t bytes;
};

/* interrupted as in struct mt_profile_query; may be NULL. MT_PROFILE_USAGE: the query is wrong, the text says where. Free with
 * mt_answer_free. */
int mt_recording_query(struct mt_recording *recording, const char *sql, bool (*interrupted)(void *context), void *context,
                       struct mt_answer **ret, struct mt_profile_failure *failure);
void mt_answer_free(struct mt_answer *answer); /* NULL is fine */
size_t mt_answer_columns(const struct mt_answer *answer);
size_t mt_answer_rows(const struct mt_answer *answer);
const char *mt_answer_column(const struct mt_answer *answer, size_t column); /* its name; the answer's */
struct mt_answer_value mt_answer_value(const struct mt_answer *answer, size_t row, size_t column);

enum mt_profile_event_kind {
    MT_PROFILE_ALLOC = 1,
    MT_PROFILE_FREE = 2,
    MT_PROFILE_MAP = 5,   /* a range of address space came; allocator: mt_profile_map_name */
    MT_PROFILE_UNMAP = 6,
    MT_PROFILE_RESIZED = 13, /* the block at address has another size now, in the same place */
};

struct mt_profile_event {
    uint64_t timestamp_ns;
    uint64_t address;
    uint64_t size;     /* bytes; 0 for frees */
    uint64_t weight;   /* bytes it stands for: size / (1 - exp(-size / rate)), the size itself in exact mode; frees 0 */
    uint64_t tid;      /* of the thread; its stream number when the trace does not say */
    uint32_t stack_id; /* 0 unknown */
    uint32_t trace;    /* which of the recording's traces */
    uint8_t kind;      /* enum mt_profile_event_kind */
    uint8_t allocator; /* mt_profile_allocator_name; MAP and UNMAP: mt_profile_map_name */
    bool realloc;      /* half of a realloc */
};
const char *mt_profile_allocator_name(unsigned allocator); /* "malloc" …; "?" outside */
const char *mt_profile_map_name(unsigned kind);            /* "anonymous" …; "?" outside */

/* One frame at one address; texts are NUL-terminated, "" when unknown, the handle's: those of snapshots until it is closed or
 * a call on it fails with MT_PROFILE_NO_MEMORY, others until its next call. */
struct mt_snapshot_frame {
    uint64_t address;     /* native: return address; Python: 0 */
    const char *function; /* "0x1234 (libfoo.so)" when there is no symbol */
    const char *file;
    const char *module;   /* path of the binary; "" for Python */
    uint32_t line;        /* 0 unknown */
    bool is_python;
    bool is_inlined;      /* native: shares the address of the frame after it */
    bool is_marker;       /* not code: "<truncated>", "<unknown>" */
};

/* The frames of a stack number of one of the recording's traces, innermost first, never empty. native: frames of the
 * interpreter too. Release the array with mt_profile_release. */
int mt_recording_stack(struct mt_recording *recording, size_t trace, uint32_t stack_id, bool native,
                       struct mt_snapshot_frame **ret, size_t *ret_count, struct mt_profile_failure *failure);

/* The events of one trace in order, as they were when the reader was opened; independent of the recording from then on.
 * trace: below the recording's count. Memory: a block a thread, however long the trace. */
struct mt_event_reader;
int mt_event_reader_open(struct mt_recording *recording, size_t trace, struct mt_event_reader **ret,
                         struct mt_profile_failure *failure);
/* The next events into out[0..capacity); *ret_count 0: the end. */
int mt_event_reader_next(struct mt_event_reader *reader, struct mt_profile_event *out, size_t capacity,
                         size_t *ret_count, struct mt_profile_failure *failure);
void mt_event_reader_close(struct mt_event_reader *reader);

/* ---- snapshots: what is alive now ------------------------------------------------------------------------------ */

struct mt_snapshot;

struct mt_snapshot_options {
    size_t struct_bytes;  /* sizeof(struct mt_snapshot_options) */
    size_t freed_limit;   /* keep so many of the most recently freed samples; 0 none */
    uint64_t since_ns;    /* only allocations with a clock of at least this; 0 all. Take it from a totals' last_ns + 1 */
    bool addresses_only;  /* native frames are not looked up: no binary is opened */
    bool no_stacks;       /* no stacks at all: totals and samples only */
    bool totals_only;     /* neither stacks nor samples */
    bool (*interrupted)(void *context); /* as in struct mt_profile_query */
    void *context;
    /* Stacks that the caller keeps already, of the same frame_set: they are left out. Asked from the calling thread. May be NULL. */
    bool (*is_kept)(void *kept_context, uint32_t frame_set, uint32_t stack_id);
    void *kept_context;
};

/* One recorded allocation. */
struct mt_snapshot_sample {
    uint64_t address;
    uint64_t size;         /* bytes, exact */
    uint64_t weight;       /* bytes it stands for, rounded to the nearest; exact mode: size */
    uint64_t timestamp_ns; /* when it was allocated */
    uint64_t lifetime_ns;  /* freed ones: until it was freed; live ones: 0 */
    uint64_t tid;
    uint32_t stack_id;     /* 0 unknown */
    uint32_t allocator;
    const char *label;     /* what its thread worked for, as --by label goes; NULL: nothing. Equal texts of a snapshot may differ
                              in address; valid until the next snapshot is taken, as task */
    const char *task;      /* as --by task goes */
};

/* Totals of the allocations that since_ns lets through. total = live + freed, always. */
struct mt_snapshot_totals {
    uint64_t total_samples;
    uint64_t live_samples;
    uint64_t freed_samples;
    uint64_t unique_stacks;      /* of live and freed ones together */
    uint64_t live_weight_bytes;  /* sum of the weights of the live ones: the estimate of the heap */
    uint64_t live_size_bytes;    /* sum of their sizes */
    uint64_t total_weight_bytes; /* of all ever taken, each with the size it had last */
    uint64_t rate_bytes;         /* sampling rate now; 0 exact */
    uint64_t cut_ns;             /* events up to this clock are in */
    uint64_t last_ns;            /* clock of the last event that is in; 0 none */
    uint64_t start_ns;           /* beginning of the trace */
    uint64_t start_realtime_ns;  /* the same since the epoch */
    uint64_t events;             /* up to the cut */
    uint64_t unknown_frees;      /* frees of what was never seen allocated */
    uint64_t double_allocations; /* addresses allocated while alive: the older one counts as freed then */
    uint64_t dropped_events;     /* what the recorder could not write down */
    uint64_t truncated_stacks;
    uint64_t broken_stacks;      /* native unwinding that ended early */
    uint64_t unknown_stacks;     /* recorded without a stack */
    uint64_t python_walk_errors; /* Python stacks given up at a failed check */
    uint64_t live_table_full;    /* samples the recorder could not follow to their free */
    uint64_t agent_bytes;        /* memory the recorder uses in the process */
    uint64_t agent_cpu_ns;       /* processor time that hooks and recorder have taken, an estimate */
    uint64_t trace_bytes;        /* size of the file */
    bool recording;              /* the trace is not marked as ended: it is being written to, or its process was killed */
    bool exact;                  /* every allocation is recorded, not a sample */
    uint64_t events_read;        /* by this call: those that no earlier one had read */
};

/* Frames of one stack, innermost first: native and Python frames merged as by `memtap tree --native`. Never empty. */
struct mt_snapshot_stack {
    uint32_t stack_id;
    uint32_t frame_count;
    const uint32_t *frames; /* numbers for mt_snapshot_frame; the snapshot's */
};

/* Takes a snapshot of one of the recording's traces: all allocations alive "now" (the moment of the call, by CLOCK_MONOTONIC). A
 * record that another thread is writing meanwhile is in this snapshot or the next one. What was read is kept, of each trace: a further
 * snapshot reads what is new. One that counts from another since_ns than the one before, or keeps more freed samples than any before,
 * reads everything. The file is opened again each time, so its path must stay good, and no descriptor is held in between. options may
 * be NULL. Free with mt_snapshot_free, before the recording is closed. */
int mt_recording_snapshot(struct mt_recording *recording, size_t trace, const struct mt_snapshot_options *options,
                          struct mt_snapshot **ret, struct mt_profile_failure *failure);
void mt_snapshot_free(struct mt_snapshot *snapshot); /* NULL is fine */

const struct mt_snapshot_totals *mt_snapshot_totals(const struct mt_snapshot *snapshot);
/* Oldest first. */
const struct mt_snapshot_sample *mt_snapshot_live(const struct mt_snapshot *snapshot, size_t *ret_count);
/* In the order they were freed; at most freed_limit. */
const struct mt_snapshot_sample *mt_snapshot_freed(const struct mt_snapshot *snapshot, size_t *ret_count);
/* Every stack of the samples above that is not kept already, by id. */
const struct mt_snapshot_stack *mt_snapshot_stacks(const struct mt_snapshot *snapshot, size_t *ret_count);
/* A frame by number. Numbers run 0 … mt_snapshot_frame_count - 1 and mean the same in every later snapshot with the same
 * frame_set, so that what was made of a frame can be kept. Read them before the next snapshot is taken. */
struct mt_snapshot_frame mt_snapshot_frame(const struct mt_snapshot *snapshot, uint32_t number);
size_t mt_snapshot_frame_count(const struct mt_snapshot *snapshot);
uint32_t mt_snapshot_frame_set(const struct mt_snapshot *snapshot);

#ifdef __cplusplus
}
#endif

#endif
