/* inject.c: see inject.h. */
#include "attach/inject.h"

#include "attach/candidates.h"
#include "attach/delivery.h"
#include "attach/foothold.h"
#include "attach/safepoint.h"
#include "base/os.h"
#include "util/memory.h"
#include "util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const uint64_t CALL_PATIENCE_NS = 2000000000, STOP_PATIENCE_NS = 1000000000; /* with a call in the target; with a thread to stop */
static const uint64_t AGENT_PATIENCE_NS = 10000000000; /* of the thread with us, while it sees that we live */
static const uint64_t BLIND_PATIENCE_NS = 2000000000;  /* and where it cannot see that */
static const uint64_t AWAY_MAX_NS = 30000000000;      /* ours with the thread: it is not called back */
enum { MXCSR_DEFAULT = 0x1F80 };

/* One try to borrow a thread: what it needs, and what has been learnt. */
struct attempt {
    struct mt_subject *subject;
    const struct mt_injection *how;
    struct mt_injected *result;
    struct mt_hazards hazards;
    struct mt_tables tables;
    struct mt_foothold foothold;
    struct mt_delivery delivery;
    struct mt_landing_box *box; /* as it will be there */
    char path[MT_LANDING_PATH_BYTES]; /* of the agent in the target's root; "": by a memory file */
    uint64_t started_ns, memtap;
    struct mt_thread thread;
    bool seen;       /* a thread that would stop */
    bool kept;       /* the thread away is still traced */
    bool sent;
    bool out_of_reach; /* its descriptors are */
    enum mt_safety last;
};

/* ---- the box -------------------------------------------------------------------------------------------------------- */

static uint64_t async_signals(void)
{
    static const int sync[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
    uint64_t mask = UINT64_MAX;
    for (size_t i = 0; i < sizeof sync / sizeof *sync; i++) {
        mask &= ~((uint64_t)1 << (sync[i] - 1)); /* a blocked one would end the process all the same, and its handler unasked */
    }
    return mask;
}

static void *there(uint64_t address)
{
    return (void *)(uintptr_t)address; // an address of the target, for its eyes
}

static mt_status put_settings(const struct mt_injection *how, uint64_t box_at, struct mt_landing_box *box, struct mt_error *err)
{
    size_t used = 0;
    for (size_t i = 0; how->settings != NULL && how->settings[i] != NULL; i++) {
        size_t bytes = strlen(how->settings[i]) + 1;
        if (i + 1 >= MT_LANDING_SETTINGS_MAX || used + bytes > sizeof box->strings) {
            return mt_error_set(err, MT_E_INVAL, "the settings for the agent are too long");
        }
        memcpy(box->strings + used, how->settings[i], bytes);
        box->settings[i] = there(box_at + offsetof(struct mt_landing_box, strings) + used);
        used += bytes;
    }
    return MT_OK;
}

static void put_functions(const struct mt_hazards *hazards, struct mt_landing_box *box)
{
    const uint64_t addresses[] = { hazards->errno_location, hazards->dlopen, hazards->dlsym, hazards->dlerror, hazards->agent };
    memcpy(&box->errno_location, &addresses[0], sizeof(uint64_t));
    memcpy(&box->open, &addresses[1], sizeof(uint64_t));
    memcpy(&box->find, &addresses[2], sizeof(uint64_t));
    memcpy(&box->why, &addresses[3], sizeof(uint64_t));
    memcpy(&box->agent, &addresses[4], sizeof(uint64_t));
}

/* Where the box lies is known only now. */
static void settle_box(struct attempt *a)
{
    struct mt_landing_box *box = a->box;
    memset(box, 0, sizeof *box);
    *box = (struct mt_landing_box){
        .magic = MT_LANDING_MAGIC,
        .blocked = async_signals(),
        .stack_bytes = MT_LANDING_STACK_BYTES,
        .xsave_bytes = mt_foothold_vector_bytes(),
        .state = MT_LANDING_TAKEN,
        .control = MXCSR_DEFAULT,
        .pid = (uint64_t)a->subject->facts.pid,
        .patience_ns = a->memtap != 0 ? AGENT_PATIENCE_NS : BLIND_PATIENCE_NS,
        .memtap = a->memtap,
        .task = a->how->task,
        .fd = -1,
        .dlopen_flags = a->hazards.dlopen_flags,
        .path = "/proc/./thread-self/./fd/", /* a spelling that no program uses: the loader keeps it as the library's name */
        .whole_path = a->path[0] != '\0',
        .name = "libmemtap-agent.so",
        .symbol = "memtap_agent_api",
    };
    if (box->whole_path) {
        memcpy(box->path, a->path, sizeof a->path);
    }
    put_functions(&a->hazards, box);
    (void)(put_settings(a->how, a->foothold.box, box, NULL) == MT_OK); /* looked at before */
}

static bool read_box(const struct attempt *a)
{
    return mt_remote_read(&a->subject->remote, a->foothold.box, a->box, sizeof *a->box);
}

/* ---- one thread ----------------------------------------------------------------------------------------------------- */

/* What the landing pops; an interrupted call is made again, unless a signal has ended it that the program will hear of. */
static struct mt_landing_frame frame_of(const struct mt_thread *thread, struct mt_landing_box *box)
{
    struct user_regs_struct r = thread->registers;
    uint64_t number;
    int64_t outcome;
    if (mt_thread_was_in_call(&r, &number, &outcome) && !(outcome == -EINTR && mt_thread_has_signal(thread->process, thread->tid))) {
        box->interrupted = outcome;
        box->behind_call = r.rip;
        mt_thread_make_again(&r, outcome);
    }
    return (struct mt_landing_frame){ 0,    r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11,    r.r10,
                                      r.r9, r.r8,  r.rcx, r.rdx, r.rsi, r.rdi, r.rax, r.eflags, r.rip };
}

static bool is_over_budget(const struct attempt *a)
{
    return mt_thread_stopped_ns(&a->thread) > a->how->max_stop_ns;
}

static void count_stop(struct attempt *a)
{
    uint64_t stopped_ns = mt_thread_stopped_ns(&a->thread);
    a->result->longest_stop_ns = stopped_ns > a->result->longest_stop_ns ? stopped_ns : a->result->longest_stop_ns;
}

static void let_go(struct attempt *a)
{
    mt_thread_let_go(&a->thread);
    count_stop(a);
}

/* From a safe point to the landing; everything before the last call can be taken back. */
static void send_away(struct attempt *a)
{
    size_t bytes, entry;
    struct user_regs_struct registers = a->thread.registers;
    uint64_t frame_at = registers.rsp - MT_LANDING_RED_ZONE_BYTES - sizeof(struct mt_landing_frame);
    (void)mt_landing_code(&bytes, &entry);
    settle_box(a);
    struct mt_landing_frame frame = frame_of(&a->thread, a->box);
    registers.rip = a->foothold.box + MT_LANDING_BOX_BYTES + entry;
    registers.rsp = frame_at;
    registers.rbx = a->foothold.box;
    registers.orig_rax = UINT64_MAX;
    if (!mt_remote_write(&a->subject->remote, frame_at, &frame, sizeof frame) || is_over_budget(a) ||
        !mt_remote_write(&a->subject->remote, a->foothold.box, a->box, sizeof *a->box)) {
        if (mt_thread_restore(&a->thread)) {
            let_go(a);
        }
        return;
    }
    a->kept = a->thread.stopped_by_signal;
    a->sent = mt_thread_send(&a->thread, &registers, a->kept);
    count_stop(a);
}

static mt_status refuse_foothold(const struct attempt *a, int error, struct mt_error *err)
{
    return mt_error_set(err, MT_E_UNSUPPORTED,
                        "process %d may not make memory executable (%s): a security module (SELinux execmem) or a seccomp filter "
                        "forbids it; start it under `memtap run`",
                        (int)a->subject->facts.pid, strerror(error));
}

static mt_status use_stopped(struct attempt *a, struct mt_error *err)
{
    int error = 0;
    mt_status status = mt_subject_check_image(a->subject, a->thread.tid, err);
    a->last = status != MT_OK ? MT_UNSAFE_STACK : mt_safepoint_judge(a->subject, &a->hazards, &a->tables, &a->thread);
    if (a->last != MT_SAFE || is_over_budget(a)) {
        let_go(a);
        return status;
    }
    if (a->foothold.box == 0) {
        switch (mt_foothold_make(a->subject, &a->hazards, &a->thread, CALL_PATIENCE_NS, &a->foothold, &error)) {
        case MT_FOOTHOLD_DENIED:
            return refuse_foothold(a, error, err);
        case MT_FOOTHOLD_LATER:
            count_stop(a);
            return MT_OK;
        case MT_FOOTHOLD_MADE:
        default:
            break;
        }
    }
    send_away(a);
    return MT_OK;
}

static mt_status try_thread(struct attempt *a, pid_t tid, struct mt_error *err)
{
    struct mt_ptrace_rules rules;
    a->result->tries++;
    switch (mt_thread_stop(a->subject->facts.pid, tid, STOP_PATIENCE_NS, &a->thread)) {
    case MT_THREAD_STOPPED:
        return use_stopped(a, err);
    case MT_THREAD_DENIED:
        mt_ptrace_rules_here(&rules);
        return mt_refusal_of_kernel(&a->subject->facts, &rules, err);
    case MT_THREAD_NO_STOP:
        return mt_error_set(err, MT_E_BUSY, "thread %d of process %d does not stop: it sleeps where nothing can wake it (state D)", (int)tid,
                            (int)a->subject->facts.pid);
    case MT_THREAD_GONE:
    case MT_THREAD_TRACED:
    default:
        return MT_OK;
    }
}

/* ---- all threads ---------------------------------------------------------------------------------------------------- */

static bool is_out_of_time(const struct attempt *a)
{
    return mt_os_monotonic_ns() - a->started_ns > a->how->timeout_ns;
}

static mt_status try_all(struct attempt *a, struct mt_error *err)
{
    pid_t *threads;
    struct mt_mappings fresh = { 0 };
    mt_status status = mt_mappings_read(a->subject->facts.alive, &fresh, NULL); /* stacks of new threads */
    if (status != MT_OK || mt_process_has_ended(a->subject->facts.pid)) {
        mt_mappings_clear(&fresh);
        return mt_error_set(err, MT_E_NOENT, "process %d has ended", (int)a->subject->facts.pid);
    }
    struct mt_mappings before = a->subject->mappings;
    a->subject->mappings = fresh;
    size_t count = mt_candidates_list(a->subject->facts.pid, &threads);
    a->seen |= count > 0;
    for (size_t i = 0; i < count && status == MT_OK && !a->sent && (a->result->tries == 0 || !is_out_of_time(a)); i++) {
        status = try_thread(a, threads[i], err);
    }
    free(threads);
    a->subject->mappings = before; /* objects borrow from these */
    mt_mappings_clear(&fresh);
    return status;
}

static mt_status give_up(const struct attempt *a, struct mt_error *err)
{
    static const char *const why[] = {
        [MT_SAFE] = "each was stopped for longer than --max-stop allows",
        [MT_UNSAFE_LOCKS] = "they may hold locks of the allocator or the loader",
        [MT_UNSAFE_SIGNAL] = "they are in signal handlers",
        [MT_UNSAFE_STACK] = "they are on stacks of coroutines",
    };
    if (!a->seen) {
        return mt_error_set(err, MT_E_UNSUPPORTED, "every thread of process %d sleeps where nothing can wake it (state D)",
                            (int)a->subject->facts.pid);
    }
    if (a->subject->facts.stopped) {
        return mt_error_set(err, MT_E_BUSY,
                            "process %d is stopped (state T) where none of its threads can be borrowed: let it go on (kill -CONT %d) and "
                            "try again",
                            (int)a->subject->facts.pid, (int)a->subject->facts.pid);
    }
    return mt_error_set(err, MT_E_BUSY,
                        "no thread of process %d could be borrowed in time (looked %u times: %s); nothing has changed in it, try "
                        "again, or with --timeout and --max-stop",
                        (int)a->subject->facts.pid, a->result->tries, why[a->last]);
}

static mt_status send_somebody(struct attempt *a, struct mt_error *err)
{
    mt_status status;
    for (status = try_all(a, err); status == MT_OK && !a->sent; status = try_all(a, err)) {
        struct timespec pause = { 0, 1000000 };
        if (is_out_of_time(a)) {
            return give_up(a, err);
        }
        (void)nanosleep(&pause, NULL);
    }
    return status;
}

/* ---- while it is away ----------------------------------------------------------------------------------------------- */

/* 0: it is back. */
static uint32_t state_of_box(const struct attempt *a)
{
    uint32_t state = MT_LANDING_FREE;
    uint64_t at = a->foothold.box + offsetof(struct mt_landing_box, state);
    return mt_remote_read(&a->subject->remote, at, &state, sizeof state) ? state : MT_LANDING_FREE;
}

/* False: the thread waits in vain, and says so. */
static bool bring_file(struct attempt *a)
{
    const uint32_t go = 1;
    int32_t fd = -1;
    uint64_t box = a->foothold.box;
    return mt_remote_read(&a->subject->remote, box + offsetof(struct mt_landing_box, fd), &fd, sizeof fd) &&
           mt_delivery_fill(&a->delivery, a->subject->facts.alive, fd) &&
           mt_remote_write(&a->subject->remote, box + offsetof(struct mt_landing_box, go), &go, sizeof go);
}

static mt_status wait_for_return(struct attempt *a, struct mt_error *err)
{
    uint64_t start = mt_os_monotonic_ns();
    bool tried = false;
    for (uint32_t state = MT_LANDING_TAKEN; (state = state_of_box(a)) != MT_LANDING_FREE;) {
        struct timespec pause = { 0, 50000 };
        if (state == MT_LANDING_WANTS_FILE && !tried) {
            tried = true;
            a->out_of_reach = !bring_file(a);
        }
        if (a->how->meanwhile != NULL) {
            a->how->meanwhile(a->how->context);
        }
        if ((a->kept && !mt_thread_hand_on(&a->thread)) || mt_os_monotonic_ns() - start > AWAY_MAX_NS) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    a->result->away_ns = mt_os_monotonic_ns() - start;
    if (a->kept) {
        mt_thread_release(&a->thread);
    }
    return read_box(a) && a->box->state == MT_LANDING_FREE
               ? MT_OK
               : mt_error_set(err, MT_E_BUSY, "the borrowed thread of process %d is still at work, or the process has ended; it is not called back",
                              (int)a->subject->facts.pid);
}

static mt_status understand(const struct attempt *a, struct mt_error *err)
{
    const struct mt_landing_box *box = a->box;
    int pid = (int)a->subject->facts.pid;
    switch (box->failure) {
    case MT_LANDING_OK:
        return MT_OK;
    case MT_LANDING_NO_STACK:
        return mt_error_set(err, MT_E_NOMEM, "process %d has no memory for a stack (its limits, its cgroup)", pid);
    case MT_LANDING_NO_MEMFD:
        return mt_error_set(err, MT_E_UNSUPPORTED, "process %d may make no memory file (%s)", pid, strerror(box->error));
    case MT_LANDING_NOBODY:
        return a->out_of_reach ? mt_error_set(err, MT_E_UNSUPPORTED, "the descriptors of process %d cannot be reached from here", pid)
                               : mt_error_set(err, MT_E_BUSY, "the agent could not be brought to process %d in time: try again", pid);
    case MT_LANDING_NO_DLOPEN:
        return mt_error_set(err, MT_E_UNSUPPORTED, "process %d cannot load the agent: %.500s", pid,
                            box->said[0] != '\0' ? box->said : "its dynamic linker does not say why");
    case MT_LANDING_NO_AGENT:
    default:
        return mt_error_set(err, MT_E_VERSION, "the agent in process %d is of another version of memtap", pid);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* One memtap at a time: a descriptor of /proc/PID with a lock; -1: not to be had in time. */
static int take_turn(const struct attempt *a)
{
    char path[64];
    struct timespec pause = { 0, 1000000 };
    (void)snprintf(path, sizeof path, "/proc/%d", (int)a->subject->facts.pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || is_out_of_time(a)) {
            (void)close(fd);
            return -1;
        }
        (void)nanosleep(&pause, NULL);
    }
    return fd;
}

/* A memtap that was killed may have left a thread on its way; it comes back by itself. */
static bool wait_for_landing(struct attempt *a)
{
    if (!mt_foothold_find(a->subject, &a->foothold)) {
        return true;
    }
    while (read_box(a) && a->box->state != MT_LANDING_FREE && a->box->pid == (uint64_t)a->subject->facts.pid) {
        struct timespec pause = { 0, 1000000 };
        if (is_out_of_time(a)) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

static mt_status go_once(struct attempt *a, struct mt_error *err)
{
    a->sent = false;
    mt_status status = send_somebody(a, err);
    if (status == MT_OK) {
        status = wait_for_return(a, err);
    }
    return status == MT_OK ? understand(a, err) : status;
}

/* By a memory file; where that cannot be, by a file that the process can see. */
static mt_status go(struct attempt *a, struct mt_error *err)
{
    struct mt_error first = { 0 };
    mt_status status = go_once(a, &first);
    while (a->sent && a->box->failure == MT_LANDING_NOBODY && !a->out_of_reach && !is_out_of_time(a)) {
        first = (struct mt_error){ 0 };
        status = go_once(a, &first); /* we were too slow */
    }
    bool by_path = status == MT_E_UNSUPPORTED && (a->box->failure == MT_LANDING_NO_MEMFD || a->box->failure == MT_LANDING_NO_DLOPEN);
    if (!by_path || !a->sent) {
        return status == MT_OK ? MT_OK : mt_error_set(err, status, "%s", mt_error_text(&first));
    }
    status = mt_delivery_place(&a->delivery, a->subject->facts.alive, a->how->agent, a->path, sizeof a->path, err);
    return status == MT_OK ? go_once(a, err) : status;
}

static mt_status prepare(struct attempt *a, struct mt_error *err)
{
    mt_status status = put_settings(a->how, 0, a->box, err);
    if (status == MT_OK && mt_foothold_vector_bytes() == 0) {
        status = mt_error_set(err, MT_E_UNSUPPORTED, "this processor has no XSAVE, which memtap needs to borrow a thread");
    }
    if (status == MT_OK) {
        status = mt_hazards_find(a->subject, &a->hazards, err);
    }
    if (status != MT_OK && (mt_process_image(a->subject->facts.alive) == 0 || mt_process_has_ended(a->subject->facts.pid))) { /* nothing is there */
        err->status = MT_OK;
        err->text[0] = '\0';
        return mt_error_set(err, MT_E_NOENT, "process %d has ended", (int)a->subject->facts.pid);
    }
    return status == MT_OK ? mt_delivery_read(a->how->agent, &a->delivery, err) : status;
}

/* What must not wait: a thread is stopped while we do. Where we may not go first, we go as we are. */
static void hurry(sigset_t *ret_before)
{
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, ret_before);
    (void)setpriority(PRIO_PROCESS, 0, -10);
}

mt_status mt_inject(struct mt_subject *subject, const struct mt_injection *how, struct mt_injected *ret, struct mt_error *err)
{
    sigset_t before;
    struct attempt a = { .subject = subject, .how = how, .result = ret, .started_ns = mt_os_monotonic_ns(),
                         .memtap = mt_remote_own_number(subject->facts.alive) };
    *ret = (struct mt_injected){ 0 };
    a.box = mt_alloc_zero(1, sizeof *a.box);
    mt_tables_open(&subject->remote, &subject->objects, &a.tables);
    mt_status status = prepare(&a, err);
    hurry(&before);
    int turn = status == MT_OK ? take_turn(&a) : -1;
    if (status == MT_OK && (turn < 0 || !wait_for_landing(&a))) {
        status = mt_error_set(err, MT_E_BUSY, "another memtap is joining or leaving process %d, or has left a thread on its way there: try again",
                              (int)subject->facts.pid);
    }
    bool nothing_to_leave = how->task == MT_LANDING_DETACH && a.hazards.agent == 0;
    a.box->code = MEMTAP_AGENT_IDLE;
    if (status == MT_OK && !nothing_to_leave) {
        status = go(&a, err);
    }
    if (status == MT_OK) {
        ret->code = (enum memtap_agent_code)a.box->code;
        ret->state = a.box->result;
        ret->state.path[sizeof ret->state.path - 1] = '\0';
        ret->user = subject->facts.user;
        ret->loaded = a.hazards.agent == 0;
    }
    if (turn >= 0) {
        (void)close(turn);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    mt_delivery_clear(&a.delivery);
    mt_hazards_clear(&a.hazards);
    mt_tables_close(&a.tables);
    free(a.box);
    return status;
}
