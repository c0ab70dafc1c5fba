/* tracker_stack.c: the Python stack of a report, as cheaply as the interpreter allows.
 *
 * Decides: a frame is (code object, instruction offset in bytes); lines are worked out when somebody looks. Which calls
 * exist differs by version, so they are looked up in the running interpreter: PyFrame_GetBack and PyFrame_GetCode are there
 * from 3.9, PyFrame_GetLasti from 3.11 (public C API, not in the limited API of 3.8); what is missing is asked by attribute.
 */
#include "tracker.h"

#include <dlfcn.h>
#include <string.h>

typedef PyObject *(*frame_to_object)(PyObject *frame);
typedef int (*frame_to_int)(PyObject *frame);
typedef PyObject *(*current_frame)(void);

static struct {
    current_frame current;   /* borrowed reference */
    frame_to_object back;    /* new reference, NULL at the end; the function or NULL */
    frame_to_object code;    /* new reference */
    frame_to_int lasti;
    PyObject *name_back, *name_code, *name_lasti;
} g_frames;

static void *find_function(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

int mt_py_tracker_stack_init(void)
{
    void *functions[4] = { find_function("PyEval_GetFrame"), find_function("PyFrame_GetBack"),
                           find_function("PyFrame_GetCode"), find_function("PyFrame_GetLasti") };
    memcpy(&g_frames.current, &functions[0], sizeof functions[0]); /* object to function pointer, as POSIX dlsym wants */
    memcpy(&g_frames.back, &functions[1], sizeof functions[1]);
    memcpy(&g_frames.code, &functions[2], sizeof functions[2]);
    memcpy(&g_frames.lasti, &functions[3], sizeof functions[3]);
    g_frames.name_back = PyUnicode_InternFromString("f_back");
    g_frames.name_code = PyUnicode_InternFromString("f_code");
    g_frames.name_lasti = PyUnicode_InternFromString("f_lasti");
    return g_frames.name_back != NULL && g_frames.name_code != NULL && g_frames.name_lasti != NULL ? 0 : -1;
}

static PyObject *attribute(PyObject *frame, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(frame, name);
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

static int64_t frame_lasti(PyObject *frame)
{
    if (g_frames.lasti != NULL) {
        return g_frames.lasti(frame);
    }
    PyObject *value = attribute(frame, g_frames.name_lasti);
    long lasti = value == NULL ? -1 : PyLong_AsLong(value);
    Py_XDECREF(value);
    if (lasti == -1) {
        PyErr_Clear();
    }
    return lasti;
}

/* New references, NULL: none. */
static PyObject *frame_code(PyObject *frame)
{
    return g_frames.code != NULL ? g_frames.code(frame) : attribute(frame, g_frames.name_code);
}

static PyObject *frame_back(PyObject *frame)
{
    if (g_frames.back != NULL) {
        return g_frames.back(frame);
    }
    PyObject *back = attribute(frame, g_frames.name_back);
    if (back == Py_None) {
        Py_DECREF(back);
        return NULL;
    }
    return back;
}

/* The frames hold their code objects while this thread runs, so the addresses are good until keep_codes. */
static size_t walk(uint64_t *words, size_t depth)
{
    size_t frames = 0;
    PyObject *frame = g_frames.current == NULL ? NULL : g_frames.current();
    Py_XINCREF(frame);
    while (frame != NULL && frames < depth) {
        PyObject *code = frame_code(frame);
        words[2 * frames] = (uint64_t)(uintptr_t)code;
        words[2 * frames + 1] = (uint64_t)frame_lasti(frame);
        frames += code != NULL;
        Py_XDECREF(code);
        PyObject *back = frame_back(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return frames;
}

static PyObject *object_at(uint64_t word)
{
    return (PyObject *)(uintptr_t)word;
}

uint32_t mt_py_tracker_stack(struct mt_tracker *tracker)
{
    uint64_t words[MT_TRACKER_STACK_MAX_WORDS];
    size_t depth = mt_tracker_stack_depth(tracker);
    bool is_new = false;
    size_t frames = walk(words, depth < MT_TRACKER_STACK_MAX_WORDS / 2 ? depth : MT_TRACKER_STACK_MAX_WORDS / 2);
    if (frames == 0) {
        return 0;
    }
    uint32_t number = mt_tracker_stack(tracker, words, 2 * frames, &is_new);
    for (size_t i = 0; is_new && i < frames; i++) {
        Py_INCREF(object_at(words[2 * i]));
    }
    return number;
}

static void release_stack(void *context, const uint64_t *words, size_t count)
{
    (void)context;
    for (size_t i = 0; i + 1 < count; i += 2) {
        Py_DECREF(object_at(words[i]));
    }
}

void mt_py_tracker_release_stacks(const struct mt_tracker *tracker)
{
    mt_tracker_visit_stacks(tracker, release_stack, NULL);
}

PyObject *mt_py_tracker_frames(PyObject *self, PyObject *number)
{
    const struct mt_tracker *tracker = mt_py_tracker_of(self);
    unsigned long stack = tracker == NULL ? 0 : PyLong_AsUnsignedLong(number);
    size_t count = 0;
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    const uint64_t *words = mt_tracker_stack_words(tracker, (uint32_t)stack, &count);
    PyObject *list = PyList_New((Py_ssize_t)(count / 2));
    for (size_t i = 0; list != NULL && i < count / 2; i++) {
        PyObject *pair = Py_BuildValue("(OL)", object_at(words[2 * i]), (long long)words[2 * i + 1]);
        if (pair == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, (Py_ssize_t)i, pair);
    }
    return list;
}
