/* agent.h: control of memtap's agent from inside the process it is in, for C11 and C++17.
 *
 * The agent (libmemtap-agent.so) is loaded with LD_PRELOAD or, in a process that runs already, with dlopen. It needs only
 * libc, is never unloaded, makes no thread and does nothing until it is told to. There is one agent in a process: look for
 * `memtap_agent_api` with dlsym(RTLD_DEFAULT, …) before loading one.
 *
 *      const struct memtap_agent_api *agent = ((memtap_agent_api_function)dlsym(handle, "memtap_agent_api"))();
 *      agent->start(&(struct memtap_recording){ .struct_bytes = sizeof(struct memtap_recording),
 *                                               .path = "/tmp/x.mtap", .mode = MEMTAP_SAMPLE, .rate_bytes = 524288 });
 *
 * Functions return enum memtap_agent_code. start, stop, pause and resume are for one thread at a time (a second gets
 * MEMTAP_AGENT_BUSY); in a Python process the caller holds the GIL. They may take milliseconds. What is recorded is in the
 * file before the allocator call returns. A fork child does not record and may start a trace of its own.
 */
#ifndef MEMTAP_AGENT_H
#define MEMTAP_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum memtap_agent_code {
    MEMTAP_AGENT_OK = 0,
    MEMTAP_AGENT_NO_MEMORY = 1,
    MEMTAP_AGENT_IO = 2,          /* the trace cannot be written */
    MEMTAP_AGENT_NO_SPACE = 3,
    MEMTAP_AGENT_PERMISSION = 4,
    MEMTAP_AGENT_NO_FOLDER = 5,   /* the path's folder does not exist */
    MEMTAP_AGENT_FILE_EXISTS = 6, /* an existing file is never touched */
    MEMTAP_AGENT_ARGUMENT = 7,
    MEMTAP_AGENT_RECORDING = 8,   /* start: a trace is being written already; see state */
    MEMTAP_AGENT_IDLE = 9,        /* stop, pause, resume: nothing is being recorded */
    MEMTAP_AGENT_NO_HOOKS = 10,   /* the allocator could not be intercepted: nothing would be recorded */
    MEMTAP_AGENT_BUSY = 11,       /* another thread is in one of these functions, or in the recorder for over a second */
};

enum memtap_agent_mode { MEMTAP_OFF = 0, MEMTAP_SAMPLE = 1, MEMTAP_EXACT = 2, MEMTAP_AGGREGATE = 3 };

/* What to record. Zero means: default. */
struct memtap_recording {
    uint32_t struct_bytes;   /* sizeof(struct memtap_recording), for later versions */
    uint32_t mode;           /* enum memtap_agent_mode, not MEMTAP_OFF */
    const char *path;        /* absolute; must not exist */
    uint64_t rate_bytes;     /* sample mode: mean bytes between samples, default 512 KiB; 2^50 at most */
    uint64_t max_file_bytes; /* recording stops when the file has this size; default no limit */
    uint64_t seed;           /* of the sampler; default random */
    bool native;             /* native stacks */
    bool python_allocators;  /* Python's small objects one by one, not only its arenas */
};

struct memtap_agent_state {
    uint32_t struct_bytes; /* set by the caller */
    uint32_t mode;         /* enum memtap_agent_mode */
    uint64_t rate_bytes;   /* 0: paused, or not sampling */
    uint64_t live_samples; /* sampled allocations not freed yet */
    uint64_t dropped_events;
    bool by_command;       /* `memtap run` started this recording, not start() */
    bool preloaded;
    char path[4096 + 64];  /* of the present or the last trace */
};

struct memtap_agent_api {
    uint32_t struct_bytes;
    const char *version;
    int (*start)(const struct memtap_recording *what);
    /* Completes the file. Hooks stay, and let everything pass. */
    int (*stop)(void);
    int (*pause)(void);                    /* sample mode: no new samples; frees of earlier ones are still recorded */
    int (*resume)(uint64_t rate_bytes);    /* sample mode: sample (again) at this rate */
    int (*state)(struct memtap_agent_state *ret);
    /* Takes the hooks back where that can be done; only while nothing is recorded. */
    int (*remove_hooks)(void);
    /* Between enter and leave, what the calling thread allocates is not recorded. They nest. */
    void (*enter)(void);
    void (*leave)(void);
};

typedef const struct memtap_agent_api *(*memtap_agent_api_function)(void);

#ifdef __cplusplus
}
#endif

#endif
