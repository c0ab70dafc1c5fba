/* profile.c: reading traces through include/memtap/profile.h: what its types share (profile_parts.h), and the exception. */
#include "profile_parts.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static PyObject *g_trace_error; /* memtap.TraceError */

static PyObject *raise_os(PyObject *type, int number, const char *text)
{
    PyObject *arguments = Py_BuildValue("(iN)", number, mt_py_text(text));
    if (arguments != NULL) {
        PyErr_SetObject(type, arguments);
        Py_DECREF(arguments);
    }
    return NULL;
}

PyObject *mt_py_raise(const struct mt_profile_failure *failure)
{
    switch (failure->code) {
    case MT_PROFILE_NO_FILE:
        return raise_os(PyExc_FileNotFoundError, ENOENT, failure->text);
    case MT_PROFILE_NOT_ALLOWED:
        return raise_os(PyExc_PermissionError, EACCES, failure->text);
    case MT_PROFILE_IO:
        return raise_os(PyExc_OSError, EIO, failure->text);
    case MT_PROFILE_NO_MEMORY:
        PyErr_SetString(PyExc_MemoryError, failure->text);
        return NULL;
    case MT_PROFILE_USAGE:
        PyErr_SetString(PyExc_ValueError, failure->text);
        return NULL;
    case MT_PROFILE_INTERRUPTED:
        if (!PyErr_Occurred()) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
        }
        return NULL;
    default:
        PyErr_SetString(g_trace_error, failure->text);
        return NULL;
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int mt_py_turn_init(pthread_mutex_t *turn)
{
    pthread_mutexattr_t kind;
    int result = pthread_mutexattr_init(&kind);
    if (result == 0) {
        (void)pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
        result = pthread_mutex_init(turn, &kind);
        (void)pthread_mutexattr_destroy(&kind);
    }
    if (result != 0) {
        (void)PyErr_NoMemory();
    }
    return result == 0 ? 0 : -1;
}

bool mt_py_work_begin(struct mt_py_work *work, pthread_mutex_t *turn)
{
    *work = (struct mt_py_work){ .turn = turn, .state = PyEval_SaveThread(), .asked_ns = now_ns() };
    if (pthread_mutex_lock(turn) != 0) {
        PyEval_RestoreThread(work->state);
        PyErr_SetString(PyExc_RuntimeError, "this trace is being read by this thread already, further up its stack");
        return false;
    }
    return true;
}

void mt_py_work_resume(struct mt_py_work *work)
{
    PyEval_RestoreThread(work->state);
}

void mt_py_work_end(struct mt_py_work *work)
{
    (void)pthread_mutex_unlock(work->turn);
}

/* The GIL is asked for ten times a second: with busy threads each time costs their switch interval. */
bool mt_py_work_interrupted(void *context)
{
    enum { ASK_NS = 100000000 };
    struct mt_py_work *work = context;
    uint64_t now = now_ns();
    if (now - work->asked_ns < ASK_NS) {
        return false;
    }
    PyEval_RestoreThread(work->state);
    bool stop = PyErr_CheckSignals() != 0;
    work->state = PyEval_SaveThread();
    work->asked_ns = now_ns();
    return stop;
}

PyObject *mt_py_path(PyObject *path)
{
    PyObject *bytes = NULL;
    return PyUnicode_FSConverter(path, &bytes) ? bytes : NULL;
}

PyObject *mt_py_text(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

int mt_py_put(PyObject *dict, const char *key, PyObject *value)
{
    int result = value != NULL ? PyDict_SetItemString(dict, key, value) : -1;
    Py_XDECREF(value);
    return result;
}

int mt_py_add_profile(PyObject *module)
{
    g_trace_error = PyErr_NewExceptionWithDoc("memtap.TraceError",
                                              "A trace that cannot be read: what is wrong with it and what to do.", NULL,
                                              NULL);
    if (g_trace_error == NULL) {
        return -1;
    }
    Py_INCREF(g_trace_error);
    if (PyModule_AddObject(module, "TraceError", g_trace_error) != 0) {
        Py_DECREF(g_trace_error);
        return -1;
    }
    return mt_py_add_recording(module);
}
