/* The environment of what a recorded program executes: hook/environment.
 *
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/status.h"
#include "hook/environment.h"
#include "wire/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char AGENT[] = "/opt/agent.so";
static const char *const SETTINGS[] = { "MEMTAP_OUTPUT=/x.mtap", "MEMTAP_MODE=exact" };
static char *g_items[64];
static char g_text[1024];

static struct mt_env_change look(char *const *envp)
{
    struct mt_env_change change = { .agent = AGENT, .settings = SETTINGS, .count = MT_COUNTOF(SETTINGS) };
    assert_true(mt_env_look(envp, &change));
    return change;
}

static bool build(char *const *envp, const struct mt_env_change *change, size_t capacity, size_t text_bytes)
{
    const struct mt_env_room room = { g_items, capacity, g_text, text_bytes };
    return mt_env_build(envp, change, &room);
}

/* What the new environment is, a variable a line. */
static const char *joined(void)
{
    static char text[4096];
    text[0] = '\0';
    for (char **item = g_items; *item != NULL; item++) {
        strcat(strcat(text, *item), "\n");
    }
    return text;
}

static const char *completed(char *const *envp)
{
    struct mt_env_change change = look(envp);
    assert_true(build(envp, &change, MT_COUNTOF(g_items), sizeof g_text));
    struct mt_env_change now = look(g_items);
    assert_true(mt_env_is_complete(&now));
    return joined();
}

#define ALL_SETTINGS "MEMTAP_OUTPUT=/x.mtap\nMEMTAP_MODE=exact\n"

static void test_an_empty_environment_gets_everything(void **state)
{
    (void)state;
    static const char all[] = MT_CONFIG_CARRIED "\nLD_PRELOAD=/opt/agent.so\nASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION "\n" ALL_SETTINGS;
    char *none[] = { NULL };
    assert_string_equal(completed(none), all);
    assert_string_equal(completed(NULL), all);
}

static void test_what_the_program_says_is_kept(void **state)
{
    (void)state;
    char *envp[] = { (char[]){ "A=1" }, (char[]){ "LD_PRELOAD=/own.so" }, (char[]){ "ASAN_OPTIONS=x=1" }, (char[]){ "MEMTAP_PYTHON=p" },
                     (char[]){ "MEMTAP_RATE=5" }, (char[]){ "B=" }, NULL };
    assert_string_equal(completed(envp), "A=1\nMEMTAP_PYTHON=p\nB=\n" MT_CONFIG_CARRIED "\nLD_PRELOAD=/opt/agent.so:/own.so\n"
                                         "ASAN_OPTIONS=x=1:" MT_CONFIG_ASAN_OPTION "\n" ALL_SETTINGS);
}

static void test_settings_of_another_run_are_left_alone(void **state)
{
    (void)state;
    char *envp[] = { (char[]){ "MEMTAP_OUTPUT=/other" }, (char[]){ "MEMTAP_RATE=5" }, NULL };
    assert_string_equal(completed(envp), "MEMTAP_OUTPUT=/other\nMEMTAP_RATE=5\n" MT_CONFIG_CARRIED "\nLD_PRELOAD=/opt/agent.so\n"
                                         "ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION "\n");
}

static void test_a_whole_environment_is_known_as_such(void **state)
{
    (void)state;
    char *envp[] = { (char[]){ "LD_PRELOAD=/a.so /opt/agent.so" }, (char[]){ "MEMTAP_OUTPUT=/x.mtap" },
                     (char[]){ "ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION }, NULL };
    struct mt_env_change change = look(envp);
    assert_true(mt_env_is_complete(&change));
    envp[0] = (char[]){ "LD_PRELOAD=/opt/agent.so.old:/opt/agent" };
    assert_false(look(envp).has_agent);
}

static void test_the_agent_alone_is_taken_out(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } cases[] = {
        { "LD_PRELOAD=/opt/agent.so", "A=1\nMEMTAP_OUTPUT=/x\n" },
        { "LD_PRELOAD=/opt/agent.so:/own.so", "A=1\nMEMTAP_OUTPUT=/x\nLD_PRELOAD=/own.so\n" },
        { "LD_PRELOAD=/own.so /opt/agent.so  :/more.so:", "A=1\nMEMTAP_OUTPUT=/x\nLD_PRELOAD=/own.so:/more.so\n" },
    };
    for (size_t i = 0; i < MT_COUNTOF(cases); i++) {
        char preload[64];
        snprintf(preload, sizeof preload, "%s", cases[i].before);
        char *envp[] = { (char[]){ "A=1" }, preload, (char[]){ "MEMTAP_OUTPUT=/x" }, NULL };
        struct mt_env_change change = look(envp);
        change.drop_agent = true;
        assert_true(build(envp, &change, MT_COUNTOF(g_items), sizeof g_text));
        assert_string_equal(joined(), cases[i].after);
        assert_string_equal(preload, cases[i].before);
    }
}

/* With every smaller room it is refused, and nothing behind the room is touched. */
static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char *envp[] = { (char[]){ "A=1" }, (char[]){ "LD_PRELOAD=/own.so" }, NULL };
    struct mt_env_change change = look(envp);
    const size_t items = 1 + 3 + MT_COUNTOF(SETTINGS) + 1;
    const size_t text = sizeof "LD_PRELOAD=/opt/agent.so:/own.so" + sizeof "ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION + 1;
    assert_true(build(envp, &change, items, text));
    for (size_t n = 1; n < items; n++) {
        g_items[n] = g_text;
        assert_false(build(envp, &change, n, text));
        assert_ptr_equal(g_items[n], g_text);
    }
    for (size_t n = 1; n < text - 1; n++) {
        memset(g_text, '!', sizeof g_text);
        assert_false(build(envp, &change, items, n));
        assert_int_equal(g_text[n], '!');
    }
}

static void test_an_environment_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    struct mt_env_change change = { .agent = AGENT };
    char **pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(munmap(pages + 512, 4096), 0);
    char **end = pages + 511; /* the last word that can be read */
    *end = (char[]){ "A=1" };
    assert_false(mt_env_look(end, &change));
    *end = (char *)(pages + 512);
    assert_false(mt_env_look(end, &change));
    assert_false(mt_env_look((char **)(uintptr_t)16, &change));
    *end = NULL;
    assert_true(mt_env_look(end, &change));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_empty_environment_gets_everything),
    cmocka_unit_test(test_what_the_program_says_is_kept),
    cmocka_unit_test(test_settings_of_another_run_are_left_alone),
    cmocka_unit_test(test_a_whole_environment_is_known_as_such),
    cmocka_unit_test(test_the_agent_alone_is_taken_out),
    cmocka_unit_test(test_what_does_not_fit_is_refused),
    cmocka_unit_test(test_an_environment_that_cannot_be_read_is_refused),
};
MT_TEST_MAIN(tests)
