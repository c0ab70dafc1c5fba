/* pyapi.h: the functions of CPython's C API that eval needs, found at run time in whatever object has them.
 *
 * Decides: which functions: all are exported by 3.8 to 3.14 under these names with these types, most of them of the stable
 * ABI; and that Python is asked whether it is ending before the GIL is asked for: a thread that asks later is ended or hangs.
 * The structures are those of the stable ABI (PEP 384). Internal to agent/. Context: [agent].
 */
#ifndef MT_AGENT_PYAPI_H
#define MT_AGENT_PYAPI_H

#include "pystack/pystack.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mt_py_object mt_py; /* PyObject, never looked into */

typedef mt_py *(*mt_py_function)(mt_py *self, mt_py *args);
struct mt_py_method { /* PyMethodDef */
    const char *name;
    mt_py_function function;
    int flags;
    const char *doc;
};
enum { MT_PY_VARARGS = 1 };

struct mt_py_slot { /* PyType_Slot; numbers of typeslots.h, which never change */
    int slot;
    void *function;
};
struct mt_py_spec { /* PyType_Spec */
    const char *name;
    int basicsize, itemsize;
    unsigned flags;
    struct mt_py_slot *slots;
};
enum { MT_PY_DEALLOC = 52, MT_PY_GETATTRO = 58, MT_PY_ITER = 62, MT_PY_ITERNEXT = 63, MT_PY_METHODS = 64, MT_PY_REPR = 66, MT_PY_SETATTRO = 69, MT_PY_FREE = 74 };
enum { MT_PY_FILE_INPUT = 257 };

/*        result          name                        parameters */
#define MT_PY_FUNCTIONS(X)                                                        \
    X(int, Py_IsInitialized, (void))                                              \
    X(int, PyGILState_Ensure, (void))                                             \
    X(void, PyGILState_Release, (int state))                                      \
    X(void *, PyEval_SaveThread, (void))                                          \
    X(void, PyEval_RestoreThread, (void *thread))                                 \
    X(int, PyThreadState_SetAsyncExc, (unsigned long thread, mt_py *exception))   \
    X(void *, PyInterpreterState_Main, (void))                                    \
    X(mt_py *, PyInterpreterState_GetDict, (void *interpreter))                   \
    X(mt_py *, Py_CompileString, (const char *text, const char *file, int start)) \
    X(mt_py *, PyEval_EvalCode, (mt_py *code, mt_py *globals, mt_py *locals))     \
    X(mt_py *, PyEval_GetBuiltins, (void))                                        \
    X(mt_py *, PyDict_New, (void))                                                \
    X(mt_py *, PyDict_GetItemString, (mt_py *dict, const char *key))              \
    X(int, PyDict_SetItemString, (mt_py *dict, const char *key, mt_py *value))    \
    X(mt_py *, PyBytes_FromStringAndSize, (const char *text, ptrdiff_t bytes))    \
    X(char *, PyBytes_AsString, (mt_py *bytes))                                   \
    X(ptrdiff_t, PyBytes_Size, (mt_py *bytes))                                    \
    X(mt_py *, PyUnicode_FromString, (const char *text))                          \
    X(long, PyLong_AsLong, (mt_py *number))                                       \
    X(mt_py *, PyTuple_GetItem, (mt_py *tuple, ptrdiff_t at))                     \
    X(ptrdiff_t, PyTuple_Size, (mt_py *tuple))                                    \
    X(mt_py *, PyTuple_GetSlice, (mt_py *tuple, ptrdiff_t from, ptrdiff_t to))    \
    X(mt_py *, PyObject_CallObject, (mt_py *callable, mt_py *args))               \
    X(mt_py *, PyObject_CallFunctionObjArgs, (mt_py *callable, ...))              \
    X(mt_py *, PyObject_GetAttr, (mt_py *object, mt_py *name))                    \
    X(mt_py *, PyObject_GetAttrString, (mt_py *object, const char *name))         \
    X(int, PyObject_SetAttr, (mt_py *object, mt_py *name, mt_py *value))          \
    X(int, PyObject_GenericSetAttr, (mt_py *object, mt_py *name, mt_py *value))   \
    X(mt_py *, PyObject_GetIter, (mt_py *object))                                 \
    X(mt_py *, PyObject_Repr, (mt_py *object))                                    \
    X(mt_py *, PyCFunction_NewEx, (struct mt_py_method *method, mt_py *self, mt_py *module)) \
    X(mt_py *, PyType_FromSpec, (struct mt_py_spec *spec))                        \
    X(mt_py *, PyType_FromSpecWithBases, (struct mt_py_spec *spec, mt_py *bases)) \
    X(void *, PyType_GetSlot, (mt_py *type, int slot))                            \
    X(mt_py *, PySys_GetObject, (const char *name))                               \
    X(int, PySys_SetObject, (const char *name, mt_py *value))                     \
    X(int, PyList_Append, (mt_py *list, mt_py *value))                            \
    X(mt_py *, PyTuple_Pack, (ptrdiff_t count, ...))                              \
    X(void, PyErr_Clear, (void))                                                  \
    X(void, Py_IncRef, (mt_py *object))                                           \
    X(void, Py_DecRef, (mt_py *object))

struct mt_py_api {
#define MT_PY_MEMBER(result, name, parameters) result(*name) parameters;
    MT_PY_FUNCTIONS(MT_PY_MEMBER)
#undef MT_PY_MEMBER
    int (*is_finalizing)(void);
    mt_py *none, *object_type, *module_type; /* borrowed */
    struct mt_python_info info;
};

/* NULL: no Python in this process, or one that lacks a function (a program that embeds a part of it). Found once. */
const struct mt_py_api *mt_py_api(void);
/* May a thread ask for the GIL? False: Python has not started, or is ending. */
bool mt_py_is_ready(const struct mt_py_api *py);

#endif
