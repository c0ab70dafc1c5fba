/* agent.c: starts and stops the agent in this process.
 *
 * Decides: which agent serves. One that is in the process already (LD_PRELOAD by `memtap run`) is used, else the package's own
 * is loaded at the first start; it is never unloaded. The GIL is held throughout: wrapping Python's allocators needs it.
 * Source of the interface: include/memtap/agent.h.
 */
#include "labels.h"

#include <dlfcn.h>
#include <string.h>

static const struct memtap_agent_api *g_agent;
static PyObject *g_error; /* memtap._memtap.AgentError(code, text) */

static const char *const TEXT_OF[] = {
    [MEMTAP_AGENT_OK] = "ok",
    [MEMTAP_AGENT_NO_MEMORY] = "out of memory",
    [MEMTAP_AGENT_IO] = "the trace cannot be written",
    [MEMTAP_AGENT_NO_SPACE] = "no space left for the trace",
    [MEMTAP_AGENT_PERMISSION] = "no permission to write the trace",
    [MEMTAP_AGENT_NO_FOLDER] = "the folder of the trace does not exist",
    [MEMTAP_AGENT_FILE_EXISTS] = "the file exists already; remove it or choose another name",
    [MEMTAP_AGENT_ARGUMENT] = "invalid argument",
    [MEMTAP_AGENT_RECORDING] = "this process is being recorded already",
    [MEMTAP_AGENT_IDLE] = "nothing is being recorded",
    [MEMTAP_AGENT_NO_HOOKS] = "the allocator could not be intercepted",
    [MEMTAP_AGENT_BUSY] = "another thread is starting or stopping a recording; try again",
    [MEMTAP_AGENT_FOREIGN] = "what is recorded was begun by somebody else",
};

static PyObject *fail(int code)
{
    const char *text = code >= 0 && code <= MEMTAP_AGENT_FOREIGN ? TEXT_OF[code] : "unknown code";
    PyObject *arguments = Py_BuildValue("(is)", code, text);
    if (arguments != NULL) {
        PyErr_SetObject(g_error, arguments);
        Py_DECREF(arguments);
    }
    return NULL;
}

static PyObject *none_or_failure(int code)
{
    if (code != MEMTAP_AGENT_OK) {
        return fail(code);
    }
    Py_RETURN_NONE;
}

static bool take(void *symbol)
{
    memtap_agent_api_function find = NULL;
    memcpy(&find, &symbol, sizeof find);
    const struct memtap_agent_api *agent = find != NULL ? find() : NULL;
    if (agent == NULL || agent->struct_bytes < sizeof *agent) {
        return false;
    }
    g_agent = agent;
    return true;
}

/* One that came after the start (memtap attach) is in no scope that dlsym searches. */
static bool take_attached(void)
{
    void *handle = dlopen(MEMTAP_AGENT_FILE, RTLD_NOW | RTLD_NOLOAD);
    return handle != NULL && take(dlsym(handle, "memtap_agent_api"));
}

/* The agent in the process, else the one at path. */
static bool load(const char *path)
{
    if (g_agent != NULL || take(dlsym(RTLD_DEFAULT, "memtap_agent_api")) || take_attached()) {
        return true;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        PyErr_Format(PyExc_ImportError, "memtap's agent cannot be loaded: %s", dlerror());
        return false;
    }
    if (!take(dlsym(handle, "memtap_agent_api"))) {
        PyErr_Format(PyExc_ImportError, "%s is not the agent of this version of memtap", path);
        return false;
    }
    return true;
}

const struct memtap_agent_api *mt_py_agent(void)
{
    return g_agent;
}

static PyObject *agent_load(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *path = NULL;
    if (!PyArg_ParseTuple(arguments, "O&:load", PyUnicode_FSConverter, &path)) {
        return NULL;
    }
    bool is_there = load(PyBytes_AsString(path));
    Py_DECREF(path);
    return is_there ? PyUnicode_FromString(g_agent->version) : NULL;
}

static bool is_loaded(void)
{
    if (g_agent == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "memtap's agent is not loaded");
    }
    return g_agent != NULL;
}

static PyObject *agent_start(PyObject *self, PyObject *arguments)
{
    (void)self;
    struct memtap_recording what = { .struct_bytes = sizeof what };
    unsigned long long rate = 0, most = 0, seed = 0, parent_pid = 0;
    unsigned mode = 0;
    int native = 0, python_allocators = 0;
    PyObject *path = NULL; /* bytes: a name on disk need not be text */
    if (!is_loaded() || !PyArg_ParseTuple(arguments, "O&IKppKKK:start", PyUnicode_FSConverter, &path, &mode, &rate, &native,
                                          &python_allocators, &most, &seed, &parent_pid)) {
        return NULL;
    }
    what.path = PyBytes_AsString(path);
    what.mode = mode;
    what.rate_bytes = rate;
    what.native = native != 0;
    what.python_allocators = python_allocators != 0;
    what.max_file_bytes = most;
    what.seed = seed;
    what.parent_pid = parent_pid;
    PyObject *outcome = none_or_failure(g_agent->start(&what));
    Py_DECREF(path);
    return outcome;
}

static PyObject *agent_resume(PyObject *self, PyObject *arguments)
{
    (void)self;
    unsigned long long rate = 0;
    if (!PyArg_ParseTuple(arguments, "K:resume", &rate) || !is_loaded()) {
        return NULL;
    }
    return none_or_failure(g_agent->resume(rate));
}

static PyObject *agent_stop(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return is_loaded() ? none_or_failure(g_agent->stop()) : NULL;
}

static PyObject *agent_pause(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return is_loaded() ? none_or_failure(g_agent->pause()) : NULL;
}

static PyObject *agent_remove_hooks(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return is_loaded() ? none_or_failure(g_agent->remove_hooks()) : NULL;
}

static PyObject *agent_state(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    static const char *const modes[] = { "off", "sample", "exact", "aggregate" };
    struct memtap_agent_state state = { .struct_bytes = sizeof state };
    if (!is_loaded()) {
        return NULL;
    }
    int code = g_agent->state(&state);
    if (code != MEMTAP_AGENT_OK) {
        return fail(code);
    }
    return Py_BuildValue("{s:s,s:K,s:K,s:K,s:O,s:O,s:N}", "mode", modes[state.mode], "rate_bytes",
                         (unsigned long long)state.rate_bytes, "live_samples", (unsigned long long)state.live_samples,
                         "dropped_events", (unsigned long long)state.dropped_events, "by_command",
                         state.by_command ? Py_True : Py_False, "preloaded", state.preloaded ? Py_True : Py_False, "path",
                         PyUnicode_DecodeFSDefault(state.path));
}

static PyObject *agent_listen(PyObject *self, PyObject *args)
{
    (void)self;
    const char *where = NULL;
    return PyArg_ParseTuple(args, "s", &where) && is_loaded() ? none_or_failure(g_agent->listen(where)) : NULL;
}

/* Allocations of the calling thread between enter and leave are on memtap's account. False: there is no agent to tell. */
static PyObject *agent_enter(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    if (g_agent == NULL) {
        Py_RETURN_FALSE;
    }
    g_agent->enter();
    Py_RETURN_TRUE;
}

static PyObject *agent_leave(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    if (g_agent != NULL) {
        g_agent->leave();
    }
    Py_RETURN_NONE;
}

static PyMethodDef g_methods[] = {
    { "agent_load", agent_load, METH_VARARGS, "agent_load(path) -> version of the agent now in use" },
    { "agent_start", agent_start, METH_VARARGS,
      "agent_start(path, mode, rate_bytes, native, python_allocators, max_file_bytes, seed, parent_pid)" },
    { "agent_listen", agent_listen, METH_VARARGS, "agent_listen(where): has a thread wait for the tool at a socket" },
    { "agent_stop", agent_stop, METH_NOARGS, "agent_stop(): completes the trace" },
    { "agent_pause", agent_pause, METH_NOARGS, "agent_pause(): no new samples; frees are still recorded" },
    { "agent_resume", agent_resume, METH_VARARGS, "agent_resume(rate_bytes)" },
    { "agent_remove_hooks", agent_remove_hooks, METH_NOARGS, "agent_remove_hooks(): while nothing is recorded" },
    { "agent_state", agent_state, METH_NOARGS, "agent_state() -> dict" },
    { "agent_enter", agent_enter, METH_NOARGS, "agent_enter() -> bool: what this thread allocates is memtap's own from here on; False: no agent yet" },
    { "agent_leave", agent_leave, METH_NOARGS, "agent_leave(): undoes one agent_enter" },
    { NULL, NULL, 0, NULL },
};

int mt_py_add_agent(PyObject *module)
{
    g_error = PyErr_NewException("memtap._memtap.AgentError", PyExc_RuntimeError, NULL);
    if (g_error == NULL || PyModule_AddFunctions(module, g_methods) != 0) {
        return -1;
    }
    Py_INCREF(g_error);
    return PyModule_AddObject(module, "AgentError", g_error);
}
