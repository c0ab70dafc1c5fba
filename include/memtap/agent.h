/* agent.h: control of memtap's agent from inside the process it is in, for C11 and C++17.
 *
 * The agent (libmemtap-agent.so) is loaded with LD_PRELOAD or, in a process that runs already, with dlopen. It needs only
 * libc, is never unloaded, makes no thread (but for listen) and does nothing until it is told to. There is one agent in a process: look for
 * `memtap_agent_api` with dlsym(RTLD_DEFAULT, …) before loading one.
 *
 *      const struct memtap_agent_api *agent = ((memtap_agent_api_function)dlsym(handle, "memtap_agent_api"))();
 *      agent->start(&(struct memtap_recording){ .struct_bytes = sizeof(struct memtap_recording),
 *                                               .path = "/tmp/x.mtap", .mode = MEMTAP_SAMPLE, .rate_bytes = 524288 });
 *
 * Functions return enum memtap_agent_code. start, stop, pause and resume are for one thread at a time (a second gets
 * MEMTAP_AGENT_BUSY); in a Python process the caller holds the GIL. They may take milliseconds. What is recorded is in the
 * file before the allocator call returns. A fork child does not record and may start a trace of its own.
 *
 * A program says whose memory it allocates with mt_label_set and mt_label_clear, whether the agent is there or not:
 *
 *      mt_label_set("job-7");
 *      work();
 *      mt_label_clear();
 *
 * The label is in the trace of whatever is recorded meanwhile.
 */
#ifndef MEMTAP_AGENT_H
#define MEMTAP_AGENT_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
    MEMTAP_AGENT_FOREIGN = 12,    /* detach: what is recorded was not begun by attach */
};

enum memtap_agent_mode { MEMTAP_OFF = 0, MEMTAP_SAMPLE = 1, MEMTAP_EXACT = 2, MEMTAP_AGGREGATE = 3 };

/* What a label is. A thread has one of each kind at a time, USER inside REQUEST inside TASK inside THREAD. */
enum memtap_label_kind { MEMTAP_LABEL_USER = 1, MEMTAP_LABEL_TASK = 2, MEMTAP_LABEL_THREAD = 3, MEMTAP_LABEL_REQUEST = 4 };

/* What to record. Zero means: default. */
struct memtap_recording {
    uint32_t struct_bytes;   /* sizeof(struct memtap_recording), for later versions */
    uint32_t mode;           /* enum memtap_agent_mode, not MEMTAP_OFF */
    const char *path;        /* absolute; must not exist */
    uint64_t rate_bytes;     /* sample mode: mean bytes between samples, default 512 KiB; 2^50 at most */
    uint64_t max_file_bytes; /* the file stays below this size on the disk: sample mode gives up what was freed long ago for it,
                                in other modes the recording ends there; default no limit */
    uint64_t seed;           /* of the sampler; default random */
    bool native;             /* native stacks */
    bool python_allocators;  /* Python's small objects one by one, not only its arenas */
    uint64_t parent_pid;     /* this is a fork child of that process, which is recorded too; 0: by itself */
};

struct memtap_agent_state {
    uint32_t struct_bytes; /* set by the caller */
    uint32_t mode;         /* enum memtap_agent_mode */
    uint64_t rate_bytes;   /* 0: paused, or not sampling */
    uint64_t live_samples; /* sampled allocations not freed yet */
    uint64_t dropped_events;
    bool by_command;       /* `memtap run` started this recording, not start() */
    bool preloaded;
    uint32_t ended_early;  /* attach, detach: a recording had ended by itself before: 1 + its place in MT_END_REASON_TABLE (wire/format.h) */
    char path[4096 + 64];  /* of the present or the last trace */
};

/* What a training loop held at a hook of one of its modules or of its optimizer. Texts are UTF-8 and not empty, amounts in bytes. */
struct memtap_torch_row {
    uint32_t struct_bytes; /* sizeof(struct memtap_torch_row), for later versions */
    uint32_t seq;          /* which hook of the step */
    uint64_t step, micro_step;
    const char *module, *stage, *source;
    uint64_t allocated, max_allocated, cached, max_cached;
    uint64_t offset_ns;    /* since the step's first hook */
    uint64_t duration_ns;  /* of what ends here, else 0 */
    int64_t allocated_delta, max_allocated_delta; /* since it began */
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
    /* What the calling thread allocates from here on is for this: UTF-8, not ended by a NUL, the first 120 bytes count.
     * bytes 0: for nothing of that kind. Kept whether something is recorded or not, and inherited by a fork child. Any thread,
     * signal handlers too. MEMTAP_AGENT_ARGUMENT: no such kind; MEMTAP_AGENT_NO_MEMORY: the thread stays as it was. */
    int (*label)(int kind, const char *text, size_t bytes);
    /* For a tool that comes from outside, on a thread it has borrowed; no GIL is needed. attach: settings is a NULL-terminated list of
     * MEMTAP_NAME=VALUE (wire/config.def) with MEMTAP_OUTPUT; MEMTAP_AGENT_RECORDING: a recording goes on, and nothing was done.
     * detach: ends what attach began, and takes the hooks back that attach put in place. */
    int (*attach)(char *const *settings);
    int (*detach)(void);
    /* A number that differs for every recording of every process, 0: nothing is being recorded. Costs nothing. */
    uint64_t (*recording)(void);
    /* Says something of this process once, in the trace. MEMTAP_AGENT_IDLE: nothing is being recorded. Any thread, as torch_row. */
    int (*note)(const char *key, const char *value);
    /* A row more of python.torch_trace, in the file before this returns. MEMTAP_AGENT_IDLE; MEMTAP_AGENT_NO_SPACE: it is lost and
     * counted. */
    int (*torch_row)(const struct memtap_torch_row *row);
    /* From here on (on) storage that torch's CPU allocator gives out is counted, while hooks are in place; any thread. */
    void (*count_tensors)(bool on);
    /* Bytes of it now, and at most since counting began. False: not known, as it is not counted or torch is not there. */
    bool (*tensors)(uint64_t *ret_bytes, uint64_t *ret_most);
    /* Arms the process: one thread of ours waits at a socket for the tool (`memtap list`, docs/formats/control.md), until the process ends. where:
     * "1", or "host:port" to wait there too, which needs MEMTAP_TOKEN in the environment unless it is a loopback address. Again: no
     * change. Fork children are not armed. MEMTAP_AGENT_PERMISSION: there can be no socket, no thread, or none at that address. */
    int (*listen)(const char *where);
};

typedef const struct memtap_agent_api *(*memtap_agent_api_function)(void);

/* ---- labels, in a program that knows no agent ---------------------------------------------------------------------- */

#define MEMTAP_AGENT_FILE "libmemtap-agent.so"

/* The agent of this process, NULL: there is none. Looked for at the first call in each source file that uses it; one that is
 * loaded later is not found. glibc before 2.34 has dlsym in libdl. */
static inline const struct memtap_agent_api *memtap_agent_present(void)
{
    static const struct memtap_agent_api *found;
    static int looked; /* any thread may look; all find the same */
    if (!__atomic_load_n(&looked, __ATOMIC_ACQUIRE)) {
        void *handle = dlopen(MEMTAP_AGENT_FILE, RTLD_NOW | RTLD_NOLOAD);
        void *symbol = handle != NULL ? dlsym(handle, "memtap_agent_api") : NULL;
        memtap_agent_api_function ask = NULL;
        memcpy(&ask, &symbol, sizeof ask);
        const struct memtap_agent_api *agent = ask != NULL ? ask() : NULL;
        if (agent != NULL && agent->struct_bytes < offsetof(struct memtap_agent_api, label) + sizeof agent->label) {
            agent = NULL; /* older than labels */
        }
        __atomic_store_n(&found, agent, __ATOMIC_RELAXED);
        __atomic_store_n(&looked, 1, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&found, __ATOMIC_RELAXED);
}

/* What the calling thread allocates from here on is for `text`, until it says otherwise. */
static inline void mt_label_set(const char *text)
{
    const struct memtap_agent_api *agent = memtap_agent_present();
    if (agent != NULL) {
        (void)agent->label(MEMTAP_LABEL_USER, text, strlen(text));
    }
}

/* It is for nothing in particular again. */
static inline void mt_label_clear(void)
{
    const struct memtap_agent_api *agent = memtap_agent_present();
    if (agent != NULL) {
        (void)agent->label(MEMTAP_LABEL_USER, NULL, 0);
    }
}

#ifdef __cplusplus
}
#endif

#endif
