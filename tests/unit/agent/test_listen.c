/* The thread of an armed process and its clients (agent/listen, ears, clients), over hooks, answers and a clock of the test's.
 * Link: memtap_listener -Wl,--wrap=mt_os_pause_ns -Wl,--wrap=mt_os_monotonic_ns -Wl,--wrap=mt_os_thread_is_there
 */
#include "harness.h"

#include "agent/answer.h"
#include "agent/apart.h"
#include "agent/clients.h"
#include "agent/control.h"
#include "agent/ears.h"
#include "agent/listen.h"
#include "base/atomic.h"
#include "base/os.h"
#include "base/rawcall.h"
#include "hook/hook.h"
#include "hook/parting.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { PLACES = 16, SECOND = 1000000000 };

static struct {
    const struct mt_parting_watch *watch;
    uint64_t clock_ns;    /* what has passed beside the real time */
    bool clock_stands;
    bool thread_stays;    /* the kernel still knows every thread */
    void (*pausing)(void); /* called once, where somebody waits */
    bool payload_survives;
    unsigned asked;
    uint64_t asker; /* of the last request */
} g_test;

/* ---- in place of what the agent has --------------------------------------------------------------------------------- */

uint64_t __real_mt_os_monotonic_ns(void);
uint64_t __wrap_mt_os_monotonic_ns(void);
uint64_t __wrap_mt_os_monotonic_ns(void)
{
    return (g_test.clock_stands ? 0 : __real_mt_os_monotonic_ns()) + mt_load_relaxed(&g_test.clock_ns);
}

bool __real_mt_os_thread_is_there(int tid);
bool __wrap_mt_os_thread_is_there(int tid);
bool __wrap_mt_os_thread_is_there(int tid)
{
    return mt_load_relaxed(&g_test.thread_stays) || __real_mt_os_thread_is_there(tid);
}

void __real_mt_os_pause_ns(uint64_t ns);
void __wrap_mt_os_pause_ns(uint64_t ns);
void __wrap_mt_os_pause_ns(uint64_t ns)
{
    void (*pausing)(void) = g_test.pausing;
    g_test.pausing = NULL;
    if (pausing != NULL) {
        pausing();
    }
    __real_mt_os_pause_ns(ns);
}

bool mt_hooks_start_thread(void *(*entry)(void *), void *argument, size_t stack_bytes)
{
    pthread_t thread;
    (void)stack_bytes;
    return pthread_create(&thread, NULL, entry, argument) == 0 && pthread_detach(thread) == 0;
}

bool mt_hooks_on_thread_end(void (*heard)(void))
{
    (void)heard;
    return true;
}

void *mt_elf_lookup(const char *name)
{
    (void)name;
    return NULL;
}

void mt_parting_watch(const struct mt_parting_watch *watch)
{
    g_test.watch = watch;
}

void mt_control_keep_hooks(bool keep)
{
    (void)keep;
}

void mt_apart_forget(void)
{
}

enum mt_control_status mt_answer(const struct mt_asked *asked, struct mt_control_text *reply)
{
    g_test.asked++;
    g_test.asker = asked->user;
    mt_control_add(reply, "KIND", asked->kind == MT_CONTROL_HELLO ? "hello" : "other");
    return MT_CONTROL_IS_OK;
}

/* A fork in the moment in which the request changes hands: its child forgets its clients, and still has what it was given. */
bool mt_answer_apart(const struct mt_asked *asked, int fd, size_t mapped, enum mt_control_status *ret_status)
{
    int failed = 0;
    (void)fd;
    (void)mapped;
    *ret_status = MT_CONTROL_IS_BUSY;
    if (asked->kind != MT_CONTROL_EVAL) {
        *ret_status = MT_CONTROL_IS_UNKNOWN;
        return false;
    }
    if (mt_test_fork(&failed)) {
        mt_clients_forget();
        _exit(memcmp(asked->payload, "CODE=1", sizeof "CODE=1") == 0 ? 0 : 1);
    }
    g_test.payload_survives = failed == 0;
    return false;
}

/* ---- helpers -------------------------------------------------------------------------------------------------------- */

static int connect_to(enum mt_ear ear)
{
    struct sockaddr_storage name;
    socklen_t bytes = sizeof name;
    assert_int_equal(getsockname(mt_ears_descriptor(ear), (struct sockaddr *)&name, &bytes), 0);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, bytes), 0);
    return fd;
}

static void ask(int fd, enum mt_control_kind kind, const char *payload, size_t bytes)
{
    const struct mt_control_frame head = { .magic = MT_CONTROL_MAGIC, .version = MT_CONTROL_VERSION, .kind = (uint16_t)kind, .length = (uint32_t)bytes };
    assert_int_equal(send(fd, &head, sizeof head, MSG_NOSIGNAL), sizeof head);
    assert_int_equal(send(fd, payload, bytes, MSG_NOSIGNAL), bytes);
}

/* Status of the answer, whose payload is thrown away; -1: the connection was closed. */
static int answer_of(int fd)
{
    struct mt_control_frame head;
    char payload[256];
    if (recv(fd, &head, sizeof head, MSG_WAITALL) != (ssize_t)sizeof head) {
        return -1;
    }
    assert_true(head.length <= sizeof payload);
    assert_true(head.length == 0 || recv(fd, payload, head.length, MSG_WAITALL) == (ssize_t)head.length); /* for none it would wait */
    return (int)head.status;
}

/* Turns of the listener, here, until the client has something to read. */
static void turn_until_answered(int fd)
{
    struct mt_os_waited waited = { .fd = fd, .wanted = MT_OS_READABLE };
    while (waited.is == 0) {
        mt_clients_turn(SECOND / 100);
        assert_true(mt_os_wait(&waited, 1, 0));
    }
}

static unsigned threads(void)
{
    unsigned count = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "Threads: %u", &count);
    }
    (void)fclose(file);
    return count;
}

/* The kernel counts a thread a moment longer than it runs. */
static void wait_for_threads(unsigned count)
{
    while (threads() != count) {
        __real_mt_os_pause_ns(SECOND / 1000);
    }
}

static void arm(void)
{
    struct mt_agent_config config = { 0 };
    char *environment[] = { NULL };
    (void)snprintf(config.asked.listen, sizeof config.asked.listen, "1");
    assert_true(mt_listen_arm(&config, environment, true));
    wait_for_threads(2);
}

/* ---- partings ------------------------------------------------------------------------------------------------------- */

static void test_the_thread_is_gone_while_the_program_parts(void **state)
{
    (void)state;
    arm();
    assert_true(g_test.watch->before());
    wait_for_threads(1);
    g_test.watch->after(MT_PARTED_PARENT, true);
    wait_for_threads(2);
}

static void test_partings_of_several_threads_bring_it_back_once(void **state)
{
    (void)state;
    arm();
    assert_true(g_test.watch->before());
    assert_true(g_test.watch->before());
    g_test.watch->after(MT_PARTED_PARENT, true);
    wait_for_threads(1);
    g_test.watch->after(MT_PARTED_PARENT, true);
    wait_for_threads(2);
}

static void let_time_pass(void)
{
    mt_store_relaxed(&g_test.clock_ns, g_test.clock_ns + 10ull * SECOND);
}

/* While somebody waits who has the turn, and until there is no time left. */
static void come_back_without_a_turn(void)
{
    g_test.pausing = let_time_pass;
    g_test.watch->after(MT_PARTED_PARENT, true);
    g_test.pausing = let_time_pass;
}

static void test_a_parting_is_counted_back_by_who_gets_no_turn(void **state)
{
    (void)state;
    arm();
    mt_store_relaxed(&g_test.thread_stays, true); /* so that who parts has to wait, with the turn */
    g_test.pausing = let_time_pass;
    assert_true(g_test.watch->before());
    g_test.pausing = come_back_without_a_turn;
    assert_true(g_test.watch->before());
    assert_null(g_test.pausing);
    mt_store_relaxed(&g_test.thread_stays, false);
    g_test.watch->after(MT_PARTED_PARENT, true);
    wait_for_threads(2);
}

static void test_after_a_filter_it_stays_away(void **state)
{
    (void)state;
    arm();
    assert_true(g_test.watch->before());
    g_test.watch->after(MT_PARTED_RESTRICTED, true);
    assert_true(g_test.watch->before());
    g_test.watch->after(MT_PARTED_PARENT, true);
    wait_for_threads(1);
}

static void test_it_waits_when_arming_is_over(void **state)
{
    char path[300], text[512] = "";
    (void)state;
    g_test.clock_stands = true; /* it may take as long as it takes */
    arm();
    DIR *folder = opendir("/proc/self/task");
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != mt_os_pid()) {
            (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
            FILE *file = fopen(path, "re");
            assert_non_null(fgets(text, sizeof text, file));
            (void)fclose(file);
        }
    }
    (void)closedir(folder);
    assert_int_equal(strrchr(text, ')')[2], 'S');
}

/* ---- clients -------------------------------------------------------------------------------------------------------- */

static void open_ears(const char *host, const char *token)
{
    mt_ears_configure(host, token, "");
    assert_true(mt_ears_open());
}

static void test_strangers_give_way_to_one_that_is_known(void **state)
{
    int strangers[PLACES];
    (void)state;
    open_ears("127.0.0.1:0", "secret");
    for (int i = 0; i < PLACES; i++) {
        strangers[i] = connect_to(MT_EAR_HOST);
        ask(strangers[i], MT_CONTROL_HELLO, "TOKEN=wrong", sizeof "TOKEN=wrong");
        turn_until_answered(strangers[i]);
        assert_int_equal(answer_of(strangers[i]), MT_CONTROL_IS_DENIED);
    }
    assert_int_equal(g_test.asked, 0);
    int known = connect_to(MT_EAR_ABSTRACT);
    ask(known, MT_CONTROL_HELLO, "", 0);
    turn_until_answered(known);
    assert_int_equal(answer_of(known), MT_CONTROL_IS_OK);
    assert_int_equal(answer_of(strangers[0]), -1); /* the oldest */
}

static void test_a_stranger_has_ten_seconds_in_all(void **state)
{
    (void)state;
    open_ears("127.0.0.1:0", "secret");
    int stranger = connect_to(MT_EAR_HOST);
    for (int i = 0; i < 3; i++) { /* each refusal would begin them anew */
        ask(stranger, MT_CONTROL_HELLO, "TOKEN=wrong", sizeof "TOKEN=wrong");
        turn_until_answered(stranger);
        assert_int_equal(answer_of(stranger), MT_CONTROL_IS_DENIED);
        g_test.clock_ns += 3ull * SECOND;
    }
    g_test.clock_ns += 2ull * SECOND;
    turn_until_answered(stranger);
    assert_int_equal(answer_of(stranger), -1);
}

static void test_the_token_makes_a_stranger_known(void **state)
{
    (void)state;
    open_ears("127.0.0.1:0", "secret");
    int client = connect_to(MT_EAR_HOST);
    ask(client, MT_CONTROL_HELLO, "TOKEN=secret", sizeof "TOKEN=secret");
    turn_until_answered(client);
    assert_int_equal(answer_of(client), MT_CONTROL_IS_OK);
    g_test.clock_ns += 100ull * SECOND;
    ask(client, MT_CONTROL_CONFIG, "", 0);
    turn_until_answered(client);
    assert_int_equal(answer_of(client), MT_CONTROL_IS_OK);
    assert_true(g_test.asker == MT_ASKED_BY_TOKEN);
}

static void test_who_asks_is_known_by_the_kernel_or_not_at_all_where_there_is_no_token(void **state)
{
    (void)state;
    open_ears("127.0.0.1:0", "");
    const enum mt_ear ears[] = { MT_EAR_ABSTRACT, MT_EAR_HOST };
    const uint64_t askers[] = { getuid(), MT_ASKED_BY_UNKNOWN };
    for (size_t i = 0; i < MT_COUNTOF(ears); i++) {
        int client = connect_to(ears[i]);
        ask(client, MT_CONTROL_CONFIG, "", 0);
        turn_until_answered(client);
        assert_int_equal(answer_of(client), MT_CONTROL_IS_OK);
        assert_true(g_test.asker == askers[i]);
    }
}

static void test_a_fork_while_a_request_changes_hands_leaves_it_whole(void **state)
{
    (void)state;
    open_ears("", NULL);
    int client = connect_to(MT_EAR_ABSTRACT);
    ask(client, MT_CONTROL_EVAL, "CODE=1", sizeof "CODE=1");
    turn_until_answered(client);
    assert_int_equal(answer_of(client), MT_CONTROL_IS_BUSY);
    assert_true(g_test.payload_survives);
}

static void test_a_knock_wakes_and_the_end_of_the_knocker_does_not(void **state)
{
    (void)state;
    open_ears("", NULL);
    struct mt_os_waited waited = { .fd = mt_ears_waker(), .wanted = MT_OS_READABLE };
    mt_ears_knock();
    assert_true(mt_os_wait(&waited, 1, UINT64_MAX));
    assert_int_equal(waited.is, MT_OS_READABLE);
    mt_ears_wake_up();
    for (int fd = 3; fd < 1024; fd++) { /* as closefrom, but for the end that waits */
        if (fd != waited.fd) {
            (void)close(fd);
        }
    }
    assert_true(mt_os_wait(&waited, 1, 0));
    assert_int_equal(waited.is, 0);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

static void test_a_descriptor_leaves_the_place_of_a_standard_one(void **state)
{
    (void)state;
    assert_int_equal(close(0), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0); /* as if another thread had closed 0 a moment ago */
    assert_int_equal(fd, 0);
    uint64_t identity = mt_os_socket_identity(fd);
    long moved = mt_raw_off_stdio(fd);
    assert_true(moved > 2);
    assert_int_equal(mt_os_socket_identity((int)moved), identity);
    assert_int_equal(fcntl((int)moved, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(0, F_GETFD), -1);
    assert_int_equal(mt_raw_off_stdio(moved), moved);
    assert_int_equal(mt_raw_off_stdio(-EMFILE), -EMFILE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_thread_is_gone_while_the_program_parts),
    cmocka_unit_test(test_partings_of_several_threads_bring_it_back_once),
    cmocka_unit_test(test_a_parting_is_counted_back_by_who_gets_no_turn),
    cmocka_unit_test(test_after_a_filter_it_stays_away),
    cmocka_unit_test(test_it_waits_when_arming_is_over),
    cmocka_unit_test(test_strangers_give_way_to_one_that_is_known),
    cmocka_unit_test(test_a_stranger_has_ten_seconds_in_all),
    cmocka_unit_test(test_the_token_makes_a_stranger_known),
    cmocka_unit_test(test_who_asks_is_known_by_the_kernel_or_not_at_all_where_there_is_no_token),
    cmocka_unit_test(test_a_fork_while_a_request_changes_hands_leaves_it_whole),
    cmocka_unit_test(test_a_knock_wakes_and_the_end_of_the_knocker_does_not),
    cmocka_unit_test(test_a_descriptor_leaves_the_place_of_a_standard_one),
};

MT_TEST_MAIN(tests)
