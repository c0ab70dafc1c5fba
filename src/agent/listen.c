/* listen.c: see listen.h.
 *
 * States of the thread, and who may leave them:
 *   NONE ─ whoever arms or comes from a parting ─► STARTING ─ the thread ─► THERE ─ the thread ─► NONE
 *   STARTING ─ who began it, when there is no thread to be had ─► NONE
 * Who wants it to end sets g.leave and knocks; the thread takes that (LEAVE_WANTED to LEAVE_TAKEN) or who asked takes it back.
 * It counts as gone only when the kernel knows it no more: until then it is still in the number of threads that others look at.
 * When the program's main thread has ended (pthread_exit), the process lives as long as another of its threads; ours must not be that
 * one. Where nobody announces that end, it is asked for once a second. Ours then looks ten times a second whether it is alone, and
 * ends as the last thread, which is when libc ends the process.
 * Partings nest when several threads fork at the same time; the last one back starts the thread again.
 */
#include "agent/listen.h"

#include "agent/apart.h"
#include "agent/clients.h"
#include "agent/control.h"
#include "agent/ears.h"
#include "base/atomic.h"
#include "base/os.h"
#include "heap/engine.h"
#include "hook/hook.h"
#include "hook/parting.h"

#include <string.h>

enum { STACK_BYTES = 512 * 1024 };
enum { THREAD_NONE, THREAD_STARTING, THREAD_THERE };
enum { LEAVE_NOT, LEAVE_WANTED, LEAVE_TAKEN };
static const uint64_t PATIENCE_NS = 1000000000; /* a program that forks waits no longer for us */
static const uint64_t LOOK_NS = 50000;
static const uint64_t SETTLED_NS = 20000000; /* and whoever starts it, for it to wait */
static const uint64_t ALONE_NS = 100000000;
static const uint64_t UNHEARD_NS = 1000000000;

static struct {
    uint32_t turn; /* taken by CAS: one thread at a time starts or ends ours */
    uint32_t thread; /* THREAD_* */
    uint32_t leave;  /* LEAVE_* */
    uint32_t tid;
    uint32_t pid;    /* of the process whose thread it is: a child without handlers (vfork, clone, _Fork) is another. Shared */
    uint32_t partings; /* calls under way that want it gone. Writers: whoever parts, up under the turn */
    uint32_t main_ended; /* shared */
    uint32_t later;  /* a call of Python's is to start it */
    bool main_is_heard; /* of its end, that is; otherwise it is asked for. Shared */
    uint64_t mask; /* the signals that the thread that armed held */
    bool armed, by_attach, restricted, follow;
} g_listen;

/* Is this the process that was armed, and not a child that shares or copied its state unasked? */
static bool is_ours(void)
{
    return mt_load_relaxed(&g_listen.pid) == (uint32_t)mt_os_pid();
}

/* ---- the thread ----------------------------------------------------------------------------------------------------- */

/* Clients last: who asked us to leave takes the end of the connection for ours. */
static void close_all(void)
{
    mt_ears_forget_file();
    mt_ears_close();
    mt_clients_forget();
}

/* State of a thread, as its file `stat` says; '\0': not known. */
static char state_in(const char *path)
{
    char text[256];
    size_t got = 0;
    int fd = -1;
    if (mt_os_open(path, MT_OPEN_READ, &fd) != MT_OK) {
        return '\0';
    }
    bool read = mt_os_read(fd, text, sizeof text - 1, &got) == MT_OK;
    mt_os_close(fd);
    text[read ? got : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
}

/* Has the program's main thread ended? */
static bool has_main_ended(void)
{
    return state_in("/proc/self/stat") == 'Z';
}

/* The process then lives as long as its other threads, not ours. */
static bool ask_for_main(void)
{
    if (mt_load_acquire(&g_listen.main_ended) == 0 && !mt_load_relaxed(&g_listen.main_is_heard) && has_main_ended()) {
        mt_store_release(&g_listen.main_ended, 1u);
    }
    return mt_load_acquire(&g_listen.main_ended) != 0;
}

static uint64_t longest_turn(bool main_ended)
{
    return main_ended ? ALONE_NS : mt_load_relaxed(&g_listen.main_is_heard) ? UINT64_MAX : UNHEARD_NS;
}

static void *listen_main(void *unused)
{
    (void)unused;
    uint32_t wanted = LEAVE_WANTED;
    bool alone = false;
    mt_engine_enter_own();
    mt_os_signals_let_libc();
    mt_store_relaxed(&g_listen.tid, (uint32_t)mt_os_tid());
    mt_store_release(&g_listen.thread, THREAD_THERE);
    while (!mt_cas_acq_rel(&g_listen.leave, &wanted, LEAVE_TAKEN)) {
        wanted = LEAVE_WANTED;
        bool main_ended = ask_for_main();
        alone = main_ended && mt_os_has_two_threads();
        if (alone || !mt_ears_open()) {
            mt_store_release(&g_listen.leave, LEAVE_TAKEN); /* there is nothing left to wait at, or nobody else */
            break;
        }
        mt_clients_turn(longest_turn(main_ended));
    }
    if (!g_listen.armed) {
        close_all();
    }
    if (alone) {
        mt_os_signals_restore(g_listen.mask);
    }
    mt_engine_leave_own(); /* what libc does at its end as the last thread is the program's */
    return NULL;
}

/* Context: a thread of the program that ends. */
static void thread_ended(void)
{
    if (is_ours() && mt_os_tid() == mt_os_pid()) {
        mt_store_release(&g_listen.main_ended, 1u);
        mt_ears_knock();
    }
}

/* Only a thread can have its own end announced: armed by another, the process has a main thread that ends unheard. */
static void hear_of_main(void)
{
    bool heard = mt_hooks_on_thread_end(thread_ended);
    mt_store_relaxed(&g_listen.main_is_heard, heard && mt_os_tid() == mt_os_pid());
}

/* Is it past its end, in the kernel's eyes too? */
static bool is_gone(void)
{
    return mt_load_acquire(&g_listen.thread) == THREAD_NONE ||
           (mt_load_acquire(&g_listen.thread) == THREAD_THERE && !mt_os_thread_is_there((int)mt_load_relaxed(&g_listen.tid)));
}

static char state_of(uint32_t tid)
{
    char path[40] = "/proc/self/task/", digits[12];
    size_t at = strlen(path), count = 0;
    for (; tid != 0; tid /= 10) {
        digits[count++] = (char)('0' + tid % 10);
    }
    while (count > 0) {
        path[at++] = digits[--count];
    }
    memcpy(path + at, "/stat", sizeof "/stat");
    return state_in(path);
}

/* Until it waits, if that is soon. While it waits the kernel holds its sockets, and a program that closes every descriptor there is finds
 * nobody who opens new ones beside it; not before somebody knocks. */
static void let_it_settle(void)
{
    uint64_t until = mt_os_monotonic_ns() + SETTLED_NS;
    char state = 'R';
    while ((state == 'R' || state == 'D') && mt_os_monotonic_ns() < until) {
        mt_os_pause_ns(LOOK_NS);
        state = mt_load_acquire(&g_listen.thread) == THREAD_THERE ? state_of(mt_load_relaxed(&g_listen.tid)) : state;
    }
}

/* parted: in a fork child, on its way back out of the fork. An interpreter has not yet put itself in order there: it may not be kept from
 * that while somebody connects and wants to run code in it. */
static void start_locked(bool parted)
{
    if (is_gone()) {
        mt_store_release(&g_listen.thread, (uint32_t)THREAD_NONE);
    }
    if (mt_load_acquire(&g_listen.restricted) || mt_load_acquire(&g_listen.partings) > 0 || mt_load_acquire(&g_listen.thread) != THREAD_NONE) {
        return;
    }
    mt_store_relaxed(&g_listen.leave, LEAVE_NOT);
    mt_store_release(&g_listen.thread, THREAD_STARTING);
    if (!mt_ears_open() || !mt_hooks_start_thread(listen_main, NULL, STACK_BYTES)) {
        mt_store_release(&g_listen.thread, THREAD_NONE);
    } else if (!parted) {
        let_it_settle();
    }
}

static void end_locked(void)
{
    uint64_t until = mt_os_monotonic_ns() + PATIENCE_NS;
    uint32_t not = LEAVE_NOT;
    if (mt_load_acquire(&g_listen.thread) == THREAD_NONE) {
        return;
    }
    (void)mt_cas_acq_rel(&g_listen.leave, &not, LEAVE_WANTED);
    mt_ears_knock();
    while (!is_gone() && mt_os_monotonic_ns() < until) {
        mt_os_pause_ns(LOOK_NS);
    }
    if (is_gone()) {
        mt_store_release(&g_listen.thread, THREAD_NONE);
        return;
    }
    uint32_t wanted = LEAVE_WANTED;
    (void)mt_cas_acq_rel(&g_listen.leave, &wanted, LEAVE_NOT); /* it stays; or it is on its way, and is seen to be gone next time */
}

/* ---- partings ------------------------------------------------------------------------------------------------------- */

/* False: it did not come. Nobody holds it for longer than it takes to end the thread. */
static bool take_turn(void)
{
    uint64_t until = mt_os_monotonic_ns() + 2 * PATIENCE_NS;
    uint32_t expected = 0;
    while (!mt_cas_acq_rel(&g_listen.turn, &expected, 1u)) {
        if (mt_os_monotonic_ns() >= until) {
            return false;
        }
        expected = 0;
        mt_os_pause_ns(LOOK_NS);
    }
    return true;
}

static void give_turn(void)
{
    mt_store_release(&g_listen.turn, 0u);
}

static void start(bool parted)
{
    if (g_listen.armed && take_turn()) {
        mt_engine_enter();
        start_locked(parted);
        mt_engine_leave();
        give_turn();
    }
}

/* True: it counted this parting, and after_parting has to count it back. */
static bool before_parting(void)
{
    if (!is_ours() || !take_turn()) {
        return false;
    }
    mt_engine_enter();
    (void)mt_fetch_add_acq_rel(&g_listen.partings, 1u);
    end_locked();
    mt_engine_leave();
    give_turn();
    return true;
}

/* Called by the interpreter, with the GIL held, when its eval loop has got round to it. */
static int start_from_python(void *unused)
{
    (void)unused;
    mt_store_release(&g_listen.later, 0u);
    start(false);
    return 0;
}

/* Python's fork looks how many threads there are, after the call and before its own code goes on: where the program has but one, the
 * interpreter calls us when it is through. True: it will. */
static bool leave_to_python(void)
{
    int (*is_there)(void) = NULL;
    int (*call_later)(int (*function)(void *), void *argument) = NULL;
    void *found = mt_elf_lookup("Py_IsInitialized"), *add = mt_elf_lookup("Py_AddPendingCall");
    uint32_t expected = 0;
    if (found == NULL || add == NULL) {
        return false;
    }
    memcpy(&is_there, &found, sizeof found);
    memcpy(&call_later, &add, sizeof add);
    if (!is_there() || !mt_os_has_one_thread()) {
        return false;
    }
    return !mt_cas_acq_rel(&g_listen.later, &expected, 1u) || call_later(start_from_python, NULL) == 0;
}

static void start_again(bool child)
{
    mt_engine_enter();
    bool left = !child && leave_to_python();
    mt_engine_leave();
    if (!left) {
        start(child);
    }
}

static void after_parting(enum mt_parting how, bool counted)
{
    if (!(counted && how == MT_PARTED_RESTRICTED) && !is_ours()) { /* a filter may forbid to ask */
        return;
    }
    if (how == MT_PARTED_CHILD) {
        if (g_listen.armed) {
            hear_of_main(); /* whoever forked */
            start_again(true);
        }
        return;
    }
    if (how == MT_PARTED_RESTRICTED) {
        mt_store_release(&g_listen.restricted, true);
    }
    /* Needs no turn: who got none would leave its parting counted, and the thread would never come back. */
    bool last = counted && mt_fetch_add_acq_rel(&g_listen.partings, UINT32_MAX) == 1;
    if (mt_load_acquire(&g_listen.restricted)) {
        mt_engine_note("warning", "it restricts its system calls: memtap cannot be reached in it any more");
    } else if (last) {
        start_again(false);
    }
}

/* The thread and its turn were the parent's; so are the sockets, of which this process has copies. */
static void in_child(void)
{
    mt_store_relaxed(&g_listen.pid, (uint32_t)mt_os_pid());
    g_listen.armed = g_listen.armed && g_listen.follow;
    mt_control_keep_hooks(g_listen.armed);
    mt_store_relaxed(&g_listen.turn, 0u);
    mt_store_relaxed(&g_listen.thread, (uint32_t)THREAD_NONE);
    mt_store_relaxed(&g_listen.later, 0u);
    mt_store_relaxed(&g_listen.partings, 0u);
    mt_store_relaxed(&g_listen.main_ended, 0u);
    mt_store_relaxed(&g_listen.main_is_heard, false);
    mt_clients_forget();
    mt_apart_forget();
    mt_ears_close();
}

/* ---- arming --------------------------------------------------------------------------------------------------------- */

static const char *variable(char *const *envp, const char *name)
{
    size_t length = strlen(name);
    for (; envp != NULL && *envp != NULL; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') {
            return *envp + length + 1;
        }
    }
    return NULL;
}

static void arm_locked(const struct mt_agent_config *config, char *const *envp, bool by_attach)
{
    static const struct mt_parting_watch watch = { .before = before_parting, .after = after_parting, .in_child = in_child };
    const char *folder = variable(envp, "XDG_RUNTIME_DIR");
    mt_ears_configure(config->asked.listen, variable(envp, "MEMTAP_TOKEN"), by_attach ? "" : folder != NULL ? folder : "/tmp");
    mt_store_relaxed(&g_listen.pid, (uint32_t)mt_os_pid());
    g_listen.armed = true;
    if (mt_os_signals_hold(&g_listen.mask)) {
        mt_os_signals_restore(g_listen.mask);
    }
    g_listen.by_attach = by_attach;
    g_listen.follow = config->asked.follow;
    mt_control_keep_hooks(true);
    mt_parting_watch(&watch);
    hear_of_main();
}

bool mt_listen_arm(const struct mt_agent_config *config, char *const *envp, bool by_attach)
{
    const char *where = config->asked.listen;
    unsigned port = 0;
    if (where[0] == '\0' || strcmp(where, "0") == 0 || mt_os_is_restricted() || has_main_ended() || !take_turn()) {
        return false;
    }
    mt_engine_enter();
    if (!g_listen.armed) {
        end_locked(); /* it may not be through with what it was disarmed for */
        close_all();
        arm_locked(config, envp, by_attach);
    }
    start_locked(false);
    bool there = mt_load_acquire(&g_listen.thread) != THREAD_NONE;
    (void)mt_ears_host(&port);
    mt_engine_leave();
    give_turn();
    return there && (strcmp(where, "1") == 0 || port != 0);
}

void mt_listen_disarm(void)
{
    bool own = mt_load_acquire(&g_listen.thread) == THREAD_THERE && (int)mt_load_relaxed(&g_listen.tid) == mt_os_tid();
    uint32_t not = LEAVE_NOT;
    if (!g_listen.armed || !g_listen.by_attach || !take_turn()) {
        return;
    }
    g_listen.armed = false;
    mt_control_keep_hooks(false);
    if (own) {
        (void)mt_cas_acq_rel(&g_listen.leave, &not, LEAVE_WANTED);
    } else {
        end_locked();
        if (mt_load_acquire(&g_listen.thread) == THREAD_NONE) {
            close_all();
        } else {
            (void)mt_cas_acq_rel(&g_listen.leave, &not, LEAVE_WANTED); /* the process is stopped: when it goes on */
        }
    }
    give_turn();
}

void mt_listen_close(void)
{
    if (g_listen.armed && is_ours()) {
        mt_engine_enter();
        mt_ears_forget_file();
        mt_engine_leave();
    }
}
