/* profile_recording.c: memtap._memtap.Recording: reports and conversions of traces, and EventReader: their events.
 *
 *     recording = Recording([path, ...])
 *     text = recording.report("tree", by="function", rows=10)     # JSON, as `memtap tree -f json`
 *     recording.export(path, format, selection="leaks")
 *     reader = recording.events(trace=0); data = reader.next(1000)  # bytes: an array of struct mt_profile_event
 *
 * Everything that reads a trace does so without the GIL.
 */
#include "profile_recording.h"

#include <stdlib.h>
#include <string.h>

struct event_reader {
    PyObject_HEAD
    pthread_mutex_t turn;
    struct mt_event_reader *reader; /* NULL: closed */
};

static PyObject *g_event_reader_type;

static const struct mt_profile_failure g_closed = {
    .code = MT_PROFILE_USAGE, .text = "the trace is closed: open it again with memtap.open"
};

/* ---- queries --------------------------------------------------------------------------------------------------- */

static struct mt_profile_query new_query(struct mt_py_work *work)
{
    return (struct mt_profile_query){
        .struct_bytes = sizeof(struct mt_profile_query), .interrupted = mt_py_work_interrupted, .context = work
    };
}

static bool report_number(const char *name, enum mt_profile_report *ret)
{
    static const char *const names[] = { "stats", "summary", "tree", "table", "leaks", "parse", "timeline",
                                         "lifetimes" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum mt_profile_report)i;
            return true;
        }
    }
    PyErr_Format(PyExc_ValueError, "there is no report \"%s\"", name);
    return false;
}

enum { WRAPPERS_MAX = 64 };

/* The bytes objects of a tuple, which keeps them, as a NULL-terminated array; given may be NULL. */
static bool read_wrappers(PyObject *given, const char **ret)
{
    Py_ssize_t count = given != NULL ? PyTuple_Size(given) : 0;
    if (count > WRAPPERS_MAX) {
        PyErr_Format(PyExc_ValueError, "wrappers: at most %d names", WRAPPERS_MAX);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        ret[i] = PyBytes_AsString(PyTuple_GetItem(given, i));
        if (ret[i] == NULL) {
            return false;
        }
    }
    return true;
}

static PyObject *recording_report(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "", "selection", "time", "temporary_max", "thread", "by", "native", "invert", "min_age_ns", "rows",
                      "all_frames", "stacks", "wrappers", "bare", "all", "suppressions", NULL };
    struct recording *self = (struct recording *)object;
    struct mt_py_work work;
    struct mt_profile_query query = new_query(&work);
    enum mt_profile_report report;
    const char *name;
    unsigned int temporary_max = 1;
    unsigned long long min_age_ns = 0, rows = 0;
    int native = 0, invert = 0, all_frames = 0, stacks = 0, bare = 0, all = 0;
    const char *wrappers[WRAPPERS_MAX + 1] = { NULL };
    PyObject *names_given = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|$zzIzzppKKppO!ppy:report", MT_PY_NAMES(names), &name, &query.selection, &query.time,
                                     &temporary_max, &query.thread, &query.by, &native, &invert, &min_age_ns, &rows,
                                     &all_frames, &stacks, &PyTuple_Type, &names_given, &bare, &all,
                                     &query.suppressions) ||
        !report_number(name, &report) || !read_wrappers(names_given, wrappers)) {
        return NULL;
    }
    mt_py_set_temporary(&query, temporary_max);
    query.all = all != 0;
    query.native = native != 0;
    query.invert = invert != 0;
    query.all_frames = all_frames != 0;
    query.stacks = stacks != 0;
    query.bare = bare != 0;
    query.wrappers = names_given != NULL ? wrappers : NULL;
    query.min_age_ns = min_age_ns;
    query.rows = rows;
    struct mt_profile_failure failure = g_closed;
    char *text = NULL;
    size_t bytes = 0;
    if (!mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_recording_report(self->recording, report, &query, &text, &bytes, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)bytes, "replace")
                                             : mt_py_raise(&failure);
    mt_profile_release(text);
    return result;
}

static PyObject *recording_export(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "", "", "selection", "time", "temporary_max", "thread", "native", "all_frames", "all",
                            "suppressions", NULL };
    struct recording *self = (struct recording *)object;
    struct mt_py_work work;
    struct mt_profile_query query = new_query(&work);
    struct mt_profile_failure failure = g_closed;
    PyObject *path = NULL;
    const char *format;
    unsigned int temporary_max = 1;
    int native = 0, all_frames = 0, all = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&z|$zzIzpppy:export", MT_PY_NAMES(names), PyUnicode_FSConverter, &path, &format,
                                     &query.selection, &query.time, &temporary_max, &query.thread, &native, &all_frames, &all,
                                     &query.suppressions)) {
        return NULL;
    }
    mt_py_set_temporary(&query, temporary_max);
    query.all = all != 0;
    query.native = native != 0;
    query.all_frames = all_frames != 0;
    if (!mt_py_work_begin(&work, &self->turn)) {
        Py_DECREF(path);
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_recording_export(self->recording, PyBytes_AsString(path), format, &query, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    Py_DECREF(path);
    if (code != MT_PROFILE_OK) {
        return mt_py_raise(&failure);
    }
    Py_RETURN_NONE;
}

/* ---- facts ----------------------------------------------------------------------------------------------------- */

static PyObject *info_object(const struct mt_recording_info *info, uint64_t events_read)
{
    PyObject *dict = PyDict_New();
    if (dict == NULL || mt_py_put(dict, "pid", PyLong_FromUnsignedLongLong(info->pid)) != 0 ||
        mt_py_put(dict, "start_realtime_ns", PyLong_FromUnsignedLongLong(info->start_realtime_ns)) != 0 ||
        mt_py_put(dict, "start_clock_ns", PyLong_FromUnsignedLongLong(info->start_clock_ns)) != 0 ||
        mt_py_put(dict, "duration_ns", PyLong_FromUnsignedLongLong(info->duration_ns)) != 0 ||
        mt_py_put(dict, "rate_bytes", PyLong_FromUnsignedLongLong(info->rate_bytes)) != 0 ||
        mt_py_put(dict, "file_bytes", PyLong_FromUnsignedLongLong(info->file_bytes)) != 0 ||
        mt_py_put(dict, "traces", PyLong_FromSize_t(info->traces)) != 0 ||
        mt_py_put(dict, "live", PyBool_FromLong(info->live)) != 0 ||
        mt_py_put(dict, "mode", mt_py_text(info->mode)) != 0 ||
        mt_py_put(dict, "events_read", PyLong_FromUnsignedLongLong(events_read)) != 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    return dict;
}

static PyObject *recording_info(PyObject *object, PyObject *unused)
{
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = g_closed;
    struct mt_recording_info info;
    uint64_t events_read = 0;
    struct mt_py_work work;
    (void)unused;
    if (!mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_recording_info(self->recording, &info, &failure);
        events_read = mt_recording_events_read(self->recording);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    return code == MT_PROFILE_OK ? info_object(&info, events_read) : mt_py_raise(&failure);
}

/* The files meant by the paths, folders taken apart; the list of an open recording does not change. */
static PyObject *recording_files(PyObject *object, PyObject *unused)
{
    struct recording *self = (struct recording *)object;
    PyObject *list = self->recording != NULL ? PyList_New(0) : mt_py_raise(&g_closed);
    (void)unused;
    for (size_t i = 0; list != NULL && mt_recording_path(self->recording, i) != NULL; i++) {
        PyObject *path = PyUnicode_DecodeFSDefault(mt_recording_path(self->recording, i));
        if (path == NULL || PyList_Append(list, path) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(path);
    }
    return list;
}

/* (pid, start_clock_ns, path, place) of a trace. */
static PyObject *recording_process(PyObject *object, PyObject *args)
{
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = g_closed;
    struct mt_recording_process process;
    struct mt_py_work work;
    Py_ssize_t trace;
    if (!PyArg_ParseTuple(args, "n:process", &trace) || !mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_recording_process(self->recording, (size_t)trace, &process, &failure);
    }
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK
                           ? Py_BuildValue("(KKNn)", (unsigned long long)process.pid, (unsigned long long)process.start_clock_ns,
                                           PyUnicode_DecodeFSDefault(process.path), (Py_ssize_t)process.place)
                           : mt_py_raise(&failure);
    mt_py_work_end(&work);
    return result;
}

/* ---- stacks ---------------------------------------------------------------------------------------------------- */

static PyObject *frame_object(const struct mt_snapshot_frame *frame)
{
    const char *file = frame->file[0] != '\0' ? frame->file : frame->module;
    return Py_BuildValue("(KNNkN)", (unsigned long long)frame->address, mt_py_text(frame->function), mt_py_text(file),
                         (unsigned long)frame->line, PyBool_FromLong(frame->is_python));
}

static PyObject *frames_object(const struct mt_snapshot_frame *frames, size_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *frame = frame_object(&frames[i]);
        if (frame == NULL) {
            Py_DECREF(tuple);
            return NULL;
        }
        (void)PyTuple_SetItem(tuple, (Py_ssize_t)i, frame);
    }
    return tuple;
}

/* The texts of frames are the recording's: they are copied before the turn ends. */
static PyObject *recording_stack(PyObject *object, PyObject *args)
{
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = g_closed;
    struct mt_snapshot_frame *frames = NULL;
    struct mt_py_work work;
    Py_ssize_t trace;
    unsigned long stack_id;
    int native;
    size_t count = 0;
    if (!PyArg_ParseTuple(args, "nkp:stack", &trace, &stack_id, &native) || !mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_recording_stack(self->recording, (size_t)trace, (uint32_t)stack_id, native != 0, &frames, &count,
                                  &failure);
    }
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK ? frames_object(frames, count) : mt_py_raise(&failure);
    mt_profile_release(frames);
    mt_py_work_end(&work);
    return result;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static PyObject *recording_events(PyObject *object, PyObject *args)
{
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = g_closed;
    struct mt_event_reader *reader = NULL;
    struct mt_py_work work;
    Py_ssize_t trace = 0;
    if (!PyArg_ParseTuple(args, "|n:events", &trace) || !mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = g_closed.code;
    if (self->recording != NULL) {
        code = mt_event_reader_open(self->recording, (size_t)trace, &reader, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    if (code != MT_PROFILE_OK) {
        return mt_py_raise(&failure);
    }
    PyTypeObject *type = (PyTypeObject *)g_event_reader_type;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct event_reader *made = (struct event_reader *)allocate(type, 0);
    if (made == NULL || mt_py_turn_init(&made->turn) != 0) {
        mt_event_reader_close(reader);
        Py_XDECREF(made);
        return NULL;
    }
    made->reader = reader;
    return (PyObject *)made;
}

/* The next events as the bytes of an array of struct mt_profile_event; empty at the end. */
static PyObject *event_reader_next(PyObject *object, PyObject *args)
{
    enum { EVENTS_MAX = 1 << 20 };
    struct event_reader *self = (struct event_reader *)object;
    struct mt_profile_failure failure = g_closed;
    struct mt_py_work work;
    Py_ssize_t capacity;
    size_t count = 0;
    if (!PyArg_ParseTuple(args, "n:next", &capacity)) {
        return NULL;
    }
    capacity = capacity < 1 ? 1 : capacity > EVENTS_MAX ? EVENTS_MAX : capacity;
    struct mt_profile_event *events = calloc((size_t)capacity, sizeof *events); /* padding too is zero */
    if (events == NULL) {
        return PyErr_NoMemory();
    }
    if (!mt_py_work_begin(&work, &self->turn)) {
        free(events);
        return NULL;
    }
    int code = g_closed.code;
    if (self->reader != NULL) {
        code = mt_event_reader_next(self->reader, events, (size_t)capacity, &count, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK
                           ? PyBytes_FromStringAndSize((const char *)events, (Py_ssize_t)(count * sizeof *events))
                           : mt_py_raise(&failure);
    free(events);
    return result;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

const char **mt_py_paths(PyObject *sequence, PyObject **ret_bytes, size_t *ret_count)
{
    Py_ssize_t count = PySequence_Size(sequence);
    PyObject *list = count >= 0 ? PyList_New(0) : NULL;
    const char **paths = list != NULL ? calloc((size_t)count + 1, sizeof *paths) : NULL;
    bool good = paths != NULL;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        PyObject *bytes = item != NULL ? mt_py_path(item) : NULL;
        good = bytes != NULL && PyList_Append(list, bytes) == 0;
        paths[i] = good ? PyBytes_AsString(bytes) : NULL;
        Py_XDECREF(item);
        Py_XDECREF(bytes);
    }
    if (!good) {
        (void)(PyErr_Occurred() == NULL ? PyErr_NoMemory() : NULL);
        Py_XDECREF(list);
        free(paths);
        return NULL;
    }
    *ret_bytes = list;
    *ret_count = (size_t)count;
    return paths;
}

static struct recording *open_paths(PyTypeObject *type, const char *const *paths, size_t count)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct recording *self = (struct recording *)allocate(type, 0);
    struct mt_profile_failure failure = { 0 };
    struct mt_py_work work;
    if (self == NULL || mt_py_turn_init(&self->turn) != 0 || !mt_py_work_begin(&work, &self->turn)) {
        Py_XDECREF(self);
        return NULL;
    }
    int code = mt_recording_open(paths, count, &self->recording, &failure);
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    if (code != MT_PROFILE_OK) {
        (void)mt_py_raise(&failure);
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static PyObject *recording_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "paths", NULL };
    PyObject *sequence, *bytes;
    size_t count;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Recording", MT_PY_NAMES(names), &sequence)) {
        return NULL;
    }
    const char **paths = mt_py_paths(sequence, &bytes, &count);
    if (paths == NULL) {
        return NULL;
    }
    struct recording *self = open_paths(type, paths, count);
    free(paths);
    Py_DECREF(bytes);
    return (PyObject *)self;
}

static void release(PyObject *object, pthread_mutex_t *turn)
{
    PyTypeObject *type = Py_TYPE(object);
    (void)pthread_mutex_destroy(turn);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(object);
    Py_DECREF(type);
}

static void recording_dealloc(PyObject *object)
{
    struct recording *self = (struct recording *)object;
    mt_py_drop_kept(self);
    mt_recording_close(self->recording);
    release(object, &self->turn);
}

static void event_reader_dealloc(PyObject *object)
{
    struct event_reader *self = (struct event_reader *)object;
    mt_event_reader_close(self->reader);
    release(object, &self->turn);
}

static PyObject *recording_close(PyObject *object, PyObject *unused)
{
    struct recording *self = (struct recording *)object;
    struct mt_py_work work;
    (void)unused;
    if (!mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    mt_recording_close(self->recording);
    self->recording = NULL;
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    Py_RETURN_NONE;
}

/* ---- the types ------------------------------------------------------------------------------------------------- */

#define WITH_KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef g_recording_methods[] = {
    { "report", WITH_KEYWORDS(recording_report),
      "report(name, *, selection, time, temporary_max, thread, by, native, invert, min_age_ns, rows, all_frames, stacks,\n"
      "wrappers, bare, all, suppressions) -> str: the JSON of `memtap NAME -f json`; name parse: text." },
    { "diff", WITH_KEYWORDS(mt_py_recording_diff),
      "diff(before, before_time, *, selection, time, temporary_max, thread, by, native, all_frames, rows) -> str: the JSON of\n"
      "`memtap diff -f json`; before: a sequence of paths." },
    { "export", WITH_KEYWORDS(recording_export),
      "export(path, format, *, selection, time, temporary_max, thread, native, all_frames, all, suppressions): a file for other tools." },
    { "info", recording_info, METH_NOARGS, "info() -> dict: facts of the process that started the others." },
    { "files", recording_files, METH_NOARGS, "files() -> list of the trace files' paths." },
    { "query", mt_py_recording_query, METH_VARARGS, "query(sql) -> (names, rows): the answer of `memtap query`, rows as tuples." },
    { "process", recording_process, METH_VARARGS, "process(trace) -> (pid, start_clock_ns, path, place) of a trace." },
    { "stack", recording_stack, METH_VARARGS,
      "stack(trace, stack_id, native) -> ((address, function, file, line, is_python), ...), innermost first." },
    { "snapshot", WITH_KEYWORDS(mt_py_recording_snapshot),
      "snapshot(freed_limit=0, since=0, resolve=True, trace=0) -> (live, freed, stacks, totals)\n\n"
      "live: list of (address, size, weight, timestamp_ns, thread, stack_id, label, task), oldest first; freed: the freed_limit most\n"
      "recently freed, in the order they were freed, with lifetime_ns behind; stacks: {stack_id: ((address, function,\n"
      "file, line, is_python), ...)}, innermost first; totals: dict. since: only allocations with a clock (CLOCK_MONOTONIC\n"
      "ns) of at least this. resolve=False: native frames are addresses, no binary is opened." },
    { "totals", WITH_KEYWORDS(mt_py_recording_totals),
      "totals(since=0, trace=0) -> dict\n\nThe totals of a snapshot without its samples and stacks." },
    { "events", recording_events, METH_VARARGS, "events(trace=0) -> EventReader." },
    { "close", recording_close, METH_NOARGS, "Closes the traces; further calls raise ValueError." },
    { NULL, NULL, 0, NULL },
};

static PyMethodDef g_event_reader_methods[] = {
    { "next", event_reader_next, METH_VARARGS,
      "next(count) -> bytes: at most count more events, each a struct mt_profile_event; empty at the end." },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot g_recording_slots[] = {
    { Py_tp_new, (void *)recording_new },
    { Py_tp_dealloc, (void *)recording_dealloc },
    { Py_tp_methods, g_recording_methods },
    { 0, NULL },
};
static PyType_Spec g_recording_spec = {
    .name = "memtap._memtap.Recording",
    .basicsize = sizeof(struct recording),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = g_recording_slots,
};

static PyType_Slot g_event_reader_slots[] = {
    { Py_tp_dealloc, (void *)event_reader_dealloc },
    { Py_tp_methods, g_event_reader_methods },
    { 0, NULL },
};
static PyType_Spec g_event_reader_spec = {
    .name = "memtap._memtap.EventReader",
    .basicsize = sizeof(struct event_reader),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = g_event_reader_slots,
};

/* Names by number, for events: ("unknown", "malloc", …). */
static PyObject *names_object(const char *(*name)(unsigned number))
{
    PyObject *list = PyList_New(0);
    for (unsigned i = 0; list != NULL && strcmp(name(i), "?") != 0; i++) {
        PyObject *text = mt_py_text(name(i));
        if (text == NULL || PyList_Append(list, text) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(text);
    }
    PyObject *tuple = list != NULL ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

static int add(PyObject *module, const char *name, PyObject *object)
{
    if (object == NULL || PyModule_AddObject(module, name, object) != 0) {
        Py_XDECREF(object);
        return -1;
    }
    return 0;
}

int mt_py_add_recording(PyObject *module)
{
    g_event_reader_type = PyType_FromSpec(&g_event_reader_spec);
    if (g_event_reader_type == NULL) {
        return -1;
    }
    return add(module, "Recording", PyType_FromSpec(&g_recording_spec)) == 0 &&
                   add(module, "ALLOCATORS", names_object(mt_profile_allocator_name)) == 0 &&
                   add(module, "MAP_KINDS", names_object(mt_profile_map_name)) == 0 &&
                   PyModule_AddIntConstant(module, "EVENT_BYTES", sizeof(struct mt_profile_event)) == 0
               ? 0
               : -1;
}
