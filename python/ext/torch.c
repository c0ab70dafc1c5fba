/* torch.c: what a training loop held at each hook of its modules and optimizers, as rows of the present recording.
 *
 * Decides: which hook becomes a row (all of outermost modules and optimizers; those of inner modules in one step of so many),
 * and its numbers: step, order, time, difference to the hook that began it. A step ends where the optimizer that has stepped most
 * has stepped and the next outermost module begins, so that all optimizers of one round are in one step; a loop that calls
 * torch_step() says itself where. While nothing is recorded a hook does nothing but count calls of optimizers.
 * Spans: each thread has the modules it is in. A module that an exception leaves has no second hook: what lies deeper on the C
 * stack than the hook that runs now has been left. Hooks raise nothing but what is not an Exception (an interruption).
 * Names come from Python (memtap/torch.py), once an object. Context: [gil].
 */
#include "torch.h"

#include "labels.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

enum {
    SPANS_MAX = 64,       /* of one thread; what is nested deeper has no rows */
    SAME_FRAME_BYTES = 256, /* hooks called from one place are no farther apart on the stack, those of nested modules are */
};

static const char *const STAGES[] = { "pre forward", "post forward", "pre step", "post step" };
enum stage { PRE_FORWARD, POST_FORWARD, PRE_STEP, POST_STEP };

struct span {
    const void *object; /* compared, never looked into: it may be gone */
    uintptr_t stack;    /* of the hook that began it */
    uint64_t from_ns;
    struct mt_py_torch_amounts from;
    bool is_row;
};

struct spans {
    unsigned count;
    struct span span[SPANS_MAX];
};

static __thread struct spans t_modules, t_optimizers;

static struct {
    PyObject *name;   /* name(object, name of the outermost module or None) -> str; it may name others with torch_name */
    PyObject *begins; /* begins(): a recording has begun */
    PyObject *device; /* device() -> None, or read() -> (source, allocated, max_allocated, cached, max_cached) */
    PyObject *read;   /* of the present step; NULL: the program uses no device */
    uint64_t details_every; /* inner modules have rows in one step of so many; 0: never */
    uint64_t micro_batches;
    uint64_t recording;
    uint64_t step_number; /* of the process; differs for each step */
    uint64_t micro_step, next_micro_step;
    uint64_t step_from_ns;
    uint32_t seq;
    bool active, step_ended, by_hand;
} g_loop;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t step_of(uint64_t micro_step)
{
    return micro_step / g_loop.micro_batches;
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static void begin_step(void)
{
    if (step_of(g_loop.next_micro_step) != step_of(g_loop.micro_step)) {
        g_loop.seq = 0;
    }
    g_loop.micro_step = g_loop.next_micro_step;
    g_loop.step_number++;
    g_loop.step_ended = false;
}

/* Which function reads the device is asked once a step: a loop may begin to use one. */
static bool ask_for_device(void)
{
    Py_CLEAR(g_loop.read);
    PyObject *read = PyObject_CallObject(g_loop.device, NULL);
    if (read == Py_None) {
        Py_CLEAR(read);
    }
    g_loop.read = read;
    return read != NULL || mt_py_torch_drop_exception();
}

static bool has_details(void)
{
    return g_loop.details_every != 0 && step_of(g_loop.micro_step) % g_loop.details_every == 0;
}

/* Is anything recorded? Tells Python of a recording that has just begun. */
static bool is_recorded(bool *ret_fine)
{
    const struct memtap_agent_api *agent = mt_py_agent();
    uint64_t recording = g_loop.active ? agent->recording() : 0;
    *ret_fine = true;
    if (recording != g_loop.recording) {
        g_loop.recording = recording;
        if (recording != 0) {
            PyObject *result = PyObject_CallObject(g_loop.begins, NULL);
            *ret_fine = result != NULL || mt_py_torch_drop_exception();
            Py_XDECREF(result);
        }
    }
    return recording != 0 && *ret_fine;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* The name of an object, asked for once; copied to ret. outermost: of the modules that are running, NULL: this one. */
static bool find_name(PyObject *object, const char *outermost, char *ret)
{
    struct mt_py_torch_known *known = mt_py_torch_known(object);
    if (known == NULL) {
        PyObject *name = PyObject_CallFunction(g_loop.name, "Oz", object, outermost);
        PyObject *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsEncodedString(name, "utf-8", "replace") : NULL;
        if (text != NULL) {
            Py_ssize_t bytes = PyBytes_Size(text);
            known = mt_py_torch_name(object, PyBytes_AsString(text), (size_t)bytes);
            Py_DECREF(text);
        }
        Py_XDECREF(name);
    }
    const char *name = known != NULL ? known->name : "None";
    size_t bytes = strnlen(name, MT_PY_TORCH_NAME_BYTES - 1);
    memcpy(ret, name, bytes);
    ret[bytes] = '\0';
    return mt_py_torch_drop_exception();
}

struct moment {
    enum stage stage;
    const struct span *span; /* that begins or ends */
    uint64_t now_ns;
    uint32_t seq;
};

static int64_t difference(uint64_t now, uint64_t before)
{
    return (int64_t)(now - before);
}

static void write_row(const char *name, const struct moment *m, const struct mt_py_torch_amounts *now)
{
    bool ends = m->stage == POST_FORWARD || m->stage == POST_STEP;
    const struct mt_py_torch_amounts *from = &m->span->from;
    bool same = ends && from->source != NULL && strcmp(from->source, now->source) == 0;
    const struct memtap_torch_row row = {
        .struct_bytes = sizeof row,
        .seq = m->seq,
        .step = step_of(g_loop.micro_step),
        .micro_step = g_loop.micro_step,
        .module = name,
        .stage = STAGES[m->stage],
        .source = now->source,
        .allocated = now->allocated,
        .max_allocated = now->max_allocated,
        .cached = now->cached,
        .max_cached = now->max_cached,
        .offset_ns = m->now_ns - g_loop.step_from_ns,
        .duration_ns = ends ? m->now_ns - m->span->from_ns : 0,
        .allocated_delta = same ? difference(now->allocated, from->allocated) : 0,
        .max_allocated_delta = same ? difference(now->max_allocated, from->max_allocated) : 0,
    };
    (void)mt_py_agent()->torch_row(&row); /* what is lost is counted there */
}

static const char *outermost_name(void)
{
    const struct mt_py_torch_known *known = t_modules.count > 0 ? mt_py_torch_known(t_modules.span[0].object) : NULL;
    return known != NULL ? known->name : NULL;
}

static bool make_row(PyObject *object, const struct moment *m, struct mt_py_torch_amounts *ret)
{
    char name[MT_PY_TORCH_NAME_BYTES];
    bool inner = m->stage == PRE_FORWARD && t_modules.count > 1;
    if (!find_name(object, inner ? outermost_name() : NULL, name) || !mt_py_torch_read(g_loop.read, ret)) {
        return false;
    }
    write_row(name, m, ret);
    return true;
}

/* The hook's place in the step. */
static uint32_t next_seq(uint64_t now)
{
    if (g_loop.seq == 0) {
        g_loop.step_from_ns = now;
    }
    return g_loop.seq++;
}

/* ---- spans -------------------------------------------------------------------------------------------------------- */

/* What lies as deep as this hook or deeper has been left. */
static void drop_left(struct spans *spans, uintptr_t here)
{
    while (spans->count > 0 && spans->span[spans->count - 1].stack <= here + SAME_FRAME_BYTES) {
        spans->count--;
    }
}

/* The innermost of this object; what is inside it has been left. NULL: it was not seen to begin. */
static struct span *end_span(struct spans *spans, const void *object)
{
    for (unsigned i = spans->count; i > 0; i--) {
        if (spans->span[i - 1].object == object) {
            spans->count = i - 1;
            return &spans->span[i - 1];
        }
    }
    return NULL;
}

/* Seen to begin; the row is made where it is wanted. */
static bool begin_span(struct spans *spans, PyObject *object, enum stage stage, uintptr_t here, bool is_row)
{
    struct span *span = &spans->span[spans->count++];
    *span = (struct span){ .object = object, .stack = here, .is_row = is_row };
    uint64_t now = now_ns();
    const struct moment m = { stage, span, now, next_seq(now) };
    if (m.seq == 0 && !ask_for_device()) {
        return false;
    }
    struct mt_py_torch_amounts amounts = { 0 };
    bool fine = !is_row || make_row(object, &m, &amounts);
    if (spans->count > 0 && &spans->span[spans->count - 1] == span) { /* as it was left */
        span->from = amounts;
        span->from_ns = now_ns(); /* without what the row took */
    }
    return fine;
}

static bool finish_span(struct spans *spans, PyObject *object, enum stage stage)
{
    uint64_t now = now_ns();
    struct span *found = end_span(spans, object);
    if (found == NULL) {
        return true;
    }
    const struct span span = *found;
    const struct moment m = { stage, &span, now, next_seq(now) };
    struct mt_py_torch_amounts amounts;
    return !span.is_row || make_row(object, &m, &amounts);
}

/* ---- hooks -------------------------------------------------------------------------------------------------------- */

static uintptr_t this_frame(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

static PyObject *object_of(PyObject *arguments)
{
    if (PyTuple_Size(arguments) < 1) {
        PyErr_SetString(PyExc_TypeError, "a hook of torch is given what it is a hook of");
        return NULL;
    }
    return PyTuple_GetItem(arguments, 0);
}

static PyObject *none_if(bool fine)
{
    if (!fine) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static bool pre_forward(PyObject *module, uintptr_t here)
{
    bool fine;
    drop_left(&t_modules, here);
    if (!is_recorded(&fine)) {
        return fine;
    }
    bool outermost = t_modules.count == 0;
    if (outermost && g_loop.step_ended) {
        begin_step();
    }
    return t_modules.count == SPANS_MAX || begin_span(&t_modules, module, PRE_FORWARD, here, outermost || has_details());
}

static bool post_forward(PyObject *module)
{
    bool fine;
    if (!is_recorded(&fine)) {
        (void)end_span(&t_modules, module);
        return fine;
    }
    return finish_span(&t_modules, module, POST_FORWARD);
}

/* An optimizer is known from its first step on. */
static struct mt_py_torch_known *known_optimizer(PyObject *optimizer, bool *ret_fine)
{
    char name[MT_PY_TORCH_NAME_BYTES];
    *ret_fine = mt_py_torch_known(optimizer) != NULL || find_name(optimizer, NULL, name);
    return mt_py_torch_known(optimizer);
}

static bool pre_step(PyObject *optimizer, uintptr_t here)
{
    bool fine, known_fine;
    drop_left(&t_optimizers, here);
    struct mt_py_torch_known *known = known_optimizer(optimizer, &known_fine);
    bool again = known != NULL && known->called_in == g_loop.step_number;
    if (g_loop.step_ended && again && t_optimizers.count == 0) {
        begin_step();
    }
    if (!is_recorded(&fine) || !known_fine) {
        return fine && known_fine;
    }
    return t_optimizers.count == SPANS_MAX || begin_span(&t_optimizers, optimizer, PRE_STEP, here, true);
}

static void count_call(struct mt_py_torch_known *known)
{
    known->called_in = g_loop.step_number;
    known->calls++;
    if (!g_loop.by_hand && known->calls > g_loop.next_micro_step) {
        g_loop.next_micro_step = known->calls;
        g_loop.step_ended = true;
    }
}

static bool post_step(PyObject *optimizer)
{
    bool recorded, fine, known_fine;
    recorded = is_recorded(&fine);
    if (recorded) {
        fine = finish_span(&t_optimizers, optimizer, POST_STEP);
    } else {
        (void)end_span(&t_optimizers, optimizer);
    }
    struct mt_py_torch_known *known = known_optimizer(optimizer, &known_fine);
    if (known != NULL) {
        count_call(known);
    }
    return fine && known_fine;
}

/* A hook's own allocations are not the program's. */
#define HOOK(name, call)                                                                                               \
    static PyObject *torch_##name(PyObject *self, PyObject *arguments)                                                 \
    {                                                                                                                  \
        (void)self;                                                                                                    \
        PyObject *object = object_of(arguments);                                                                       \
        if (object == NULL || !g_loop.active) {                                                                        \
            return none_if(object != NULL);                                                                            \
        }                                                                                                              \
        mt_py_agent()->enter();                                                                                        \
        bool fine = call;                                                                                              \
        mt_py_agent()->leave();                                                                                        \
        return none_if(fine);                                                                                          \
    }
HOOK(pre_forward, pre_forward(object, this_frame()))
HOOK(post_forward, post_forward(object))
HOOK(pre_step, pre_step(object, this_frame()))
HOOK(post_step, post_step(object))

/* ---- for memtap/torch.py ------------------------------------------------------------------------------------------ */

static void replace(PyObject **at, PyObject *value)
{
    PyObject *before = *at;
    Py_XINCREF(value);
    *at = value;
    Py_XDECREF(before);
}

static PyObject *torch_begin(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *name, *begins, *device;
    unsigned long long details_every = 0, micro_batches = 1;
    if (!PyArg_ParseTuple(arguments, "OOOKK:torch_begin", &name, &begins, &device, &details_every, &micro_batches)) {
        return NULL;
    }
    if (mt_py_agent() == NULL || micro_batches == 0) {
        PyErr_SetString(PyExc_ValueError, mt_py_agent() == NULL ? "memtap's agent is not loaded" : "micro_batches is 1 or more");
        return NULL;
    }
    replace(&g_loop.name, name);
    replace(&g_loop.begins, begins);
    replace(&g_loop.device, device);
    g_loop.details_every = details_every;
    g_loop.micro_batches = micro_batches;
    if (!g_loop.active) {
        g_loop.step_number++;
        g_loop.recording = g_loop.micro_step = g_loop.next_micro_step = 0;
        g_loop.seq = 0;
        g_loop.step_ended = g_loop.by_hand = false;
    }
    g_loop.active = true;
    mt_py_agent()->count_tensors(true);
    Py_RETURN_NONE;
}

static PyObject *torch_end(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    if (g_loop.active) {
        mt_py_agent()->count_tensors(false);
    }
    g_loop.active = false;
    mt_py_torch_forget_all();
    Py_CLEAR(g_loop.read);
    Py_RETURN_NONE;
}

static PyObject *torch_name(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *object, *name;
    if (!PyArg_ParseTuple(arguments, "OU:torch_name", &object, &name)) {
        return NULL;
    }
    PyObject *text = PyUnicode_AsEncodedString(name, "utf-8", "replace");
    if (text == NULL) {
        return NULL;
    }
    bool named = mt_py_torch_name(object, PyBytes_AsString(text), (size_t)PyBytes_Size(text)) != NULL;
    Py_DECREF(text);
    return PyBool_FromLong(named);
}

static PyObject *torch_note(PyObject *self, PyObject *arguments)
{
    (void)self;
    const char *key, *value;
    if (!PyArg_ParseTuple(arguments, "ss:torch_note", &key, &value)) {
        return NULL;
    }
    return PyBool_FromLong(mt_py_agent() != NULL && mt_py_agent()->note(key, value) == MEMTAP_AGENT_OK);
}

/* The loop says that a step has ended. */
static PyObject *torch_step(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    if (g_loop.active) {
        g_loop.next_micro_step = (g_loop.by_hand ? g_loop.next_micro_step : g_loop.micro_step) + 1;
        g_loop.by_hand = true;
        begin_step();
    }
    Py_RETURN_NONE;
}

static PyMethodDef g_methods[] = {
    { "torch_begin", torch_begin, METH_VARARGS, "torch_begin(name, begins, device, details_every, micro_batches): hooks make rows from here on" },
    { "torch_end", torch_end, METH_NOARGS, "torch_end(): hooks do nothing" },
    { "torch_name", torch_name, METH_VARARGS, "torch_name(module, name) -> bool: it is called so in rows" },
    { "torch_note", torch_note, METH_VARARGS, "torch_note(key, value) -> bool: a note in the present recording" },
    { "torch_step", torch_step, METH_NOARGS, "torch_step(): a step has ended; optimizers no longer say it" },
    { "torch_pre_forward", torch_pre_forward, METH_VARARGS, "a global forward pre-hook of torch" },
    { "torch_post_forward", torch_post_forward, METH_VARARGS, "a global forward hook of torch" },
    { "torch_pre_step", torch_pre_step, METH_VARARGS, "a global pre-hook of optimizers" },
    { "torch_post_step", torch_post_step, METH_VARARGS, "a global post-hook of optimizers" },
    { NULL, NULL, 0, NULL },
};

int mt_py_add_torch(PyObject *module)
{
    return PyModule_AddFunctions(module, g_methods);
}
