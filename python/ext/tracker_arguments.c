/* tracker_arguments.c: what a report is made of, from Python objects.
 *
 * Decides: numbers may be anything with __index__; an address is unsigned, a size is not negative, and both say so in a
 * RangeError. The usual case, small positive integers and a kind seen before, takes one call a number and a pointer compare.
 */
#include "tracker.h"

static bool large_address(PyObject *value, uint64_t *ret)
{
    PyErr_Clear();
    PyObject *number = PyNumber_Index(value);
    unsigned long long address = number == NULL ? 0 : PyLong_AsUnsignedLongLong(number);
    Py_XDECREF(number);
    if (PyErr_Occurred() == NULL) {
        *ret = address;
        return true;
    }
    if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Format(mt_py_range_error(), "an address must be in 0 ... 2**64 - 1, not %R", value);
    }
    return false;
}

bool mt_py_address(PyObject *value, uint64_t *ret)
{
    long long address = PyLong_AsLongLong(value);
    if (address >= 0) {
        *ret = (uint64_t)address;
        return true;
    }
    return large_address(value, ret);
}

bool mt_py_size(PyObject *value, int64_t *ret)
{
    long long size = PyLong_AsLongLong(value);
    if (size >= 0) {
        *ret = size;
        return true;
    }
    if (PyErr_Occurred() == NULL || PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        PyErr_Format(mt_py_range_error(), "a size in bytes must be in 0 ... 2**63 - 1, not %R", value);
    }
    return false;
}

/* Puts keyword arguments behind the positional ones, by name. False with TypeError. */
static bool bind_keywords(const char *function, const char *const *names, PyObject **values, Py_ssize_t positional,
                          Py_ssize_t count, PyObject *const *given, PyObject *keywords)
{
    for (Py_ssize_t k = 0; k < PyTuple_Size(keywords); k++) {
        PyObject *name = PyTuple_GetItem(keywords, k);
        Py_ssize_t i = 0;
        while (i < count && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) {
            i++;
        }
        if (i == count || values[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got %s argument %R", function, i == count ? "an unknown" : "twice the", name);
            return false;
        }
        values[i] = given[positional + k];
    }
    return true;
}

bool mt_py_tracker_bind(const char *function, const char *const *names, Py_ssize_t count, Py_ssize_t optional,
                        PyObject *const *given, Py_ssize_t positional, PyObject *keywords, PyObject **values)
{
    if (positional > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", function, count, positional);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        values[i] = i < positional ? given[i] : NULL;
    }
    if (keywords != NULL && !bind_keywords(function, names, values, positional, count, given, keywords)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < count - optional; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", function, names[i]);
            return false;
        }
    }
    return true;
}

/* A kind for the first time. */
static bool new_kind(struct tracker_object *self, PyObject *text, uint32_t *ret)
{
    char *name = NULL;
    Py_ssize_t bytes = 0;
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "an allocation type must be a str, not %R", (PyObject *)Py_TYPE(text));
        return false;
    }
    PyObject *utf8 = PyUnicode_AsUTF8String(text);
    if (utf8 == NULL || PyBytes_AsStringAndSize(utf8, &name, &bytes) != 0) {
        Py_XDECREF(utf8);
        return false;
    }
    int code = mt_tracker_kind(self->tracker, name, (size_t)bytes, ret);
    Py_DECREF(utf8);
    if (code != MT_TRACKER_OK) {
        PyErr_Format(PyExc_ValueError, "an allocation type must have 1 to %d bytes and no NUL, not %R",
                     (int)MT_TRACKER_KIND_MAX_BYTES, text);
        return false;
    }
    if (self->known_count < KNOWN_KINDS) {
        Py_INCREF(text);
        self->known[self->known_count++] = (struct known_kind){ text, *ret };
    }
    return true;
}

bool mt_py_tracker_kind_of(struct tracker_object *self, PyObject *text, uint32_t *ret)
{
    for (uint32_t i = 0; i < self->known_count; i++) {
        if (self->known[i].text == text) {
            *ret = self->known[i].number;
            return true;
        }
    }
    return new_kind(self, text, ret);
}
