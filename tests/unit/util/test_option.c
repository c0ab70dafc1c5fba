/* test_option.c: table-driven options, environment mirrors, help. */
#include "harness.h"

#include "util/option.h"

#include <stdlib.h>
#include <string.h>

struct values {
    bool flag, on;
    const char *text;
    const char *module;
    uint64_t size, duration, count;
    int choice;
    const char *called;
    int calls;
};

static mt_status set_called(void *values, const char *argument, struct mt_error *err)
{
    struct values *v = values;
    if (argument != NULL && strcmp(argument, "bad") == 0) {
        return mt_error_set(err, MT_E_INVAL, "--call: bad");
    }
    v->called = argument;
    v->calls++;
    return MT_OK;
}

static const char *const words[] = { "red", "green", NULL };
static const struct mt_option options[] = {
    { "flag", 'F', MT_OPTION_FLAG, offsetof(struct values, flag), NULL, NULL, 0, NULL, "a flag" },
    { "on", 0, MT_OPTION_SWITCH, offsetof(struct values, on), NULL, NULL, 0, NULL, "a switch" },
    { "text", 't', MT_OPTION_TEXT, offsetof(struct values, text), NULL, NULL, 0, "TEXT", "a text" },
    { "size-of", 0, MT_OPTION_SIZE, offsetof(struct values, size), NULL, NULL, 0, "SIZE", "a size" },
    { "duration", 0, MT_OPTION_DURATION, offsetof(struct values, duration), NULL, NULL, 0, "T", "a duration" },
    { "count", 'n', MT_OPTION_COUNT, offsetof(struct values, count), NULL, NULL, 0, "N", "a count" },
    { "colour", 0, MT_OPTION_CHOICE, offsetof(struct values, choice), words, NULL, 0, "WORD", "a choice" },
    { "call", 0, MT_OPTION_CALL, 0, NULL, set_called, MT_ARGUMENT_OPTIONAL, "N", "a call" },
    { "module", 'm', MT_OPTION_TEXT_LAST, offsetof(struct values, module), NULL, NULL, 0, "MODULE", "the rest is its" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };
static const struct mt_command_doc doc = {
    .name = "demo", .summary = "a demonstration", .synopsis = "memtap demo", .description = "Words.", .tables = tables
};
static const struct mt_command_doc stopping = { .name = "demo", .tables = tables, .stop_at_operand = true };

enum { ARGUMENTS_MAX = 16 };

struct parsed {
    struct values values;
    struct mt_operands operands;
    struct mt_error err;
    mt_status status;
    char *argv[ARGUMENTS_MAX];
};

/* arguments: separated by blanks. */
static void parse(struct parsed *p, const struct mt_command_doc *which, const char *arguments)
{
    static char text[512];
    char *save;
    int argc = 0;
    *p = (struct parsed){ .values = { .on = true, .count = 9 } };
    strcpy(text, arguments);
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        p->argv[argc++] = word;
    }
    p->status = mt_options_parse(which, argc, p->argv, &p->values, &p->operands, &p->err);
}

static void test_every_kind_of_option_is_stored(void **state)
{
    struct parsed p;
    (void)state;
    parse(&p, &doc, "demo --flag --no-on --text=x --size-of 2K --duration 250ms -n 7 --colour green --call=5");
    assert_int_equal(p.status, MT_OK);
    assert_true(p.values.flag && !p.values.on);
    assert_string_equal(p.values.text, "x");
    assert_int_equal(p.values.size, 2048);
    assert_int_equal(p.values.duration, 250000000);
    assert_int_equal(p.values.count, 7);
    assert_int_equal(p.values.choice, 1);
    assert_string_equal(p.values.called, "5");
    assert_int_equal(p.operands.count, 0);
}

static void test_options_may_follow_operands(void **state)
{
    struct parsed p;
    (void)state;
    parse(&p, &doc, "demo one -n 3 two --flag -- -three");
    assert_int_equal(p.status, MT_OK);
    assert_int_equal(p.operands.count, 3);
    assert_string_equal(p.operands.items[0], "one");
    assert_string_equal(p.operands.items[1], "two");
    assert_string_equal(p.operands.items[2], "-three");
    assert_null(p.operands.items[3]);
    assert_int_equal(p.values.count, 3);
    assert_true(p.values.flag);
}

static void test_what_follows_the_program_is_not_ours(void **state)
{
    struct parsed p;
    (void)state;
    parse(&p, &stopping, "demo -n 3 program --flag -h");
    assert_int_equal(p.status, MT_OK);
    assert_false(p.values.flag || p.operands.help);
    assert_int_equal(p.operands.count, 3);
    parse(&p, &stopping, "demo -m package --flag");
    assert_int_equal(p.status, MT_OK);
    assert_string_equal(p.values.module, "package");
    assert_int_equal(p.operands.count, 1);
    assert_string_equal(p.operands.items[0], "--flag");
}

static void test_an_optional_argument_needs_an_equals_sign(void **state)
{
    struct parsed p;
    (void)state;
    parse(&p, &doc, "demo --call 5");
    assert_int_equal(p.status, MT_OK);
    assert_null(p.values.called);
    assert_int_equal(p.values.calls, 1);
    assert_int_equal(p.operands.count, 1);
}

static void expect_mistake(const char *arguments, const char *words_in_message)
{
    struct parsed p;
    parse(&p, &doc, arguments);
    assert_int_equal(p.status, MT_E_INVAL);
    if (strstr(p.err.text, words_in_message) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", words_in_message, p.err.text);
    }
}

static void test_mistakes_name_the_option_and_the_remedy(void **state)
{
    (void)state;
    expect_mistake("demo --flg", "did you mean --flag");
    expect_mistake("demo --xyzzyx", "memtap demo -h");
    expect_mistake("demo -x", "-x");
    expect_mistake("demo --text", "--text needs a value");
    expect_mistake("demo -n", "-n needs a value");
    expect_mistake("demo --flag=1", "--flag takes no value");
    expect_mistake("demo --size-of 3Q", "\"3Q\" is not a size");
    expect_mistake("demo -n many", "whole number");
    expect_mistake("demo --duration soon", "duration");
    expect_mistake("demo --colour blue", "red, green");
    expect_mistake("demo --call=bad", "--call: bad");
}

static void test_help_wins_over_everything_after_it(void **state)
{
    struct parsed p;
    (void)state;
    parse(&p, &doc, "demo -h --nonsense");
    assert_int_equal(p.status, MT_OK);
    assert_true(p.operands.help);
}

static void test_the_environment_mirrors_options_and_a_flag_wins(void **state)
{
    struct parsed p;
    (void)state;
    setenv("MEMTAP_SIZE_OF", "1M", 1);
    setenv("MEMTAP_ON", "no", 1);
    setenv("MEMTAP_FLAG", "1", 1);
    parse(&p, &doc, "demo");
    assert_int_equal(p.status, MT_OK);
    assert_int_equal(p.values.size, 1 << 20);
    assert_true(p.values.flag && !p.values.on);
    parse(&p, &doc, "demo --size-of 2 --on");
    assert_int_equal(p.values.size, 2);
    assert_true(p.values.on);
}

static void test_a_wrong_variable_is_named(void **state)
{
    struct parsed p;
    (void)state;
    setenv("MEMTAP_COUNT", "lots", 1);
    parse(&p, &doc, "demo");
    assert_int_equal(p.status, MT_E_INVAL);
    assert_non_null(strstr(p.err.text, "MEMTAP_COUNT"));
}

static void test_inside_a_recorded_program_variables_are_the_agents(void **state)
{
    struct parsed p;
    (void)state;
    setenv("MEMTAP_ROOT_PID", "1", 1);
    setenv("MEMTAP_COUNT", "lots", 1);
    parse(&p, &doc, "demo");
    assert_int_equal(p.status, MT_OK);
    assert_int_equal(p.values.count, 9);
}

static void test_of_options_that_say_different_things_one_is_taken(void **state)
{
    static const char *const one_of[] = { "flag", "text", NULL };
    struct mt_command_doc either = doc;
    struct parsed p;
    (void)state;
    either.one_of = one_of;
    parse(&p, &either, "demo --flag --on --flag");
    assert_int_equal(p.status, MT_OK);
    parse(&p, &either, "demo --text a --text b");
    assert_int_equal(p.status, MT_OK);
    parse(&p, &either, "demo --flag --on --text a");
    assert_int_equal(p.status, MT_E_INVAL);
    assert_non_null(strstr(p.err.text, "--flag and --text"));
    setenv("MEMTAP_TEXT", "x", 1);
    parse(&p, &either, "demo --flag");
    unsetenv("MEMTAP_TEXT");
    assert_int_equal(p.status, MT_OK);
}

static void test_the_manual_page_names_every_option(void **state)
{
    struct mt_out *out = mt_out_open_memory();
    (void)state;
    mt_options_help(&doc, out);
    const char *text = mt_out_text(out, NULL);
    static const char *const wanted[] = { "SYNOPSIS",       "-F, --flag", "--[no-]on",           "-t, --text TEXT",
                                          "--size-of SIZE", "--call[=N]", "-m, --module MODULE", "EXIT CODES",
                                          "a demonstration" };
    for (size_t i = 0; i < MT_COUNTOF(wanted); i++) {
        assert_non_null(strstr(text, wanted[i]));
    }
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    mt_out_discard(out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_kind_of_option_is_stored),
    cmocka_unit_test(test_of_options_that_say_different_things_one_is_taken),
    cmocka_unit_test(test_options_may_follow_operands),
    cmocka_unit_test(test_what_follows_the_program_is_not_ours),
    cmocka_unit_test(test_an_optional_argument_needs_an_equals_sign),
    cmocka_unit_test(test_mistakes_name_the_option_and_the_remedy),
    cmocka_unit_test(test_help_wins_over_everything_after_it),
    cmocka_unit_test(test_the_manual_page_names_every_option),
    cmocka_unit_test(test_the_environment_mirrors_options_and_a_flag_wins),
    cmocka_unit_test(test_a_wrong_variable_is_named),
    cmocka_unit_test(test_inside_a_recorded_program_variables_are_the_agents),
};
MT_TEST_MAIN(tests)
