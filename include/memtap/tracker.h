/* tracker.h: exact accounts of memory that a program reports itself, from C11 and C++17.
 *
 * A program (or an allocator, a GPU runtime, a binding) says what it allocates and frees: address, size in bytes, and a kind,
 * any text such as "CPU", "GPU" or "Pinned". The tracker keeps what is alive, statistics by kind with peaks, a bounded
 * history of events by time and step, and finds what was never freed.
 *
 * Rules. Every function may be called by any number of threads at a time, except mt_tracker_free and mt_tracker_clear. No lock
 * is shared by all calls; nothing calls malloc, changes errno or prints, so trackers may be fed from inside allocators. A
 * function that can fail returns enum mt_tracker_code (0 is success) and leaves its outputs alone on failure. What cannot be
 * kept for want of memory is dropped and counted (mt_tracker_stats). Times are ns of CLOCK_MONOTONIC. Memory handed out
 * (lists) is given back with the release function beside it. After fork() the child has a copy that works; its timer is off
 * until automatic snapshots are set again. Link with libmemtap.
 */
#ifndef MEMTAP_TRACKER_H
#define MEMTAP_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mt_tracker_code {
    MT_TRACKER_OK = 0,
    MT_TRACKER_NO_MEMORY = 1,
    MT_TRACKER_RANGE = 2,    /* a negative size, generation 3, an interval of 0 */
    MT_TRACKER_ARGUMENT = 3, /* an empty kind, or one longer than MT_TRACKER_KIND_MAX_BYTES */
    MT_TRACKER_BUSY = 4,     /* a lock could not be had within about a second: the call had no effect and was counted */
    MT_TRACKER_IO = 5,       /* a file could not be written or read */
    MT_TRACKER_DAMAGED = 6,  /* a file is not what it should be */
};

enum {
    MT_TRACKER_KIND_MAX_BYTES = 1000,
    MT_TRACKER_KINDS_MAX = 1023, /* further kinds are accounted as "Other" */
    MT_TRACKER_STACK_MAX_WORDS = 256,
    MT_TRACKER_DEPTH_MAX = 128,
    MT_TRACKER_GENERATIONS = 3,
};

struct mt_tracker;

/* ---- life ------------------------------------------------------------------------------------------------------- */

/* Set struct_bytes to sizeof(struct mt_tracker_options), or begin with mt_tracker_defaults. */
struct mt_tracker_options {
    size_t struct_bytes;
    uint64_t history_events;       /* events kept; 0: none. Default 1,000,000 (8 to 16 bytes each in practice) */
    bool capture_stacks;           /* default false: allocations carry the native stack of the caller */
    bool frame_pointers;           /* default false: stacks come from the run-time's unwinder, any code, 0.2 us for each frame
                                      that is new since the thread's last stack (for each one in code built with frame
                                      pointers). true: from the chain of frame pointers, 3 ns a frame; code without them is
                                      left out */
    uint32_t stack_depth;          /* frames kept, innermost first, 1 to MT_TRACKER_DEPTH_MAX. Default 10 */
    bool auto_snapshot;            /* default true: a thread of ours takes snapshots */
    uint32_t snapshot_interval_ms; /* at least 1. Default 1,000 */
};
void mt_tracker_defaults(struct mt_tracker_options *ret);

/* Makes a tracker, enabled. options NULL: defaults. RANGE, NO_MEMORY. Free with mt_tracker_free. */
int mt_tracker_new(const struct mt_tracker_options *options, struct mt_tracker **ret);
/* Nobody may use the tracker, its lists or cursors any more. NULL is fine. */
void mt_tracker_free(struct mt_tracker *tracker);
/* English text of a code; static storage. */
const char *mt_tracker_code_text(int code);

/* ---- reporting -------------------------------------------------------------------------------------------------- */

/* All of these do nothing and return 0 while the tracker is disabled, whatever the arguments. */

/* size_bytes >= 0 (RANGE); kind not empty (ARGUMENT). An allocation at an address that is alive counts as
 * double_allocation and frees the old one first. */
int mt_track_allocation(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes, const char *kind);
/* size_bytes >= 0 (RANGE); 0: unknown. The recorded size is freed; another size_bytes counts as size_mismatch, an unknown
 * address as mismatch (a deallocation of kind "Unknown" that frees nothing). */
int mt_track_deallocation(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes);
/* The block moves from old_address (may be the same) and keeps its kind. Counts of allocations and deallocations stay; the
 * difference of the sizes is allocated or freed. An unknown old_address counts as mismatch: the block is then "Unknown". */
int mt_track_reallocation(struct mt_tracker *tracker, uint64_t old_address, uint64_t new_address, int64_t size_bytes);
/* An event that marks the totals at this moment. */
int mt_track_snapshot(struct mt_tracker *tracker);
/* Garbage collections of a language's run-time; generation 0 to 2 (RANGE). */
int mt_track_gc_start(struct mt_tracker *tracker, int generation);
int mt_track_gc_end(struct mt_tracker *tracker, int generation, uint64_t duration_ns);

/* The same for callers that keep the number of a kind (mt_tracker_kind) and bring their own stack (mt_tracker_stack; 0:
 * none). */
int mt_track_allocation_as(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes, uint32_t kind, uint32_t stack);
int mt_track_reallocation_at(struct mt_tracker *tracker, uint64_t old_address, uint64_t new_address, int64_t size_bytes,
                             uint32_t stack);
/* Number of a kind, for good. ARGUMENT. name need not end in NUL. */
int mt_tracker_kind(struct mt_tracker *tracker, const char *name, size_t bytes, uint32_t *ret);
/* Name of a kind, NUL-terminated; "" for a number never given. Valid as long as the tracker. */
const char *mt_tracker_kind_name(const struct mt_tracker *tracker, uint32_t kind);
uint32_t mt_tracker_kind_count(const struct mt_tracker *tracker);

/* Number of a stack: up to MT_TRACKER_STACK_MAX_WORDS words whose meaning is the caller's (native stacks: return addresses,
 * innermost first). The same words give the same number. 0 when it cannot be kept (counted). *ret_new, when given: seen for
 * the first time. */
uint32_t mt_tracker_stack(struct mt_tracker *tracker, const uint64_t *words, size_t count, bool *ret_new);
/* Words of a stack; NULL and 0 for number 0 and unknown ones. Valid as long as the tracker. */
const uint64_t *mt_tracker_stack_words(const struct mt_tracker *tracker, uint32_t stack, size_t *ret_count);
/* Calls visit for every stack so far. */
void mt_tracker_visit_stacks(const struct mt_tracker *tracker,
                             void (*visit)(void *context, const uint64_t *words, size_t count), void *context);

/* ---- settings --------------------------------------------------------------------------------------------------- */

void mt_tracker_enable(struct mt_tracker *tracker);
void mt_tracker_disable(struct mt_tracker *tracker); /* statistics stay as they are; automatic snapshots pause */
bool mt_tracker_is_enabled(const struct mt_tracker *tracker);
void mt_tracker_set_step(struct mt_tracker *tracker, int64_t step); /* of the events from now on */
int64_t mt_tracker_step(const struct mt_tracker *tracker);
void mt_tracker_set_capture_stacks(struct mt_tracker *tracker, bool capture);
bool mt_tracker_capture_stacks(const struct mt_tracker *tracker);
int mt_tracker_set_stack_depth(struct mt_tracker *tracker, uint32_t frames); /* RANGE */
uint32_t mt_tracker_stack_depth(const struct mt_tracker *tracker);
/* Starts, changes or (on = false) ends the snapshots of the timer thread. interval_ms at least 1 (RANGE). NO_MEMORY: no
 * thread could be started. Not for use inside allocators. */
int mt_tracker_set_auto_snapshot(struct mt_tracker *tracker, bool on, uint32_t interval_ms);

/* ---- statistics ------------------------------------------------------------------------------------------------- */

struct mt_tracker_stats {
    uint64_t total_allocated_bytes;
    uint64_t total_freed_bytes;
    uint64_t current_bytes; /* allocated - freed = what is alive */
    uint64_t peak_bytes;    /* largest current_bytes since the tracker was made or mt_tracker_reset_peak; exact */
    uint64_t allocation_count;
    uint64_t deallocation_count;
    uint64_t reallocation_count;
    uint64_t live_count;
    uint64_t mismatch_count;          /* frees and reallocations of unknown addresses */
    uint64_t size_mismatch_count;     /* frees with another size than was allocated */
    uint64_t double_allocation_count; /* allocations at a live address */
    uint64_t snapshot_count;
    uint64_t gc_count;
    uint64_t gc_time_ns;
    uint64_t gc_count_by_generation[MT_TRACKER_GENERATIONS];
    uint64_t events;          /* since the tracker was made */
    uint64_t events_dropped;  /* of these: not in the history (any more) */
    uint64_t records_dropped; /* allocations and calls without effect: no memory, or a lock not had */
    uint64_t stacks_dropped;  /* allocations whose stack could not be kept */
    uint64_t memory_bytes;    /* address space of the tracker; about half of it is in use at a time */
};

/* Of one moment: every call that has returned is in, none is half in. */
void mt_stats_get(struct mt_tracker *tracker, struct mt_tracker_stats *ret);
/* The same, and each kind at that moment (bytes, peak, counts) in ret_kinds[its number], for numbers below capacity. */
void mt_stats_get_all(struct mt_tracker *tracker, struct mt_tracker_stats *ret, struct mt_tracker_stats *ret_kinds,
                      uint32_t capacity);
/* Of one kind: bytes, peak and counts; the other fields are 0. An unknown kind is all 0. */
void mt_stats_get_kind(struct mt_tracker *tracker, const char *kind, struct mt_tracker_stats *ret);
/* The peaks begin again at what is alive now. */
void mt_tracker_reset_peak(struct mt_tracker *tracker);

/* ---- events ----------------------------------------------------------------------------------------------------- */

enum mt_tracker_event_type {
    MT_TRACKER_ALLOCATION = 0,
    MT_TRACKER_DEALLOCATION = 1,
    MT_TRACKER_REALLOCATION = 2,
    MT_TRACKER_SNAPSHOT = 3,
    MT_TRACKER_GC_START = 4,
    MT_TRACKER_GC_END = 5,
    MT_TRACKER_EVENT_TYPES = 6,
};

struct mt_tracker_event {
    uint64_t time_ns;
    int64_t step;
    uint64_t address;
    uint64_t size_bytes; /* deallocation: the recorded size, or the caller's when unmatched */
    uint64_t total_allocated_bytes, total_freed_bytes; /* of all events up to and with this one */
    uint64_t old_address, old_size_bytes; /* reallocation */
    uint64_t duration_ns;                 /* GC end */
    uint32_t kind;                        /* mt_tracker_kind_name */
    uint32_t stack;                       /* mt_tracker_stack_words */
    uint8_t type;                         /* enum mt_tracker_event_type */
    int8_t generation;                    /* GC; else -1 */
    bool unmatched;                       /* deallocation or reallocation of an unknown address */
};

/* All times and steps: { 0, UINT64_MAX, INT64_MIN, INT64_MAX, 0 }. Bounds are inclusive; a range that is empty the wrong way
 * round gives nothing. */
struct mt_tracker_query {
    uint64_t from_ns, to_ns;
    int64_t from_step, to_step;
    uint32_t types; /* bit (1 << enum mt_tracker_event_type); 0: all */
};

struct mt_tracker_events {
    struct mt_tracker_event *items; /* by time */
    size_t count;
    size_t mapped_bytes;
};

/* The events of the history that match. query NULL: all. NO_MEMORY, BUSY. Cost: the search is by bisection over blocks of
 * about 120 events, then linear in what is between. Release with mt_events_release. */
int mt_events_collect(struct mt_tracker *tracker, const struct mt_tracker_query *query, struct mt_tracker_events *ret);
void mt_events_release(struct mt_tracker_events *events);

/* A cursor delivers every event once, in the order of time, as they happen. One thread at a time a cursor. */
struct mt_event_cursor;
/* from_start: begins with the oldest event kept, else with the next one. NO_MEMORY. */
int mt_event_cursor_open(struct mt_tracker *tracker, bool from_start, struct mt_event_cursor **ret);
void mt_event_cursor_close(struct mt_event_cursor *cursor); /* NULL is fine; before mt_tracker_free */
/* True and the next event, or false: none now. */
bool mt_event_next(struct mt_event_cursor *cursor, struct mt_tracker_event *ret);
/* Events that left the history before they were read. */
uint64_t mt_event_cursor_lost(const struct mt_event_cursor *cursor);

/* ---- leaks ------------------------------------------------------------------------------------------------------ */

struct mt_tracker_leak {
    uint64_t address, size_bytes;
    uint64_t time_ns; /* of the allocation */
    uint64_t age_ns;
    uint32_t kind, stack;
};
struct mt_tracker_leaks {
    struct mt_tracker_leak *items; /* largest first, then oldest first */
    size_t count;
    size_t mapped_bytes;
};
enum { MT_TRACKER_LEAK_AGE_MS = 1000 };

/* Allocations alive for at least min_age_ms (negative: MT_TRACKER_LEAK_AGE_MS). NO_MEMORY, BUSY. */
int mt_leaks_detect(struct mt_tracker *tracker, int64_t min_age_ms, struct mt_tracker_leaks *ret);
void mt_leaks_release(struct mt_tracker_leaks *leaks);

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* The history as a memtap trace, which `memtap stats`, `memtap leaks` and the other reports read. path must not exist.
 * native_stacks: the words of stacks are return addresses of this process, else they are left out; an allocation without a
 * stack has one frame, named after its kind. Snapshots and collections have no place there. IO, NO_MEMORY, BUSY. */
int mt_tracker_write_trace(struct mt_tracker *tracker, const char *path, bool native_stacks);

/* The same by hand, for events from anywhere. One thread at a time a writer. */
struct mt_trace_writer;
struct mt_tracker_frame {
    const char *function, *file; /* UTF-8 */
    uint32_t line;               /* 0: unknown */
};
int mt_trace_writer_open(const char *path, struct mt_trace_writer **ret);
/* Number of a stack; the same frames give the same number. Frames and return addresses are innermost first; pcs belong to this
 * process. One of both: NULL and 0 for the other. 0: it cannot be kept. */
uint32_t mt_trace_writer_stack(struct mt_trace_writer *writer, const struct mt_tracker_frame *frames, size_t frame_count,
                               const uint64_t *pcs, size_t pc_count);
/* Adds allocations, deallocations and reallocations in the order of calls; other events are ignored. IO. */
int mt_trace_writer_put(struct mt_trace_writer *writer, const struct mt_tracker_event *event, uint32_t stack);
/* Finishes the file. The writer is gone, whatever the result: the first failure of any call (IO), or 0. NULL is fine. */
int mt_trace_writer_close(struct mt_trace_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
