/* Names and line tables of hand-made code objects. */
#include "harness.h"

#include "fake_python.h"

static char g_buffer[256];

static bool describe_named(uint64_t name, size_t room, struct mt_code_description *ret)
{
    uint64_t code = fake_code("unused", 12);
    put64(code, g_fake.o.code.name, name);
    return mt_pystack_describe(code, g_buffer, room, ret);
}

static void assert_name(const struct mt_code_description *d, const char *expected)
{
    assert_int_equal(d->name_bytes, strlen(expected));
    assert_memory_equal(d->name, expected, d->name_bytes);
}

static void test_ascii_is_given_in_place(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        fake_start(minor, minor == 14);
        struct mt_code_description d;
        uint64_t name = fake_text("function");
        assert_true(describe_named(name, 0, &d));
        assert_name(&d, "function");
        assert_true((uint64_t)(uintptr_t)d.name == name + g_fake.o.object.unicode_ascii_data);
        assert_int_equal(d.first_line, 12);
        assert_int_equal(d.linetable_bytes, 8);
        assert_int_equal(d.qualname_bytes, minor >= 11 ? 6 : 0);
        uint32_t kind = minor < 10 ? MT_LINETABLE_LNOTAB : minor == 10 ? MT_LINETABLE_310 : MT_LINETABLE_311;
        assert_int_equal(d.linetable_kind, kind);
    }
}

static void test_other_characters_become_utf_8(void **state)
{
    (void)state;
    fake_start(12, false);
    struct mt_code_description d;
    assert_true(describe_named(fake_string("caf\xE9", 4, 1, false), sizeof g_buffer, &d));
    assert_name(&d, "caf\xC3\xA9");
    const uint16_t two[] = { 0x41, 0x7FF, 0x800, 0xFFFF };
    assert_true(describe_named(fake_string(two, 4, 2, false), sizeof g_buffer, &d));
    assert_name(&d, "A\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF");
    const uint32_t four[] = { 0x1F40D, 0x10FFFF, 0x7A };
    assert_true(describe_named(fake_string(four, 3, 4, false), sizeof g_buffer, &d));
    assert_name(&d, "\xF0\x9F\x90\x8D\xF4\x8F\xBF\xBFz");
}

static void test_escaped_bytes_of_file_names_are_bytes_again(void **state)
{
    (void)state;
    fake_start(9, false);
    struct mt_code_description d;
    const uint16_t name[] = { 0x2F, 0xDC80, 0xDCFF, 0xD800, 0xDBFF };
    assert_true(describe_named(fake_string(name, 5, 2, false), sizeof g_buffer, &d));
    assert_name(&d, "/\x80\xFF\xEF\xBF\xBD\xEF\xBF\xBD");
}

static void test_a_full_buffer_cuts_between_characters(void **state)
{
    (void)state;
    fake_start(13, false);
    struct mt_code_description d;
    const uint16_t name[] = { 0x20AC, 0x20AC, 0x20AC };
    for (size_t room = 0; room <= 10; room++) {
        memset(g_buffer, '#', sizeof g_buffer);
        assert_true(describe_named(fake_string(name, 3, 2, false), room, &d));
        assert_int_equal(d.name_bytes, room >= 9 ? 9 : room / 3 * 3);
        assert_int_equal(g_buffer[room], '#');
    }
}

static void test_strings_share_the_buffer(void **state)
{
    (void)state;
    fake_start(13, false);
    struct mt_code_description d;
    uint64_t code = fake_code("unused", 1);
    put64(code, g_fake.o.code.filename, fake_string("\xE9", 1, 1, false));
    put64(code, g_fake.o.code.name, fake_string("\xE8", 1, 1, false));
    put64(code, g_fake.o.code.qualname, fake_string("\xE7", 1, 1, false));
    assert_true(mt_pystack_describe(code, g_buffer, 6, &d));
    assert_memory_equal(d.filename, "\xC3\xA9", 2);
    assert_memory_equal(d.name, "\xC3\xA8", 2);
    assert_memory_equal(d.qualname, "\xC3\xA7", 2);
}

static void test_a_string_of_a_subclass_is_followed(void **state)
{
    (void)state;
    fake_start(11, false);
    struct mt_code_description d;
    uint64_t object = fake_alloc(128), characters = fake_alloc(16);
    memcpy((void *)(uintptr_t)characters, "derived", 7);
    put64(object, g_fake.o.object.unicode_length, 7);
    uint32_t ascii_not_compact = 1u | 1u << 4;
    put32(object, g_fake.o.object.unicode_state, ascii_not_compact << g_fake.o.unicode_kind_shift);
    put64(object, g_fake.o.object.unicode_compact_data, characters);
    assert_true(describe_named(object, 0, &d));
    assert_name(&d, "derived");
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    fake_start(13, false);
    struct mt_code_description d;
    assert_false(mt_pystack_describe(0, g_buffer, sizeof g_buffer, &d));
    assert_false(mt_pystack_describe(0x1234567, g_buffer, sizeof g_buffer, &d));
    assert_false(describe_named(0, sizeof g_buffer, &d));
    uint64_t odd = fake_text("x");
    put32(odd, g_fake.o.object.unicode_state, 3u << g_fake.o.unicode_kind_shift | 8u); /* no such width */
    assert_false(describe_named(odd, sizeof g_buffer, &d));
    uint64_t huge = fake_text("x");
    put64(huge, g_fake.o.object.unicode_length, (uint64_t)1 << 40);
    assert_false(describe_named(huge, sizeof g_buffer, &d));
    uint64_t code = fake_code("f", 1);
    put64(mt_py_load_u64(code, g_fake.o.code.linetable), g_fake.o.object.bytes_size, (uint64_t)1 << 40);
    assert_false(mt_pystack_describe(code, g_buffer, sizeof g_buffer, &d));
    assert_int_not_equal(mt_pystack_fingerprint(code), 0); /* and is not followed */
}

static void test_an_instruction_outside_of_the_code_is_before_the_first(void **state)
{
    (void)state;
    fake_start(13, false);
    uint64_t code = fake_code("f", 1);
    struct mt_py_frame frame = { .code = code, .instr = code };
    assert_int_equal(mt_pystack_lasti(&frame), -1);
    frame.instr = code + ((uint64_t)1 << 33);
    assert_int_equal(mt_pystack_lasti(&frame), -1);
    frame.instr = code + g_fake.o.code.bytecode;
    assert_int_equal(mt_pystack_lasti(&frame), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ascii_is_given_in_place),
    cmocka_unit_test(test_other_characters_become_utf_8),
    cmocka_unit_test(test_escaped_bytes_of_file_names_are_bytes_again),
    cmocka_unit_test(test_a_full_buffer_cuts_between_characters),
    cmocka_unit_test(test_strings_share_the_buffer),
    cmocka_unit_test(test_a_string_of_a_subclass_is_followed),
    cmocka_unit_test(test_nonsense_is_refused),
    cmocka_unit_test(test_an_instruction_outside_of_the_code_is_before_the_first),
};

MT_TEST_MAIN(tests)
