/* tracker.h: the Python type over include/memtap/tracker.h, shared by ext/tracker*.c.
 *
 * Decides: `memtap._memtap.Tracker` is the base class of memtap.tracker.MemoryTracker; what is called a million times is here,
 * the rest is Python. Stacks are pairs of words (code object, instruction offset in bytes); the first time a stack is seen its
 * code objects get a reference for the life of the tracker, so an address names one code object for good.
 */
#ifndef MEMTAP_PYTHON_TRACKER_H
#define MEMTAP_PYTHON_TRACKER_H

#include "ext.h"
#include "memtap/tracker.h"

#include <stdbool.h>

enum { KNOWN_KINDS = 16 };

/* A string object seen as a kind, and its number. Filled once, in order; the object is referenced for good. */
struct known_kind {
    PyObject *text;
    uint32_t number;
};

struct tracker_object {
    PyObject_HEAD
    struct mt_tracker *tracker; /* NULL before __init__ */
    struct mt_event_cursor *cursor;
    char has_publishers;        /* call self._publish() after every report */
    uint32_t known_count;
    struct known_kind known[KNOWN_KINDS];
};

/* The tracker, or NULL with RuntimeError. */
struct mt_tracker *mt_py_tracker_of(PyObject *self);
/* Sets the exception of a code of tracker.h; NULL, or None for 0. */
PyObject *mt_py_tracker_result(int code);
/* Integers of Python; false with an exception. Range errors are memtap.gcmonitor.RangeError (a ValueError). */
bool mt_py_address(PyObject *value, uint64_t *ret);
bool mt_py_size(PyObject *value, int64_t *ret);
PyObject *mt_py_range_error(void); /* borrowed */
/* Gives every one of count parameters its value; the last `optional` may stay NULL. */
bool mt_py_tracker_bind(const char *function, const char *const *names, Py_ssize_t count, Py_ssize_t optional,
                        PyObject *const *given, Py_ssize_t positional, PyObject *keywords, PyObject **values);
/* Number of a kind given as str; false with TypeError or ValueError. */
bool mt_py_tracker_kind_of(struct tracker_object *self, PyObject *text, uint32_t *ret);

/* The caller's Python stack as the number of a stack; 0: none. */
uint32_t mt_py_tracker_stack(struct mt_tracker *tracker);
/* Finds what the interpreter has to offer for that. */
int mt_py_tracker_stack_init(void);
void mt_py_tracker_release_stacks(const struct mt_tracker *tracker);

/* Methods of tracker_query.c. */
PyObject *mt_py_tracker_statistics(PyObject *self, PyObject *arguments);
PyObject *mt_py_tracker_all_statistics(PyObject *self, PyObject *unused);
PyObject *mt_py_tracker_kinds(PyObject *self, PyObject *unused);
PyObject *mt_py_tracker_events(PyObject *self, PyObject *arguments);
PyObject *mt_py_tracker_follow(PyObject *self, PyObject *from_start);
PyObject *mt_py_tracker_next_events(PyObject *self, PyObject *unused);
PyObject *mt_py_tracker_leaks(PyObject *self, PyObject *arguments);
PyObject *mt_py_tracker_frames(PyObject *self, PyObject *number);

/* The type TraceWriter of tracker_trace.c. */
int mt_py_add_trace_writer(PyObject *module);

#endif
