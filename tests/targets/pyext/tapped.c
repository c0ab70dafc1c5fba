/* tapped.c: a small extension module, built by the tests for each interpreter.
 *
 * call(function, argument) calls back into Python; allocate(how, size) allocates a block by malloc or one of the PyMem
 * domains and keeps it. The C functions in between are real frames: case_call and case_allocate.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#define CASE __attribute__((noinline, noclone, used))

CASE static PyObject *case_call(PyObject *function, PyObject *argument)
{
    PyObject *result = PyObject_CallFunctionObjArgs(function, argument, NULL);
    __asm__ volatile("" : "+r"(result));
    return result;
}

static PyObject *call(PyObject *self, PyObject *args)
{
    PyObject *function, *argument;
    (void)self;
    return PyArg_ParseTuple(args, "OO", &function, &argument) ? case_call(function, argument) : NULL;
}

CASE static void *case_allocate(const char *how, size_t bytes)
{
    void *p = NULL;
    if (strcmp(how, "malloc") == 0) {
        p = malloc(bytes);
    } else if (strcmp(how, "raw") == 0) {
        p = PyMem_RawMalloc(bytes);
    } else if (strcmp(how, "mem") == 0) {
        p = PyMem_Malloc(bytes);
    } else if (strcmp(how, "object") == 0) {
        p = PyObject_Malloc(bytes);
    }
    __asm__ volatile("" : "+r"(p));
    return p;
}

static PyObject *allocate(PyObject *self, PyObject *args)
{
    const char *how;
    Py_ssize_t bytes;
    (void)self;
    if (!PyArg_ParseTuple(args, "sn", &how, &bytes)) {
        return NULL;
    }
    return PyBool_FromLong(case_allocate(how, (size_t)bytes) != NULL);
}

static PyMethodDef g_methods[] = {
    { "call", call, METH_VARARGS, "call(function, argument)" },
    { "allocate", allocate, METH_VARARGS, "allocate(how, bytes)" },
    { NULL, NULL, 0, NULL },
};
static struct PyModuleDef g_module = { PyModuleDef_HEAD_INIT, "tapped", NULL, -1, g_methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit_tapped(void)
{
    return PyModule_Create(&g_module);
}
