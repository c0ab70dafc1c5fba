/* profile_snapshot.c: what is alive in a trace now, as lists and tuples: methods of memtap._memtap.Recording.
 *
 *     live, freed, stacks, totals = recording.snapshot(freed_limit=0, since=0, resolve=True, trace=0)
 *     totals = recording.totals(since=0, trace=0)
 *
 * The trace is read without the GIL; the objects are made with it. Frames become tuples once and are shared by all
 * stacks of this and later snapshots; texts too, and stacks: a later snapshot has the tuples of an earlier one.
 */
#include "profile_recording.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS = 1024, SAMPLE_FIELDS = 8, FRAME_FIELDS = 5 };

/* Objects by number; NULL: not made yet. */
struct objects {
    PyObject **items;
    size_t count;
};

/* Tuples of frames, and of stacks, of one frame_set. */
struct frame_objects {
    uint32_t set;
    struct objects frames, stacks;
};

/* Of one trace: resolved, addresses only. */
struct mt_py_kept {
    struct frame_objects frames[2];
};

/* ---- frames ---------------------------------------------------------------------------------------------------- */

static void drop_objects(struct objects *o)
{
    for (size_t i = 0; i < o->count; i++) {
        Py_XDECREF(o->items[i]);
    }
    free(o->items);
    *o = (struct objects){ 0 };
}

static void drop_frames(struct frame_objects *f)
{
    drop_objects(&f->frames);
    drop_objects(&f->stacks);
}

static bool room_for(struct objects *o, size_t count)
{
    if (count <= o->count) {
        return true;
    }
    size_t wanted = count > 2 * o->count ? count : 2 * o->count;
    PyObject **grown = realloc(o->items, wanted * sizeof(PyObject *));
    if (grown == NULL) {
        (void)PyErr_NoMemory();
        return false;
    }
    memset(grown + o->count, 0, (wanted - o->count) * sizeof(PyObject *));
    o->items = grown;
    o->count = wanted;
    return true;
}

/* For the objects of this snapshot's frames. */
static bool room_for_frames(struct frame_objects *f, const struct mt_snapshot *snapshot)
{
    if (f->set != mt_snapshot_frame_set(snapshot)) {
        drop_frames(f);
        f->set = mt_snapshot_frame_set(snapshot);
    }
    return room_for(&f->frames, mt_snapshot_frame_count(snapshot));
}

static bool is_kept(void *context, uint32_t frame_set, uint32_t stack_id)
{
    const struct frame_objects *f = context;
    return f->set == frame_set && stack_id < f->stacks.count && f->stacks.items[stack_id] != NULL;
}

/* Texts met lately, by pointer: equal texts of a recording are one pointer. */
struct texts {
    const char *from[TEXTS];
    PyObject *object[TEXTS];
};

static PyObject *text_object(struct texts *texts, const char *text)
{
    size_t at = ((uintptr_t)text >> 3) % TEXTS;
    if (texts->from[at] != text) {
        PyObject *made = mt_py_text(text);
        if (made == NULL) {
            return NULL;
        }
        Py_XDECREF(texts->object[at]);
        texts->object[at] = made;
        texts->from[at] = text;
    }
    Py_INCREF(texts->object[at]);
    return texts->object[at];
}

static void texts_fini(struct texts *texts)
{
    for (size_t i = 0; i < TEXTS; i++) {
        Py_XDECREF(texts->object[i]);
    }
}

/* Fills a new tuple with values, whose references it takes; NULL when one of them is NULL. */
static PyObject *tuple_of(PyObject *const *values, int count)
{
    bool whole = true;
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; i < count; i++) {
        whole = whole && values[i] != NULL;
        if (tuple == NULL) {
            Py_XDECREF(values[i]);
        } else if (values[i] != NULL) {
            (void)PyTuple_SetItem(tuple, i, values[i]);
        }
    }
    if (tuple != NULL && !whole) {
        Py_DECREF(tuple);
        return NULL;
    }
    return tuple;
}

/* (address, function, file, line, is_python); file is the binary where no source is known. Borrowed. */
static PyObject *frame_object(struct frame_objects *f, struct texts *texts, const struct mt_snapshot *snapshot,
                              uint32_t number)
{
    if (f->frames.items[number] == NULL) {
        struct mt_snapshot_frame frame = mt_snapshot_frame(snapshot, number);
        PyObject *values[FRAME_FIELDS] = {
            PyLong_FromUnsignedLongLong(frame.address),
            text_object(texts, frame.function),
            text_object(texts, frame.file[0] != '\0' ? frame.file : frame.module),
            PyLong_FromUnsignedLong(frame.line),
            PyBool_FromLong(frame.is_python),
        };
        f->frames.items[number] = tuple_of(values, FRAME_FIELDS);
    }
    return f->frames.items[number];
}

static PyObject *stack_object(struct frame_objects *f, struct texts *texts, const struct mt_snapshot *snapshot,
                              const struct mt_snapshot_stack *stack)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)stack->frame_count);
    for (uint32_t i = 0; tuple != NULL && i < stack->frame_count; i++) {
        PyObject *frame = frame_object(f, texts, snapshot, stack->frames[i]);
        if (frame == NULL) {
            Py_DECREF(tuple);
            return NULL;
        }
        Py_INCREF(frame);
        (void)PyTuple_SetItem(tuple, (Py_ssize_t)i, frame);
    }
    return tuple;
}

/* Makes the tuples of the stacks that are new. */
static bool keep_stacks(struct frame_objects *f, struct texts *texts, const struct mt_snapshot *snapshot)
{
    size_t count;
    const struct mt_snapshot_stack *stacks = mt_snapshot_stacks(snapshot, &count);
    if (count > 0 && !room_for(&f->stacks, (size_t)stacks[count - 1].stack_id + 1)) { /* by id: the last is the largest */
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject **kept = &f->stacks.items[stacks[i].stack_id];
        *kept = stack_object(f, texts, snapshot, &stacks[i]);
        if (*kept == NULL) {
            return false;
        }
    }
    return true;
}

static bool keep_all_stacks(struct frame_objects *f, const struct mt_snapshot *snapshot)
{
    struct texts *texts = calloc(1, sizeof *texts);
    if (texts == NULL) {
        (void)PyErr_NoMemory();
        return false;
    }
    bool kept = room_for_frames(f, snapshot) && keep_stacks(f, texts, snapshot);
    texts_fini(texts);
    free(texts);
    return kept;
}

/* The stack of each sample, by its number. */
static int put_stacks(PyObject *dict, const struct frame_objects *f, const struct mt_snapshot_sample *samples, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        PyObject *key = PyLong_FromUnsignedLong(samples[i].stack_id);
        result = key != NULL ? PyDict_SetItem(dict, key, f->stacks.items[samples[i].stack_id]) : -1;
        Py_XDECREF(key);
    }
    return result;
}

static PyObject *stacks_object(struct frame_objects *f, const struct mt_snapshot *snapshot)
{
    size_t live_count, freed_count;
    const struct mt_snapshot_sample *live = mt_snapshot_live(snapshot, &live_count);
    const struct mt_snapshot_sample *freed = mt_snapshot_freed(snapshot, &freed_count);
    PyObject *dict = keep_all_stacks(f, snapshot) ? PyDict_New() : NULL;
    if (dict != NULL && (put_stacks(dict, f, live, live_count) != 0 || put_stacks(dict, f, freed, freed_count) != 0)) {
        Py_DECREF(dict);
        return NULL;
    }
    return dict;
}

/* ---- samples --------------------------------------------------------------------------------------------------- */

/* A label as str, made once for samples in a row that share it; None: there is none. New reference. */
struct last_label {
    const char *text;
    PyObject *object; /* owned */
};

static PyObject *label_object(struct last_label *last, const char *text)
{
    if (text == NULL) {
        Py_RETURN_NONE;
    }
    if (last->text != text) {
        Py_XDECREF(last->object);
        last->object = mt_py_text(text);
        last->text = last->object != NULL ? text : NULL;
    }
    Py_XINCREF(last->object);
    return last->object;
}

/* (address, size, weight, timestamp_ns, thread, stack_id, label, task) and, of freed ones, lifetime_ns. */
static PyObject *sample_object(const struct mt_snapshot_sample *s, struct last_label last[2], bool freed)
{
    PyObject *values[SAMPLE_FIELDS + 1] = {
        PyLong_FromUnsignedLongLong(s->address),      PyLong_FromUnsignedLongLong(s->size),
        PyLong_FromUnsignedLongLong(s->weight),       PyLong_FromUnsignedLongLong(s->timestamp_ns),
        PyLong_FromUnsignedLongLong(s->tid),          PyLong_FromUnsignedLong(s->stack_id),
        label_object(&last[0], s->label),             label_object(&last[1], s->task),
        freed ? PyLong_FromUnsignedLongLong(s->lifetime_ns) : NULL,
    };
    return tuple_of(values, freed ? SAMPLE_FIELDS + 1 : SAMPLE_FIELDS);
}

static PyObject *samples_object(const struct mt_snapshot_sample *samples, size_t count, bool freed)
{
    struct last_label last[2] = { { NULL, NULL }, { NULL, NULL } };
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *sample = sample_object(&samples[i], last, freed);
        if (sample == NULL) {
            Py_DECREF(list);
            list = NULL;
        } else {
            (void)PyList_SetItem(list, (Py_ssize_t)i, sample);
        }
    }
    Py_XDECREF(last[0].object);
    Py_XDECREF(last[1].object);
    return list;
}

/* ---- totals ---------------------------------------------------------------------------------------------------- */

#define TOTALS(X)                                                                                                      \
    X(total_samples) X(live_samples) X(freed_samples) X(unique_stacks) X(live_weight_bytes) X(live_size_bytes)         \
    X(total_weight_bytes) X(rate_bytes) X(cut_ns) X(last_ns) X(start_ns) X(start_realtime_ns) X(events)                \
    X(unknown_frees) X(double_allocations) X(dropped_events) X(truncated_stacks) X(broken_stacks) X(unknown_stacks)    \
    X(python_walk_errors) X(live_table_full) X(agent_bytes) X(agent_cpu_ns)                     \
    X(trace_bytes) X(events_read)

static PyObject *totals_object(const struct mt_snapshot_totals *t)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
#define TOTALS_ROW(name) { #name, t->name },
        TOTALS(TOTALS_ROW)
#undef TOTALS_ROW
    };
    PyObject *dict = PyDict_New();
    int result = dict != NULL ? 0 : -1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && result == 0; i++) {
        result = mt_py_put(dict, rows[i].key, PyLong_FromUnsignedLongLong(rows[i].value));
    }
    if (result != 0 || mt_py_put(dict, "recording", PyBool_FromLong(t->recording)) != 0 ||
        mt_py_put(dict, "exact", PyBool_FromLong(t->exact)) != 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    return dict;
}

/* ---- methods --------------------------------------------------------------------------------------------------- */

/* Reads the trace without the GIL; NULL with an exception. The turn is kept. */
static struct mt_snapshot *take(struct recording *self, size_t trace, struct mt_snapshot_options *options, struct mt_py_work *work)
{
    struct mt_profile_failure failure = { .code = MT_PROFILE_USAGE, .text = "the trace is closed: open it again with memtap.open" };
    struct mt_snapshot *snapshot = NULL;
    options->struct_bytes = sizeof *options;
    options->interrupted = mt_py_work_interrupted;
    options->context = work;
    int code = MT_PROFILE_USAGE;
    if (self->recording != NULL) {
        code = mt_recording_snapshot(self->recording, trace, options, &snapshot, &failure);
    }
    mt_py_work_resume(work);
    if (code != MT_PROFILE_OK) {
        (void)mt_py_raise(&failure);
    }
    return snapshot;
}

static PyObject *parts_object(struct frame_objects *frames, const struct mt_snapshot *snapshot)
{
    size_t live_count, freed_count;
    const struct mt_snapshot_sample *live = mt_snapshot_live(snapshot, &live_count);
    const struct mt_snapshot_sample *freed = mt_snapshot_freed(snapshot, &freed_count);
    PyObject *values[] = {
        samples_object(live, live_count, false),
        samples_object(freed, freed_count, true),
        stacks_object(frames, snapshot),
        totals_object(mt_snapshot_totals(snapshot)),
    };
    return tuple_of(values, 4);
}

/* The objects kept of a trace; NULL with an exception. While the turn is this thread's: the array may move. */
static struct mt_py_kept *kept_of(struct recording *self, size_t trace)
{
    if (trace >= self->kept_count) {
        struct mt_py_kept *grown = realloc(self->kept, (trace + 1) * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + self->kept_count, 0, (trace + 1 - self->kept_count) * sizeof *grown);
        self->kept = grown;
        self->kept_count = trace + 1;
    }
    return &self->kept[trace];
}

static PyObject *snapshot_parts(struct recording *self, size_t trace, struct mt_snapshot_options *options, struct mt_py_work *work)
{
    struct mt_py_kept *kept = kept_of(self, trace);
    struct frame_objects *frames = kept != NULL ? &kept->frames[options->addresses_only ? 1 : 0] : NULL;
    if (frames == NULL) {
        mt_py_work_resume(work);
        return PyErr_NoMemory();
    }
    options->is_kept = is_kept;
    options->kept_context = frames;
    struct mt_snapshot *snapshot = take(self, trace, options, work);
    PyObject *parts = snapshot != NULL ? parts_object(frames, snapshot) : NULL;
    mt_snapshot_free(snapshot);
    return parts;
}

enum { TRACES_MAX = 1 << 20 };

PyObject *mt_py_recording_snapshot(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "freed_limit", "since", "resolve", "trace", NULL };
    struct recording *self = (struct recording *)object;
    Py_ssize_t freed_limit = 0, trace = 0;
    unsigned long long since = 0;
    int resolve = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nKpn:snapshot", MT_PY_NAMES(names), &freed_limit, &since, &resolve, &trace)) {
        return NULL;
    }
    if (freed_limit < 0 || trace < 0 || trace > TRACES_MAX) {
        PyErr_SetString(PyExc_ValueError, freed_limit < 0 ? "freed_limit must be 0 or more" : "there is no trace with that number");
        return NULL;
    }
    struct mt_snapshot_options options = { .freed_limit = (size_t)freed_limit, .since_ns = since, .addresses_only = resolve == 0 };
    struct mt_py_work work;
    PyObject *parts = NULL;
    if (mt_py_work_begin(&work, &self->turn)) {
        parts = snapshot_parts(self, (size_t)trace, &options, &work);
        mt_py_work_end(&work);
    }
    return parts;
}

PyObject *mt_py_recording_totals(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "since", "trace", NULL };
    struct recording *self = (struct recording *)object;
    unsigned long long since = 0;
    Py_ssize_t trace = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Kn:totals", MT_PY_NAMES(names), &since, &trace)) {
        return NULL;
    }
    struct mt_snapshot_options options = { .since_ns = since, .totals_only = true };
    struct mt_py_work work;
    PyObject *totals = NULL;
    if (mt_py_work_begin(&work, &self->turn)) {
        struct mt_snapshot *snapshot = take(self, trace < 0 ? SIZE_MAX : (size_t)trace, &options, &work);
        totals = snapshot != NULL ? totals_object(mt_snapshot_totals(snapshot)) : NULL;
        mt_snapshot_free(snapshot);
        mt_py_work_end(&work);
    }
    return totals;
}

void mt_py_drop_kept(struct recording *self)
{
    for (size_t i = 0; i < self->kept_count; i++) {
        drop_frames(&self->kept[i].frames[0]);
        drop_frames(&self->kept[i].frames[1]);
    }
    free(self->kept);
    self->kept = NULL;
    self->kept_count = 0;
}
