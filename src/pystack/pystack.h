/* pystack.h: the Python frames of the calling thread, without the C API and without the GIL.
 *
 * Decides: where CPython keeps its frames (offset tables per version, docs in pystack/offsets.c; from 3.13 checked
 * against _Py_DebugOffsets), and what a frame is in a trace. Only the calling thread's own frames are read: it holds
 * strong references to them, so nobody else can free or change them.
 * Invariants: no Python call except PyGILState_GetThisThreadState (a TLS read) and the unchecked thread state getter; no
 * reference counting; every pointer is checked (aligned, canonical, non-NULL) before it is followed; an unknown version
 * or a failed check gives no Python frames, never a crash. The one thing changed in the interpreter is the tp_dealloc of
 * code objects (pystack/codes.c).
 * Contexts: mt_pystack_capture, mt_pystack_describe [hook], own thread; the rest [agent].
 */
#ifndef MT_PYSTACK_PYSTACK_H
#define MT_PYSTACK_PYSTACK_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_PYSTACK_MAX_FRAMES = 8192 };

/* What the agent found out about the interpreter in this process. */
struct mt_python_info {
    uint32_t version_hex;   /* PY_VERSION_HEX */
    bool free_threaded;
    bool frames_supported;  /* an offset table matches */
    uint64_t eval_low, eval_high; /* range of the evaluation function, <= 3.10 only; else 0 */
    void *(*get_tstate)(void);    /* PyGILState_GetThisThreadState */
    void *(*get_tstate_unchecked)(void); /* _PyThreadState_UncheckedGet; NULL: none */
    const void *runtime;          /* &_PyRuntime or NULL */
    const char *version_text;     /* for people; static storage */
    const void *code_type;        /* &PyCode_Type: what is no code object is never read as one; NULL: not checked */
    bool unwatched;               /* leave its tp_dealloc alone: every capture then starts from nothing */
};

/* Looks a defined symbol up in the loaded objects; supplied by the hook layer. NULL when absent. */
typedef void *(*mt_symbol_lookup)(const char *name);

/* Fills ret; false when the process has no (supported kind of) Python loaded. May be called again when libpython
 * arrives later by dlopen. Context: [agent], process start, after dlopen. */
bool mt_pystack_detect(mt_symbol_lookup lookup, struct mt_python_info *ret);
/* Makes info the one all captures use (a copy is kept). Until then captures find no frames. */
void mt_pystack_enable(const struct mt_python_info *info);
const struct mt_python_info *mt_pystack_info(void); /* NULL while not enabled */
/* The interpreter is past the end of the program's code: threads were joined and functions of atexit called, modules are
 * taken down next. False where that cannot be known. Context: any. */
bool mt_pystack_is_finalizing(void);

/* One frame of the last captured stack, stored base first (outermost at index 0). */
struct mt_py_frame {
    uint64_t frame;   /* address of the frame struct */
    uint64_t code;    /* address of the code object */
    uint64_t instr;   /* instruction pointer (>= 3.11; of per-thread bytecode in the main copy), f_lasti (<= 3.10) */
    uint64_t anchor;  /* entry frames: an address inside the C frame of their evaluation loop (3.11+); else 0 */
    uint64_t hash;    /* running hash over code, instr, flags and code fingerprint of this and all older frames */
    uint32_t flags;   /* MT_PYTHON_ENTRY of wire/format.h */
    uint32_t fingerprint; /* low half of mt_pystack_fingerprint(code) */
};

/* Per-thread state, in memory of the engine. */
struct mt_pystack {
    struct mt_py_frame *frames;  /* MT_PYSTACK_MAX_FRAMES, virtual; before them one that is none */
    struct mt_py_frame *scratch;
    struct mt_py_frame *leaf; /* frames[count - 1]: its hash is the stack's; without frames 0 */
    uint32_t count;
    uint64_t errors;  /* walks given up at a failed check, this thread */
    uint64_t tstate;  /* of the last capture, 1: none; a guess, always verified */
    uint64_t thread;  /* pthread_self(), when tstate was found */
    uint64_t cframe;  /* 3.11, 3.12: found in tstate last time and plausible; 0: none */
    uint64_t deaths;  /* of code objects, when frames[] and known[] were found; UINT64_MAX: trust nothing */
    uint64_t epoch;   /* another number each time they are forgotten; of the process, as memory is reused */
    struct mt_py_known *known; /* code objects met in this epoch, by address */
    uint16_t *index;  /* hash of a frame's address -> where it stood in frames[]; a hint, always verified */
};

size_t mt_pystack_memory_bytes(void);
/* memory: zeros, or what another walker used; for as long as p is used. */
void mt_pystack_init(struct mt_pystack *p, void *memory);
/* The next capture starts from nothing. Context: as mt_pystack_capture. */
void mt_pystack_forget(struct mt_pystack *p);

enum mt_pystack_result {
    MT_PYSTACK_NONE,      /* no thread state, or no Python: count = 0 */
    MT_PYSTACK_COMPLETE,
    MT_PYSTACK_TRUNCATED, /* deeper than the limit: outermost frames missing */
    MT_PYSTACK_BROKEN,    /* a check failed: inner part only */
};

/* Captures the calling thread's frames; reuses the verified outer part of the previous capture. */
enum mt_pystack_result mt_pystack_capture(struct mt_pystack *p);

/* The captured frames are those of a shell that clears its user's names at the end of Python (shell.c). Context: [hook]. */
bool mt_pystack_clears_a_shell(const struct mt_pystack *p);

/* ---- the thread's name ------------------------------------------------------------------------------------------- */

/* Who the calling thread is to Python's threading; zeros at first. */
struct mt_py_thread {
    uint64_t frame;  /* that started it */
    uint64_t object; /* its threading.Thread */
};

/* The name threading has for the calling thread, whose frames were captured in this hook: bytes of UTF-8 in text, as many whole
 * characters as fit. 0: it was not started by threading, has no name, or the name must not be read now. */
size_t mt_pystack_thread_name(const struct mt_pystack *p, struct mt_py_thread *known, char *text, size_t text_bytes);

/* ---- describing code objects ------------------------------------------------------------------------------------- */

/* Everything the trace wants to know of a code object. Pointers are into the interpreter's memory or the caller's text
 * buffer, valid while the calling thread's frame holds the code alive. */
struct mt_code_description {
    const void *filename, *name, *qualname; /* UTF-8 */
    size_t filename_bytes, name_bytes, qualname_bytes; /* qualname: 0 before 3.11 */
    const void *linetable;
    size_t linetable_bytes;
    uint32_t linetable_kind; /* enum mt_linetable_kind */
    uint32_t first_line;
};

/* text: scratch for transcoding non-ASCII names to UTF-8. False when a check failed. */
bool mt_pystack_describe(uint64_t code, char *text, size_t text_bytes, struct mt_code_description *ret);
/* Identity of what a code object says (name, file, line table addresses and first line); changes when the object at an
 * address is another one. 0 when a check failed. */
uint64_t mt_pystack_fingerprint(uint64_t code);
/* Byte offset of a frame's current instruction from the start of its code; -1 before the first. */
int32_t mt_pystack_lasti(const struct mt_py_frame *frame);

#endif
