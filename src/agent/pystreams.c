/* pystreams.c: what stands in for sys.stdin, stdout and stderr while an eval runs.
 *
 * Decides: a stand-in is one object to all threads and leads each to its own stream: an eval's thread to the eval's, all others to
 * the program's. C code of Python's (print) meets it; Python code does not: while an eval runs, the module `sys` is of a type whose
 * attributes lead past stand-ins, and what a thread puts into sys.stdout is its side's stream alone. So the program may replace its
 * streams meanwhile, and so may the eval.
 * All of it is made of C functions: a thread of the program that prints while an eval runs executes no bytecode that it would not
 * have executed, so no line of its output is cut where it would not have been (print writes a line in two pieces; between
 * two bytecodes the GIL may pass to another thread).
 * Invariants: which stream of the program a stand-in stands for does not change while it is in its place. One that is taken out
 * stays alive for a minute at least (`retired`, eval.py), because print before 3.14 holds no reference to the stream that it writes
 * to; but it keeps no stream of the program alive, whose end may close a file.
 * Context: [gil], any thread of Python's.
 */
#include "agent/pyeval_private.h"

enum { STANDARD_STREAMS = 3 };
enum { TYPE_BASETYPE = 1 << 10, TYPE_DEFAULT = 1 << 18 }; /* Py_TPFLAGS_ */

/* Behind what every object begins with, whose size depends on the interpreter. */
struct stand_in {
    mt_py *app; /* owned; NULL once it was taken out: then what the program has in its place */
    int number;
};

static const struct mt_py_api *g_py;
static size_t g_head_bytes; /* of an object; its last word is the type */
static mt_py *g_type;       /* of the interpreter that there is */
static mt_py *g_own[STANDARD_STREAMS]; /* of the eval that runs; its thread's alone */
static mt_py *g_module_get; /* __getattribute__ of modules; their __setattr__ is that of every object */
static mt_py *g_nowhere, *g_retired;       /* of eval.py, which keeps them */
static const char *const names_of[STANDARD_STREAMS] = { "stdin", "stdout", "stderr" };
static const char *const first_names_of[STANDARD_STREAMS] = { "__stdin__", "__stdout__", "__stderr__" };

__thread bool t_mt_is_eval;

static struct stand_in *inside(mt_py *object)
{
    return (struct stand_in *)(void *)((char *)object + g_head_bytes);
}

static mt_py *type_of(mt_py *object)
{
    return *(mt_py **)(void *)((char *)object + g_head_bytes - sizeof(mt_py *));
}

static bool is_stand_in(mt_py *object)
{
    return object != NULL && type_of(object) == g_type;
}

static mt_py *new_ref(mt_py *object)
{
    g_py->Py_IncRef(object);
    return object;
}

/* What the program has there now. One of ours that was taken out, and that C code had got and put back, is as good as the first. Borrowed. */
static mt_py *programs(int number)
{
    mt_py *there = g_py->PySys_GetObject(names_of[number]);
    if (is_stand_in(there)) {
        there = inside(there)->app != NULL ? inside(there)->app : g_py->PySys_GetObject(first_names_of[number]);
    }
    return there != NULL && !is_stand_in(there) ? there : g_py->none;
}

/* What the calling thread has in the place of a stand-in; None where there is nothing. Borrowed. */
static mt_py *side_of(mt_py *self)
{
    const struct stand_in *stand_in = inside(self);
    if (t_mt_is_eval && g_own[stand_in->number] != NULL) {
        return g_own[stand_in->number];
    }
    return stand_in->app != NULL ? stand_in->app : programs(stand_in->number);
}

/* The same to be used, as C code of Python's does that has looked whether it is None. A new reference. */
static mt_py *meant_by(mt_py *self)
{
    mt_py *side = side_of(self);
    return new_ref(side != g_py->none ? side : g_nowhere);
}

static mt_py *stand_in_for(int number, mt_py *app)
{
    mt_py *made = g_py->PyObject_CallObject(g_type, NULL);
    if (made != NULL) {
        inside(made)->number = number;
        inside(made)->app = new_ref(app);
    }
    return made;
}

/* ---- the type ------------------------------------------------------------------------------------------------------- */

static mt_py *get_attribute(mt_py *self, mt_py *name)
{
    mt_py *meant = meant_by(self);
    mt_py *result = g_py->PyObject_GetAttr(meant, name);
    g_py->Py_DecRef(meant);
    return result;
}

static int set_attribute(mt_py *self, mt_py *name, mt_py *value)
{
    mt_py *meant = meant_by(self);
    int result = g_py->PyObject_SetAttr(meant, name, value);
    g_py->Py_DecRef(meant);
    return result;
}

static mt_py *get_iterator(mt_py *self)
{
    mt_py *meant = meant_by(self);
    mt_py *result = g_py->PyObject_GetIter(meant);
    g_py->Py_DecRef(meant);
    return result;
}

static mt_py *get_text(mt_py *self)
{
    mt_py *meant = meant_by(self);
    mt_py *result = g_py->PyObject_Repr(meant);
    g_py->Py_DecRef(meant);
    return result;
}

/* The method of that name of what is meant, called. */
static mt_py *call_method(mt_py *self, const char *name, mt_py *args)
{
    mt_py *meant = meant_by(self);
    mt_py *method = g_py->PyObject_GetAttrString(meant, name);
    mt_py *result = method != NULL ? g_py->PyObject_CallObject(method, args) : NULL;
    g_py->Py_DecRef(method);
    g_py->Py_DecRef(meant);
    return result;
}

static mt_py *get_next(mt_py *self)
{
    return call_method(self, "__next__", NULL);
}

static mt_py *enter(mt_py *self, mt_py *args)
{
    return call_method(self, "__enter__", args);
}

static mt_py *leave(mt_py *self, mt_py *args)
{
    return call_method(self, "__exit__", args);
}

static void end(mt_py *self)
{
    mt_py *type = type_of(self);
    void (*give_back)(mt_py *) = (void (*)(mt_py *))g_py->PyType_GetSlot(type, MT_PY_FREE);
    g_py->Py_DecRef(inside(self)->app);
    give_back(self);
    g_py->Py_DecRef(type); /* instances of types made at run time own one */
}

static struct mt_py_method g_methods[] = {
    { "__enter__", enter, MT_PY_VARARGS, NULL },
    { "__exit__", leave, MT_PY_VARARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static struct mt_py_slot g_slots[] = {
    { MT_PY_GETATTRO, (void *)get_attribute }, { MT_PY_SETATTRO, (void *)set_attribute },
    { MT_PY_ITER, (void *)get_iterator },      { MT_PY_ITERNEXT, (void *)get_next },
    { MT_PY_REPR, (void *)get_text },          { MT_PY_DEALLOC, (void *)end },
    { MT_PY_METHODS, g_methods },              { 0, NULL },
};

static bool make_type(void)
{
    mt_py *size = g_py->PyObject_GetAttrString(g_py->object_type, "__basicsize__");
    g_head_bytes = size != NULL ? (size_t)g_py->PyLong_AsLong(size) : 0;
    g_py->Py_DecRef(size);
    struct mt_py_spec spec = { .name = "memtap.StandIn",
                               .basicsize = (int)(g_head_bytes + sizeof(struct stand_in)),
                               .flags = TYPE_DEFAULT,
                               .slots = g_slots };
    g_type = size != NULL ? g_py->PyType_FromSpec(&spec) : NULL;
    return g_type != NULL;
}

/* ---- the type of sys ------------------------------------------------------------------------------------------------ */

static mt_py *get_of_sys(mt_py *self, mt_py *name)
{
    mt_py *value = g_py->PyObject_CallFunctionObjArgs(g_module_get, self, name, NULL);
    if (!is_stand_in(value)) {
        return value;
    }
    mt_py *side = new_ref(side_of(value));
    g_py->Py_DecRef(value);
    return side;
}

static void set_own(int number, mt_py *own)
{
    mt_py *before = g_own[number];
    g_own[number] = own != NULL ? new_ref(own) : NULL;
    g_py->Py_DecRef(before);
}

/* What there is stands for another stream from here on: as another object. */
static int replace(mt_py *self, mt_py *name, mt_py *there, mt_py *app)
{
    mt_py *made = stand_in_for(inside(there)->number, app);
    bool done = made != NULL && g_py->PyList_Append(g_retired, there) == 0 && g_py->PyObject_GenericSetAttr(self, name, made) == 0;
    g_py->Py_DecRef(made);
    return done ? 0 : -1;
}

static int set_of_sys(mt_py *self, mt_py *name, mt_py *value)
{
    if (value == NULL) {
        return g_py->PyObject_GenericSetAttr(self, name, NULL);
    }
    mt_py *there = g_py->PyObject_CallFunctionObjArgs(g_module_get, self, name, NULL);
    int result = 0;
    if (!is_stand_in(there)) {
        g_py->PyErr_Clear(); /* it is new */
        result = g_py->PyObject_GenericSetAttr(self, name, value);
    } else if (t_mt_is_eval) {
        set_own(inside(there)->number, value);
    } else {
        result = replace(self, name, there, value);
    }
    g_py->Py_DecRef(there);
    return result;
}

static struct mt_py_slot g_sys_slots[] = {
    { MT_PY_GETATTRO, (void *)get_of_sys },
    { MT_PY_SETATTRO, (void *)set_of_sys },
    { 0, NULL },
};

/* Called as modules are, by the same name and of the same module: a type without one draws a warning. A new reference. */
static mt_py *make_type_of_sys(void)
{
    struct mt_py_spec spec = { .name = "builtins.module", .flags = TYPE_DEFAULT | TYPE_BASETYPE, .slots = g_sys_slots };
    mt_py *bases = g_py->PyTuple_Pack(1, g_py->module_type);
    mt_py *type = bases != NULL ? g_py->PyType_FromSpecWithBases(&spec, bases) : NULL;
    g_py->Py_DecRef(bases);
    g_module_get = g_py->PyObject_GetAttrString(g_py->module_type, "__getattribute__");
    return g_module_get != NULL ? type : NULL;
}

/* ---- what eval.py calls --------------------------------------------------------------------------------------------- */

/* put_stand_in(number, own): own is what the eval's thread gets. In one go, as far as other threads see. */
static mt_py *put_stand_in(mt_py *self, mt_py *args)
{
    (void)self;
    int number = (int)g_py->PyLong_AsLong(g_py->PyTuple_GetItem(args, 0));
    mt_py *made = stand_in_for(number, programs(number));
    if (made == NULL) {
        return NULL;
    }
    set_own(number, g_py->PyTuple_GetItem(args, 1));
    int error = g_py->PySys_SetObject(names_of[number], made);
    g_py->Py_DecRef(made);
    return error == 0 ? new_ref(g_py->none) : NULL;
}

static mt_py *take_stand_in(mt_py *self, mt_py *args)
{
    (void)self;
    int number = (int)g_py->PyLong_AsLong(g_py->PyTuple_GetItem(args, 0));
    mt_py *there = g_py->PySys_GetObject(names_of[number]);
    int error = 0;
    if (is_stand_in(there)) {
        mt_py *owned = inside(there)->app; /* NULL: one of an eval before, that the program has found in vars(sys) and put back */
        error = g_py->PyList_Append(g_retired, there) != 0 || g_py->PySys_SetObject(names_of[number], programs(number)) != 0;
        if (!g_py->info.free_threaded && error == 0) { /* else another thread may be reading it */
            inside(there)->app = NULL;
            g_py->Py_DecRef(owned);
        }
    }
    set_own(number, NULL);
    return error == 0 ? new_ref(g_py->none) : NULL;
}

static struct mt_py_method g_calls[] = {
    { "put_stand_in", put_stand_in, MT_PY_VARARGS, NULL },
    { "take_stand_in", take_stand_in, MT_PY_VARARGS, NULL },
};

static bool put(mt_py *names, const char *name, mt_py *take_value)
{
    bool done = take_value != NULL && g_py->PyDict_SetItemString(names, name, take_value) == 0;
    g_py->Py_DecRef(take_value);
    return done;
}

bool mt_pystreams_fill(const struct mt_py_api *py, mt_py *names)
{
    g_py = py;
    for (int i = 0; i < STANDARD_STREAMS; i++) {
        g_own[i] = NULL;
    }
    bool done = make_type() && put(names, "WatchedModule", make_type_of_sys());
    for (size_t i = 0; i < MT_COUNTOF(g_calls); i++) {
        done = done && put(names, g_calls[i].name, py->PyCFunction_NewEx(&g_calls[i], NULL, NULL));
    }
    return done;
}

bool mt_pystreams_ready(mt_py *names)
{
    g_nowhere = g_py->PyDict_GetItemString(names, "nowhere");
    g_retired = g_py->PyDict_GetItemString(names, "retired");
    return g_nowhere != NULL && g_retired != NULL;
}
