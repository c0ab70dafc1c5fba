/* format.h: the layout of a trace file, as tables of constants and structs. docs/formats/trace.md is the specification.
 *
 * Decides: nothing at run time; every number that crosses the process boundary is named here once. Used by the writer in
 * the agent (heap/) and the reader in the tools (wire/decode.c, model/). Context: any.
 */
#ifndef MT_WIRE_FORMAT_H
#define MT_WIRE_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define MT_TRACE_MAGIC "\x89MTAP\r\n\x1a"
#define MT_JOURNAL_MAGIC "\x89MTJL\r\n\x1a" /* of the file beside a trace that has its header and slots while it is written */
enum {
    MT_TRACE_MAJOR = 3,       /* written now. 1 and 2 (packed) came before */
    MT_TRACE_MAJOR_BASE = 4,  /* of a trace that begins at a base; the newest a reader knows */
    MT_TRACE_MAJOR_SHORT = 2, /* from here on a packed trace's header is as short as its command line */
    MT_TRACE_MINOR = 1,
    MT_TRACE_HEADER_BYTES = 4096,
    MT_TRACE_FIXED_BYTES = 512, /* of the header, before the command line */
    MT_TRACE_COMMAND_MAX = 3000,
    MT_JOURNAL_PATH_MAX = 512,
    MT_EXTENT_ALIGN = 64,
    MT_SLOT_BYTES = 64 * 1024,      /* extent of a full-size journal slot, header included */
    MT_SLOT_SMALL_BYTES = 8 * 1024, /* sample mode, and threads beyond the first MT_SLOT_LARGE_COUNT */
    MT_SLOT_LARGE_COUNT = 64,
};
#define MT_BLOCK_MAGIC 0x4B42544Du /* "MTBK" */
#define MT_STREAM_NONE 0xFFFFFFFFu
#define MT_STREAM_META 0u

enum mt_trace_flag {
    MT_TRACE_EXACT = 1u << 0,
    MT_TRACE_SAMPLE = 1u << 1,
    MT_TRACE_AGGREGATE = 1u << 2,
    MT_TRACE_NATIVE = 1u << 3,
    MT_TRACE_PYTHON_ALLOCATORS = 1u << 4,
    MT_TRACE_PYTHON_FRAMES = 1u << 5,
    MT_TRACE_FORK_CHILD = 1u << 6,
    MT_TRACE_PACKED = 1u << 7,
    MT_TRACE_GROWTH = 1u << 8, /* sample mode: of a realloc, what the block grew by is sampled */
};

enum mt_trace_state {
    MT_STATE_RECORDING = 1,
    MT_STATE_ENDED = 2,
    MT_STATE_STOPPED = 3,
    MT_STATE_FILE_FULL = 4,
    MT_STATE_EXEC = 5,
    MT_STATE_REWRITING = 6, /* the packed form is being written over it, and is whole in FILE.d until it is done */
};

/* Why a recording ended before its program (state 4). */
#define MT_END_REASON_TABLE(X)                                                                                         \
    X(NONE, 0, "the file could not grow (disk full or --max-file)") /* what older traces say */                        \
    X(SIZE, 1, "the size given with --max-file was reached")                                                           \
    X(NO_SPACE, 2, "no space was left on the disk or in the quota (ENOSPC)")                                           \
    X(FILE_LIMIT, 3, "the limit of file sizes was reached (EFBIG: ulimit -f)")                                         \
    X(NO_DESCRIPTOR, 4, "no file descriptor was free (EMFILE)")                                                        \
    X(NO_MEMORY, 5, "no memory was left for it (ENOMEM)")                                                              \
    X(NOT_PERMITTED, 6, "the program closed the trace and may not open it again (EACCES)")                             \
    X(READ_ONLY, 7, "the file system has become read-only (EROFS)")                                                    \
    X(REMOVED, 8, "the trace was removed (ENOENT)")                                                                    \
    X(REPLACED, 9, "another file was put in its place")                                                                \
    X(EMPTIED, 10, "somebody emptied the trace")                                                                       \
    X(IO, 11, "the disk reported an error (EIO)")                                                                      \
    X(SECCOMP, 12, "a seccomp filter of the program's forbids to go on")                                               \
    X(JUMPED, 13, "a signal handler jumped out of memtap while it wrote to its tables")

enum mt_end_reason {
#define MT_END_REASON_ENUM(name, value, text) MT_END_##name = (value),
    MT_END_REASON_TABLE(MT_END_REASON_ENUM)
#undef MT_END_REASON_ENUM
        MT_END__COUNT
};

/* What the clocks of a process's events are (docs/formats/trace.md 4). */
enum mt_clock_kind {
    MT_CLOCK_UNKNOWN = 0,
    MT_CLOCK_TICK = 1,    /* one thread: a clock read now and then, and a count between its readings */
    MT_CLOCK_TSC = 2,     /* from the second thread on the processor's time stamp counter */
    MT_CLOCK_COUNTER = 3, /* from the second thread on a counter that all threads share */
};
enum { MT_CLOCK_SHIFT = 3, MT_CLOCK_SHIFT_MAX = 20 }; /* what the agent writes; what a reader takes */

/* Header counters, u64 each, written by the agent with relaxed atomic adds; the account of what was not recorded. */
#define MT_COUNTER_TABLE(X)                                                                                            \
    X(DROPPED_EVENTS, "dropped_events", "events not recorded, any reason")                                             \
    X(DROPPED_NO_SPACE, "dropped_no_space", "of these: the file could not grow")                                       \
    X(DROPPED_NO_THREAD, "dropped_no_thread", "of these: no thread block could be made")                               \
    X(TRUNCATED_STACKS, "truncated_stacks", "stacks cut at the depth limit")                                           \
    X(BROKEN_STACKS, "broken_stacks", "native unwinds that ended before the base of the stack")                        \
    X(UNKNOWN_STACKS, "unknown_stacks", "events recorded without a stack (table full or lock not had)")                \
    X(PYTHON_WALK_ERRORS, "python_walk_errors", "Python walks given up at a failed check")                             \
    X(SAMPLES, "samples", "allocations sampled")                                                                       \
    X(LIVE_SAMPLES, "live_samples", "sampled allocations alive now")                                                   \
    X(LIVE_TABLE_FULL, "live_table_full", "samples not tracked: table full")                                           \
    X(THREADS, "threads", "threads seen")                                                                              \
    X(NATIVE_NODES, "native_nodes", "distinct native frames in context")                                               \
    X(PYTHON_NODES, "python_nodes", "distinct Python frames in context")                                               \
    X(STACKS, "stacks", "distinct stacks")                                                                             \
    X(AGENT_BYTES, "agent_bytes", "memory of the agent that was resident when it was last measured")                 \
    X(AGENT_NS, "agent_ns", "time spent recording, ns, estimated")                                                     \
    X(FLUSHES, "flushes", "blocks written")                                                                            \
    X(CURRENT_BYTES, "current_bytes", "aggregate mode: live bytes")                                                    \
    X(PEAK_BYTES, "peak_bytes", "aggregate mode: largest CURRENT_BYTES")                                               \
    X(PEAK_CLOCK, "peak_clock", "aggregate mode: clock of the peak")                                                   \
    X(PEAK_NUMBER, "peak_number", "aggregate mode: number of peaks so far")                                            \
    X(ALLOCATIONS, "allocations", "aggregate mode: allocations seen")                                                  \
    X(DEALLOCATIONS, "deallocations", "aggregate mode: deallocations seen")                                            \
    X(LAST_CLOCK, "last_clock", "aggregate mode: clock of the last event")                                             \
    X(TIMES_ALONE, "times_alone", "phases in which one thread of several recorded, and counted between ticks")          \
    X(PASSING_PS, "passing_ps", "price of the hooks of one block for all that recording it is not, ps")                 \
    X(CPU_NS, "cpu_ns", "processor time of the process when it was last measured, ns")

enum mt_counter {
#define MT_COUNTER_ENUM(name, key, text) MT_COUNTER_##name,
    MT_COUNTER_TABLE(MT_COUNTER_ENUM)
#undef MT_COUNTER_ENUM
        MT_COUNTER__COUNT
};
static_assert(MT_COUNTER__COUNT <= 32, "the header has room for 32 counters");

/* What limits a process's memory (docs/formats/trace.md 1.1). */
#define MT_LIMIT_KIND_TABLE(X)                                                                                         \
    X(UNKNOWN, 0, "unknown", "nothing that is known")                                                                  \
    X(OLDER, 1, "memory.limit_in_bytes", "its control group (v1)")                                                     \
    X(MAX, 2, "memory.max", "its control group")                                                                       \
    X(HIGH, 3, "memory.high", "its control group, which the kernel slows down there")                                  \
    X(MACHINE, 4, "MemTotal", "the machine")
enum mt_limit_kind {
#define MT_LIMIT_KIND_ENUM(name, value, key, text) MT_LIMIT_##name = (value),
    MT_LIMIT_KIND_TABLE(MT_LIMIT_KIND_ENUM)
#undef MT_LIMIT_KIND_ENUM
        MT_LIMIT__COUNT
};

/* Had the kernel killed one of its group for want of memory when the process had died? */
enum mt_limit_kills { MT_KILLS_UNKNOWN = 0, MT_KILLS_ONE = 1, MT_KILLS_NONE = 2 };

/* Written by the tool that waits for the process: what it saw last of what the process may have. */
struct mt_trace_memory {
    uint64_t limit_bytes;   /* 0: not known */
    uint64_t charged_bytes; /* against it, without cache of files */
    uint64_t clock;         /* when that was */
    uint32_t limit_kind;    /* enum mt_limit_kind */
    uint32_t kills;         /* enum mt_limit_kills */
};

struct mt_trace_header {
    uint8_t magic[8];
    uint16_t major;
    uint16_t minor;
    uint32_t header_bytes;
    uint64_t flags;
    uint64_t pid;
    uint64_t start_realtime_ns;
    uint64_t start_clock;
    uint64_t rate_bytes;
    uint64_t parent_pid;
    uint64_t file_tail; /* atomic add; writers: any thread of the process, and the tool that follows it */
    uint64_t end_clock;
    uint32_t state;
    uint32_t python_version;
    uint64_t tool_exit_status;
    uint64_t rss_peak_bytes;
    uint32_t clock_kind;     /* enum mt_clock_kind; 0 in traces that do not say */
    uint32_t clock_shift;    /* clock deltas count units of 2^this ns; at most MT_CLOCK_SHIFT_MAX */
    uint64_t clock_tick_ns;  /* how far apart the readings of the clock are while nothing has to be ordered; 0 unknown */
    uint64_t reserved;
    uint64_t counters[32];
    uint32_t end_reason; /* enum mt_end_reason */
    uint32_t reserved2;
    uint64_t line_ticks; /* clocks made of the time stamp counter: line_ns + (counter - line_ticks) * line_scale / 2^32 */
    uint64_t line_ns;
    uint64_t line_scale; /* 0: there is no such line */
    uint64_t end_within_ns; /* of a process that did not write its end itself: it was at end_clock or up to this much earlier */
    uint64_t journal;      /* number of the journal that has the header as it is now, and the slots; 0: they are here */
    uint64_t journal_tail; /* in the journal: its first unclaimed byte; atomic add */
    uint64_t trace_device; /* in the journal: which file the trace is */
    uint64_t trace_inode;
    uint64_t base_offset;   /* the trace begins at the base there (block type 9); 0: at its first extent. Only ever grows */
    uint64_t horizon_clock; /* packed: what was freed by then is not here; 0: all is. Else the base says it */
    struct mt_trace_memory memory;
    uint8_t reserved3[512 - 128 - 256 - 88 - 32];
    uint16_t command_bytes;
    uint8_t command[MT_TRACE_COMMAND_MAX];
    uint8_t reserved4[6];
    char journal_path[MT_JOURNAL_PATH_MAX]; /* where the journal was made; empty: too long, or packed */
};
static_assert(offsetof(struct mt_trace_header, file_tail) == 64, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, state) == 80, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, clock_kind) == 104, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, counters) == 128, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, end_reason) == 384, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, line_ticks) == 392, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, end_within_ns) == 416, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, journal) == 424, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, base_offset) == 456, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, memory) == 472, "docs/formats/trace.md 1.1");
static_assert(sizeof(struct mt_trace_memory) == 32, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, command_bytes) == 512, "docs/formats/trace.md 1.1");
static_assert(offsetof(struct mt_trace_header, journal_path) == 3520, "docs/formats/trace.md 1.1");
static_assert(sizeof(struct mt_trace_header) <= MT_TRACE_HEADER_BYTES, "one page");

enum mt_block_type {
    MT_BLOCK_META = 1,
    MT_BLOCK_EVENTS = 2,
    MT_BLOCK_SLOT = 3,
    MT_BLOCK_AGGREGATE = 4,
    MT_BLOCK_INDEX = 5,
    MT_BLOCK_PAD = 6, /* nothing: aligns the slot behind it to a page */
    MT_BLOCK_SUMMARY = 7,
    MT_BLOCK_PROCESS = 8, /* the trace of another process follows; clock_first has its length in bytes */
    MT_BLOCK_BASE = 9,    /* extents inside it say what was alive at clock_first; read by who begins there, else stepped over */
};
enum mt_codec {
    MT_CODEC_NONE = 0,
    MT_CODEC_ZSTD = 1,
    MT_CODEC_COLUMNS = 2, /* zstd of fields by column: wire/columns.h, wire/meta_columns.h */
};

struct mt_block_header {
    uint32_t magic;
    uint8_t type;
    uint8_t codec;
    uint16_t kind;
    uint32_t stored_bytes;
    uint32_t raw_bytes;
    uint32_t stream;
    uint32_t extent_bytes;
    uint64_t clock_first;
    uint64_t clock_last;
    uint64_t seq_committed;
    uint32_t events;
    uint32_t payload_crc;
    uint32_t column_bytes; /* codec 2: after decompression, before the columns are records again */
    uint32_t header_crc;
};
static_assert(sizeof(struct mt_block_header) == 64, "docs/formats/trace.md 1.2");
static_assert(offsetof(struct mt_block_header, seq_committed) == 40, "docs/formats/trace.md 1.2");
static_assert(offsetof(struct mt_block_header, header_crc) == 60, "docs/formats/trace.md 1.2");
enum { MT_BLOCK_CRC_BYTES = 60, MT_SLOT_CRC_BYTES = 24 };

/* Numbers of records: wire/records.def. */
enum mt_meta_tag {
#define MT_META(NAME, name, tag, counting) MT_META_##NAME = (tag),
#include "wire/records.def"
};

/* What a MARK says happened. Open: a reader shows one it does not know by its number. */
#define MT_MARK_TABLE(X)                                                                                               \
    X(PHASE, 1, "phase")                       /* text: its name */                                                   \
    X(SNAPSHOT, 2, "snapshot")                 /* value: of which request to the run, 0 none, text: its name */       \
    X(PROGRAM_END, 3, "program-end")           /* the program's code is done; its runtime cleans up from here on */   \
    X(MAIN_RETURNED, 4, "main-returned")       /* value: what it returned */                                          \
    X(MEMORY_LOW, 5, "memory-low")             /* value: bytes left */                                                \
    X(RECORDING_ENDED, 6, "recording-ended")   /* before the program did; value: errno or 0, text: what was done */   \
    X(CLOCK_CHANGED, 7, "clock-changed")       /* value: resolution in ns from here on */                              \
    X(OUT_OF_MEMORY, 8, "out-of-memory")       /* value: bytes asked for, 0 not known, text: of whom */

enum mt_mark_kind {
#define MT_MARK_ENUM(name, value, text) MT_MARK_##name = (value),
    MT_MARK_TABLE(MT_MARK_ENUM)
#undef MT_MARK_ENUM
};

/* What a LABEL stands for. Open as well. */
enum mt_label_kind { MT_LABEL_USER = 1, MT_LABEL_TASK = 2, MT_LABEL_THREAD = 3, MT_LABEL_REQUEST = 4 };
enum mt_python_node_flag { MT_PYTHON_ENTRY = 1u << 0 };
enum mt_linetable_kind { MT_LINETABLE_LNOTAB = 1, MT_LINETABLE_310 = 2, MT_LINETABLE_311 = 3 };

enum mt_event_kind {
#define MT_EVENT(NAME, kind, nibble, word) MT_EVENT_##NAME = (kind),
#define MT_CODED(member, coding, column)
#define MT_EVENT_DONE
#include "wire/records.def"
};
enum { MT_TAG_KIND_MASK = 7, MT_TAG_CLOCK = 8, MT_TAG_NIBBLE_SHIFT = 4, MT_TAG_NIBBLE_MAX = 15, MT_RECENT_COUNT = 4 };

enum mt_ext_kind {
#define MT_EXT(NAME, number, event, word) MT_EXT_##NAME = (number),
#define MT_WIDE(NAME, number, EVENT) MT_EXT_##NAME = (number),
#define MT_VALUE(type, member, name)
#define MT_EXT_DONE
#include "wire/records.def"
};

/* Which allocator an event belongs to; values are part of the format (never renumber), at most 255. Those up to
 * MT_TAG_NIBBLE_MAX fit a tag. */
#define MT_ALLOCATOR_TABLE(X)                                                                                          \
    X(UNKNOWN, 0, "unknown")                                                                                           \
    X(MALLOC, 1, "malloc")                                                                                             \
    X(CALLOC, 2, "calloc")                                                                                             \
    X(REALLOC, 3, "realloc")                                                                                           \
    X(POSIX_MEMALIGN, 4, "posix_memalign")                                                                             \
    X(ALIGNED_ALLOC, 5, "aligned_alloc")                                                                               \
    X(MEMALIGN, 6, "memalign")                                                                                         \
    X(VALLOC, 7, "valloc")                                                                                             \
    X(PVALLOC, 8, "pvalloc")                                                                                           \
    X(NEW, 9, "operator new")                                                                                          \
    X(NEW_ARRAY, 10, "operator new[]")                                                                                 \
    X(MMAP, 11, "mmap")                                                                                                \
    X(SBRK, 12, "sbrk")                                                                                                \
    X(PYMEM_RAW, 13, "pymem raw")                                                                                      \
    X(PYMEM_MEM, 14, "pymem mem")                                                                                      \
    X(PYMEM_OBJECT, 15, "pymem object")

enum mt_allocator {
#define MT_ALLOCATOR_ENUM(name, value, text) MT_ALLOCATOR_##name = (value),
    MT_ALLOCATOR_TABLE(MT_ALLOCATOR_ENUM)
#undef MT_ALLOCATOR_ENUM
        MT_ALLOCATOR__COUNT
};

/* Nibble of MAP records. ARENA ranges hold interpreter arenas, ALLOCATOR ranges are what the program's malloc maps for
 * itself: their blocks are counted one by one, so the range itself is left out of totals. RESERVED ranges are address space
 * that cannot be used yet. OPENED, CLOSED and EMPTIED map nothing: they say what became of what is there, possibly of parts
 * of several mappings. Reserved memory that is opened is heap from there on, at the stack of the opening; anonymous heap
 * that is both closed and emptied is reserved again. */
enum mt_map_kind {
    MT_MAP_ANONYMOUS = 0,
    MT_MAP_FILE = 1,
    MT_MAP_STACK = 2,
    MT_MAP_BRK = 3,
    MT_MAP_MREMAP = 4,
    MT_MAP_ARENA = 5,
    MT_MAP_RESERVED = 6,
    MT_MAP_ALLOCATOR = 7,
    MT_MAP_OPENED = 8,  /* may be read or written from here on */
    MT_MAP_CLOSED = 9,  /* may not be touched from here on; keeps its pages */
    MT_MAP_EMPTIED = 10, /* its pages were given back */
};

/* One row of the aggregate table. */
struct mt_aggregate_row {
    uint32_t stack;
    uint8_t allocator;
    uint8_t used;
    uint16_t reserved;
    uint64_t allocations;
    uint64_t allocated_bytes;
    uint64_t live_count;
    uint64_t live_bytes;
    uint64_t peak_count;
    uint64_t peak_bytes;
    uint64_t peak_number;
};
static_assert(sizeof(struct mt_aggregate_row) == 64, "docs/formats/trace.md 6");

#endif
