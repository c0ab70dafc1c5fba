/* test_signal_name.c: which signals may ask for snapshots, and how people write them. */
#include "harness.h"

#include "base/status.h"
#include "launch/signal_name.h"

#include <signal.h>

static void test_names_and_numbers_of_signals_that_people_send(void **state)
{
    int number = 0;
    (void)state;
    assert_true(mt_signal_parse("USR2", &number) && number == SIGUSR2);
    assert_true(mt_signal_parse("SIGUSR1", &number) && number == SIGUSR1);
    assert_true(mt_signal_parse("12", &number) && number == SIGUSR2);
    assert_true(mt_signal_parse("RTMIN", &number) && number == SIGRTMIN);
    assert_true(mt_signal_parse("SIGRTMIN+3", &number) && number == SIGRTMIN + 3);
}

static void test_signals_that_say_what_went_wrong_cannot_ask(void **state)
{
    static const char *const refused[] = { "KILL", "STOP", "SEGV", "CHLD", "CONT", "9", "11", "0", "65", "4294967306",
                                           "usr2", "",     "SIG",  "RTMIN+99", "RTMIN-1", "RTMIN+", "USR2 " };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(refused); i++) {
        int number = 0;
        if (mt_signal_parse(refused[i], &number)) {
            fail_msg("%s", refused[i]);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names_and_numbers_of_signals_that_people_send),
    cmocka_unit_test(test_signals_that_say_what_went_wrong_cannot_ask),
};
MT_TEST_MAIN(tests)
