/* What a person may write for a TARGET: control/endpoint.
 *
 * Link: memtap_control
 */
#include "harness.h"

#include "control/endpoint.h"
#include "control/found.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mt_endpoint parsed(const char *text)
{
    struct mt_endpoint endpoint;
    assert_int_equal(mt_endpoint_parse(text, &endpoint, NULL), MT_OK);
    return endpoint;
}

static void assert_refused(const char *text)
{
    struct mt_endpoint endpoint;
    struct mt_error err = { 0 };
    assert_int_equal(mt_endpoint_parse(text, &endpoint, &err), MT_E_INVAL);
    assert_true(strlen(mt_error_text(&err)) > 10);
}

static void test_digits_are_a_process(void **state)
{
    (void)state;
    struct mt_endpoint endpoint = parsed("1234");
    assert_int_equal(endpoint.kind, MT_ENDPOINT_PROCESS);
    assert_int_equal(endpoint.pid, 1234);
    assert_refused("0");
    assert_refused("99999999999");
    assert_refused("-1");
}

static void test_an_address_has_a_port(void **state)
{
    (void)state;
    struct mt_endpoint endpoint = parsed("node-7:8080");
    assert_int_equal(endpoint.kind, MT_ENDPOINT_HOST);
    assert_string_equal(endpoint.host, "node-7");
    assert_string_equal(endpoint.port, "8080");
    endpoint = parsed("[::1]:80");
    assert_string_equal(endpoint.host, "::1");
    assert_string_equal(endpoint.port, "80");
    assert_refused("node:");
    assert_refused("node:0");
    assert_refused("node:70000");
    assert_refused(":80");
    assert_refused("::1:80");
    assert_refused("[]:80");
    assert_refused("a:b:80");
}

static void test_a_socket_has_a_path(void **state)
{
    (void)state;
    struct mt_endpoint endpoint = parsed("unix:/run/x.sock");
    assert_int_equal(endpoint.kind, MT_ENDPOINT_SOCKET);
    assert_string_equal(endpoint.text, "/run/x.sock");
    assert_refused("unix:");
    assert_refused("unix:x.sock");
}

static void test_nothing_means_the_variable(void **state)
{
    (void)state;
    (void)unsetenv("MEMTAP_ENDPOINT");
    assert_refused(NULL);
    (void)setenv("MEMTAP_ENDPOINT", "77", 1);
    assert_int_equal(parsed(NULL).pid, 77);
    (void)setenv("MEMTAP_ENDPOINT", "", 1);
    assert_refused(NULL);
}

static void test_anything_else_is_a_file_that_is_there(void **state)
{
    (void)state;
    assert_int_equal(parsed("/proc/self/exe").kind, MT_ENDPOINT_FILE);
    assert_refused("no such thing");
    assert_refused("1234 5678");
}

static void test_names_of_sockets_say_their_process(void **state)
{
    (void)state;
    assert_int_equal(mt_found_pid("@memtap-12-0123456789abcdef"), 12);
    assert_int_equal(mt_found_pid("/tmp/memtap-0/memtap-34-0123456789abcdef.sock"), 34);
    assert_int_equal(mt_found_pid("@memtap.12.0123456789abcdef"), 0);
    assert_int_equal(mt_found_pid("@memtap-12"), 0);
    assert_int_equal(mt_found_pid("/tmp/.memtap-34-0123456789abcdef"), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_digits_are_a_process),       cmocka_unit_test(test_an_address_has_a_port),
    cmocka_unit_test(test_a_socket_has_a_path),        cmocka_unit_test(test_nothing_means_the_variable),
    cmocka_unit_test(test_anything_else_is_a_file_that_is_there), cmocka_unit_test(test_names_of_sockets_say_their_process),
};
MT_TEST_MAIN(tests)
