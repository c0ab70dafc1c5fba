/* pycalls.c: what eval.py calls: output, interruption, and eval.py itself. The standard streams' stand-ins are in pystreams.c.
 *
 * Decides: when code may be interrupted: only inside `guarded`, which forgets an exception that came too late. So the rest of
 * eval.py, which puts the program's streams back, is never cut short.
 * Context: [gil], the eval's thread.
 */
#include "agent/pyeval_private.h"
#include "base/atomic.h"
#include "base/os.h"

#include <pthread.h>

enum { DONE, RAISED, TIME_LIMIT, DENIED }; /* of eval.py */

static const uint64_t FULL_PAUSE_NS = 1000000;

static const struct mt_py_api *g_py; /* set before anything here is called by Python */

static mt_py *new_none(void)
{
    g_py->Py_IncRef(g_py->none);
    return g_py->none;
}

/* ---- output --------------------------------------------------------------------------------------------------------- */

static bool is_heard(void)
{
    return t_mt_is_eval && mt_g_eval.pid == mt_os_pid() && mt_eval_state_now() == MT_EVAL_RUNNING && mt_load_acquire(&mt_g_eval.hears_nothing) == 0;
}

static void wait_for_room(void)
{
    void *thread = g_py->PyEval_SaveThread();
    mt_os_pause_ns(FULL_PAUSE_NS);
    g_py->PyEval_RestoreThread(thread);
}

/* What another thread writes to a stream of the eval's that it was given, and a fork child, has no place to go. */
static mt_py *emit(mt_py *self, mt_py *args)
{
    (void)self;
    int stream = (int)g_py->PyLong_AsLong(g_py->PyTuple_GetItem(args, 0));
    mt_py *data = g_py->PyTuple_GetItem(args, 1);
    const char *at = g_py->PyBytes_AsString(data);
    size_t left = (size_t)g_py->PyBytes_Size(data);
    while (left > 0 && is_heard()) {
        size_t taken = mt_pyoutput_put(stream, at, left);
        at += taken;
        left -= taken;
        if (taken == 0) {
            wait_for_room();
        }
    }
    return new_none();
}

/* ---- interruption --------------------------------------------------------------------------------------------------- */

/* Who interrupts holds the lock and may wait for the world to stop, in a Python without a GIL: so a thread state is given up to wait. */
static void take_lock(void)
{
    uint32_t expected = 0;
    while (!mt_cas_acq_rel(&mt_g_eval.lock, &expected, 1u)) {
        wait_for_room();
        expected = 0;
    }
}

static void set_interruptible(bool interruptible)
{
    take_lock();
    mt_g_eval.is_interruptible = interruptible;
    if (!interruptible) {
        (void)g_py->PyThreadState_SetAsyncExc((unsigned long)pthread_self(), NULL);
    }
    mt_store_release(&mt_g_eval.lock, 0u);
}

static mt_py *guarded(mt_py *self, mt_py *args)
{
    (void)self;
    mt_py *rest = g_py->PyTuple_GetSlice(args, 1, g_py->PyTuple_Size(args));
    if (rest == NULL) {
        return NULL;
    }
    uint64_t mask;
    mt_os_signals_restore(mt_g_eval.signals);
    set_interruptible(true);
    mt_py *result = g_py->PyObject_CallObject(g_py->PyTuple_GetItem(args, 0), rest);
    set_interruptible(false);
    if (mt_os_signals_hold(&mask)) {
        mt_os_signals_let_libc();
    }
    g_py->Py_DecRef(rest);
    return result;
}

void mt_pycalls_interrupt(const struct mt_py_api *py, uint32_t serial, bool time_is_over)
{
    take_lock();
    if (mt_g_eval.serial == serial && mt_g_eval.is_interruptible) {
        (void)py->PyThreadState_SetAsyncExc(mt_g_eval.thread, time_is_over ? mt_g_eval.time_limit : mt_g_eval.keyboard_interrupt);
    }
    mt_store_release(&mt_g_eval.lock, 0u);
}

/* ---- eval.py -------------------------------------------------------------------------------------------------------- */

static struct mt_py_method g_calls[] = {
    { "emit", emit, MT_PY_VARARGS, NULL },
    { "guarded", guarded, MT_PY_VARARGS, NULL },
};

static bool put(mt_py *names, const char *name, mt_py *take_value)
{
    bool done = take_value != NULL && g_py->PyDict_SetItemString(names, name, take_value) == 0;
    g_py->Py_DecRef(take_value);
    return done;
}

static bool fill(mt_py *names)
{
    bool done = mt_pystreams_fill(g_py, names) && put(names, "__name__", g_py->PyUnicode_FromString("memtap")) &&
                g_py->PyDict_SetItemString(names, "__builtins__", g_py->PyEval_GetBuiltins()) == 0;
    for (size_t i = 0; i < MT_COUNTOF(g_calls); i++) {
        done = done && put(names, g_calls[i].name, g_py->PyCFunction_NewEx(&g_calls[i], NULL, NULL));
    }
    mt_py *code = done ? g_py->Py_CompileString(mt_eval_source, "<memtap>", MT_PY_FILE_INPUT) : NULL;
    mt_py *result = code != NULL ? g_py->PyEval_EvalCode(code, names, names) : NULL;
    done = result != NULL && mt_pystreams_ready(names);
    g_py->Py_DecRef(code);
    g_py->Py_DecRef(result);
    return done;
}

/* Its names, kept by the interpreter: a later one that is started in the same process gets its own. Borrowed; NULL on failure. */
static mt_py *eval_py(void)
{
    static const char KEY[] = "memtap.eval";
    mt_py *kept = g_py->PyInterpreterState_GetDict(g_py->PyInterpreterState_Main());
    mt_py *names = kept != NULL ? g_py->PyDict_GetItemString(kept, KEY) : NULL;
    if (kept == NULL || names != NULL) {
        return names;
    }
    names = g_py->PyDict_New();
    bool done = names != NULL && fill(names) && g_py->PyDict_SetItemString(kept, KEY, names) == 0;
    g_py->Py_DecRef(names); /* kept has its own */
    return done ? names : NULL;
}

static const enum mt_eval_end END_OF[] = { [DONE] = MT_EVAL_DONE, [RAISED] = MT_EVAL_RAISED, [TIME_LIMIT] = MT_EVAL_TIMEOUT, [DENIED] = MT_EVAL_DENIED };

enum mt_eval_end mt_pycalls_run(const struct mt_py_api *py)
{
    g_py = py;
    mt_py *names = eval_py();
    mt_py *code = names != NULL ? py->PyBytes_FromStringAndSize(mt_g_eval.code, (ptrdiff_t)mt_g_eval.bytes) : NULL;
    mt_py *result = NULL;
    if (code != NULL) {
        mt_g_eval.time_limit = py->PyDict_GetItemString(names, "TimeLimit");
        mt_g_eval.keyboard_interrupt = py->PyDict_GetItemString(py->PyEval_GetBuiltins(), "KeyboardInterrupt");
        result = py->PyObject_CallFunctionObjArgs(py->PyDict_GetItemString(names, "run"), code, NULL);
    }
    if (result == NULL) {
        static const char FAILED[] = "memtap's own code failed in this interpreter";
        (void)mt_pyoutput_put(MT_EVAL_ERROR, FAILED, sizeof FAILED - 1);
    }
    long end = result != NULL ? py->PyLong_AsLong(result) : RAISED;
    py->PyErr_Clear();
    py->Py_DecRef(code);
    py->Py_DecRef(result);
    return END_OF[end];
}
