/* pywalk.c: the Python stack walker as a library that the interpreter under test loads by ctypes.
 *
 * Every capture is made twice, with the thread's memo and without any, and the two must be equal to the last bit; what
 * is handed back is the memoised one as text. pywalk_check_anchors compares entry frames and anchors with the C stack
 * as libunwind sees it. Ordinary code of the test process: may use malloc and stdio.
 */
#include "pystack/layout.h"
#include "symbol/pyline.h"
#include "wire/format.h"

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 4 << 20, NAMES_BYTES = 64 << 10, MAX_NATIVE = 20000 };

static __thread struct mt_pystack t_memo, t_cold;
static __thread char *t_text;

static void *lookup(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

int pywalk_open(void);
const char *pywalk_info(void);
const char *pywalk_offsets(void);
const char *pywalk_capture(void);
const char *pywalk_thread_name(void);
const char *pywalk_check_anchors(int strict);
double pywalk_bench(int rounds, int cold);

/* 0: no Python found; 1: found, frames cannot be read; 2: enabled. */
int pywalk_open(void)
{
    struct mt_python_info info;
    if (!mt_pystack_detect(lookup, &info)) {
        return 0;
    }
    info.unwatched = getenv("PYWALK_STORM") != NULL; /* storm.c watches, and sees only its own function in the slot */
    mt_pystack_enable(&info);
    return info.frames_supported ? 2 : 1;
}

static void open_thread(void)
{
    if (t_text == NULL) {
        t_text = malloc(TEXT_BYTES);
        mt_pystack_init(&t_memo, calloc(1, mt_pystack_memory_bytes()));
        mt_pystack_init(&t_cold, calloc(1, mt_pystack_memory_bytes()));
    }
}

const char *pywalk_info(void)
{
    open_thread();
    const struct mt_python_info *info = mt_pystack_info();
    snprintf(t_text, TEXT_BYTES, "%08x %d %d %d %s", info->version_hex, info->free_threaded, info->frames_supported,
             info->eval_high > info->eval_low, info->version_text);
    return t_text;
}

/* The offsets in use, as tools/py_offsets.sh prints those of the headers. */
const char *pywalk_offsets(void)
{
    open_thread();
    const struct mt_py_offsets *o = &mt_py_enabled()->offsets;
    const struct {
        const char *name;
        unsigned value;
    } rows[] = {
#define ROW(field) { #field, o->field }
        ROW(unicode_kind_shift), ROW(tstate.frame), ROW(tstate.cframe_current), ROW(tstate.cframe_previous),
        ROW(tstate.thread_id), ROW(tstate.interp), ROW(frame.previous), ROW(frame.code), ROW(frame.instr),
        ROW(frame.owner), ROW(frame.is_entry), ROW(frame.copy_index), ROW(code.first_line), ROW(code.filename),
        ROW(code.name), ROW(code.qualname), ROW(code.linetable), ROW(code.bytecode), ROW(code.version), ROW(code.first_traceable),
        ROW(code.copies), ROW(object.type), ROW(object.bytes_size), ROW(object.bytes_data), ROW(object.unicode_length),
        ROW(object.unicode_state), ROW(object.unicode_ascii_data), ROW(object.unicode_compact_data),
        ROW(runtime.finalizing), ROW(runtime.interpreters_head), ROW(runtime.interpreter_next),
        ROW(instance.frame_locals), ROW(instance.type_size), ROW(instance.type_flags), ROW(instance.type_dict),
        ROW(instance.type_keys), ROW(instance.dict_keys), ROW(instance.dict_values), ROW(instance.keys_size),
        ROW(instance.keys_kind), ROW(instance.keys_count), ROW(instance.keys_index), ROW(instance.values_first),
#undef ROW
    };
    int used = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        used += snprintf(t_text + used, (size_t)(TEXT_BYTES - used), "%s %u\n", rows[i].name, rows[i].value);
    }
    return t_text;
}

/* What threading calls the calling thread; "" where that is not known. */
const char *pywalk_thread_name(void)
{
    static __thread struct mt_py_thread known;
    open_thread();
    (void)mt_pystack_capture(&t_memo);
    t_text[mt_pystack_thread_name(&t_memo, &known, t_text, 120)] = '\0';
    return t_text;
}

static int is_equal(const struct mt_py_frame *a, const struct mt_py_frame *b)
{
    return a->frame == b->frame && a->code == b->code && a->instr == b->instr && a->anchor == b->anchor &&
           a->hash == b->hash && a->flags == b->flags && a->fingerprint == b->fingerprint;
}

static unsigned entries_of(const struct mt_pystack *p)
{
    unsigned entries = 0;
    for (unsigned i = 0; i < p->count; i++) {
        entries += (p->frames[i].flags & MT_PYTHON_ENTRY) != 0;
    }
    return entries;
}

static const char *compare_cold(enum mt_pystack_result result)
{
    mt_pystack_forget(&t_cold); /* nothing to reuse */
    if (mt_pystack_capture(&t_cold) != result || t_cold.count != t_memo.count) {
        return "!memo: result or count differs\n";
    }
    for (unsigned i = 0; i < t_cold.count; i++) {
        if (!is_equal(&t_cold.frames[i], &t_memo.frames[i])) {
            return "!memo: a frame differs\n";
        }
    }
    return NULL;
}

static int put_frame(char *to, size_t room, const struct mt_py_frame *frame)
{
    static __thread char names[NAMES_BYTES];
    struct mt_code_description d;
    if (!mt_pystack_describe(frame->code, names, sizeof names, &d)) {
        return snprintf(to, room, "!describe\n");
    }
    int32_t lasti = mt_pystack_lasti(frame);
    uint32_t line = mt_pyline_lookup(d.linetable_kind, d.linetable, d.linetable_bytes, d.first_line, lasti);
    return snprintf(to, room, "%.*s\x1f%.*s\x1f%.*s\x1f%u\x1f%d\x1f%u\x1f%llx\n", (int)d.name_bytes,
                    (const char *)d.name, (int)d.qualname_bytes, (const char *)d.qualname, (int)d.filename_bytes,
                    (const char *)d.filename, line, lasti, frame->flags & MT_PYTHON_ENTRY,
                    (unsigned long long)frame->hash);
}

/* One line a frame, outermost first; a first line "result count errors"; lines with "!" are failures. */
const char *pywalk_capture(void)
{
    open_thread();
    enum mt_pystack_result result = mt_pystack_capture(&t_memo);
    const char *difference = compare_cold(result);
    if (difference != NULL) {
        return difference;
    }
    unsigned long long errors = t_memo.errors;
    int used = snprintf(t_text, TEXT_BYTES, "%d %u %llu\n", (int)result, t_memo.count, errors);
    for (unsigned i = 0; i < t_memo.count && used < TEXT_BYTES - NAMES_BYTES; i++) {
        used += put_frame(t_text + used, (size_t)(TEXT_BYTES - used), &t_memo.frames[i]);
    }
    return t_text;
}

/* ---- entry frames and anchors against the C stack ---------------------------------------------------------------- */

struct loop {
    uint64_t low, high; /* a C frame occupies [low, high) */
    uint64_t function;
    int is_eval, is_used;
};

static unsigned find_c_frames(struct loop *frames)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    uint64_t eval = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "_PyEval_EvalFrameDefault");
    unsigned count = 0;
    int more = 1;
    while (more > 0 && count < MAX_NATIVE) {
        unw_word_t sp, caller_sp;
        unw_proc_info_t proc = { 0 };
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        unw_get_proc_info(&cursor, &proc);
        more = unw_step(&cursor);
        unw_get_reg(&cursor, UNW_REG_SP, &caller_sp);
        frames[count++] = (struct loop){ sp, caller_sp, proc.start_ip, proc.start_ip == eval, 0 };
    }
    return count;
}

static struct loop *find_holder(struct loop *frames, unsigned count, uint64_t anchor)
{
    for (unsigned i = 0; i < count; i++) {
        if (frames[i].low <= anchor && anchor < frames[i].high) {
            return &frames[i];
        }
    }
    return NULL;
}

/* Each anchor in a C frame of its own, outer ones further out. */
static const char *match_anchors(struct loop *frames, unsigned count, int strict)
{
    struct loop *last = NULL;
    for (unsigned i = t_memo.count; i-- > 0;) {
        const struct mt_py_frame *f = &t_memo.frames[i];
        if ((f->flags & MT_PYTHON_ENTRY) == 0) {
            continue;
        }
        struct loop *holder = find_holder(frames, count, f->anchor);
        if (holder == NULL || holder->is_used || (last != NULL && holder < last) || (strict && !holder->is_eval)) {
            return "an anchor is in no C frame, or not in the one of its evaluation loop";
        }
        holder->is_used = 1;
        last = holder;
    }
    return NULL;
}

/* "" when entry frames and evaluation loops correspond one to one, each anchor in its loop's C frame. strict: the
 * loop is one function with an exported name; else a part of the loops may be in functions without one. */
const char *pywalk_check_anchors(int strict)
{
    open_thread();
    static __thread struct loop frames[MAX_NATIVE];
    unsigned count = find_c_frames(frames), loops = 0, unused = 0;
    mt_pystack_capture(&t_memo);
    int has_anchors = mt_pystack_info()->version_hex >= 0x030B0000;
    const char *error = has_anchors ? match_anchors(frames, count, strict) : NULL;
    for (unsigned i = 0; i < count; i++) {
        loops += (unsigned)frames[i].is_eval;
        unused += frames[i].is_eval && !frames[i].is_used;
    }
    unsigned entries = entries_of(&t_memo);
    int count_differs = strict && loops != entries;
    snprintf(t_text, TEXT_BYTES, "%u C frames, %u evaluation loops (%u without anchor), %u entry frames: %s", count,
             loops, unused, entries, error != NULL ? error : "");
    return error != NULL || count_differs || (has_anchors && unused != 0) ? t_text : "";
}

/* Nanoseconds a frame of the calling thread's stack; cold: nothing is reused. */
double pywalk_bench(int rounds, int cold)
{
    open_thread();
    struct timespec start, end;
    uint64_t frames = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < rounds; i++) {
        if (cold) {
            mt_pystack_forget(&t_memo);
        }
        mt_pystack_capture(&t_memo);
        frames += t_memo.count;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = 1e9 * (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec);
    return frames != 0 ? ns / (double)frames : 0;
}
