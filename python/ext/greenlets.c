/* greenlets.c: what a thread works for where greenlets take turns on it.
 *
 * Decides: greenlet tells a function of each thread that asks (settrace) of every switch. There the thread's label becomes that of
 * the context it has come to, and its task that of the greenlet: its name (gevent's have one), what an asyncio task it was first
 * entered from is called (SQLAlchemy runs parts of a task in greenlets), else its type with a number. A thread's main greenlet has
 * the task it had when it was left. Who traced before is told first. All in C: no frame of ours stands in a stack, and no signal
 * is taken here that the program would have taken. docs/decisions/0049 says why so.
 * Invariant: the table holds no greenlet alive. The GIL is held throughout.
 */
#include "labels.h"

/* By weak reference to a greenlet: its task, a str; a str in a tuple: one made up for it; None: none. */
static PyObject *g_tasks;
static PyObject *g_forget;
static PyObject *g_name_name, *g_parent_name, *g_type_name, *g_get_name;
static unsigned long g_made_up_count;
static __thread bool t_watched;

/* forget(reference): the greenlet is gone. */
static PyObject *forget(PyObject *self, PyObject *reference)
{
    (void)self;
    if (PyDict_DelItem(g_tasks, reference) != 0) {
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

/* Borrowed; NULL: not known. */
static PyObject *known_task(PyObject *greenlet)
{
    PyObject *reference = PyWeakref_NewRef(greenlet, NULL);
    PyObject *task = reference != NULL ? PyDict_GetItemWithError(g_tasks, reference) : NULL;
    Py_XDECREF(reference);
    PyErr_Clear();
    return task;
}

static void remember(PyObject *greenlet, PyObject *task)
{
    PyObject *reference = PyWeakref_NewRef(greenlet, known_task(greenlet) != NULL ? NULL : g_forget);
    if (reference == NULL || PyDict_SetItem(g_tasks, reference, task) != 0) {
        PyErr_Clear();
    }
    Py_XDECREF(reference);
}

static bool is_made_up(PyObject *task)
{
    return task != NULL && PyTuple_Check(task);
}

/* The task a greenlet is left with is its own when it comes back. */
static void leave(PyObject *origin)
{
    PyObject *known = known_task(origin), *worn = mt_py_worn_task();
    if (is_made_up(known) ? PyTuple_GetItem(known, 0) != worn : known != (worn != NULL ? worn : Py_None)) {
        remember(origin, worn != NULL ? worn : Py_None);
    }
}

static bool is_text(PyObject *object)
{
    return object != NULL && PyUnicode_Check(object) && PyUnicode_GetLength(object) > 0;
}

/* An attribute, None where it has none. NULL: an exception that is not to be lost is set, as an interruption. */
static PyObject *attribute(PyObject *object, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(object, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        Py_INCREF(Py_None);
        found = Py_None;
    }
    return found;
}

/* ("Hub-1",), None where there is no memory for it. */
static PyObject *make_up(PyObject *greenlet)
{
    PyObject *type = attribute((PyObject *)Py_TYPE(greenlet), g_type_name), *task = NULL;
    if (is_text(type)) {
        PyObject *name = PyUnicode_FromFormat("%U-%lu", type, ++g_made_up_count);
        task = name != NULL ? PyTuple_Pack(1, name) : NULL;
        Py_XDECREF(name);
    }
    Py_XDECREF(type);
    if (task == NULL) {
        PyErr_Clear();
        Py_INCREF(Py_None);
    }
    return task != NULL ? task : Py_None;
}

/* The task of a greenlet that is entered for the first time, as in the table. NULL: as above. origin: left for it. */
static PyObject *find_task(PyObject *origin, PyObject *target)
{
    PyObject *name = attribute(target, g_name_name);
    if (name == NULL || is_text(name)) {
        return name;
    }
    Py_DECREF(name);
    PyObject *parent = attribute(target, g_parent_name);
    if (parent == NULL || parent == Py_None) {
        return parent;
    }
    Py_DECREF(parent);
    PyObject *worn = mt_py_worn_task();
    if (worn == NULL || is_made_up(known_task(origin))) {
        return make_up(target);
    }
    Py_INCREF(worn);
    return worn;
}

static void wear(PyObject *task)
{
    PyObject *name = is_made_up(task) ? PyTuple_GetItem(task, 0) : task != Py_None ? task : NULL;
    Py_XINCREF(name);
    mt_py_wear_task(name);
}

/* False: an exception is set. */
static bool follow_task(PyObject *origin, PyObject *target)
{
    leave(origin);
    PyObject *known = known_task(target);
    if (known != NULL) {
        wear(known);
        return true;
    }
    PyObject *task = find_task(origin, target);
    if (task != NULL) {
        remember(target, task);
        wear(task);
        Py_DECREF(task);
    }
    return task != NULL;
}

/* The variable's value in the context of the greenlet that runs now. */
static void follow_label(void)
{
    PyObject *variable = mt_py_label_variable();
    PyObject *value = variable != NULL ? PyObject_CallMethodObjArgs(variable, g_get_name, NULL) : NULL;
    PyErr_Clear();
    bool is_label = value != NULL && PyTuple_Check(value);
    if (!is_label) {
        Py_XDECREF(value);
    }
    mt_py_wear_user(is_label ? value : NULL);
}

/* label_switched(who traced before or None, event, (origin, target)) */
static PyObject *label_switched(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *before, *event, *greenlets, *origin, *target;
    if (!PyArg_ParseTuple(arguments, "OOO:label_switched", &before, &event, &greenlets)) {
        return NULL;
    }
    if (before != Py_None) {
        PyObject *result = PyObject_CallFunctionObjArgs(before, event, greenlets, NULL);
        if (result == NULL) {
            return NULL;
        }
        Py_DECREF(result);
    }
    if (!PyTuple_Check(greenlets) || !PyArg_ParseTuple(greenlets, "OO", &origin, &target)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    mt_py_agent()->enter(); /* the table is ours */
    follow_label();
    bool followed = !mt_py_labels_tasks() || follow_task(origin, target);
    mt_py_agent()->leave();
    if (!followed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* label_is_watched() -> has this been asked in this thread before? */
static PyObject *label_is_watched(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    bool before = t_watched;
    t_watched = true;
    return PyBool_FromLong(before);
}

/* label_greenlet(greenlet, name): its task; the running one's at once. */
static PyObject *label_greenlet(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *greenlet, *name;
    if (!PyArg_ParseTuple(arguments, "OU:label_greenlet", &greenlet, &name)) {
        return NULL;
    }
    remember(greenlet, name);
    wear(name);
    Py_RETURN_NONE;
}

static PyMethodDef g_methods[] = {
    { "label_switched", label_switched, METH_VARARGS, "label_switched(before, event, (origin, target)): greenlet's function of switches" },
    { "label_is_watched", label_is_watched, METH_NOARGS, "label_is_watched() -> bool: has this thread asked before?" },
    { "label_greenlet", label_greenlet, METH_VARARGS, "label_greenlet(greenlet, name): name the running greenlet" },
    { NULL, NULL, 0, NULL },
};
static PyMethodDef g_forget_method = { "forget", forget, METH_O, NULL };

int mt_py_add_greenlets(PyObject *module)
{
    g_tasks = PyDict_New();
    g_forget = PyCFunction_NewEx(&g_forget_method, NULL, NULL);
    g_name_name = PyUnicode_InternFromString("name");
    g_parent_name = PyUnicode_InternFromString("parent");
    g_type_name = PyUnicode_InternFromString("__name__");
    g_get_name = PyUnicode_InternFromString("get");
    bool made = g_tasks != NULL && g_forget != NULL && g_name_name != NULL && g_parent_name != NULL && g_type_name != NULL &&
                g_get_name != NULL;
    return made ? PyModule_AddFunctions(module, g_methods) : -1;
}
