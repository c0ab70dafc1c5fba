/* Unit tests of the engine behind its door: made-up addresses go in, the trace is read back with the model and must say
 * exactly the same. Nothing is intercepted here. */
#include "harness.h"
#include "made_up.h"
#include "recorded.h"

#include "base/os.h"
#include "heap/clock.h"
#include "heap/state.h"
#include "heap/touch.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t g_tick[8];
static const uint64_t *g_tick_page; /* NULL: no tool */

static mt_status start(enum mt_engine_mode mode, uint64_t rate, uint64_t max_file_bytes)
{
    static const char command[] = "unit\0test";
    struct mt_engine_config config = {
        .mode = mode,
        .rate_bytes = rate,
        .native = true,
        .max_file_bytes = max_file_bytes,
        .path = g_path,
        .command = command,
        .command_bytes = sizeof command,
        .seed = 11,
        .tick = g_tick_page,
    };
    return mt_engine_start(&config);
}

static void test_exact_mode_records_every_call_in_order(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    for (uint64_t i = 0; i < 100000; i++) {
        record(0x10000 + i * 32, i);
        if (i % 3 == 0) {
            forget(0x10000 + i * 32);
        }
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_trace *trace = NULL;
    struct mt_event *events = read_events(g_path, &count, &trace);
    assert_int_equal(count, 100000 + 33334);
    size_t at = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        assert_int_equal(events[at].kind, MT_EVENT_ALLOC);
        assert_int_equal(events[at].addr, 0x10000 + i * 32);
        assert_int_equal(events[at].size, i);
        assert_int_not_equal(events[at].stack, 0);
        at++;
        if (i % 3 == 0) {
            assert_int_equal(events[at].kind, MT_EVENT_FREE);
            assert_int_equal(events[at].addr, 0x10000 + i * 32);
            at++;
        }
    }
    assert_int_equal(mt_trace_info(trace)->command_bytes, strlen("unit") + 1 + strlen("test"));
    assert_int_equal(mt_trace_completeness(trace)->holes, 0);
    mt_trace_close(trace);
    free(events);
}

static void test_a_trace_is_complete_without_being_stopped(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (start(MT_MODE_EXACT, 1, 0) != MT_OK) {
            _exit(3);
        }
        for (uint64_t i = 0; i < 30000; i++) {
            record(0x10000 + i * 16, 7);
        }
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    size_t count = 0;
    free(read_events(g_path, &count, NULL));
    assert_int_equal(count, 30000);
}

static void test_nested_calls_are_part_of_the_outer_one(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    record(0x5000, 10);
    MT_CAPTURE_CALLER(regs);
    mt_engine_end_alloc((void *)0x6000, 64, MT_ALLOCATOR_NEW, &regs);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].addr, 0x6000);
    free(events);
}

static MT_NOINLINE void lack(size_t size)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_counts(size) && mt_engine_begin(size) == MT_RECORD) {
        mt_engine_end_alloc(NULL, size, MT_ALLOCATOR_CALLOC, &regs);
    }
}

/* What came before the mark has its clock or less. */
static void assert_one_shortage(size_t before, uint64_t size, const char *what)
{
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    size_t count = 0, events = 0;
    const struct mt_trace_mark *marks = mt_trace_marks(trace, &count);
    assert_int_equal(count, 1);
    assert_int_equal(marks[0].kind, MT_MARK_OUT_OF_MEMORY);
    assert_int_equal(marks[0].value, size);
    assert_string_equal(marks[0].text.data, what);
    assert_int_not_equal(marks[0].stack, 0);
    uint64_t clock = marks[0].clock;
    mt_trace_close(trace);
    struct mt_event *read = read_events(g_path, &events, NULL);
    for (size_t i = 0; i < events; i++) {
        assert_int_equal(read[i].clock <= clock, i < before);
    }
    free(read);
}

static void test_the_first_failure_of_a_trace_is_a_mark(void **state)
{
    static const enum mt_engine_mode modes[] = { MT_MODE_EXACT, MT_MODE_SAMPLE, MT_MODE_AGGREGATE };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(modes); i++) {
        assert_int_equal(start(modes[i], 1, 0), MT_OK);
        lack(0); /* nothing asked for */
        record(0x5000, 10);
        record(0x6000, 10);
        lack(1000 + i);
        record(0x7000, 10);
        lack(77);
        assert_int_equal(t_mt.depth, 0);
        assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
        assert_one_shortage(2, 1000 + i, "calloc");
        unlink(g_path);
    }
}

static void test_a_failed_realloc_is_one_as_well(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    record(0x5000, 10);
    MT_CAPTURE_CALLER(regs);
    assert_int_equal(mt_engine_begin_realloc((void *)0x5000, 900, MT_REALLOC_GROWS), MT_RECORD);
    mt_engine_end_realloc((void *)0x5000, NULL, 900, MT_REALLOC_GROWS, MT_ALLOCATOR_REALLOC, &regs);
    mt_engine_memory_error(&regs); /* says of the same one */
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    assert_one_shortage(1, 900, "realloc");
}

static void test_an_error_of_python_alone_is_one_of_unknown_size(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    record(0x5000, 10);
    MT_CAPTURE_CALLER(regs);
    mt_engine_memory_error(&regs);
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    assert_one_shortage(1, 0, "MemoryError");
}

static void end_guarded(uint64_t addr, unsigned headers, uint64_t beside)
{
    mt_engine_free((void *)(uintptr_t)addr);
    mt_engine_enter_end((void *)(uintptr_t)addr, headers);
    forget(beside);
    forget(addr - headers * 16);
    mt_engine_leave_end();
}

/* A wrapper below the hook forgets a block of his own on the way; what the hook recorded is not recorded again. */
static void test_other_blocks_end_inside_a_guarded_free_and_realloc(void **state)
{
    (void)state;
    static const uint64_t order[] = { 0x5000, 0x6000, 0x7040, 0x8000, 0x9000, 0x4000 };
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    for (size_t i = 0; i < MT_COUNTOF(order); i++) {
        record(order[i], 100);
    }
    end_guarded(0x5000, 0, 0x6000);
    end_guarded(0x7040, 2, 0x8000);
    MT_CAPTURE_CALLER(regs);
    assert_int_equal(mt_engine_begin_realloc((void *)0x9000, 300, MT_REALLOC_GROWS), MT_RECORD);
    forget(0x4000);
    forget(0x9000);
    mt_engine_end_realloc((void *)0x9000, (void *)0x9000, 300, MT_REALLOC_GROWS, MT_ALLOCATOR_REALLOC, &regs);
    forget(0x9000);
    assert_int_equal(t_mt.depth, 0);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    size_t frees = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        frees += events[i].kind == MT_EVENT_FREE;
    }
    assert_int_equal(count - frees, MT_COUNTOF(order) + 1);
    assert_int_equal(frees, MT_COUNTOF(order) + 1);
    free(events);
}

static void test_a_sample_ends_inside_a_guarded_call(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 1, 0), MT_OK);
    record(0x5000, 1000000);
    record(0x6000, 1000000);
    assert_int_equal(mt_engine_live_samples(), 2);
    end_guarded(0x5000, 0, 0x6000);
    assert_int_equal(mt_engine_live_samples(), 0);
}

static void realloc_to(uint64_t old, uint64_t to, size_t size)
{
    realloc_as(old, to, size, size, MT_REALLOC_RENEWS);
}

static void test_a_failed_realloc_leaves_the_old_block_alive(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    record(0x5000, 100);
    realloc_to(0x5000, 0, 1000);
    realloc_to(0x5000, 0x8000, 200);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 3);
    assert_int_equal(events[1].kind, MT_EVENT_FREE);
    assert_int_equal(events[1].addr, 0x5000);
    assert_int_equal(events[2].kind, MT_EVENT_ALLOC);
    assert_int_equal(events[2].addr, 0x8000);
    assert_int_equal(events[2].size, 200);
    free(events);
}

/* Sampling at 4 KiB, 200,000 allocations of 100 B: the estimate of bytes has a relative error of 1/sqrt(4880) = 1.4 %;
 * 5 sigma = 7.2 %, false alarm 6e-7. Every sampled pointer must be seen freed. */
static void test_sample_mode_estimates_the_total_and_sees_every_end(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 4096, 0), MT_OK);
    for (uint64_t i = 0; i < 200000; i++) {
        record(0x10000 + i * 112, 100);
    }
    for (uint64_t i = 0; i < 200000; i++) {
        forget(0x10000 + i * 112);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    double samples = 0;
    double ends = 0;
    for (size_t i = 0; i < count; i++) {
        samples += events[i].kind == MT_EVENT_ALLOC;
        ends += events[i].kind == MT_EVENT_FREE;
    }
    double p = 1.0 - exp(-100.0 / 4096.0);
    assert_true(fabs(samples * 100.0 / p / 20e6 - 1.0) < 0.072);
    assert_int_equal((uint64_t)ends, (uint64_t)samples);
    free(events);
}

static void test_a_realloc_of_a_sample_into_a_non_sample_ends_it(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 1, 0), MT_OK);
    record(0x5000, 100000);
    assert_int_equal(mt_engine_set_rate((uint64_t)1 << 50), MT_OK);
    realloc_to(0x5000, 0x9000, 200);
    forget(0x9000);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 2);
    assert_int_equal(events[1].kind, MT_EVENT_FREE);
    assert_int_equal(events[1].addr, 0x5000);
    free(events);
}

static void test_a_changed_rate_applies_to_the_next_allocation(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, (uint64_t)1 << 50, 0), MT_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        record(0x10000 + i * 16, 16);
    }
    assert_int_equal(mt_engine_set_rate(1), MT_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        record(0x90000 + i * 64, 64);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_in_range(count, 999, 1000); /* at rate 1 a step above 64 bytes has probability e-64 */
    free(events);
}

/* The step drawn at its end is one of the new rate: a mark of the old one would be thrown away when it is found. */
static void test_a_rate_that_changes_within_a_sample_holds_from_its_end_on(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 1, 0), MT_OK);
    MT_CAPTURE_CALLER(regs);
    assert_true(mt_engine_counts(64));
    assert_int_equal(mt_engine_begin(64), MT_RECORD);
    assert_int_equal(mt_engine_set_rate((uint64_t)1 << 50), MT_OK);
    mt_engine_end_alloc((void *)0x5000, 64, MT_ALLOCATOR_MALLOC, &regs);
    assert_true(t_mt.thread->rate == (uint64_t)1 << 50);
    assert_true(t_mt.left + t_mt.thread->beyond > 1000); /* at the new rate less comes once in 10^12 runs */
    mt_engine_stop(MT_STATE_STOPPED);
}

/* 2,000 times 100 B at 64 KiB are 3 samples; 20 or more come once in 10^10 runs. */
static void test_what_is_allocated_under_the_guard_brings_no_sample_nearer(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 65536, 0), MT_OK);
    for (uint64_t i = 0; i < 2000; i++) {
        mt_engine_enter_own();
        for (uint64_t j = 0; j < 10; j++) {
            record(0x10000000 + j * 65536, 65000);
        }
        mt_engine_leave_own();
        record(0x10000 + i * 112, 100);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_in_range(count, 0, 19);
    free(events);
}

static void test_blocks_of_the_program_end_under_the_guard_of_our_own_work(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_SAMPLE, 1, 0), MT_OK);
    record(0x10000, 100000);
    record(0x20000, 100000);
    record(0x30000, 100000);
    mt_engine_enter_own();
    mt_engine_enter_own();
    forget(0x10000);
    mt_engine_enter_end((void *)0x20000, 0); /* inside a hook that has recorded it */
    forget(0x20000);
    mt_engine_leave_end();
    record(0x40000, 100000);
    mt_engine_leave_own();
    mt_engine_leave_own();
    forget(0x30000);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 5);
    assert_int_equal(events[3].addr, 0x10000);
    assert_int_equal(events[4].addr, 0x30000);
    free(events);
}

static void test_a_full_file_stops_recording_and_says_so(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 512 * 1024), MT_OK);
    for (uint64_t i = 0; i < 1000000; i++) {
        record(0x10000 + i * 16, i);
    }
    assert_int_equal(mt_engine_mode(), MT_MODE_OFF);
    size_t count = 0;
    struct mt_trace *trace = NULL;
    struct mt_event *events = read_events(g_path, &count, &trace);
    assert_int_equal(mt_trace_info(trace)->state, MT_STATE_FILE_FULL);
    assert_true(mt_trace_info(trace)->file_bytes <= 512 * 1024);
    assert_in_range(count, 50000, 200000);
    assert_int_equal(events[count - 1].size, count - 1); /* a prefix, nothing missing inside */
    mt_trace_close(trace);
    free(events);
}

static void test_an_existing_file_is_not_touched(void **state)
{
    (void)state;
    FILE *file = fopen(g_path, "w");
    fputs("mine", file);
    fclose(file);
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_E_EXIST);
    char text[8] = "";
    file = fopen(g_path, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "mine");
}

/* What is found touched belongs before whatever the thread that looks records next, also if time has gone on meanwhile. */
static void test_what_a_look_finds_has_the_time_of_the_look(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    void *low = NULL;
    assert_int_equal(mt_os_map_anonymous(4096, &low), MT_OK);
    *(char *)low = 1;
    assert_true(mt_touch_watch((uint64_t)(uintptr_t)low, 4096, 0));
    uint64_t clock = mt_clock_now() - 1000 * 1000;
    mt_touch_ticked(clock);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].kind, MT_EVENT_MAP);
    assert_int_equal(events[0].allocator, MT_MAP_OPENED);
    assert_int_equal(events[0].clock, clock);
    free(events);
    mt_touch_forget((uint64_t)(uintptr_t)low, 4096);
    mt_os_unmap(low, 4096);
}

/* A vfork child that becomes a program is a companion of its parent, and not its end. */
static void test_an_exec_of_a_vfork_child_begins_the_order_of_events(void **state)
{
    (void)state;
    if (!mt_os_tsc_is_allowed() || !mt_tsc_is_a_clock()) {
        skip(); /* processes have no clock in common */
    }
    struct mt_tsc_moment first = mt_tsc_now();
    struct mt_tsc_line line = mt_tsc_line_since(&first);
    g_tick[MT_TICK_CLOCK] = (mt_os_monotonic_ns() / 4096 + 1) * 4096;
    g_tick[MT_TICK_LINE_TICKS] = line.origin.ticks;
    g_tick[MT_TICK_LINE_NS] = line.origin.ns;
    g_tick[MT_TICK_LINE_SCALE] = line.scale;
    g_tick_page = g_tick;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    assert_false(mt_clock_is_ordered());
    g_mt.header->pid++; /* as a child sees it */
    mt_engine_exec_seen();
    g_mt.header->pid--;
    assert_true(mt_clock_is_ordered());
    assert_int_equal(g_mt.header->end_clock, 0);
}

/* The look of a tick, into a stream of its own, is before the record that waits for it, within one tick. */
static void test_what_is_mapped_over_a_touched_page_comes_after_the_touch(void **state)
{
    (void)state;
    void *low = NULL;
    assert_int_equal(mt_os_map_anonymous(4096, &low), MT_OK);
    *(char *)low = 1;
    g_tick[MT_TICK_CLOCK] = (mt_os_monotonic_ns() / 4096 + 1000 * 1000) * 4096; /* ahead: never old */
    g_tick_page = g_tick;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    MT_CAPTURE_CALLER(regs);
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_end_map((void *)0x40000000, 4096, MT_MAP_ANONYMOUS, &regs);
    assert_true(mt_touch_watch((uint64_t)(uintptr_t)low, 4096, 0));
    g_tick[MT_TICK_CLOCK] += 60 * 1000 * 1000; /* long enough for a tick to look */
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_note_pages(low, 4096);
    mt_engine_end_map(low, 4096, MT_MAP_RESERVED, &regs);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 3);
    assert_int_equal(events[1].allocator, MT_MAP_OPENED);
    assert_int_equal(events[2].allocator, MT_MAP_RESERVED);
    assert_int_not_equal(events[1].stream, events[2].stream);
    free(events);
    mt_touch_forget((uint64_t)(uintptr_t)low, 4096);
    mt_os_unmap(low, 4096);
}

/* Threads hand addresses round a ring: each address is allocated by one thread and freed by the next, and reused. Merged
 * by clock no address may be freed before it is allocated, or allocated twice. */
enum { RING = 4, HANDOFFS = 20000, SLOTS = 8 };
static uint64_t g_box[RING][SLOTS];
static uint64_t g_handoffs;

/* Takes every address handed to it, allocates and frees it, and hands it on. */
static void *pass_round(void *argument)
{
    size_t self = (size_t)(uintptr_t)argument;
    size_t next = (self + 1) % RING;
    while (mt_load_relaxed(&g_handoffs) < HANDOFFS) {
        for (size_t slot = 0; slot < SLOTS; slot++) {
            uint64_t token = mt_exchange_acq_rel(&g_box[self][slot], (uint64_t)0);
            if (token == 0) {
                continue;
            }
            record(token, slot);
            forget(token);
            mt_fetch_add_relaxed(&g_handoffs, (uint64_t)1);
            mt_store_release(&g_box[next][slot], token); /* one token a slot: the place is free */
        }
        mt_os_yield();
    }
    mt_engine_thread_exit();
    return NULL;
}

static void test_addresses_reused_across_threads_stay_in_order(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    mt_engine_threads_begin();
    memset(g_box, 0, sizeof g_box);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        g_box[slot % RING][slot] = 0x100000 + slot * 64;
    }
    pthread_t threads[RING];
    for (uintptr_t i = 0; i < RING; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, pass_round, (void *)i), 0);
    }
    for (size_t i = 0; i < RING; i++) {
        pthread_join(threads[i], NULL);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    bool live[SLOTS] = { false };
    uint64_t clock = 0;
    for (size_t i = 0; i < count; i++) {
        size_t slot = (events[i].addr - 0x100000) / 64;
        assert_true(events[i].clock >= clock);
        clock = events[i].clock;
        assert_int_equal(live[slot], events[i].kind == MT_EVENT_FREE);
        live[slot] = events[i].kind == MT_EVENT_ALLOC;
    }
    assert_true(count >= 2 * HANDOFFS);
    free(events);
}

static void test_a_fork_child_leaves_the_parents_trace_alone(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    record(0x5000, 1);
    pid_t child = fork();
    if (child == 0) {
        for (uint64_t i = 0; i < 1000; i++) {
            record(0x10000 + i * 16, 99);
        }
        _exit(mt_engine_mode() == MT_MODE_OFF ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    record(0x6000, 2);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 2);
    assert_int_equal(events[1].size, 2);
    free(events);
}

static void test_ranges_come_back_as_given(void **state)
{
    (void)state;
    assert_int_equal(start(MT_MODE_EXACT, 1, 0), MT_OK);
    MT_CAPTURE_CALLER(regs);
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_end_map((void *)0x40000000, 3 * 4096, MT_MAP_ANONYMOUS, &regs);
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_note_unmap((void *)0x40001000, 4096);
    mt_engine_abandon();
    assert_int_equal(mt_engine_begin_range(), MT_RECORD);
    mt_engine_end_remap((void *)0x40000000, 4096, (void *)0x50000000, 8192, &regs);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t count = 0;
    struct mt_event *events = read_events(g_path, &count, NULL);
    assert_int_equal(count, 4);
    assert_int_equal(events[0].kind, MT_EVENT_MAP);
    assert_int_equal(events[0].size, 3 * 4096);
    assert_int_equal(events[1].kind, MT_EVENT_UNMAP);
    assert_int_equal(events[1].addr, 0x40001000);
    assert_int_equal(events[2].kind, MT_EVENT_UNMAP);
    assert_int_equal(events[3].addr, 0x50000000);
    assert_int_equal(events[3].size, 8192);
    free(events);
}

#define ENGINE_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    ENGINE_TEST(test_exact_mode_records_every_call_in_order),
    ENGINE_TEST(test_a_trace_is_complete_without_being_stopped),
    ENGINE_TEST(test_nested_calls_are_part_of_the_outer_one),
    ENGINE_TEST(test_the_first_failure_of_a_trace_is_a_mark),
    ENGINE_TEST(test_a_failed_realloc_is_one_as_well),
    ENGINE_TEST(test_an_error_of_python_alone_is_one_of_unknown_size),
    ENGINE_TEST(test_other_blocks_end_inside_a_guarded_free_and_realloc),
    ENGINE_TEST(test_a_sample_ends_inside_a_guarded_call),
    ENGINE_TEST(test_a_failed_realloc_leaves_the_old_block_alive),
    ENGINE_TEST(test_sample_mode_estimates_the_total_and_sees_every_end),
    ENGINE_TEST(test_a_realloc_of_a_sample_into_a_non_sample_ends_it),
    ENGINE_TEST(test_a_changed_rate_applies_to_the_next_allocation),
    ENGINE_TEST(test_a_rate_that_changes_within_a_sample_holds_from_its_end_on),
    ENGINE_TEST(test_what_is_allocated_under_the_guard_brings_no_sample_nearer),
    ENGINE_TEST(test_blocks_of_the_program_end_under_the_guard_of_our_own_work),
    ENGINE_TEST(test_a_full_file_stops_recording_and_says_so),
    ENGINE_TEST(test_an_existing_file_is_not_touched),
    ENGINE_TEST(test_what_a_look_finds_has_the_time_of_the_look),
    ENGINE_TEST(test_what_is_mapped_over_a_touched_page_comes_after_the_touch),
    ENGINE_TEST(test_an_exec_of_a_vfork_child_begins_the_order_of_events),
    ENGINE_TEST(test_addresses_reused_across_threads_stay_in_order),
    ENGINE_TEST(test_a_fork_child_leaves_the_parents_trace_alone),
    ENGINE_TEST(test_ranges_come_back_as_given),
};
MT_TEST_MAIN(tests)
