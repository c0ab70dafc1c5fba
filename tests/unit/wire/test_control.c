/* Frames between tool and armed process, whatever bytes they are: wire/control. */
#include "harness.h"

#include "wire/control.h"

#include <stdlib.h>
#include <string.h>

static const struct mt_control_frame good = { .magic = MT_CONTROL_MAGIC, .version = MT_CONTROL_VERSION, .kind = MT_CONTROL_HELLO };

static void test_a_frame_of_another_protocol_version_or_size_is_none(void **state)
{
    (void)state;
    struct mt_control_frame frame = good;
    assert_true(mt_control_is_frame(&frame));
    frame.length = MT_CONTROL_PAYLOAD_MAX;
    assert_true(mt_control_is_frame(&frame));
    frame.length++;
    assert_false(mt_control_is_frame(&frame));
    frame = good;
    frame.version++;
    assert_false(mt_control_is_frame(&frame));
    frame = good;
    memcpy(&frame, "GET ", 4);
    assert_false(mt_control_is_frame(&frame));
}

static void test_what_is_added_is_found(void **state)
{
    (void)state;
    char words[64];
    struct mt_control_text text = { .buf = words, .capacity = sizeof words };
    mt_control_add(&text, "PATH", "/a=b");
    mt_control_add_number(&text, "RATE", UINT64_MAX);
    mt_control_add(&text, "EMPTY", "");
    assert_false(text.cut);
    assert_string_equal(mt_control_value(words, text.length, "PATH"), "/a=b");
    assert_string_equal(mt_control_value(words, text.length, "RATE"), "18446744073709551615");
    assert_string_equal(mt_control_value(words, text.length, "EMPTY"), "");
    assert_null(mt_control_value(words, text.length, "RAT"));
    assert_null(mt_control_value(words, text.length, "b"));
}

static void test_what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    char words[8];
    struct mt_control_text text = { .buf = words, .capacity = sizeof words };
    mt_control_add(&text, "A", "12345");
    assert_false(text.cut);
    assert_int_equal(text.length, 8);
    mt_control_add(&text, "B", "");
    assert_true(text.cut);
    assert_int_equal(text.length, 8);
}

static void test_a_payload_without_its_last_nul_has_no_strings(void **state)
{
    (void)state;
    assert_null(mt_control_next("A=1", 3, NULL));
    assert_null(mt_control_value("A=1\0B=2", 7, "A"));
    assert_null(mt_control_next("", 0, NULL));
    assert_string_equal(mt_control_value("A=1\0B=2", 8, "B"), "2");
}

/* Walking never leaves the bytes: each is in a block of its own size, at whose ends sanitizers look. */
static void test_any_bytes_can_be_walked(void **state)
{
    (void)state;
    unsigned random = 12345;
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)round % 40;
        char *payload = malloc(bytes + (bytes == 0));
        for (size_t i = 0; i < bytes; i++) {
            random = random * 1664525u + 1013904223u;
            payload[i] = "A=B\0\xff"[random >> 24 & 3];
        }
        size_t walked = 0;
        for (const char *at = mt_control_next(payload, bytes, NULL); at != NULL; at = mt_control_next(payload, bytes, at)) {
            walked += strlen(at) + 1;
        }
        assert_true(walked == 0 || walked == bytes);
        const char *value = mt_control_value(payload, bytes, "A");
        assert_true(value == NULL || (value >= payload && value + strlen(value) < payload + bytes));
        free(payload);
    }
}

static void test_only_the_whole_token_is_the_token(void **state)
{
    (void)state;
    assert_true(mt_control_is_token("secret", "secret"));
    assert_false(mt_control_is_token("secret", "secre"));
    assert_false(mt_control_is_token("secret", "secrets"));
    assert_false(mt_control_is_token("secret", "secretsecret"));
    assert_false(mt_control_is_token("secret", ""));
    assert_false(mt_control_is_token("", ""));
    assert_false(mt_control_is_token("", "x"));
}

static void test_every_status_has_a_sentence(void **state)
{
    (void)state;
    for (uint32_t status = 0; status < 100; status++) {
        assert_true(strlen(mt_control_status_text(status)) > 3);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_frame_of_another_protocol_version_or_size_is_none),
    cmocka_unit_test(test_what_is_added_is_found),
    cmocka_unit_test(test_what_does_not_fit_is_left_out_whole),
    cmocka_unit_test(test_a_payload_without_its_last_nul_has_no_strings),
    cmocka_unit_test(test_any_bytes_can_be_walked),
    cmocka_unit_test(test_only_the_whole_token_is_the_token),
    cmocka_unit_test(test_every_status_has_a_sentence),
};
MT_TEST_MAIN(tests)
