/* tracker_trace.c: `memtap._memtap.TraceWriter`, the trace writer of include/memtap/tracker.h.
 *
 * Decides: names that are not valid UTF-8 (lone surrogates) are written with backslashes. For memtap.tracker.TraceStorage.
 */
#include "tracker.h"

#include <string.h>

struct writer_object {
    PyObject_HEAD
    struct mt_trace_writer *writer; /* NULL before __init__ and after close() */
};

static struct mt_trace_writer *writer_of(PyObject *self)
{
    struct mt_trace_writer *writer = ((struct writer_object *)self)->writer;
    if (writer == NULL) {
        PyErr_SetString(PyExc_ValueError, "the trace is closed");
    }
    return writer;
}

static int writer_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *path = NULL;
    struct writer_object *object = (struct writer_object *)self;
    (void)keywords;
    if (object->writer != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a writer is initialised once");
        return -1;
    }
    if (!PyArg_ParseTuple(arguments, "O&:TraceWriter", PyUnicode_FSConverter, &path)) {
        return -1;
    }
    int code = mt_trace_writer_open(PyBytes_AsString(path), &object->writer);
    if (code == MT_TRACKER_IO) {
        PyErr_Format(PyExc_OSError, "%R: the trace cannot be made; the file must not exist yet and its folder must", path);
    } else if (code != MT_TRACKER_OK) {
        PyObject *result = mt_py_tracker_result(code);
        Py_XDECREF(result);
    }
    Py_DECREF(path);
    return code == MT_TRACKER_OK ? 0 : -1;
}

static void writer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    (void)mt_trace_writer_close(((struct writer_object *)self)->writer);
    release(self);
    Py_DECREF(type);
}

/* put(type, time_ns, address, size_bytes, old_address, unmatched, stack) */
static PyObject *put(PyObject *self, PyObject *arguments)
{
    struct mt_trace_writer *writer = writer_of(self);
    int type = 0;
    int unmatched = 0;
    unsigned long long time_ns = 0;
    unsigned long long address = 0;
    unsigned long long size = 0;
    unsigned long long old_address = 0;
    unsigned long stack = 0;
    if (writer == NULL ||
        !PyArg_ParseTuple(arguments, "iKKKKpk:put", &type, &time_ns, &address, &size, &old_address, &unmatched, &stack)) {
        return NULL;
    }
    struct mt_tracker_event event = { .time_ns = time_ns, .address = address, .size_bytes = size, .old_address = old_address,
                                      .type = (uint8_t)type, .generation = -1, .unmatched = unmatched != 0 };
    return mt_py_tracker_result(mt_trace_writer_put(writer, &event, (uint32_t)stack));
}

/* Fills frames from tuples (function, file, line); their texts are referenced by keep, a list. */
static bool read_frames(PyObject *list, PyObject *keep, struct mt_tracker_frame *frames, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *function = NULL;
        PyObject *file = NULL;
        unsigned line = 0;
        if (!PyArg_ParseTuple(PyList_GetItem(list, i), "UUI", &function, &file, &line)) {
            return false;
        }
        function = PyUnicode_AsEncodedString(function, "utf-8", "backslashreplace");
        file = PyUnicode_AsEncodedString(file, "utf-8", "backslashreplace");
        bool is_kept =
            function != NULL && file != NULL && PyList_Append(keep, function) == 0 && PyList_Append(keep, file) == 0;
        if (is_kept) {
            frames[i] = (struct mt_tracker_frame){ PyBytes_AsString(function), PyBytes_AsString(file), line };
        }
        Py_XDECREF(function);
        Py_XDECREF(file);
        if (!is_kept) {
            return false;
        }
    }
    return true;
}

/* stack(list of (function, file, line), innermost first): the number of a stack */
static PyObject *stack(PyObject *self, PyObject *list)
{
    struct mt_trace_writer *writer = writer_of(self);
    struct mt_tracker_frame frames[MT_TRACKER_DEPTH_MAX + 1];
    Py_ssize_t count = PyList_Check(list) ? PyList_Size(list) : -1;
    PyObject *result = NULL;
    if (writer == NULL) {
        return NULL;
    }
    if (count < 0 || count > MT_TRACKER_DEPTH_MAX + 1) {
        PyErr_Format(PyExc_ValueError, "a list of at most %d frames is needed", MT_TRACKER_DEPTH_MAX + 1);
        return NULL;
    }
    PyObject *keep = PyList_New(0);
    if (keep != NULL && read_frames(list, keep, frames, count)) {
        result = PyLong_FromUnsignedLong(mt_trace_writer_stack(writer, frames, (size_t)count, NULL, 0));
    }
    Py_XDECREF(keep);
    return result;
}

static PyObject *finish(PyObject *self, PyObject *unused)
{
    struct writer_object *object = (struct writer_object *)self;
    struct mt_trace_writer *writer = object->writer;
    (void)unused;
    object->writer = NULL;
    return mt_py_tracker_result(mt_trace_writer_close(writer));
}

static PyMethodDef g_methods[] = {
    { "put", put, METH_VARARGS, NULL },
    { "stack", stack, METH_O, NULL },
    { "close", finish, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

int mt_py_add_trace_writer(PyObject *module)
{
    static PyType_Slot slots[] = {
        { Py_tp_init, NULL }, { Py_tp_dealloc, NULL }, { Py_tp_methods, g_methods }, { 0, NULL },
    };
    static PyType_Spec spec = { "memtap._memtap.TraceWriter", sizeof(struct writer_object), 0, Py_TPFLAGS_DEFAULT, slots };
    initproc init = writer_init;
    destructor dealloc = writer_dealloc;
    memcpy(&slots[0].pfunc, &init, sizeof init);
    memcpy(&slots[1].pfunc, &dealloc, sizeof dealloc);
    PyObject *type = PyType_FromSpec(&spec);
    return type == NULL ? -1 : PyModule_AddObject(module, "TraceWriter", type);
}
