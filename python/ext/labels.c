/* labels.c: what the calling thread works for, kept across awaits.
 *
 * Decides: a label of the program lives in a context variable; a thread's label is that of the context it runs in. Python tells
 * nobody of most context switches before 3.14, so the method contextvars.Context.run, through which event loops run every
 * step of every task (asyncio, uvloop, trio, asyncio.to_thread), is given a body of ours once labels are used: it labels the
 * thread as the context says, runs the old body and puts the thread's labels back. The name of an asyncio task is that of
 * the task whose method is being run; what runs inside it inherits it. docs/decisions/0045 says why so.
 * Invariant: what a thread wears is what the agent has been told of it. The GIL is held throughout.
 */
#include "labels.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { LAST_MINOR_KNOWN = 14, TYPES_REMEMBERED = 8, FLAGS_OF_RUN = 0x80 | 0x02 /* METH_FASTCALL | METH_KEYWORDS */ };

typedef PyObject *(*run_function)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

/* What CPython 3.8 to 3.14 has behind a method of a type in C. */
struct method_descriptor {
    PyObject_HEAD
    PyTypeObject *type;
    PyObject *name;
    PyObject *qualname;
    PyMethodDef *method;
};

static const struct memtap_agent_api *g_agent; /* NULL: labels have not been used */
static run_function g_run;                     /* the old body; NULL: contexts are not followed */
static PyObject *g_variable;                   /* the context variable: (text in bytes, what it was before) */
static PyObject *g_task_type;                  /* NULL: names of tasks were not asked for */
static PyObject *g_self_name, *g_get_name_name;
static PyTypeObject *g_without_self[TYPES_REMEMBERED]; /* of callbacks that belong to no object */
static unsigned g_without_self_count;
static const char *(*g_utf8)(PyObject *, Py_ssize_t *);
static void *(*g_interpreter)(void); /* NULL on 3.8, where interpreters share the GIL */
static void *g_main_interpreter;

/* What the thread is labelled with; owned. NULL: nothing. */
static __thread struct {
    PyObject *user; /* value of the variable */
    PyObject *task; /* str */
} t_worn;

static void *find_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static void tell(int kind, const char *text, Py_ssize_t bytes)
{
    if (g_agent != NULL) {
        (void)g_agent->label(kind, text, (size_t)bytes);
    }
}

/* ---- what a thread wears ------------------------------------------------------------------------------------------- */

/* Takes the reference. No exception is raised or lost. */
static void wear(PyObject **worn, PyObject *value)
{
    PyObject *before = *worn;
    *worn = value;
    Py_XDECREF(before);
}

void mt_py_wear_user(PyObject *value)
{
    if (value != t_worn.user) {
        char *text = NULL;
        Py_ssize_t bytes = 0;
        if (value != NULL) {
            (void)PyBytes_AsStringAndSize(PyTuple_GetItem(value, 0), &text, &bytes);
        }
        tell(MEMTAP_LABEL_USER, text, bytes);
    }
    wear(&t_worn.user, value);
}

PyObject *mt_py_worn_task(void)
{
    return t_worn.task;
}

void mt_py_wear_task(PyObject *name)
{
    if (name != t_worn.task) {
        Py_ssize_t bytes = 0;
        const char *text = name != NULL ? g_utf8(name, &bytes) : NULL;
        if (name != NULL && text == NULL) { /* a lone surrogate */
            PyErr_Clear();
            bytes = 0;
        }
        tell(MEMTAP_LABEL_TASK, text, bytes);
    }
    wear(&t_worn.task, name);
}

static PyObject *new_reference(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}

/* ---- tasks --------------------------------------------------------------------------------------------------------- */

static bool is_without_self(PyTypeObject *type)
{
    for (unsigned i = 0; i < g_without_self_count; i++) {
        if (g_without_self[i] == type) {
            return true;
        }
    }
    return false;
}

static void remember_without_self(PyTypeObject *type)
{
    if (g_without_self_count < TYPES_REMEMBERED) { /* an exception for each of the others: only slower */
        Py_INCREF((PyObject *)type);
        g_without_self[g_without_self_count++] = type;
    }
}

/* The object whose method is called, NULL: it is no method. */
static PyObject *self_of(PyObject *callback)
{
    if (is_without_self(Py_TYPE(callback))) {
        return NULL;
    }
    PyObject *self = PyObject_GetAttr(callback, g_self_name);
    if (self == NULL) {
        PyErr_Clear();
        remember_without_self(Py_TYPE(callback));
    }
    return self;
}

/* Name of the task whose step this is; NULL: it is none's. */
static PyObject *name_of_task(PyObject *callback)
{
    PyObject *self = self_of(callback);
    PyObject *name = NULL;
    if (self != NULL && PyObject_IsInstance(self, g_task_type) > 0) {
        name = PyObject_CallMethodObjArgs(self, g_get_name_name, NULL);
    }
    Py_XDECREF(self);
    PyErr_Clear();
    if (name != NULL && !PyUnicode_Check(name)) {
        Py_DECREF(name);
        name = NULL;
    }
    return name;
}

/* ---- contexts ------------------------------------------------------------------------------------------------------ */

/* The variable's value in a context, NULL: it has none. */
static PyObject *value_in(PyObject *context)
{
    PyObject *value = NULL;
    if (PySequence_Contains(context, g_variable) > 0) {
        value = PyObject_GetItem(context, g_variable);
    }
    PyErr_Clear();
    if (value != NULL && !PyTuple_Check(value)) {
        Py_DECREF(value);
        value = NULL;
    }
    return value;
}

/* Another interpreter of this process may have a GIL of its own: our objects are not for it. */
static bool is_ours(void)
{
    return g_interpreter == NULL || g_interpreter() == g_main_interpreter;
}

static PyObject *run_labelled(PyObject *context, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    if (!is_ours()) {
        return g_run(context, arguments, count, names);
    }
    PyObject *user = new_reference(t_worn.user), *task = new_reference(t_worn.task);
    PyObject *name = g_task_type != NULL && count > 0 ? name_of_task(arguments[0]) : NULL;
    mt_py_wear_user(value_in(context));
    if (name != NULL) {
        mt_py_wear_task(name);
    }
    PyObject *result = g_run(context, arguments, count, names);
    mt_py_wear_user(user);
    mt_py_wear_task(task);
    return result;
}

/* Writes a pointer where it may turn out that nothing can be written. */
static bool write_pointer(void *to, const void *value)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    bool written = write(ends[1], &value, sizeof value) == (ssize_t)sizeof value &&
                   read(ends[0], to, sizeof value) == (ssize_t)sizeof value; /* EFAULT, and not SIGSEGV */
    (void)close(ends[0]);
    (void)close(ends[1]);
    return written;
}

static bool is_known_python(void)
{
    int minor = 0;
    const char *version = Py_GetVersion();
    if (version[0] != '3' || version[1] != '.') {
        return false;
    }
    for (const char *at = version + 2; *at >= '0' && *at <= '9'; at++) {
        minor = 10 * minor + (*at - '0');
    }
    return minor <= LAST_MINOR_KNOWN;
}

static bool follow_contexts(PyObject *run)
{
    struct method_descriptor *descriptor = (struct method_descriptor *)(void *)run;
    if (g_run != NULL) {
        return true;
    }
    if (!is_known_python() || descriptor->method == NULL || strcmp(descriptor->method->ml_name, "run") != 0 ||
        descriptor->method->ml_flags != FLAGS_OF_RUN) {
        return false;
    }
    run_function ours = run_labelled;
    const void *body;
    memcpy(&body, &ours, sizeof body);
    memcpy(&g_run, &descriptor->method->ml_meth, sizeof g_run);
    if (!write_pointer(&descriptor->method->ml_meth, body)) {
        g_run = NULL;
    }
    return g_run != NULL;
}

PyObject *mt_py_label_variable(void)
{
    return g_variable;
}

bool mt_py_labels_tasks(void)
{
    return g_task_type != NULL;
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

/* label_follow(variable, contextvars.Context.run) -> is the label kept across awaits? */
static PyObject *label_follow(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *variable, *run;
    const struct memtap_agent_api *agent = mt_py_agent();
    if (!PyArg_ParseTuple(arguments, "OO:label_follow", &variable, &run)) {
        return NULL;
    }
    if (agent == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "memtap's agent is not loaded");
        return NULL;
    }
    if (g_variable == NULL) {
        Py_INCREF(variable);
        g_variable = variable;
    }
    g_agent = agent;
    return PyBool_FromLong(follow_contexts(run));
}

/* label_wear(value or None): the variable has been set in the calling thread's context. */
static PyObject *label_wear(PyObject *self, PyObject *value)
{
    (void)self;
    if (value != Py_None && !(PyTuple_Check(value) && PyTuple_Size(value) > 0 && PyBytes_Check(PyTuple_GetItem(value, 0)))) {
        PyErr_SetString(PyExc_TypeError, "label_wear takes (bytes, …) or None");
        return NULL;
    }
    mt_py_wear_user(value == Py_None ? NULL : new_reference(value));
    Py_RETURN_NONE;
}

/* label_tasks(type): steps of tasks of this type are labelled with their names. */
static PyObject *label_tasks(PyObject *self, PyObject *type)
{
    (void)self;
    Py_INCREF(type);
    wear(&g_task_type, type);
    Py_RETURN_NONE;
}

/* label_thread(bytes or None): the name of the calling thread. */
static PyObject *label_thread(PyObject *self, PyObject *name)
{
    (void)self;
    char *text = NULL;
    Py_ssize_t bytes = 0;
    if (name != Py_None && PyBytes_AsStringAndSize(name, &text, &bytes) != 0) {
        return NULL;
    }
    tell(MEMTAP_LABEL_THREAD, text, bytes);
    Py_RETURN_NONE;
}

static PyMethodDef g_methods[] = {
    { "label_follow", label_follow, METH_VARARGS, "label_follow(variable, Context.run) -> bool: are labels kept across awaits?" },
    { "label_wear", label_wear, METH_O, "label_wear(value or None): of the variable, in this thread's context" },
    { "label_tasks", label_tasks, METH_O, "label_tasks(type): label steps of such tasks with their names" },
    { "label_thread", label_thread, METH_O, "label_thread(bytes or None): this thread's name" },
    { NULL, NULL, 0, NULL },
};

int mt_py_add_labels(PyObject *module)
{
    void *utf8 = find_symbol("PyUnicode_AsUTF8AndSize"), *interpreter = find_symbol("PyInterpreterState_Get");
    memcpy(&g_utf8, &utf8, sizeof g_utf8);
    memcpy(&g_interpreter, &interpreter, sizeof g_interpreter);
    g_main_interpreter = g_interpreter != NULL ? g_interpreter() : NULL;
    g_self_name = PyUnicode_InternFromString("__self__");
    g_get_name_name = PyUnicode_InternFromString("get_name");
    if (g_utf8 == NULL) {
        PyErr_SetString(PyExc_ImportError, "this interpreter does not export PyUnicode_AsUTF8AndSize");
        return -1;
    }
    return g_self_name != NULL && g_get_name_name != NULL ? PyModule_AddFunctions(module, g_methods) : -1;
}
