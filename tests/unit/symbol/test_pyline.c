/* Line tables computed by hand from the descriptions in CPython's own documents. */
#include "harness.h"

#include "symbol/pyline.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOKUP(kind, table, first_line, lasti)                                                                         \
    mt_pyline_lookup((kind), (const uint8_t *)(table), sizeof(table) - 1, (first_line), (lasti))

static void test_before_the_first_instruction_is_the_first_line(void **state)
{
    (void)state;
    const char any[] = "\x02\x05\x02\x05";
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, any, 40, -1), 40);
    assert_int_equal(LOOKUP(MT_LINETABLE_310, any, 40, -1), 40);
    assert_int_equal(LOOKUP(MT_LINETABLE_311, any, 40, -2), 40);
    assert_int_equal(mt_pyline_lookup(MT_LINETABLE_311, NULL, 0, 40, 10), 40);
    assert_int_equal(mt_pyline_lookup(99, (const uint8_t *)any, 4, 40, 10), 40);
}

/* The example of Objects/lnotab_notes.txt: 0:1, 6:2, 50:7, 350:207, 361:208 (lines after 307 have their own test). */
static void test_lnotab_example_of_the_notes(void **state)
{
    (void)state;
    const char table[] = "\x06\x01\x2C\x05\xFF\x00\x2D\x7F\x00\x49\x0B\x01";
    const struct {
        int64_t lasti;
        uint32_t line;
    } expected[] = { { 0, 1 },   { 4, 1 },     { 6, 2 },     { 48, 2 },   { 50, 7 },
                     { 348, 7 }, { 350, 207 }, { 360, 207 }, { 362, 208 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, table, 1, expected[i].lasti), expected[i].line);
    }
}

static void test_lnotab_lines_go_back(void **state)
{
    (void)state;
    const char table[] = "\x04\x0A\x06\xFB\x02\x80\x00\x80"; /* +10 at 4, -5 at 10, -256 at 12 */
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, table, 300, 2), 300);
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, table, 300, 4), 310);
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, table, 300, 10), 305);
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, table, 300, 12), 49);
}

/* PEP 626: (6, 1) bytes 0-5 line 101, (50, 6) bytes 6-55 line 107, (10, none), (4, -2) line 105, (254, 0), (2, 0). */
static void test_linetable_of_3_10(void **state)
{
    (void)state;
    const char table[] = "\x06\x01\x32\x06\x0A\x80\x04\xFE\xFE\x00\x02\x00";
    const struct {
        int64_t lasti;
        uint32_t line;
    } expected[] = { { 0, 101 }, { 5, 101 }, { 6, 107 }, { 55, 107 }, { 56, 100 }, { 65, 100 },
                     { 66, 105 }, { 70, 105 }, { 325, 105 }, { 326, 100 }, { 4000, 100 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(LOOKUP(MT_LINETABLE_310, table, 100, expected[i].lasti), expected[i].line);
    }
}

/* Objects/locations.md, one entry of each form:
 *   0x80|0<<3|1, 0x12        short form 0, 2 units: bytes 0-3, same line
 *   0x80|10<<3|0, 1, 2       one line, +0: bytes 4-5
 *   0x80|12<<3|3, 1, 2       one line, +2: bytes 6-13
 *   0x80|13<<3|0, svarint 7  no columns, +7: bytes 14-15
 *   0x80|15<<3|7             no location: bytes 16-31
 *   0x80|14<<3|1, svarint -300 (0x59, 0x09: 601 = 25 + 9*64), 0, 1, 2   long: bytes 32-35 */
static void test_every_form_of_the_location_table(void **state)
{
    (void)state;
    const char table[] = "\x81\x12\xD0\x01\x02\xE3\x01\x02\xE8\x0E\xFF\xF1\x59\x09\x00\x01\x02";
    const struct {
        int64_t lasti;
        uint32_t line;
    } expected[] = { { 0, 1000 }, { 2, 1000 }, { 4, 1000 }, { 6, 1002 }, { 12, 1002 }, { 14, 1009 },
                     { 16, 1000 }, { 30, 1000 }, { 32, 709 }, { 34, 709 }, { 36, 1000 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(LOOKUP(MT_LINETABLE_311, table, 1000, expected[i].lasti), expected[i].line);
    }
}

static void test_a_line_that_cannot_be_is_the_first_line(void **state)
{
    (void)state;
    assert_int_equal(LOOKUP(MT_LINETABLE_LNOTAB, "\x00\x80", 5, 0), 5);
    assert_int_equal(LOOKUP(MT_LINETABLE_310, "\x04\x81", 5, 0), 5);
    assert_int_equal(LOOKUP(MT_LINETABLE_311, "\xE8\x7F\x7F\x7F\x7F\x7F\x7F\x7F", 5, 0), 5);
}

static void test_a_table_cut_anywhere_is_read_within_its_bounds(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)rand() % 40;
        uint8_t *table = malloc(bytes + 1); /* exactly sized for the address sanitizer */
        uint8_t *exact = malloc(bytes != 0 ? bytes : 1);
        for (size_t i = 0; i < bytes; i++) {
            exact[i] = table[i] = (uint8_t)rand();
        }
        for (uint32_t kind = MT_LINETABLE_LNOTAB; kind <= MT_LINETABLE_311; kind++) {
            int64_t lasti = rand() % 300;
            uint32_t line = mt_pyline_lookup(kind, exact, bytes, 50, lasti);
            table[bytes] = (uint8_t)rand(); /* what lies behind does not matter */
            assert_int_equal(mt_pyline_lookup(kind, table, bytes, 50, lasti), line);
            assert_true(line > 0);
        }
        free(exact);
        free(table);
    }
}

static void test_many_at_once_are_as_one_by_one(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 5000; round++) {
        uint8_t table[300];
        uint32_t lasti[50], lines[50], at = 0;
        for (size_t i = 0; i < sizeof table; i++) {
            table[i] = (uint8_t)(rand() % 3 != 0 ? rand() % 6 + (rand() % 2 != 0 ? 0x80 : 0) : rand());
        }
        for (size_t i = 0; i < 50; i++) {
            lasti[i] = at += (uint32_t)rand() % 12; /* some twice */
        }
        for (uint32_t kind = 0; kind <= 4; kind++) {
            mt_pyline_lookup_all(kind, table, sizeof table, 50, lasti, 50, lines);
            for (size_t i = 0; i < 50; i++) {
                assert_int_equal(lines[i], mt_pyline_lookup(kind, table, sizeof table, 50, lasti[i]));
            }
            struct mt_pyline_place place = { 0 };
            for (size_t i = 0; i < 50; i++) { /* mostly ascending; -1 is before the code */
                int64_t any = rand() % 4 != 0 ? lasti[i] : (int64_t)lasti[rand() % 50] - rand() % 2;
                assert_int_equal(mt_pyline_lookup_on(&place, kind, table, sizeof table, 50, any),
                                 mt_pyline_lookup(kind, table, sizeof table, 50, any));
            }
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_before_the_first_instruction_is_the_first_line),
    cmocka_unit_test(test_lnotab_example_of_the_notes),
    cmocka_unit_test(test_lnotab_lines_go_back),
    cmocka_unit_test(test_linetable_of_3_10),
    cmocka_unit_test(test_every_form_of_the_location_table),
    cmocka_unit_test(test_a_line_that_cannot_be_is_the_first_line),
    cmocka_unit_test(test_a_table_cut_anywhere_is_read_within_its_bounds),
    cmocka_unit_test(test_many_at_once_are_as_one_by_one),
};

MT_TEST_MAIN(tests)
