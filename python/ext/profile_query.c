/* profile_query.c: Recording.query: rows of SQL as tuples. The query runs without the GIL, objects are made of the whole answer. */
#include "profile_recording.h"

static PyObject *object_of(const struct mt_answer_value *value)
{
    switch (value->type) {
    case MT_ANSWER_INTEGER:
        return PyLong_FromLongLong(value->integer);
    case MT_ANSWER_REAL:
        return PyFloat_FromDouble(value->real);
    case MT_ANSWER_TEXT:
        return PyUnicode_DecodeUTF8(value->text, (Py_ssize_t)value->bytes, "surrogateescape");
    case MT_ANSWER_NULL:
    default:
        Py_RETURN_NONE;
    }
}

static PyObject *row_of(const struct mt_answer *answer, size_t row)
{
    size_t columns = mt_answer_columns(answer);
    PyObject *tuple = PyTuple_New((Py_ssize_t)columns);
    for (size_t i = 0; tuple != NULL && i < columns; i++) {
        struct mt_answer_value value = mt_answer_value(answer, row, i);
        PyObject *object = object_of(&value);
        if (object == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, object) != 0) {
            Py_DECREF(tuple);
            return NULL;
        }
    }
    return tuple;
}

/* List of as many objects as make gives. */
static PyObject *list_of(const struct mt_answer *answer, size_t count, PyObject *(*make)(const struct mt_answer *answer, size_t i))
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = make(answer, i);
        if (item == NULL || PyList_Append(list, item) != 0) {
            Py_XDECREF(item);
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(item);
    }
    return list;
}

static PyObject *name_of(const struct mt_answer *answer, size_t column)
{
    return mt_py_text(mt_answer_column(answer, column));
}

static PyObject *result_of(const struct mt_answer *answer)
{
    PyObject *names = list_of(answer, mt_answer_columns(answer), name_of);
    PyObject *rows = names != NULL ? list_of(answer, mt_answer_rows(answer), row_of) : NULL;
    PyObject *result = rows != NULL ? PyTuple_Pack(2, names, rows) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(rows);
    return result;
}

PyObject *mt_py_recording_query(PyObject *object, PyObject *args)
{
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = { .code = MT_PROFILE_USAGE, .text = "the trace is closed: open it again with memtap.open" };
    struct mt_answer *answer = NULL;
    struct mt_py_work work;
    const char *sql;
    if (!PyArg_ParseTuple(args, "s:query", &sql) || !mt_py_work_begin(&work, &self->turn)) {
        return NULL;
    }
    int code = failure.code;
    if (self->recording != NULL) {
        code = mt_recording_query(self->recording, sql, mt_py_work_interrupted, &work, &answer, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK ? result_of(answer) : mt_py_raise(&failure);
    mt_answer_free(answer);
    return result;
}
