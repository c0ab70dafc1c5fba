/* tracker.c: reporting to the exact tracker from Python; the type (tracker.h) and what is called often.
 *
 * Decides: methods take their arguments as a C array (METH_FASTCALL): the convention and its flag have been the same since
 * 3.7 and are part of the stable ABI from 3.10 on; the headers of the limited API 3.8 only leave the name out. A tuple a call
 * would cost a tenth of the budget. Kinds are recognised by the string object first (a literal is the same every time).
 */
#include "tracker.h"

#include <limits.h>
#include <string.h>

#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080 /* Include/methodobject.h, unchanged from CPython 3.7 to 3.14 */
#endif

static PyObject *g_range_error;
static PyObject *g_publish_name;

PyObject *mt_py_range_error(void)
{
    return g_range_error != NULL ? g_range_error : PyExc_ValueError;
}

struct mt_tracker *mt_py_tracker_of(PyObject *self)
{
    struct mt_tracker *tracker = ((struct tracker_object *)self)->tracker;
    if (tracker == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the tracker has no state: call its __init__");
    }
    return tracker;
}

PyObject *mt_py_tracker_result(int code)
{
    switch (code) {
    case MT_TRACKER_OK:
        Py_INCREF(Py_None);
        return Py_None;
    case MT_TRACKER_NO_MEMORY:
        return PyErr_NoMemory();
    case MT_TRACKER_RANGE:
        PyErr_SetString(mt_py_range_error(), mt_tracker_code_text(code));
        return NULL;
    case MT_TRACKER_ARGUMENT:
        PyErr_SetString(PyExc_ValueError, mt_tracker_code_text(code));
        return NULL;
    default:
        PyErr_SetString(PyExc_OSError, mt_tracker_code_text(code));
        return NULL;
    }
}

/* ---- reporting ---------------------------------------------------------------------------------------------------- */

/* Hands new events to the publishers (memtap.tracker), then gives the result. */
static PyObject *published(struct tracker_object *self, int code)
{
    if (self->has_publishers && code == MT_TRACKER_OK) {
        return PyObject_CallMethodObjArgs((PyObject *)self, g_publish_name, NULL);
    }
    return mt_py_tracker_result(code);
}

static PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

static bool is_off(const struct tracker_object *self)
{
    return self->tracker != NULL && !mt_tracker_is_enabled(self->tracker);
}

static PyObject *track_allocation(PyObject *object, PyObject *const *given, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = { "address", "size_bytes", "allocation_type" };
    struct tracker_object *self = (struct tracker_object *)object;
    PyObject *values[3] = { NULL, NULL, NULL };
    uint64_t address = 0;
    int64_t size = 0;
    uint32_t kind = 0;
    if (is_off(self)) {
        return none();
    }
    if (count != 3 || keywords != NULL) {
        if (!mt_py_tracker_bind("track_allocation", names, 3, 0, given, count, keywords, values)) {
            return NULL;
        }
        given = values;
    }
    if (mt_py_tracker_of(object) == NULL || !mt_py_address(given[0], &address) || !mt_py_size(given[1], &size) ||
        !mt_py_tracker_kind_of(self, given[2], &kind)) {
        return NULL;
    }
    uint32_t stack = mt_tracker_capture_stacks(self->tracker) ? mt_py_tracker_stack(self->tracker) : 0;
    return published(self, mt_track_allocation_as(self->tracker, address, size, kind, stack));
}

static PyObject *track_deallocation(PyObject *object, PyObject *const *given, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = { "address", "size_bytes" };
    struct tracker_object *self = (struct tracker_object *)object;
    PyObject *values[2] = { NULL, NULL };
    uint64_t address = 0;
    int64_t size = 0;
    if (is_off(self)) {
        return none();
    }
    if (count != 2 || keywords != NULL) {
        if (!mt_py_tracker_bind("track_deallocation", names, 2, 1, given, count, keywords, values)) {
            return NULL;
        }
        given = values;
    }
    if (mt_py_tracker_of(object) == NULL || !mt_py_address(given[0], &address) ||
        (given[1] != NULL && !mt_py_size(given[1], &size))) {
        return NULL;
    }
    return published(self, mt_track_deallocation(self->tracker, address, size));
}

static PyObject *track_reallocation(PyObject *object, PyObject *const *given, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = { "old_address", "new_address", "size_bytes" };
    struct tracker_object *self = (struct tracker_object *)object;
    PyObject *values[3] = { NULL, NULL, NULL };
    uint64_t old_address = 0;
    uint64_t new_address = 0;
    int64_t size = 0;
    if (is_off(self)) {
        return none();
    }
    if (!mt_py_tracker_bind("track_reallocation", names, 3, 0, given, count, keywords, values) ||
        mt_py_tracker_of(object) == NULL || !mt_py_address(values[0], &old_address) ||
        !mt_py_address(values[1], &new_address) || !mt_py_size(values[2], &size)) {
        return NULL;
    }
    uint32_t stack = mt_tracker_capture_stacks(self->tracker) ? mt_py_tracker_stack(self->tracker) : 0;
    return published(self, mt_track_reallocation_at(self->tracker, old_address, new_address, size, stack));
}

static PyObject *track_snapshot(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    return tracker == NULL ? NULL : published((struct tracker_object *)object, mt_track_snapshot(tracker));
}

static int generation_of(PyObject *value)
{
    long generation = PyLong_AsLong(value);
    return generation < 0 || generation >= MT_TRACKER_GENERATIONS ? -1 : (int)generation;
}

static PyObject *track_gc_start(PyObject *object, PyObject *value)
{
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    int generation = tracker == NULL ? -1 : generation_of(value);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    return published((struct tracker_object *)object, mt_track_gc_start(tracker, generation));
}

static PyObject *track_gc_end(PyObject *object, PyObject *arguments)
{
    PyObject *value = NULL;
    unsigned long long duration_ns = 0;
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    if (tracker == NULL || !PyArg_ParseTuple(arguments, "OK:track_gc_end", &value, &duration_ns)) {
        return NULL;
    }
    int generation = generation_of(value);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    return published((struct tracker_object *)object, mt_track_gc_end(tracker, generation, duration_ns));
}

/* ---- settings ------------------------------------------------------------------------------------------------------ */

static PyObject *set_enabled(PyObject *object, PyObject *on)
{
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    int value = tracker == NULL ? -1 : PyObject_IsTrue(on);
    if (value < 0) {
        return NULL;
    }
    if (value) {
        mt_tracker_enable(tracker);
    } else {
        mt_tracker_disable(tracker);
    }
    return none();
}

static PyObject *set_publishing(PyObject *object, PyObject *on)
{
    int value = PyObject_IsTrue(on);
    if (value < 0) {
        return NULL;
    }
    ((struct tracker_object *)object)->has_publishers = (char)value;
    return none();
}

static PyObject *set_step(PyObject *object, PyObject *value)
{
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    long long step = tracker == NULL ? 0 : PyLong_AsLongLong(value);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    mt_tracker_set_step(tracker, step);
    return none();
}

static PyObject *reset_peak(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    if (tracker == NULL) {
        return NULL;
    }
    mt_tracker_reset_peak(tracker);
    return none();
}

static PyObject *get_enabled(PyObject *object, void *unused)
{
    (void)unused;
    const struct mt_tracker *tracker = mt_py_tracker_of(object);
    return tracker == NULL ? NULL : PyBool_FromLong(mt_tracker_is_enabled(tracker));
}

static PyObject *get_step(PyObject *object, void *unused)
{
    (void)unused;
    const struct mt_tracker *tracker = mt_py_tracker_of(object);
    return tracker == NULL ? NULL : PyLong_FromLongLong(mt_tracker_step(tracker));
}

static PyObject *get_capture(PyObject *object, void *unused)
{
    (void)unused;
    const struct mt_tracker *tracker = mt_py_tracker_of(object);
    return tracker == NULL ? NULL : PyBool_FromLong(mt_tracker_capture_stacks(tracker));
}

static int set_capture(PyObject *object, PyObject *value, void *unused)
{
    (void)unused;
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    int on = tracker == NULL || value == NULL ? -1 : PyObject_IsTrue(value);
    if (on >= 0) {
        mt_tracker_set_capture_stacks(tracker, on != 0);
        return 0;
    }
    if (PyErr_Occurred() == NULL) {
        PyErr_SetString(PyExc_AttributeError, "capture_stack_traces cannot be deleted");
    }
    return -1;
}

static PyObject *get_depth(PyObject *object, void *unused)
{
    (void)unused;
    const struct mt_tracker *tracker = mt_py_tracker_of(object);
    return tracker == NULL ? NULL : PyLong_FromUnsignedLong(mt_tracker_stack_depth(tracker));
}

static int set_depth(PyObject *object, PyObject *value, void *unused)
{
    (void)unused;
    struct mt_tracker *tracker = mt_py_tracker_of(object);
    long depth = tracker == NULL || value == NULL ? 0 : PyLong_AsLong(value);
    if (PyErr_Occurred() != NULL) {
        return -1;
    }
    if (depth < 1 || depth > MT_TRACKER_DEPTH_MAX || mt_tracker_set_stack_depth(tracker, (uint32_t)depth) != MT_TRACKER_OK) {
        PyErr_Format(mt_py_range_error(), "max_stack_trace_depth must be in 1 ... %d, not %ld", (int)MT_TRACKER_DEPTH_MAX,
                     depth);
        return -1;
    }
    return 0;
}

/* ---- the type ------------------------------------------------------------------------------------------------------ */

static int tracker_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static char history_name[] = "history_events";
    static char *names[] = { history_name, NULL };
    struct tracker_object *self = (struct tracker_object *)object;
    struct mt_tracker_options options;
    unsigned long long history = 0;
    mt_tracker_defaults(&options);
    options.auto_snapshot = false; /* a Python thread does that: publishers want the interpreter */
    history = options.history_events;
    if (self->tracker != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a tracker is initialised once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|K:Tracker", names, &history)) {
        return -1;
    }
    options.history_events = history;
    PyObject *result = mt_py_tracker_result(mt_tracker_new(&options, &self->tracker));
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static void tracker_dealloc(PyObject *object)
{
    struct tracker_object *self = (struct tracker_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->tracker != NULL) {
        mt_event_cursor_close(self->cursor);
        mt_py_tracker_release_stacks(self->tracker);
        mt_tracker_free(self->tracker);
    }
    for (uint32_t i = 0; i < self->known_count; i++) {
        Py_DECREF(self->known[i].text);
    }
    release(object);
    Py_DECREF(type);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
static PyMethodDef g_methods[] = {
    { "track_allocation", FAST(track_allocation), METH_FASTCALL | METH_KEYWORDS,
      "track_allocation($self, /, address, size_bytes, allocation_type)\n--\n\n"
      "Reports an allocation: address (0 ... 2**64 - 1), size in bytes, and its type, any non-empty str (\"CPU\", \"GPU\",\n"
      "\"Pinned\"). At an address that is alive it counts as double_allocation and frees the old one first. Nothing happens\n"
      "while the tracker is disabled. Raises RangeError (size or address), ValueError (empty type), TypeError." },
    { "track_deallocation", FAST(track_deallocation), METH_FASTCALL | METH_KEYWORDS,
      "track_deallocation($self, /, address, size_bytes=0)\n--\n\n"
      "Reports a deallocation. The recorded size is freed; another size_bytes (0: unknown) counts as size_mismatch, an\n"
      "unknown address as mismatch. Nothing happens while the tracker is disabled. Raises RangeError, TypeError." },
    { "track_reallocation", FAST(track_reallocation), METH_FASTCALL | METH_KEYWORDS,
      "track_reallocation($self, /, old_address, new_address, size_bytes)\n--\n\n"
      "Reports that a block moved (or stayed) and has a new size; it keeps its type. The difference of the sizes is\n"
      "allocated or freed, the counts of allocations and deallocations stay. Raises RangeError, TypeError." },
    { "track_snapshot", track_snapshot, METH_NOARGS,
      "track_snapshot($self, /)\n--\n\nAdds an event of type SNAPSHOT with the totals of this moment." },
    { "track_gc_start", track_gc_start, METH_O,
      "track_gc_start($self, generation, /)\n--\n\n"
      "Reports that a collection of generation 0, 1 or 2 begins. Raises RangeError." },
    { "track_gc_end", track_gc_end, METH_VARARGS,
      "track_gc_end($self, generation, duration_ns, /)\n--\n\nReports that a collection has ended. Raises RangeError." },
    { "set_step", set_step, METH_O,
      "set_step($self, step, /)\n--\n\nThe step (of a training, a request) that events belong to from now on; any integer." },
    { "reset_peak", reset_peak, METH_NOARGS, "reset_peak($self, /)\n--\n\nPeaks begin again at what is alive now." },
    { "_set_enabled", set_enabled, METH_O, NULL },
    { "_set_publishing", set_publishing, METH_O, NULL },
    { "_statistics", mt_py_tracker_statistics, METH_VARARGS, NULL },
    { "_all_statistics", mt_py_tracker_all_statistics, METH_NOARGS, NULL },
    { "_events", mt_py_tracker_events, METH_VARARGS, NULL },
    { "_follow", mt_py_tracker_follow, METH_O, NULL },
    { "_next_events", mt_py_tracker_next_events, METH_NOARGS, NULL },
    { "_leaks", mt_py_tracker_leaks, METH_VARARGS, NULL },
    { "_frames", mt_py_tracker_frames, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef g_getset[] = {
    { "is_enabled", get_enabled, NULL, "Are reports taken? True from the start.", NULL },
    { "current_step", get_step, NULL, "The step set last; 0 at first.", NULL },
    { "capture_stack_traces", get_capture, set_capture, "Do allocations carry the Python stack of their caller?", NULL },
    { "max_stack_trace_depth", get_depth, set_depth, "Frames kept of a stack, innermost first; 1 ... 128.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyObject *set_range_error(PyObject *module, PyObject *type)
{
    (void)module;
    Py_INCREF(type);
    Py_XDECREF(g_range_error);
    g_range_error = type;
    return none();
}

static PyMethodDef g_functions[] = {
    { "_tracker_range_error", set_range_error, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

int mt_py_add_tracker(PyObject *module)
{
    static PyType_Slot slots[] = {
        { Py_tp_init, NULL }, { Py_tp_dealloc, NULL }, { Py_tp_methods, g_methods }, { Py_tp_getset, g_getset }, { 0, NULL },
    };
    static PyType_Spec spec = { "memtap._memtap.Tracker", sizeof(struct tracker_object), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots };
    initproc init = tracker_init;
    destructor dealloc = tracker_dealloc;
    memcpy(&slots[0].pfunc, &init, sizeof init);
    memcpy(&slots[1].pfunc, &dealloc, sizeof dealloc);
    g_publish_name = PyUnicode_InternFromString("_publish");
    if (g_publish_name == NULL || mt_py_tracker_stack_init() != 0 || PyModule_AddFunctions(module, g_functions) != 0) {
        return -1;
    }
    PyObject *type = PyType_FromSpec(&spec);
    return type == NULL || PyModule_AddObject(module, "Tracker", type) != 0 ? -1 : mt_py_add_trace_writer(module);
}
