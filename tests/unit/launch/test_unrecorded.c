/* What is said of processes that leave no trace: launch/unrecorded. */
#include "harness.h"

#include "base/status.h"
#include "launch/unrecorded.h"
#include "util/program.h"
#include "wire/ask.h"

#include <stdio.h>
#include <string.h>

static void test_a_program_is_one_sentence_for_each_reason(void **state)
{
    (void)state;
    struct mt_unrecorded list = { 0 };
    struct mt_strlist said = { 0 };
    mt_unrecorded_add(&list, 11, MT_PROGRAM_STATIC, "/bin/go build a");
    mt_unrecorded_add(&list, 12, MT_PROGRAM_STATIC, "/bin/go build b");
    mt_unrecorded_add(&list, 13, MT_ASK_WHY_NO_ROOM, "/bin/go build c");
    mt_unrecorded_add(&list, 14, MT_PROGRAM_STATIC, "/bin/gofmt");
    mt_unrecorded_say(&list, &said);
    assert_int_equal(said.count, 3);
    assert_non_null(strstr(said.items[0], "process 11 (/bin/go build a) is not recorded, nor is 1 more of this program: it is static"));
    assert_string_equal(said.items[1], "process 13 (/bin/go build c) is not recorded: its environment has no room for the agent's "
                                       "settings");
    assert_non_null(strstr(said.items[2], "process 14 (/bin/gofmt) is not recorded: it is static"));
    mt_strlist_clear(&said);
    mt_unrecorded_clear(&list);
}

static void test_a_name_is_data(void **state)
{
    (void)state;
    struct mt_unrecorded list = { 0 };
    struct mt_strlist said = { 0 };
    mt_unrecorded_add(&list, 11, UINT32_MAX, "/bin/\033[31mx\n%s%n \xff");
    mt_unrecorded_say(&list, &said);
    assert_string_equal(said.items[0], "process 11 (/bin/\\x1b[31mx\\n%s%n \\xff) is not recorded: the agent cannot be "
                                       "preloaded");
    mt_strlist_clear(&said);
    mt_unrecorded_clear(&list);
}

static void test_many_programs_are_counted(void **state)
{
    (void)state;
    struct mt_unrecorded list = { 0 };
    struct mt_strlist said = { 0 };
    for (int i = 0; i < 25; i++) {
        char name[16];
        snprintf(name, sizeof name, "/p%d", i);
        mt_unrecorded_add(&list, i, MT_PROGRAM_STATIC, name);
    }
    mt_unrecorded_say(&list, &said);
    assert_int_equal(said.count, 21);
    assert_string_equal(said.items[20], "5 processes of other programs are not recorded for such reasons");
    mt_strlist_clear(&said);
    mt_unrecorded_clear(&list);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_program_is_one_sentence_for_each_reason),
    cmocka_unit_test(test_a_name_is_data),
    cmocka_unit_test(test_many_programs_are_counted),
};
MT_TEST_MAIN(tests)
