/* thread.c: pthread_create and the end of threads.
 *
 * Decides: how the engine learns that a thread ended. The start routine runs behind a trampoline that sets a value of our
 * thread-specific key and then tail-jumps to the program's routine: no frame of ours is on the stack. The key's destructor
 * sets the value again until the last of PTHREAD_DESTRUCTOR_ITERATIONS rounds, so that what other destructors free is
 * still recorded in the thread's own journal.
 * Start routine and argument travel in a block from a fixed pool (no allocation the program could see); a block is in use
 * only between pthread_create and the first instructions of the thread. When none is free the thread starts without a
 * trampoline: its events are recorded, its block is given back only when the process ends.
 * Rejected: __cxa_thread_atexit_impl (runs before the key destructors), a key destructor in one round (would miss frees of
 * keys created later).
 */
#include "base/atomic.h"
#include "heap/engine.h"
#include "hook/company.h"
#include "hook/hook.h"
#include "hook/loader.h"
#include "hook/originals.h"

#include <limits.h>
#include <pthread.h>

/* In libpthread before glibc 2.34: absent in a program that was not linked with it, which then cannot start threads. When a
 * plugin brings it later, threads are seen but not their ends. */
#pragma weak pthread_key_create
#pragma weak pthread_getspecific
#pragma weak pthread_setspecific
#pragma weak pthread_attr_init
#pragma weak pthread_attr_setstacksize
#pragma weak pthread_attr_setdetachstate

enum { START_BLOCKS = 1024, PROBES = 64 };

struct start_block {
    uint32_t used; /* 0 free, 1 taken. Pairing H3: taken by CAS, released with a release store after the last read */
    void *(*start)(void *);
    void *arg;
};

static struct start_block g_blocks[START_BLOCKS];
static uint32_t g_next; /* where to look first; any value will do */
static pthread_key_t g_key;
static bool g_key_ready;
static void (*g_on_end)(void); /* pairing H5: release store, acquire load */

/* value: the round of destructors that comes next, 1 to PTHREAD_DESTRUCTOR_ITERATIONS. */
static void thread_ends(void *value)
{
    uintptr_t round = (uintptr_t)value;
    mt_engine_end_guard();
    if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        mt_engine_enter();
        (void)pthread_setspecific(g_key, (void *)(round + 1));
        mt_engine_leave();
        return;
    }
    mt_engine_enter();
    mt_engine_forget_labels();
    mt_engine_leave();
    mt_engine_thread_exit();
    void (*tell)(void) = mt_load_acquire(&g_on_end);
    if (tell != NULL) {
        tell();
    }
}

/* A thread that did not come through the trampoline: it was there before us, or was made behind our back. Its end is
 * announced from here on, too late for a thread that is already past the key's last round. */
static bool announced(void)
{
    if (!g_key_ready) {
        return false;
    }
    bool before = pthread_getspecific(g_key) != NULL;
    if (!before) {
        (void)pthread_setspecific(g_key, (void *)1);
    }
    return before;
}

void mt_thread_install(void)
{
    if (!g_key_ready && pthread_key_create != NULL) {
        g_key_ready = pthread_key_create(&g_key, thread_ends) == 0;
        mt_engine_on_thread(announced);
    }
}

static struct start_block *take_block(void *(*start)(void *), void *arg)
{
    uint32_t first = mt_fetch_add_relaxed(&g_next, 1u);
    for (uint32_t i = 0; i < PROBES; i++) {
        struct start_block *block = &g_blocks[(first + i) % START_BLOCKS];
        uint32_t expected = 0;
        if (mt_cas_acq_rel(&block->used, &expected, 1u)) {
            block->start = start;
            block->arg = arg;
            return block;
        }
    }
    return NULL;
}

static void release_block(struct start_block *block)
{
    mt_store_release(&block->used, 0u);
}

/* The key may need memory of its own (keys above 32): on our account, not the program's. */
static MT_NOINLINE void announce(void)
{
    mt_engine_enter();
    (void)pthread_setspecific(g_key, (void *)1);
    mt_engine_leave();
}

static void *trampoline(void *argument)
{
    struct start_block *block = argument;
    void *(*start)(void *) = block->start;
    void *arg = block->arg;
    release_block(block);
    announce();
    return start(arg);
}

MT_NOINLINE int mt_thread_create(unsigned long *ret_thread, const void *attr, void *(*start)(void *), void *arg,
                                 const struct mt_originals *real)
{
    mt_loader_safe_point();
    mt_company_look();
    mt_engine_threads_begin();
    mt_loader_count_thread();
    struct start_block *block = g_key_ready ? take_block(start, arg) : NULL;
    if (block == NULL) {
        return real->pthread_create(ret_thread, attr, start, arg);
    }
    int error = real->pthread_create(ret_thread, attr, trampoline, block);
    if (error != 0) {
        release_block(block);
    }
    return error;
}

bool mt_hooks_on_thread_end(void (*callback)(void))
{
    mt_store_release(&g_on_end, callback);
    mt_engine_enter();
    (void)announced();
    mt_engine_leave();
    return g_key_ready;
}

/* libc's own, and no trampoline: nobody is to hear of its end. */
bool mt_hooks_start_thread(void *(*main)(void *), void *argument, size_t stack_bytes)
{
    pthread_attr_t how;
    unsigned long thread = 0;
    uint64_t mask = 0;
    if (pthread_attr_init == NULL || pthread_attr_setstacksize == NULL || pthread_attr_setdetachstate == NULL || mt_originals_get(0, MT_HOOK_pthread_create) == 0 ||
        !mt_os_signals_hold(&mask)) {
        return false;
    }
    mt_engine_enter();
    mt_engine_threads_begin();
    bool started = pthread_attr_init(&how) == 0 && pthread_attr_setstacksize(&how, stack_bytes) == 0 &&
                   pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED) == 0 &&
                   mt_g_originals[0].pthread_create(&thread, &how, main, argument) == 0;
    mt_engine_leave();
    mt_os_signals_restore(mask);
    return started;
}
