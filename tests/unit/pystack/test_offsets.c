/* Which interpreters have a layout, and when the interpreter's own description is believed. */
#include "harness.h"

#include "pystack/offsets.h"

#include <string.h>

enum { WORDS = 200 };

static void test_every_version_from_3_8_to_3_15_has_a_layout(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        struct mt_py_offsets o;
        assert_true(mt_py_offsets_find(0x030001F0u | minor << 16, false, NULL, &o));
        assert_int_equal(o.minor, minor);
        assert_int_not_equal(o.code.linetable, 0);
        assert_int_equal(mt_py_offsets_find(0x030001F0u | minor << 16, true, NULL, &o), minor >= 13);
    }
}

static void test_unknown_versions_and_early_releases_have_none(void **state)
{
    (void)state;
    struct mt_py_offsets o, untouched;
    memset(&o, 0x5A, sizeof o);
    untouched = o;
    assert_false(mt_py_offsets_find(0x030701F0, false, NULL, &o));
    assert_false(mt_py_offsets_find(0x031001F0, false, NULL, &o));
    assert_false(mt_py_offsets_find(0x020712F0, false, NULL, &o));
    assert_false(mt_py_offsets_find(0x040801F0, false, NULL, &o));
    assert_false(mt_py_offsets_find(0x030F00A1, false, NULL, &o)); /* 3.15.0a1 */
    assert_false(mt_py_offsets_find(0x030F00B2, false, NULL, &o));
    assert_false(mt_py_offsets_find(0, false, NULL, &o));
    assert_memory_equal(&o, &untouched, sizeof o);
    assert_true(mt_py_offsets_find(0x030F00C1, false, NULL, &o)); /* 3.15.0rc1 */
}

/* A description of 3.13: every word holds 1000 + its index. */
static void make_description(uint64_t *words, uint64_t version_hex, uint64_t free_threaded)
{
    for (unsigned i = 0; i < WORDS; i++) {
        words[i] = 1000 + i;
    }
    memcpy(words, "xdebugpy", 8);
    words[1] = version_hex;
    words[2] = free_threaded;
}

static void test_the_interpreters_own_description_overrides_the_row(void **state)
{
    (void)state;
    uint64_t words[WORDS];
    make_description(words, 0x030D04F0, 0);
    struct mt_py_offsets o;
    assert_true(mt_py_offsets_find(0x030D04F0, false, words, &o));
    assert_int_equal(o.tstate.frame, 1023);
    assert_int_equal(o.frame.owner, 1033);
    assert_int_equal(o.code.first_line, 1039);
    assert_int_equal(o.object.unicode_ascii_data, 1070);
    assert_int_equal(o.code.version, 92); /* not described: from the row */
    make_description(words, 0x030E04F0, 0);
    assert_true(mt_py_offsets_find(0x030E00F0, false, words, &o));
    assert_int_equal(o.tstate.frame, 1026);
    make_description(words, 0x030F04F0, 1);
    assert_true(mt_py_offsets_find(0x030F00F0, true, words, &o));
    assert_int_equal(o.code.copies, 1057);
}

static void test_a_description_that_contradicts_or_makes_no_sense_is_refused(void **state)
{
    (void)state;
    uint64_t words[WORDS];
    struct mt_py_offsets o;
    make_description(words, 0x030E00F0, 0);
    assert_false(mt_py_offsets_find(0x030D00F0, false, words, &o)); /* another minor version */
    make_description(words, 0x030D00F0, 1);
    assert_false(mt_py_offsets_find(0x030D00F0, false, words, &o)); /* free-threaded after all */
    make_description(words, 0x030D00F0, 0);
    words[23] = 1 << 20; /* thread state with a frame pointer a MiB away */
    assert_false(mt_py_offsets_find(0x030D00F0, false, words, &o));
}

static void test_without_a_cookie_the_row_is_used(void **state)
{
    (void)state;
    uint64_t words[WORDS];
    make_description(words, 0x030D00F0, 1);
    words[0] ^= 1;
    struct mt_py_offsets o;
    bool free_threaded = false;
    assert_false(mt_py_offsets_described(words, &free_threaded));
    assert_false(mt_py_offsets_described(NULL, &free_threaded));
    assert_true(mt_py_offsets_find(0x030D00F0, false, words, &o));
    assert_int_equal(o.tstate.frame, 72);
    words[0] ^= 1;
    assert_true(mt_py_offsets_described(words, &free_threaded));
    assert_true(free_threaded);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_version_from_3_8_to_3_15_has_a_layout),
    cmocka_unit_test(test_unknown_versions_and_early_releases_have_none),
    cmocka_unit_test(test_the_interpreters_own_description_overrides_the_row),
    cmocka_unit_test(test_a_description_that_contradicts_or_makes_no_sense_is_refused),
    cmocka_unit_test(test_without_a_cookie_the_row_is_used),
};

MT_TEST_MAIN(tests)
