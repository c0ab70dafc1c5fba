/* Unit tests of suppressions: which names a pattern fits, and what a file of them may hold. */
#include "harness.h"

#include "reader/suppress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_a_pattern_is_a_part_of_a_name(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool fits;
    } cases[] = {
        { "foo", "foo", true },        { "foo", "a_foo_b", true },   { "foo", "fo", false },
        { "^foo", "foobar", true },    { "^foo", "a_foo", false },   { "foo$", "a_foo", true },
        { "foo$", "foobar", false },   { "^foo$", "foo", true },     { "^foo$", "foofoo", false },
        { "a*b", "xaxxbx", true },     { "a*b", "xbxxa", false },    { "^a*b$", "axxb", true },
        { "^a*b$", "axxbx", false },   { "*", "anything", true },    { "a*", "a", true },
        { "lib*.so", "/usr/lib/libz.so.1", true },                   { "^*b", "ab", true },
        { "a$b", "xa$by", true },      { "foo", "", false },         { "ab$", "abab", true },
        { "^ab$", "abab", false },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(cases); i++) {
        if (mt_suppression_fits(cases[i].pattern, cases[i].name) != cases[i].fits) {
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
        }
    }
}

static mt_status read_text(struct mt_suppressions *s, const char *text, struct mt_error *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/memtap-suppress-%d", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    mt_status status = mt_suppressions_read(s, path, err);
    unlink(path);
    return status;
}

static void test_a_file_has_a_pattern_a_line(void **state)
{
    struct mt_suppressions s = { 0 };
    struct mt_error err = { 0 };
    (void)state;
    assert_int_equal(read_text(&s, "# why\n\nleak:one\n  leak:t*o \r\nleak:^three$", &err), MT_OK);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.items[0].pattern, "one");
    assert_string_equal(s.items[1].pattern, "t*o");
    assert_string_equal(s.items[2].pattern, "^three$");
    mt_suppressions_fini(&s);
}

static void test_another_line_is_refused_by_its_number(void **state)
{
    struct mt_suppressions s = { 0 };
    struct mt_error err = { 0 };
    (void)state;
    assert_int_equal(read_text(&s, "leak:one\nrace:two\n", &err), MT_E_INVAL);
    assert_non_null(strstr(err.text, "line 2"));
    assert_int_equal(mt_suppressions_read(&s, "/no/such/file", &err), MT_E_NOENT);
    mt_suppressions_fini(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_pattern_is_a_part_of_a_name),
    cmocka_unit_test(test_a_file_has_a_pattern_a_line),
    cmocka_unit_test(test_another_line_is_refused_by_its_number),
};
MT_TEST_MAIN(tests)
