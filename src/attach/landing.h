/* landing.h: the code that a thread of the target runs while memtap loads the agent and calls it, and the page it is told by.
 *
 * Decides: a detour needs nobody outside to come back from. Once a thread's registers point to the landing's entry it blocks its
 * signals, makes a stack of its own, saves all processor state, does the work, and restores everything itself; if memtap dies
 * meanwhile, the thread waits for it a bounded time and goes home. The landing is two neighbouring mappings of the target: the
 * box (readable and writable) and behind it one page of code (readable and executable). They stay, and the next detour uses them again.
 *
 *      thread's own stack:   … its data | red zone 128 | struct mt_landing_frame | free
 *                                       ^ rsp before                             ^ rsp at the entry
 *
 * The code is compiled into memtap (section memtap_landing), depends on its place in nothing and is copied from there.
 * Context: [tool] builds the box; landing_code.c runs in the target.
 */
#ifndef MT_ATTACH_LANDING_H
#define MT_ATTACH_LANDING_H

#include "base/status.h"
#include "memtap/agent.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define MT_LANDING_MAGIC 0x4D545F4C414E4449u
enum {
    MT_LANDING_BOX_BYTES = 20480,
    MT_LANDING_CODE_BYTES = 4096,
    MT_LANDING_STACK_BYTES = 512 << 10, /* of the detour */
    MT_LANDING_RED_ZONE_BYTES = 128,    /* System V ABI, AMD64: below rsp, not to be touched */
    MT_LANDING_STRINGS_BYTES = 8192,
    MT_LANDING_PATH_BYTES = 1024,
    MT_LANDING_SETTINGS_MAX = 24,
};

enum mt_landing_state {
    MT_LANDING_FREE = 0,   /* nobody is there */
    MT_LANDING_TAKEN,      /* a thread is on its way */
    MT_LANDING_WANTS_FILE, /* box.fd is an empty memfd: fill it and set box.go */
    MT_LANDING_LOADS,      /* in dlopen or in the agent: not to be abandoned */
};

enum mt_landing_failure {
    MT_LANDING_OK = 0,
    MT_LANDING_NO_STACK,
    MT_LANDING_NO_MEMFD,
    MT_LANDING_NOBODY, /* memtap did not answer in time */
    MT_LANDING_NO_DLOPEN,
    MT_LANDING_NO_AGENT,
};

enum mt_landing_task { MT_LANDING_ATTACH, MT_LANDING_DETACH };

/* What the entry restores, in the order it pops. */
struct mt_landing_frame {
    uint64_t signal_mask; /* filled in there */
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rcx, rdx, rsi, rdi, rax;
    uint64_t flags, rip;
};

struct mt_landing_box {
    uint64_t magic;
    uint64_t blocked;     /* signals, while the detour lasts */
    uint64_t stack_bytes;
    uint64_t xsave_bytes; /* of all processor state, CPUID leaf 0Dh */
    uint32_t state;       /* enum mt_landing_state; writers: the thread, memtap before it lets it go */
    uint32_t failure;     /* enum mt_landing_failure */
    uint32_t control;     /* value of mxcsr at the start of C code */
    int32_t error;        /* errno of a failure */
    /* The interrupted system call: what the kernel said (-EINTR, -ERESTART…), and where it goes on if it is not made again; 0: none. */
    int64_t interrupted;
    uint64_t behind_call;
    struct mt_landing_frame *frame;

    uint64_t pid;         /* whose landing it is: a fork child has a copy */
    uint64_t patience_ns; /* with memtap */
    uint64_t memtap;      /* its process, as the target numbers it: one that is gone is not waited for; 0: not known */
    uint32_t task;
    int32_t code;         /* enum memtap_agent_code */
    int32_t fd;
    uint32_t go;          /* writer: memtap */
    int32_t dlopen_flags;
    int *(*errno_location)(void);
    void *(*open)(const char *path, int flags);
    void *(*find)(void *handle, const char *name);
    char *(*why)(void); /* dlerror; NULL: it is not there */
    memtap_agent_api_function agent; /* NULL: to be loaded */

    char path[MT_LANDING_PATH_BYTES]; /* of the agent: a folder of descriptors, the number is added; or all of it when whole_path */
    bool whole_path;
    char name[32];      /* of the memfd */
    char symbol[32];
    char said[512];     /* dlerror's text */
    char *settings[MT_LANDING_SETTINGS_MAX]; /* NULL-terminated, into strings */
    char strings[MT_LANDING_STRINGS_BYTES];
    struct memtap_agent_state result;
};
static_assert(sizeof(struct mt_landing_box) <= MT_LANDING_BOX_BYTES, "the box has its room");

/* The code: its bytes, and where a thread enters, with rbx = box and rsp = frame. */
const void *mt_landing_code(size_t *ret_bytes, size_t *ret_entry);

#endif
