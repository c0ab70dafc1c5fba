/* Unit tests of guards that are never taken down: somebody jumps out of a hook, or out of the recorder itself, and the thread
 * goes on being recorded, with what was lost counted. Jumps are made here, where a signal handler would make them. */
#include "harness.h"
#include "made_up.h"

#include "heap/clock.h"
#include "heap/meta.h"
#include "heap/thread.h"
#include "model/cursor.h"
#include "model/trace.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { EVENTS_MAX = 4096, STACK_BYTES = 256 * 1024 };

static char g_path[64];
static sigjmp_buf g_back;

static int start(enum mt_engine_mode mode)
{
    static const char command[] = "unit";
    snprintf(g_path, sizeof g_path, "/tmp/memtap-gate-%d.mtap", (int)getpid());
    unlink(g_path);
    struct mt_engine_config config = {
        .mode = mode, .rate_bytes = 1, .native = true, .path = g_path, .command = command,
        .command_bytes = sizeof command, .seed = 11,
    };
    return mt_engine_start(&config) == MT_OK ? 0 : -1;
}

static int start_exact(void **state)
{
    (void)state;
    return start(MT_MODE_EXACT);
}

static int finish(void **state)
{
    (void)state;
    mt_engine_stop(MT_STATE_STOPPED);
    return unlink(g_path);
}

/* The addresses of the trace's allocations, in order; returns how many. */
static size_t allocations(uint64_t *ret_addresses)
{
    struct mt_trace *trace = NULL;
    struct mt_cursor *cursor = NULL;
    static struct mt_event events[EVENTS_MAX];
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    size_t found = 0;
    size_t count = mt_cursor_next(cursor, events, EVENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == MT_EVENT_ALLOC) {
            ret_addresses[found++] = events[i].addr;
        }
    }
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    mt_cursor_free(cursor);
    mt_trace_close(trace);
    return found;
}

/* Only these addresses were recorded, and so many events are counted as dropped. */
static void assert_recorded(const uint64_t *wanted, size_t count, uint64_t dropped)
{
    uint64_t found[EVENTS_MAX];
    mt_engine_stop(MT_STATE_STOPPED);
    assert_int_equal(allocations(found), count);
    assert_memory_equal(found, wanted, count * sizeof *wanted);
    assert_int_equal(mt_engine_counter(MT_COUNTER_DROPPED_EVENTS), dropped);
}

static MT_NOINLINE void jump(void)
{
    siglongjmp(g_back, 1);
}

/* ---- hooks ---------------------------------------------------------------------------------------------------------- */

static MT_NOINLINE void jump_out_of_malloc(void)
{
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    jump();
}

static MT_NOINLINE void jump_out_of_realloc(void)
{
    assert_int_equal(mt_engine_begin_realloc((void *)0x1000, 64, MT_REALLOC_GROWS), MT_RECORD);
    jump();
}

static MT_NOINLINE void jump_out_of_a_mapping(void)
{
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    jump();
}

static MT_NOINLINE void jump_out_of_free(void)
{
    mt_engine_free((void *)0x1000);
    mt_engine_enter_end((void *)0x1000, 0);
    jump();
}

static void jump_out_of(void (*hook)(void))
{
    if (sigsetjmp(g_back, 1) == 0) {
        hook();
    }
}

static void test_a_thread_is_recorded_after_a_jump_out_of_any_hook(void **state)
{
    (void)state;
    static void (*const hooks[])(void) = { jump_out_of_malloc, jump_out_of_realloc, jump_out_of_a_mapping, jump_out_of_free };
    uint64_t wanted[1 + MT_COUNTOF(hooks)] = { 0x1000 };
    record(0x1000, 10);
    for (size_t i = 0; i < MT_COUNTOF(hooks); i++) {
        jump_out_of(hooks[i]);
        wanted[i + 1] = 0x2000 + i * 0x100;
        record(wanted[i + 1], 10);
        assert_int_equal(t_mt.depth, 0);
    }
    assert_recorded(wanted, MT_COUNTOF(wanted), 3); /* the free had been recorded */
}

static void test_a_thread_is_sampled_after_a_jump_out_of_a_sample(void **state)
{
    (void)state;
    mt_engine_stop(MT_STATE_STOPPED);
    assert_int_equal(start(MT_MODE_SAMPLE), 0);
    jump_out_of(jump_out_of_malloc);
    for (uint64_t i = 1; i <= 256; i++) {
        record(i << 20, 1 << 20);
    }
    assert_true(mt_engine_live_samples() > 128);
    assert_int_equal(t_mt.depth, 0);
}

static void test_a_realloc_that_was_left_has_failed(void **state)
{
    (void)state;
    record(0x1000, 10);
    jump_out_of(jump_out_of_realloc);
    record(0x2000, 10);
    mt_engine_stop(MT_STATE_STOPPED);
    struct mt_trace *trace = NULL;
    struct mt_cursor *cursor = NULL;
    struct mt_event events[8];
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    assert_int_equal(mt_cursor_next(cursor, events, 8), 2); /* two allocations, and no end of the first */
    assert_int_equal(mt_cursor_losses(cursor)->unfinished_reallocs, 0);
    mt_cursor_free(cursor);
    mt_trace_close(trace);
}

static MT_NOINLINE void nested_in(void (*call)(void))
{
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    call();
    MT_CAPTURE_CALLER(regs);
    mt_engine_end_alloc((void *)0x6000, 64, MT_ALLOCATOR_NEW, &regs);
}

static void record_nested(void)
{
    record(0x5000, 10);
}

static void record_deeply_nested(void)
{
    volatile char room[STACK_BYTES];
    room[0] = 0;
    record(0x5000, 10);
    room[STACK_BYTES - 1] = room[0];
}

static void on_signal(int number)
{
    (void)number;
    record(0x7000, 10);
}

static void record_in_a_handler_with_a_stack_of_its_own(void)
{
    static _Alignas(16) char stack[STACK_BYTES];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack }, before;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
    assert_int_equal(sigaltstack(&alternate, &before), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    raise(SIGUSR1);
    assert_int_equal(sigaltstack(&before, NULL), 0); /* a sanitizer has one of its own */
    record(0x5000, 10);
}

/* In a thread whose own stack lies in the middle of the address space as well as in the main thread, whose stack is at its
 * top. */
static void *nest(void *unused)
{
    (void)unused;
    nested_in(record_nested);
    nested_in(record_deeply_nested);
    nested_in(record_in_a_handler_with_a_stack_of_its_own);
    return NULL;
}

static void test_calls_inside_a_guarded_one_do_not_end_its_guard(void **state)
{
    (void)state;
    static const uint64_t wanted[] = { 0x6000, 0x6000, 0x6000 };
    (void)nest(NULL);
    assert_recorded(wanted, MT_COUNTOF(wanted), 0);
}

static void test_calls_inside_a_guarded_one_of_a_thread_do_not_either(void **state)
{
    (void)state;
    static const uint64_t wanted[] = { 0x6000, 0x6000, 0x6000 };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, nest, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_recorded(wanted, MT_COUNTOF(wanted), 0);
}

static ucontext_t g_main, g_coroutine;

static void coroutine(void)
{
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    (void)swapcontext(&g_coroutine, &g_main); /* never resumed */
}

static void test_a_guard_on_a_coroutines_stack_ends_when_the_thread_is_back_on_its_own(void **state)
{
    (void)state;
    static _Alignas(16) char stack[STACK_BYTES];
    static const uint64_t wanted[] = { 0x1000 };
    assert_int_equal(getcontext(&g_coroutine), 0);
    g_coroutine.uc_stack.ss_sp = stack;
    g_coroutine.uc_stack.ss_size = sizeof stack;
    makecontext(&g_coroutine, coroutine, 0);
    assert_int_equal(swapcontext(&g_main, &g_coroutine), 0);
    record(0x1000, 10);
    assert_recorded(wanted, MT_COUNTOF(wanted), 1);
}

/* ---- the recorder --------------------------------------------------------------------------------------------------- */

static MT_NOINLINE void jump_out_of_a_record(void)
{
    struct mt_thread *t = t_mt.thread;
    assert_true(mt_section_begins(t));
    mt_encode_tag(&t->journal.encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, mt_clock_stamp(t));
    mt_encode_addr(&t->journal.encoder, 0x3000);
    jump();
}

static MT_NOINLINE void jump_out_with_a_lock(void)
{
    assert_true(mt_section_begins(t_mt.thread));
    assert_true(mt_meta_lock());
    jump();
}

static void test_half_a_record_is_not_in_the_trace(void **state)
{
    (void)state;
    uint64_t wanted[21] = { 0x1000 };
    record(wanted[0], 10);
    for (size_t i = 1; i < MT_COUNTOF(wanted); i++) {
        jump_out_of(jump_out_of_a_record);
        wanted[i] = 0x2000 * i;
        record(wanted[i], 10);
        forget(wanted[i]);
    }
    assert_recorded(wanted, MT_COUNTOF(wanted), MT_COUNTOF(wanted) - 1);
}

static void test_a_jump_out_of_the_shared_tables_ends_the_recording_and_says_so(void **state)
{
    (void)state;
    static const uint64_t wanted[] = { 0x1000 };
    record(0x1000, 10);
    jump_out_of(jump_out_with_a_lock);
    record(0x2000, 10);
    assert_true(mt_meta_lock()); /* nobody waits for who is gone */
    mt_meta_unlock();
    assert_int_equal(mt_engine_mode(), MT_MODE_OFF);
    struct mt_trace *trace = NULL;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_trace_info(trace)->end_reason, MT_END_JUMPED);
    mt_trace_close(trace);
    assert_recorded(wanted, MT_COUNTOF(wanted), 1);
}

static pthread_key_t g_key;

static MT_NOINLINE void exit_inside_malloc(void)
{
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    pthread_exit(NULL);
}

static void *end_inside(void *unused)
{
    (void)unused;
    assert_int_equal(pthread_setspecific(g_key, &g_key), 0);
    exit_inside_malloc();
    return NULL;
}

static void end_of_thread(void *unused)
{
    (void)unused;
    mt_engine_end_guard(); /* as the thread hook does */
    record(0x4000, 10);
    mt_engine_thread_exit();
    assert_int_equal(t_mt.depth, 0);
}

static void test_a_thread_that_ends_inside_a_hook_is_recorded_to_its_end(void **state)
{
    (void)state;
    static const uint64_t wanted[] = { 0x4000 };
    pthread_t thread;
    assert_int_equal(pthread_key_create(&g_key, end_of_thread), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_inside, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_recorded(wanted, MT_COUNTOF(wanted), 1);
}

#define GATE_TEST(function) cmocka_unit_test_setup_teardown(function, start_exact, finish)
static const struct CMUnitTest tests[] = {
    GATE_TEST(test_a_thread_is_recorded_after_a_jump_out_of_any_hook),
    GATE_TEST(test_a_thread_is_sampled_after_a_jump_out_of_a_sample),
    GATE_TEST(test_a_realloc_that_was_left_has_failed),
    GATE_TEST(test_calls_inside_a_guarded_one_do_not_end_its_guard),
    GATE_TEST(test_calls_inside_a_guarded_one_of_a_thread_do_not_either),
    GATE_TEST(test_a_guard_on_a_coroutines_stack_ends_when_the_thread_is_back_on_its_own),
    GATE_TEST(test_half_a_record_is_not_in_the_trace),
    GATE_TEST(test_a_jump_out_of_the_shared_tables_ends_the_recording_and_says_so),
    GATE_TEST(test_a_thread_that_ends_inside_a_hook_is_recorded_to_its_end),
};
MT_TEST_MAIN(tests)
