/* pyeval.c: see pyeval.h. Threads and time; what Python is told is in pycalls.c.
 *
 * Decides: three threads at most. Who asked waits without the GIL, so that it can always answer in time: it hands output on,
 * looks whether the GIL is held, and decides that the time is over. The eval's thread has a stack as large as a main thread's.
 * To interrupt it takes the GIL, which may never be had: so a third thread does that, made when it is needed.
 * When the eval has ended its thread keeps its thread state until who asked has seen it (TAKEN), because that one reads in it.
 */
#include "agent/pyeval.h"

#include "agent/pyeval_private.h"
#include "base/atomic.h"
#include "base/os.h"
#include "heap/engine.h"
#include "hook/hook.h"

#include <pthread.h>
#include <string.h>

enum { EVAL_STACK_BYTES = 8 << 20, INTERRUPTER_STACK_BYTES = 256 << 10 };
static const uint64_t TICK_NS = 1000000, FIRST_TICKS_NS = 100000; /* of who waits; the second for the first millisecond */
static const uint64_t GRACE_NS = 2000000000;                      /* between interrupting it and leaving it */
static const uint64_t AGAIN_NS = 500000000;                       /* from one interruption to the next: code may be cleaning up */
static const uint64_t STILL_RUNS_NS = 5000000;
enum { LOOKS_LEAST = 100 }; /* before it is left: where a machine stood still, its time is no sign */
enum { SHORT_TICKS = 20 }; /* with fewer looks at the GIL the processor time says more */

/* ---- the eval's thread ---------------------------------------------------------------------------------------------- */

static void forget_code(void)
{
    mt_os_unmap(mt_g_eval.code, mt_g_eval.mapped_bytes);
    mt_pyoutput_close();
}

/* Without the GIL. Who waits looks at least every millisecond, later on a busy machine. */
static void wait_until_taken(void)
{
    if (mt_eval_change_state(MT_EVAL_RUNNING, MT_EVAL_ENDED)) {
        while (mt_eval_state_now() == MT_EVAL_ENDED) {
            mt_os_pause_ns(TICK_NS);
        }
    }
}

static void run_with_python(const struct mt_py_api *py)
{
    int gil = py->PyGILState_Ensure();
    uint64_t cpu_from = mt_os_thread_cpu_ns();
    mt_g_eval.tstate = py->info.get_tstate();
    mt_store_release(&mt_g_eval.has_begun, 1u);
    if (mt_eval_state_now() == MT_EVAL_RUNNING) { /* else nobody waits for it any more, and nothing is done */
        mt_g_eval.end = mt_pycalls_run(py);
    }
    mt_g_eval.cpu_ns = mt_os_thread_cpu_ns() - cpu_from;
    void *thread = py->PyEval_SaveThread();
    wait_until_taken();
    if (mt_py_is_ready(py)) {
        py->PyEval_RestoreThread(thread);
        py->PyGILState_Release(gil);
    }
}

/* On our account to its end. */
static void begin_thread(void)
{
    mt_os_signals_let_libc();
    mt_engine_enter_own();
}

/* What code starts has the signal mask of the thread that starts it: with ours a child process could not be ended by SIGTERM.
 * So it has that of the main thread; 0 where it cannot be read. The line may come after much else: groups have no bound. */
static uint64_t mask_of_program(void)
{
    enum { DIGITS = 16 };
    static const char NAME[] = "\nSigBlk:\t";
    char text[1024];
    size_t matched = 0, digits = 0, got = 0;
    uint64_t mask = 0;
    int fd;
    if (mt_os_open("/proc/self/status", MT_OPEN_READ, &fd) != MT_OK) {
        return 0;
    }
    while (digits < DIGITS && mt_os_read(fd, text, sizeof text, &got) == MT_OK && got > 0) {
        for (size_t i = 0; i < got && digits < DIGITS; i++) {
            char c = text[i];
            if (matched < sizeof NAME - 1) {
                matched = c == NAME[matched] ? matched + 1 : c == '\n';
            } else {
                mask = mask << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
                digits++;
            }
        }
    }
    mt_os_close(fd);
    return mask;
}

static void *run_eval(void *api)
{
    const struct mt_py_api *py = api;
    begin_thread();
    t_mt_is_eval = true;
    mt_g_eval.signals = mask_of_program();
    mt_g_eval.thread = (unsigned long)pthread_self();
    if (mt_py_is_ready(py)) {
        run_with_python(py);
    } else {
        wait_until_taken();
    }
    forget_code();
    t_mt_is_eval = false;
    mt_store_release(&mt_g_eval.state, (uint32_t)MT_EVAL_IDLE);
    return NULL;
}

/* ---- interrupting it ------------------------------------------------------------------------------------------------ */

enum { TIME_IS_OVER = 1 };

static bool still_runs(uint32_t serial)
{
    uint32_t state = mt_eval_state_now();
    return mt_load_relaxed(&mt_g_eval.serial) == serial && (state == MT_EVAL_RUNNING || state == MT_EVAL_LEFT);
}

static void pause_while_it_runs(uint32_t serial)
{
    for (uint64_t ns = 0; ns < AGAIN_NS && still_runs(serial); ns += STILL_RUNS_NS) {
        mt_os_pause_ns(STILL_RUNS_NS);
    }
}

/* Again and again: code may catch what it gets, and go on. argument: the eval's number and why. */
static void *run_interrupter(void *argument)
{
    uint32_t serial = (uint32_t)((uintptr_t)argument >> 1);
    const struct mt_py_api *py = mt_py_api();
    begin_thread();
    while (still_runs(serial) && mt_py_is_ready(py)) {
        int gil = py->PyGILState_Ensure();
        mt_pycalls_interrupt(py, serial, ((uintptr_t)argument & TIME_IS_OVER) != 0);
        py->PyGILState_Release(gil);
        pause_while_it_runs(serial);
    }
    return NULL;
}

static void interrupt(bool time_is_over)
{
    uintptr_t argument = (uintptr_t)mt_g_eval.serial << 1 | (time_is_over ? TIME_IS_OVER : 0);
    if (!mt_hooks_start_thread(run_interrupter, (void *)argument, INTERRUPTER_STACK_BYTES)) {
        return; /* it will be left */
    }
}

/* ---- who holds the GIL ---------------------------------------------------------------------------------------------- */

enum { ACTIVE = 1 << 4 }; /* PyThreadState._status.active of 3.12 and later: the thread has the GIL */

static uint32_t minor(const struct mt_py_api *py)
{
    return py->info.version_hex >> 16 & 0xFF;
}

static bool can_look(const struct mt_py_api *py)
{
    bool asks_runtime = minor(py) <= 11 && py->info.get_tstate_unchecked != NULL;
    return py->info.version_hex >> 24 == 3 && !py->info.free_threaded && (asks_runtime || (minor(py) >= 12 && minor(py) <= 14));
}

/* A look without a lock, at what the GIL's holder writes. */
static bool holds_gil(const struct mt_py_api *py, const void *tstate)
{
    if (minor(py) <= 11) {
        return py->info.get_tstate_unchecked() == tstate;
    }
    size_t status = (minor(py) == 12 ? 3 : 4) * sizeof(void *); /* prev, next, interp, from 3.13 eval_breaker */
    return (mt_load_relaxed((const uint32_t *)(const void *)((const char *)tstate + status)) & ACTIVE) != 0;
}

struct watch {
    uint64_t at_ns, held_ns;
    uint32_t ticks;
};

/* An interpreter that ends gives thread states back without asking. */
static void look(const struct mt_py_api *py, struct watch *watch, uint64_t now_ns)
{
    if (mt_py_is_ready(py) && can_look(py) && mt_load_acquire(&mt_g_eval.has_begun) != 0 && holds_gil(py, mt_g_eval.tstate)) {
        watch->held_ns += now_ns - watch->at_ns;
    }
    watch->at_ns = now_ns;
    watch->ticks += mt_load_acquire(&mt_g_eval.has_begun);
}

static uint64_t held(const struct mt_py_api *py, const struct watch *watch)
{
    if (py->info.free_threaded) {
        return 0;
    }
    return can_look(py) && watch->ticks >= SHORT_TICKS ? watch->held_ns : mt_g_eval.cpu_ns;
}

/* ---- who asked ------------------------------------------------------------------------------------------------------ */

static void say_error(const struct mt_eval_asker *asker, const char *text)
{
    asker->say(asker->context, MT_EVAL_ERROR, text, strlen(text));
}

/* It may end in this moment; then it has ended. */
static bool leave(const struct mt_eval_asker *asker)
{
    if (!mt_eval_change_state(MT_EVAL_RUNNING, MT_EVAL_LEFT)) {
        return false;
    }
    say_error(asker, mt_load_acquire(&mt_g_eval.has_begun) == 0
                         ? "the code did not begin: another thread of the process held the GIL all the time"
                         : "the code has not ended: it is in a call that does not come back to Python. It goes on and nobody listens to it; "
                           "until it ends no other eval begins");
    return true;
}

struct waiting {
    uint64_t began_ns, deadline_ns;
    uint32_t looks; /* since it began, or was interrupted */
    bool interrupted;
};

/* Has the time come to interrupt it, or to leave it? True: it was left. */
static bool mind_time(struct waiting *waiting, const struct mt_eval_asker *asker, uint64_t now_ns)
{
    bool is_gone = !waiting->interrupted && asker->gone != NULL && asker->gone(asker->context);
    bool is_over = now_ns >= waiting->deadline_ns;
    waiting->looks++;
    bool has_begun = mt_load_acquire(&mt_g_eval.has_begun) != 0;
    if (is_over && (waiting->interrupted || !has_begun)) {
        return waiting->looks >= LOOKS_LEAST && leave(asker);
    }
    if (is_gone || is_over) {
        mt_store_release(&mt_g_eval.hears_nothing, (uint32_t)is_gone);
        waiting->interrupted = true;
        waiting->looks = 0;
        waiting->deadline_ns = now_ns + GRACE_NS;
        interrupt(is_over);
    }
    return false;
}

static enum mt_eval_end wait_for_end(const struct mt_py_api *py, uint64_t deadline_ns, const struct mt_eval_asker *asker,
                                     uint64_t *ret_held_ns)
{
    uint64_t now_ns = mt_os_monotonic_ns();
    struct waiting waiting = { .began_ns = now_ns, .deadline_ns = deadline_ns };
    struct watch watch = { .at_ns = now_ns };
    while (mt_eval_state_now() != MT_EVAL_ENDED) {
        mt_os_pause_ns(now_ns - waiting.began_ns < TICK_NS ? FIRST_TICKS_NS : TICK_NS);
        now_ns = mt_os_monotonic_ns();
        look(py, &watch, now_ns);
        mt_pyoutput_take(asker);
        if (mind_time(&waiting, asker, now_ns)) {
            *ret_held_ns = watch.held_ns;
            return MT_EVAL_TIMEOUT;
        }
    }
    mt_pyoutput_take(asker);
    enum mt_eval_end end = mt_g_eval.end;
    *ret_held_ns = held(py, &watch);
    (void)mt_eval_change_state(MT_EVAL_ENDED, MT_EVAL_TAKEN);
    return end;
}

/* The one before has been answered and its thread is about to go, or somebody else's runs. */
static bool take_turn(uint64_t deadline_ns, const struct mt_eval_asker *asker)
{
    while (!mt_eval_change_state(MT_EVAL_IDLE, MT_EVAL_RUNNING)) {
        if (mt_eval_state_now() == MT_EVAL_LEFT || mt_os_monotonic_ns() >= deadline_ns ||
            (asker->gone != NULL && asker->gone(asker->context))) {
            return false;
        }
        mt_os_pause_ns(TICK_NS);
    }
    return true;
}

static bool prepare(const char *code, size_t bytes)
{
    void *copy;
    if (!mt_pyoutput_open() || mt_os_map_anonymous(bytes + 1, &copy) != MT_OK) {
        return false;
    }
    memcpy(copy, code, bytes);
    mt_g_eval.code = copy;
    mt_g_eval.bytes = bytes;
    mt_g_eval.mapped_bytes = bytes + 1;
    mt_g_eval.pid = mt_os_pid();
    mt_g_eval.end = MT_EVAL_NO_PYTHON;
    mt_g_eval.cpu_ns = 0;
    mt_store_relaxed(&mt_g_eval.serial, mt_g_eval.serial + 1);
    mt_store_relaxed(&mt_g_eval.has_begun, 0u);
    mt_store_relaxed(&mt_g_eval.hears_nothing, 0u);
    return true;
}

static enum mt_eval_end run_in_turn(const struct mt_py_api *py, const char *code, size_t bytes, uint64_t deadline_ns,
                                    const struct mt_eval_asker *asker, uint64_t *ret_held_ns)
{
    bool prepared = prepare(code, bytes);
    if (!prepared || !mt_hooks_start_thread(run_eval, (void *)(uintptr_t)py, EVAL_STACK_BYTES)) {
        if (prepared) {
            forget_code();
        }
        mt_store_release(&mt_g_eval.state, (uint32_t)MT_EVAL_IDLE);
        say_error(asker, "the process has no memory or no thread left to run it");
        return MT_EVAL_RAISED;
    }
    return wait_for_end(py, deadline_ns, asker, ret_held_ns);
}

/* ---- may it --------------------------------------------------------------------------------------------------------- */

/* In the environment that the process was started with; what it has put there since is eval.py's to see. */
static bool is_denied(void)
{
    static const char DENIAL[] = "\0MEMTAP_ALLOW_EVAL=0"; /* with the end of the variable before it and its own */
    char text[4096];
    size_t matched = 1, got = 0;
    int fd;
    if (mt_os_open("/proc/self/environ", MT_OPEN_READ, &fd) != MT_OK) {
        return false;
    }
    while (matched < sizeof DENIAL && mt_os_read(fd, text, sizeof text, &got) == MT_OK && got > 0) {
        for (size_t i = 0; i < got && matched < sizeof DENIAL; i++) {
            matched = text[i] == DENIAL[matched] ? matched + 1 : text[i] == '\0' ? 1 : 0;
        }
    }
    mt_os_close(fd);
    return matched == sizeof DENIAL;
}

/* A process listens before its interpreter is up. */
static bool wait_for_python(const struct mt_py_api *py, uint64_t deadline_ns, const struct mt_eval_asker *asker)
{
    while (py->Py_IsInitialized() == 0 && py->is_finalizing() == 0 && mt_os_monotonic_ns() < deadline_ns &&
           (asker->gone == NULL || !asker->gone(asker->context))) {
        mt_os_pause_ns(TICK_NS);
    }
    return mt_py_is_ready(py);
}

enum mt_eval_end mt_eval_run(const char *code, size_t bytes, uint64_t timeout_ms, const struct mt_eval_asker *asker,
                             uint64_t *ret_held_ns)
{
    *ret_held_ns = 0;
    uint64_t deadline_ns = mt_os_monotonic_ns() + timeout_ms * 1000000;
    const struct mt_py_api *py = mt_py_api();
    if (is_denied()) {
        return MT_EVAL_DENIED;
    }
    if (py == NULL || !wait_for_python(py, deadline_ns, asker)) {
        return MT_EVAL_NO_PYTHON;
    }
    return take_turn(deadline_ns, asker) ? run_in_turn(py, code, bytes, deadline_ns, asker, ret_held_ns) : MT_EVAL_BUSY;
}

bool mt_eval_is_stuck(void)
{
    return mt_eval_state_now() == MT_EVAL_LEFT;
}

void mt_eval_forget(void)
{
    memset(&mt_g_eval, 0, sizeof mt_g_eval);
}
