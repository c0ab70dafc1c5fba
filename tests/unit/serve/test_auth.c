/* test_auth.c: tokens and Host headers. */
#include "harness.h"

#include "serve/auth.h"
#include "serve/routes.h"
#include "util/memory.h"

#include <string.h>

static void test_a_token_is_the_whole_token(void **state)
{
    (void)state;
    assert_true(mt_auth_same("secret-1", 8, "secret-1"));
    assert_false(mt_auth_same("secret-1", 7, "secret-1"));
    assert_false(mt_auth_same("secret-12", 9, "secret-1"));
    assert_false(mt_auth_same("secret-1secret-1", 16, "secret-1"));
    assert_false(mt_auth_same("", 0, "secret-1"));
    assert_false(mt_auth_same("", 0, ""));
    assert_false(mt_auth_same("secret-2", 8, "secret-1"));
}

static void test_only_numbers_and_localhost_are_local(void **state)
{
    static const char *const good[] = { "localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:7070", "10.0.0.1:1", "[::1]", "[::1]:8", "[fe80::1]:8" };
    static const char *const bad[] = { "", "localhost.", "localhost.evil", "evil", "evil:80", "127.0.0.1.evil", "127.1", "[::1", "[evil]:1", "::1", "localhost:", ":80",
                                       "localhost:8x", "[::1]x", "127.0.0.1:8@evil" };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(good); i++) {
        assert_true(mt_auth_host_is_local(good[i]));
    }
    for (size_t i = 0; i < MT_COUNTOF(bad); i++) {
        assert_int_equal(mt_auth_host_is_local(bad[i]), strcmp(bad[i], "localhost:") == 0);
    }
    assert_false(mt_auth_host_is_local(NULL));
}

static void test_a_route_is_found_by_method_and_path(void **state)
{
    bool known;
    (void)state;
    assert_string_equal(mt_route_find("GET", "/health", &known)->path, "/health");
    assert_string_equal(mt_route_find("HEAD", "/health", &known)->path, "/health");
    assert_null(mt_route_find("POST", "/health", &known));
    assert_true(known);
    assert_null(mt_route_find("GET", "/health2", &known));
    assert_false(known);
    assert_null(mt_route_find("HEAD", "/events", &known));
}

static void test_a_route_takes_its_arguments_and_no_others(void **state)
{
    bool known;
    const struct mt_route *block = mt_route_find("GET", "/page/block", &known);
    struct mt_route two = *block;
    (void)state;
    two.arguments = "format target seconds";
    assert_true(mt_route_takes(block, "target") && mt_route_takes(&two, "target") && mt_route_takes(&two, "seconds") && mt_route_takes(&two, "format"));
    assert_false(mt_route_takes(block, "targe") || mt_route_takes(block, "arget") || mt_route_takes(block, "") || mt_route_takes(&two, "t"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_token_is_the_whole_token),
    cmocka_unit_test(test_only_numbers_and_localhost_are_local),
    cmocka_unit_test(test_a_route_is_found_by_method_and_path),
    cmocka_unit_test(test_a_route_takes_its_arguments_and_no_others),
};
MT_TEST_MAIN(tests)
