/* tracker_query.c: what a tracker knows, as plain Python objects; memtap.tracker makes its classes of them.
 *
 * Decides: collecting and sorting go without the interpreter's lock; then one tuple an event or leak, names of kinds shared.
 */
#include "tracker.h"

#include <string.h>

enum { MINIMUM_AGE_DEFAULT = -1 };

/* ---- statistics ---------------------------------------------------------------------------------------------------- */

static int put_number(PyObject *dict, const char *key, uint64_t value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    int result = number == NULL ? -1 : PyDict_SetItemString(dict, key, number);
    Py_XDECREF(number);
    return result;
}

static PyObject *dict_of(const struct mt_tracker_stats *stats)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        { "total_allocated_bytes", stats->total_allocated_bytes },
        { "total_freed_bytes", stats->total_freed_bytes },
        { "current_bytes", stats->current_bytes },
        { "peak_bytes", stats->peak_bytes },
        { "allocation_count", stats->allocation_count },
        { "deallocation_count", stats->deallocation_count },
        { "reallocation_count", stats->reallocation_count },
        { "live_count", stats->live_count },
        { "mismatch_count", stats->mismatch_count },
        { "size_mismatch_count", stats->size_mismatch_count },
        { "double_allocation_count", stats->double_allocation_count },
        { "snapshot_count", stats->snapshot_count },
        { "gc_count", stats->gc_count },
        { "gc_time_ns", stats->gc_time_ns },
        { "gc0", stats->gc_count_by_generation[0] },
        { "gc1", stats->gc_count_by_generation[1] },
        { "gc2", stats->gc_count_by_generation[2] },
        { "events", stats->events },
        { "events_dropped", stats->events_dropped },
        { "records_dropped", stats->records_dropped },
        { "stacks_dropped", stats->stacks_dropped },
        { "memory_bytes", stats->memory_bytes },
    };
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        if (put_number(dict, rows[i].key, rows[i].value) != 0) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

PyObject *mt_py_tracker_statistics(PyObject *self, PyObject *arguments)
{
    const char *kind = NULL;
    struct mt_tracker *tracker = mt_py_tracker_of(self);
    struct mt_tracker_stats stats;
    if (tracker == NULL || !PyArg_ParseTuple(arguments, "s:_statistics", &kind)) {
        return NULL;
    }
    mt_stats_get_kind(tracker, kind, &stats);
    return dict_of(&stats);
}

/* Bytes alive by kind, of kinds that were ever allocated. */
static PyObject *usage_of(const struct mt_tracker *tracker, const struct mt_tracker_stats *kinds, uint32_t count)
{
    PyObject *usage = PyDict_New();
    for (uint32_t i = 0; usage != NULL && i < count; i++) {
        bool is_used = kinds[i].allocation_count != 0 || kinds[i].total_allocated_bytes != 0;
        if (is_used && put_number(usage, mt_tracker_kind_name(tracker, i), kinds[i].current_bytes) != 0) {
            Py_DECREF(usage);
            return NULL;
        }
    }
    return usage;
}

PyObject *mt_py_tracker_all_statistics(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct mt_tracker *tracker = mt_py_tracker_of(self);
    struct mt_tracker_stats stats;
    uint32_t count = tracker == NULL ? 0 : mt_tracker_kind_count(tracker);
    struct mt_tracker_stats *kinds = PyMem_Malloc(((size_t)count + 1) * sizeof *kinds);
    if (tracker == NULL || kinds == NULL) {
        PyMem_Free(kinds);
        return tracker == NULL ? NULL : PyErr_NoMemory();
    }
    mt_stats_get_all(tracker, &stats, kinds, count);
    PyObject *usage = usage_of(tracker, kinds, count);
    PyObject *totals = usage == NULL ? NULL : dict_of(&stats);
    PyMem_Free(kinds);
    return totals == NULL ? (Py_XDECREF(usage), NULL) : Py_BuildValue("(NN)", totals, usage);
}

PyObject *mt_py_tracker_kinds(PyObject *self, PyObject *unused)
{
    (void)unused;
    const struct mt_tracker *tracker = mt_py_tracker_of(self);
    uint32_t count = tracker == NULL ? 0 : mt_tracker_kind_count(tracker);
    PyObject *list = tracker == NULL ? NULL : PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(mt_tracker_kind_name(tracker, i));
        if (name == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, (Py_ssize_t)i, name);
    }
    return list;
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

/* (type, time_ns, step, address, size, total allocated, total freed, kind, stack, generation or None, duration, old address,
 * old size, unmatched) */
static PyObject *tuple_of(const struct mt_tracker_event *event, PyObject *kinds)
{
    PyObject *generation = Py_None;
    Py_INCREF(generation);
    if (event->generation >= 0) {
        Py_DECREF(generation);
        generation = PyLong_FromLong(event->generation);
    }
    return Py_BuildValue("(iKLKKKKOkNKKKO)", (int)event->type, (unsigned long long)event->time_ns, (long long)event->step,
                         (unsigned long long)event->address, (unsigned long long)event->size_bytes,
                         (unsigned long long)event->total_allocated_bytes, (unsigned long long)event->total_freed_bytes,
                         PyList_GetItem(kinds, (Py_ssize_t)event->kind), (unsigned long)event->stack, generation,
                         (unsigned long long)event->duration_ns, (unsigned long long)event->old_address,
                         (unsigned long long)event->old_size_bytes, event->unmatched ? Py_True : Py_False);
}

/* Appends one event; 0, or -1 with an exception. */
static int append_event(PyObject *list, const struct mt_tracker_event *event, PyObject *kinds)
{
    PyObject *tuple = tuple_of(event, kinds);
    int result = tuple == NULL ? -1 : PyList_Append(list, tuple);
    Py_XDECREF(tuple);
    return result;
}

static PyObject *list_of(PyObject *self, const struct mt_tracker_events *events)
{
    PyObject *kinds = mt_py_tracker_kinds(self, NULL); /* after the events: it has every kind they can have */
    PyObject *list = kinds == NULL ? NULL : PyList_New(0);
    for (size_t i = 0; list != NULL && i < events->count; i++) {
        if (append_event(list, &events->items[i], kinds) != 0) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    Py_XDECREF(kinds);
    return list;
}

PyObject *mt_py_tracker_events(PyObject *self, PyObject *arguments)
{
    struct mt_tracker *tracker = mt_py_tracker_of(self);
    unsigned long long from_ns = 0;
    unsigned long long to_ns = 0;
    long long from_step = 0;
    long long to_step = 0;
    unsigned types = 0;
    struct mt_tracker_events events = { NULL, 0, 0 };
    int code = MT_TRACKER_OK;
    if (tracker == NULL || !PyArg_ParseTuple(arguments, "KKLLI:_events", &from_ns, &to_ns, &from_step, &to_step, &types)) {
        return NULL;
    }
    struct mt_tracker_query query = { from_ns, to_ns, from_step, to_step, types };
    Py_BEGIN_ALLOW_THREADS
    code = mt_events_collect(tracker, &query, &events);
    Py_END_ALLOW_THREADS
    if (code != MT_TRACKER_OK) {
        return mt_py_tracker_result(code);
    }
    PyObject *list = list_of(self, &events);
    mt_events_release(&events);
    return list;
}

PyObject *mt_py_tracker_follow(PyObject *self, PyObject *from_start)
{
    struct tracker_object *object = (struct tracker_object *)self;
    struct mt_tracker *tracker = mt_py_tracker_of(self);
    int all = tracker == NULL ? -1 : PyObject_IsTrue(from_start);
    if (all < 0) {
        return NULL;
    }
    if (object->cursor != NULL) {
        return mt_py_tracker_result(MT_TRACKER_OK);
    }
    return mt_py_tracker_result(mt_event_cursor_open(tracker, all != 0, &object->cursor));
}

PyObject *mt_py_tracker_next_events(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct tracker_object *object = (struct tracker_object *)self;
    struct mt_tracker_event event;
    PyObject *list = PyList_New(0);
    PyObject *kinds = NULL;
    while (list != NULL && object->cursor != NULL && mt_event_next(object->cursor, &event)) {
        if (kinds == NULL || (Py_ssize_t)event.kind >= PyList_Size(kinds)) {
            Py_XDECREF(kinds);
            kinds = mt_py_tracker_kinds(self, NULL);
        }
        if (kinds == NULL || append_event(list, &event, kinds) != 0) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    Py_XDECREF(kinds);
    return list;
}

/* ---- leaks ----------------------------------------------------------------------------------------------------------- */

/* (address, size, kind, stack, time_ns, age_ns) */
static PyObject *tuple_of_leak(const struct mt_tracker_leak *leak, PyObject *kinds)
{
    return Py_BuildValue("(KKOkKK)", (unsigned long long)leak->address, (unsigned long long)leak->size_bytes,
                         PyList_GetItem(kinds, (Py_ssize_t)leak->kind), (unsigned long)leak->stack,
                         (unsigned long long)leak->time_ns, (unsigned long long)leak->age_ns);
}

static PyObject *list_of_leaks(PyObject *self, const struct mt_tracker_leaks *leaks)
{
    PyObject *kinds = mt_py_tracker_kinds(self, NULL);
    PyObject *list = kinds == NULL ? NULL : PyList_New((Py_ssize_t)leaks->count);
    for (size_t i = 0; list != NULL && i < leaks->count; i++) {
        PyObject *tuple = tuple_of_leak(&leaks->items[i], kinds);
        if (tuple == NULL) {
            Py_DECREF(list);
            list = NULL;
        } else {
            PyList_SetItem(list, (Py_ssize_t)i, tuple);
        }
    }
    Py_XDECREF(kinds);
    return list;
}

PyObject *mt_py_tracker_leaks(PyObject *self, PyObject *arguments)
{
    struct mt_tracker *tracker = mt_py_tracker_of(self);
    struct mt_tracker_leaks leaks = { NULL, 0, 0 };
    long long min_age_ms = MINIMUM_AGE_DEFAULT;
    int code = MT_TRACKER_OK;
    if (tracker == NULL || !PyArg_ParseTuple(arguments, "|L:_leaks", &min_age_ms)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    code = mt_leaks_detect(tracker, min_age_ms, &leaks);
    Py_END_ALLOW_THREADS
    if (code != MT_TRACKER_OK) {
        return mt_py_tracker_result(code);
    }
    PyObject *list = list_of_leaks(self, &leaks);
    mt_leaks_release(&leaks);
    return list;
}
