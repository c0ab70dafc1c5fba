/* apart.c: see apart.h. */
#include "agent/apart.h"

#include "agent/pyeval.h"
#include "base/atomic.h"
#include "base/os.h"
#include "base/os_socket.h"
#include "heap/engine.h"
#include "hook/hook.h"

#include <string.h>

enum { JOBS = 4, STACK_BYTES = 256 << 10, PIECE_BYTES = 1 << 20 };
static const uint64_t PATIENCE_NS = 10000000000;
static const uint64_t TIMEOUT_MS = 30000;

static struct job {
    uint32_t used; /* 0 free. Writers: the listener takes it, the job's thread gives it back with a release store */
    int fd;
    uint64_t identity;
    uint64_t user;
    const char *payload;
    size_t bytes, mapped;
    bool deaf; /* the client does not listen any more */
} g_jobs[JOBS];

static void send_all(struct job *job, const char *data, size_t bytes)
{
    uint64_t deadline = mt_os_monotonic_ns() + PATIENCE_NS;
    while (bytes > 0 && !job->deaf) {
        size_t sent = 0;
        uint64_t now = mt_os_monotonic_ns();
        mt_status status = mt_os_socket_identity(job->fd) == job->identity ? mt_os_socket_send(job->fd, data, bytes, &sent) : MT_E_IO;
        job->deaf = (status != MT_OK && status != MT_E_BUSY) || now >= deadline;
        data += sent;
        bytes -= sent;
        if (status == MT_E_BUSY && !job->deaf) {
            struct mt_os_waited waited = { .fd = job->fd, .wanted = MT_OS_WRITABLE };
            mt_os_wait(&waited, 1, deadline - now);
        }
    }
}

static void send_frame(struct job *job, enum mt_control_status status, const char *payload, size_t bytes)
{
    const struct mt_control_frame head = { .magic = MT_CONTROL_MAGIC,
                                           .version = MT_CONTROL_VERSION,
                                           .kind = MT_CONTROL_EVAL,
                                           .status = (uint32_t)status,
                                           .length = (uint32_t)bytes };
    send_all(job, (const char *)&head, sizeof head);
    send_all(job, payload, bytes);
}

static void say(void *context, int stream, const char *text, size_t bytes)
{
    static const enum mt_control_status of[] = {
        [MT_EVAL_OUT] = MT_CONTROL_IS_OUTPUT,
        [MT_EVAL_ERR] = MT_CONTROL_IS_ERRORS,
        [MT_EVAL_TRACEBACK] = MT_CONTROL_IS_TRACEBACK,
        [MT_EVAL_ERROR] = MT_CONTROL_IS_ERROR,
    };
    while (bytes > 0) {
        size_t piece = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
        send_frame(context, of[stream], text, piece);
        text += piece;
        bytes -= piece;
    }
}

/* One that closes its side wants no answer: a client that sends one request at a time has nothing else to say with it. */
static bool is_gone(void *context)
{
    struct job *job = context;
    struct mt_os_waited waited = { .fd = job->fd, .wanted = MT_OS_READABLE };
    char unasked;
    size_t got = 1;
    mt_os_wait(&waited, 1, 0);
    if (waited.is != 0 && mt_os_socket_identity(job->fd) == job->identity) {
        job->deaf = job->deaf || (waited.is & MT_OS_GONE) != 0 || (mt_os_socket_receive(job->fd, &unasked, 1, &got) == MT_OK && got == 0);
    }
    return job->deaf;
}

static enum mt_control_status status_of(enum mt_eval_end end)
{
    static const enum mt_control_status of[] = {
        [MT_EVAL_DONE] = MT_CONTROL_IS_OK,           [MT_EVAL_RAISED] = MT_CONTROL_IS_RAISED,
        [MT_EVAL_TIMEOUT] = MT_CONTROL_IS_TIMEOUT,   [MT_EVAL_NO_PYTHON] = MT_CONTROL_IS_NO_PYTHON,
        [MT_EVAL_BUSY] = MT_CONTROL_IS_BUSY,         [MT_EVAL_DENIED] = MT_CONTROL_IS_FORBIDDEN,
    };
    return (size_t)end < MT_COUNTOF(of) ? of[end] : MT_CONTROL_IS_FAILED;
}

static uint64_t timeout_of(const struct job *job)
{
    const char *text = mt_control_value(job->payload, job->bytes, "TIMEOUT_MS");
    uint64_t value = 0;
    for (; text != NULL && *text >= '0' && *text <= '9' && value < UINT32_MAX; text++) {
        value = value * 10 + (uint64_t)(*text - '0');
    }
    return value != 0 ? value : TIMEOUT_MS;
}

/* A fork at any moment copies either a payload that is there or none. */
static void forget_payload(struct job *job)
{
    void *payload = (void *)(uintptr_t)mt_load_relaxed(&job->payload);
    mt_store_release(&job->payload, NULL);
    if (payload != NULL) {
        mt_os_unmap(payload, job->mapped);
    }
}

static void *eval_main(void *argument)
{
    struct job *job = argument;
    char words[64];
    struct mt_control_text text = { .buf = words, .capacity = sizeof words };
    uint64_t held_ns = 0;
    mt_os_signals_let_libc();
    mt_engine_enter_own();
    mt_asked_note("eval", job->user);
    const char *code = mt_control_value(job->payload, job->bytes, "CODE");
    const struct mt_eval_asker asker = { .say = say, .gone = is_gone, .context = job };
    enum mt_eval_end end = mt_eval_run(code, strlen(code), timeout_of(job), &asker, &held_ns);
    mt_control_add_number(&text, "HELD_NS", held_ns);
    send_frame(job, status_of(end), words, text.length);
    if (mt_os_socket_identity(job->fd) == job->identity) {
        mt_os_close(job->fd);
    }
    forget_payload(job);
    mt_store_release(&job->used, 0u);
    mt_engine_leave_own();
    return NULL;
}

static struct job *free_job(void)
{
    for (int i = 0; i < JOBS; i++) {
        if (mt_load_acquire(&g_jobs[i].used) == 0) {
            return &g_jobs[i];
        }
    }
    return NULL;
}

bool mt_apart_eval(const struct mt_asked *asked, int fd, size_t mapped, enum mt_control_status *ret_status)
{
    struct job *job = free_job();
    *ret_status = mt_control_value(asked->payload, asked->bytes, "CODE") == NULL ? MT_CONTROL_IS_BAD : MT_CONTROL_IS_BUSY;
    if (*ret_status != MT_CONTROL_IS_BUSY || job == NULL) {
        return false;
    }
    *job = (struct job){ .fd = fd, .identity = mt_os_socket_identity(fd), .user = asked->user, .bytes = asked->bytes, .mapped = mapped };
    mt_store_release(&job->payload, asked->payload);
    mt_store_release(&job->used, 1u);
    if (!mt_hooks_start_thread(eval_main, job, STACK_BYTES)) {
        mt_store_release(&job->payload, NULL); /* still the caller's */
        mt_store_release(&job->used, 0u);
        *ret_status = MT_CONTROL_IS_FAILED;
        return false;
    }
    return true;
}

void mt_apart_forget(void)
{
    mt_eval_forget();
    for (int i = 0; i < JOBS; i++) {
        if (mt_load_relaxed(&g_jobs[i].used) != 0 && mt_os_socket_identity(g_jobs[i].fd) == g_jobs[i].identity) {
            mt_os_close(g_jobs[i].fd);
        }
        forget_payload(&g_jobs[i]);
        mt_store_relaxed(&g_jobs[i].used, 0u);
    }
}
