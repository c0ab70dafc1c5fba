/* Unit tests of labels: what the program said a thread works for is what its events carry, in every block, whoever interrupts
 * and whatever comes between; and what nobody allocates under is not in the trace. */
#include "made_up.h"
#include "recorded.h"

#include "heap/label.h"
#include "heap/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static void start(enum mt_engine_mode mode)
{
    struct mt_engine_config config = {
        .mode = mode, .rate_bytes = 1 << 12, .path = g_path, .command = "unit", .command_bytes = 5, .seed = 11
    };
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

static void label(enum mt_label_kind kind, const char *text)
{
    assert_true(mt_engine_label(kind, text, strlen(text)));
}

/* "thread/task/request/user" as far as the trace says, of an event. */
static const char *label_of(const struct mt_trace *trace, const struct mt_event *event)
{
    static char text[1024];
    const struct mt_trace_label *at = mt_trace_label(trace, event->label);
    text[0] = '\0';
    for (; at != NULL; at = mt_trace_label(trace, at->under)) {
        char inner[sizeof text];
        snprintf(inner, sizeof inner, "%u:%.*s%s%.900s", at->kind, (int)at->text.bytes, at->text.data, text[0] != '\0' ? "/" : "",
                 text);
        memcpy(text, inner, sizeof text);
    }
    return text;
}

/* Do the sizes of allocations say what they were labelled? wanted[size - 1]. */
static void expect(const char *const *wanted, size_t count)
{
    size_t events, seen = 0;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    for (size_t i = 0; i < events; i++) {
        if (event[i].kind == MT_EVENT_ALLOC) {
            assert_true(event[i].size >= 1 && event[i].size <= count);
            assert_string_equal(label_of(trace, &event[i]), wanted[event[i].size - 1]);
            seen++;
        }
    }
    assert_int_equal(seen, count);
    free(event);
    mt_trace_close(trace);
}

static void test_events_carry_what_their_thread_is_labelled_with(void **state)
{
    (void)state;
    label(MT_LABEL_USER, "before");
    start(MT_MODE_EXACT);
    record(0x1000, 1);
    mt_engine_label(MT_LABEL_USER, NULL, 0);
    record(0x2000, 2);
    label(MT_LABEL_TASK, "task");
    label(MT_LABEL_USER, "job");
    record(0x3000, 3);
    label(MT_LABEL_THREAD, "thread");
    label(MT_LABEL_REQUEST, "GET /");
    record(0x4000, 4);
    mt_engine_label(MT_LABEL_TASK, "", 0);
    record(0x5000, 5);
    forget(0x1000);
    mt_engine_stop(MT_STATE_STOPPED);
    static const char *const wanted[] = { "1:before", "", "2:task/1:job", "3:thread/2:task/4:GET //1:job", "3:thread/4:GET //1:job" };
    expect(wanted, MT_COUNTOF(wanted));
}

static void test_a_label_is_said_again_in_every_block(void **state)
{
    (void)state;
    enum { EVENTS = 200000 };
    start(MT_MODE_EXACT);
    label(MT_LABEL_USER, "job");
    for (uint64_t i = 0; i < EVENTS; i++) {
        record(0x10000 + i * 0x10010, 1);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t events;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    assert_int_equal(events, EVENTS);
    for (size_t i = 0; i < events; i++) {
        assert_string_equal(label_of(trace, &event[i]), "1:job");
    }
    assert_null(mt_trace_label(trace, 2));
    free(event);
    mt_trace_close(trace);
}

static void test_a_label_without_events_is_not_written(void **state)
{
    (void)state;
    start(MT_MODE_EXACT);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "idle-%d", i);
        label(MT_LABEL_USER, name);
    }
    label(MT_LABEL_USER, "job");
    record(0x1000, 1);
    mt_engine_stop(MT_STATE_STOPPED);
    static const char *const wanted[] = { "1:job" };
    expect(wanted, 1);
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_null(mt_trace_label(trace, 2));
    mt_trace_close(trace);
}

static void test_samples_carry_labels_too(void **state)
{
    (void)state;
    start(MT_MODE_SAMPLE);
    for (uint64_t i = 0; i < 3000; i++) {
        label(MT_LABEL_USER, i % 2 != 0 ? "odd" : "even");
        record(0x10000 + i * 4096, 2000 + i % 2);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t events, samples = 0;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    for (size_t i = 0; i < events; i++) {
        if (event[i].kind == MT_EVENT_ALLOC) {
            assert_string_equal(label_of(trace, &event[i]), event[i].size % 2 != 0 ? "1:odd" : "1:even");
            assert_int_equal(event[i].rate_bytes, 1 << 12);
            samples++;
        }
    }
    assert_true(samples > 500); /* 1170 expected, standard deviation below 30 */
    free(event);
    mt_trace_close(trace);
}

/* More labels than the table of numbers holds: each event still has its own. */
static void test_more_labels_than_are_remembered(void **state)
{
    (void)state;
    enum { LABELS = 100000 };
    start(MT_MODE_EXACT);
    for (uint64_t i = 0; i < 2 * LABELS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", (unsigned)(i % LABELS));
        label(MT_LABEL_USER, name);
        record(0x10000 + i * 16, i % LABELS);
    }
    mt_engine_stop(MT_STATE_STOPPED);
    size_t events;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    assert_int_equal(events, 2 * LABELS);
    for (size_t i = 0; i < events; i++) {
        char wanted[24];
        snprintf(wanted, sizeof wanted, "1:%u", (unsigned)event[i].size);
        assert_string_equal(label_of(trace, &event[i]), wanted);
    }
    free(event);
    mt_trace_close(trace);
}

static void test_a_long_label_is_cut_behind_a_whole_character(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'x', sizeof text);
    memcpy(text + MT_LABEL_MAX_BYTES - 2, "\xE2\x82\xAC", 3);
    start(MT_MODE_EXACT);
    assert_true(mt_engine_label(MT_LABEL_USER, text, sizeof text));
    record(0x1000, 1);
    mt_engine_stop(MT_STATE_STOPPED);
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_trace_label(trace, 1)->text.bytes, MT_LABEL_MAX_BYTES - 2);
    mt_trace_close(trace);
}

static void test_a_kind_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    assert_false(mt_engine_label((enum mt_label_kind)0, "x", 1));
    assert_false(mt_engine_label((enum mt_label_kind)5, "x", 1));
    assert_null(t_mt.labels);
}

static void *label_and_record(void *argument)
{
    uint64_t number = (uint64_t)(uintptr_t)argument;
    char name[16];
    for (uint64_t i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "%u", (unsigned)(number * 8 + i % 5));
        label(MT_LABEL_USER, name);
        record((number << 32) + i * 16, number * 8 + i % 5);
    }
    mt_engine_label(MT_LABEL_USER, NULL, 0);
    mt_engine_thread_exit();
    return NULL;
}

static void test_each_thread_has_its_own(void **state)
{
    (void)state;
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    start(MT_MODE_EXACT);
    mt_engine_threads_begin();
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, label_and_record, (void *)(i + 1)), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    record(0x10, 0);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t events;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    assert_int_equal(events, THREADS * 20000 + 1);
    for (size_t i = 0; i < events; i++) {
        char wanted[24] = "";
        if (event[i].size != 0) {
            snprintf(wanted, sizeof wanted, "1:%u", (unsigned)event[i].size);
        }
        assert_string_equal(label_of(trace, &event[i]), wanted);
    }
    free(event);
    mt_trace_close(trace);
}

/* Labels of threads that have none any more serve others: not more are mapped than are in use at once. */
static void test_labels_given_back_are_used_again(void **state)
{
    (void)state;
    label(MT_LABEL_USER, "first");
    struct mt_labels *first = t_mt.labels;
    mt_engine_label(MT_LABEL_USER, NULL, 0);
    assert_null(t_mt.labels);
    for (int i = 0; i < 100000; i++) {
        label(MT_LABEL_TASK, "again");
        assert_ptr_equal(t_mt.labels, first);
        mt_engine_label(MT_LABEL_TASK, NULL, 0);
    }
}

/* A second trace has numbers of its own, and a thread's label stays. */
static void test_the_next_trace_says_it_anew(void **state)
{
    (void)state;
    static const char *const wanted[] = { "1:job" };
    label(MT_LABEL_USER, "job");
    for (int i = 0; i < 2; i++) {
        start(MT_MODE_EXACT);
        record(0x1000, 1);
        assert_int_equal(mt_engine_finish(MT_STATE_ENDED), MT_OK);
        expect(wanted, 1);
        assert_int_equal(unlink(g_path), 0);
    }
}

static void test_a_fork_child_keeps_its_thread_s_label(void **state)
{
    (void)state;
    label(MT_LABEL_USER, "parent");
    pid_t child = fork();
    if (child == 0) {
        mt_engine_fork_child();
        start(MT_MODE_EXACT);
        record(0x1000, 1);
        mt_engine_stop(MT_STATE_STOPPED);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    static const char *const wanted[] = { "1:parent" };
    expect(wanted, 1);
}

/* The same in a handler that interrupts the thread while it allocates, and while it sets a label itself. */
static volatile sig_atomic_t g_ticks;

static void relabel(int signal)
{
    (void)signal;
    char name[2] = { (char)('a' + g_ticks++ % 3), '\0' };
    (void)mt_engine_label(MT_LABEL_TASK, name, 1);
}

static void test_a_signal_handler_may_change_it_at_any_time(void **state)
{
    (void)state;
    enum { TICKS = 2000 };
    struct sigaction action = { .sa_handler = relabel };
    struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
    start(MT_MODE_EXACT);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint64_t i = 0; g_ticks < TICKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", (unsigned)(i % 10));
        label(MT_LABEL_USER, name);
        record(0x10000 + i % 64 * 16, i % 10);
        forget(0x10000 + i % 64 * 16);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    mt_engine_stop(MT_STATE_STOPPED);
    size_t events, seen = 0;
    struct mt_trace *trace;
    struct mt_event *event = read_events(g_path, &events, &trace);
    for (size_t i = 0; i < events; i++) {
        if (event[i].kind == MT_EVENT_ALLOC) {
            const struct mt_trace_label *user = mt_trace_label(trace, event[i].label);
            const struct mt_trace_label *task = user != NULL ? mt_trace_label(trace, user->under) : NULL;
            assert_true(user == NULL || (user->kind == MT_LABEL_USER && user->text.bytes == 1 &&
                                         user->text.data[0] == '0' + (int)event[i].size)); /* none where handlers came too often */
            assert_true(task == NULL || (task->kind == MT_LABEL_TASK && task->text.bytes == 1 && task->text.data[0] >= 'a' &&
                                         task->text.data[0] <= 'c'));
            seen += task != NULL;
        }
    }
    assert_true(seen > 0);
    free(event);
    mt_trace_close(trace);
}

/* As a handler does that has interrupted a thread in the engine: it must neither wait for that thread nor go round the order of locks. */
static void test_under_a_lock_a_first_label_is_refused(void **state)
{
    (void)state;
    struct mt_spinlock lock = MT_SPINLOCK_INIT(MT_RANK_META);
    assert_true(mt_spinlock_lock(&lock));
    assert_false(mt_engine_label(MT_LABEL_USER, "job", 3));
    mt_spinlock_unlock(&lock);
    assert_true(mt_engine_label(MT_LABEL_USER, "job", 3));
}

#define LABEL_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

static const struct CMUnitTest tests[] = {
    LABEL_TEST(test_events_carry_what_their_thread_is_labelled_with),
    LABEL_TEST(test_a_label_is_said_again_in_every_block),
    LABEL_TEST(test_a_label_without_events_is_not_written),
    LABEL_TEST(test_samples_carry_labels_too),
    LABEL_TEST(test_more_labels_than_are_remembered),
    LABEL_TEST(test_a_long_label_is_cut_behind_a_whole_character),
    LABEL_TEST(test_a_kind_that_does_not_exist_is_refused),
    LABEL_TEST(test_each_thread_has_its_own),
    LABEL_TEST(test_labels_given_back_are_used_again),
    LABEL_TEST(test_the_next_trace_says_it_anew),
    LABEL_TEST(test_a_fork_child_keeps_its_thread_s_label),
    LABEL_TEST(test_a_signal_handler_may_change_it_at_any_time),
    LABEL_TEST(test_under_a_lock_a_first_label_is_refused),
};
MT_TEST_MAIN(tests)
