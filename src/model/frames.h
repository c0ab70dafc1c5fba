/* frames.h: stack numbers to frames people can read.
 *
 * Decides: how the native and the Python half of a stack become one list. An entry frame (outermost Python frame of a C
 * evaluation loop) replaces the native frame of that loop, found by the recorded anchor index (3.11+) or, where there
 * are none, one evaluation-loop frame a Python frame (<= 3.10; by EVAL_RANGE or the symbol _PyEval_EvalFrameDefault).
 * With no native half: Python only. With no Python half: native only.
 * In a stack with Python frames, native frames inside the interpreter's own binary (struct mt_trace_module.interpreter)
 * are hidden by default, and so are the C library's frames that start a program or thread outside all Python: they say
 * how CPython works, not what the program does. Frames of extension modules, of libraries and of a program that embeds
 * Python stay. A stack without Python frames is shown whole.
 * Unless all frames are asked for, those that only bring code in or start it are folded into one (frames_fold.c), and
 * memtap's own are left out.
 * Frames are resolved at first use and kept, lists are made anew (a recursive program has 10,000 stacks of 10,000
 * frames that share nearly all nodes; their lists would not fit). Frames of all traces of one resolver share one table,
 * so that equal (function, file, line) is equal id. Context: [tool], one thread.
 */
#ifndef MT_MODEL_FRAMES_H
#define MT_MODEL_FRAMES_H

#include "base/status.h"
#include "model/trace.h"
#include "util/strlist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_frame_kind {
    MT_FRAME_NATIVE,
    MT_FRAME_PYTHON,
    MT_FRAME_MARKER, /* "<truncated>", "<unknown>": not code */
    MT_FRAME_IMPORT, /* "import numpy", at the line that imports: stands for the frames of the import system */
    MT_FRAME_LABEL, /* a label's text: stands above the frames of what is labelled so; function "" where nothing is */
    MT_FRAME_STARTER, /* "thread", "run app.py": stands for the frames that start a thread, a worker, a program */
};

/* One frame; texts are NUL-terminated, never NULL ("" unknown), owned by the resolver. */
struct mt_frame {
    const char *function; /* "0x7f12…" style address in module when nothing better is known */
    const char *file;     /* source file; "" unknown */
    const char *module;   /* path of the binary; "" for Python frames */
    uint32_t line;        /* 0 unknown */
    uint8_t kind;         /* enum mt_frame_kind */
    bool inlined;
    bool made; /* native: a member function that the compiler made (symbol.h) */
};

/* Frame ids, innermost first; never empty. Borrowed from the resolver, valid until the next list is asked for. */
struct mt_frame_list {
    const uint32_t *ids;
    const uint32_t *spots; /* of each: the frame at its address (mt_frames_spot) */
    size_t count;
};

/* A frame at one address. Spots are numbered 0, 1, 2 … as they are first met; number 0 is "<unknown>". */
struct mt_frame_spot {
    uint32_t id;      /* frame */
    uint64_t address; /* native: the recorded return address; Python and markers: 0 */
};

struct mt_frames_options {
    bool interpreter;     /* show frames of the interpreter's own binary too (--native) */
    bool python_only;     /* leave native frames out wherever a stack has Python frames */
    const char *const *symbol_dirs; /* NULL-terminated extra directories for debug files; may be NULL */
    bool no_symbols;      /* do not open any binary: addresses only (tests, parse) */
    bool all_frames;      /* nothing is folded, memtap's own frames stay */
};

struct mt_frames;

/* options may be NULL (all false). The set must outlive the resolver. */
mt_status mt_frames_new(const struct mt_trace_set *set, const struct mt_frames_options *options,
                        struct mt_frames **ret) MT_CHECKED;
void mt_frames_free(struct mt_frames *frames);

/* The frames of a stack of set->traces[trace_idx]. Unknown stacks give one marker frame. Out of memory gives the marker
 * "<unknown>" too. */
struct mt_frame_list mt_frames_stack(struct mt_frames *frames, size_t trace_idx, uint32_t stack);
/* Are frames of a stack looked up in binaries? False: they are all Python's. */
bool mt_frames_need_symbols(const struct mt_frames *frames, size_t trace_idx, uint32_t stack);
/* The frames of the native functions that the innermost Python frame of a stack called, innermost first, at most capacity of
 * them; whatever is shown of stacks. Returns how many; 0 where the stack has no Python frames or none was recorded. */
size_t mt_frames_below_python(struct mt_frames *frames, size_t trace_idx, uint32_t stack, uint32_t *ret_ids,
                              size_t capacity);
/* The frame that stands for a label, or a task's name. */
uint32_t mt_frames_label(struct mt_frames *frames, const char *text, size_t bytes);
/* A frame by id; any id from a list above. The pointer stays good until the resolver is freed. */
const struct mt_frame *mt_frames_frame(const struct mt_frames *frames, uint32_t id);
/* Binaries whose functions have no name because the file was built anew since the recording, as met so far. */
const struct mt_strlist *mt_frames_replaced(const struct mt_frames *frames);
/* Lists that had more frames than their share (frames_bound.h) and lack their middle. */
uint64_t mt_frames_shortened(const struct mt_frames *frames);
/* Nodes that all lists so far were made of: what looking stacks up has cost. */
uint64_t mt_frames_visited(const struct mt_frames *frames);
size_t mt_frames_count(const struct mt_frames *frames);
/* spot: any number from a list above. */
struct mt_frame_spot mt_frames_spot(const struct mt_frames *frames, uint32_t spot);
size_t mt_frames_spot_count(const struct mt_frames *frames);

#endif
