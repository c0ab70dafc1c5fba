/* Unit tests of variable-length integers: all ways to write and to read one agree. */
#include "harness.h"

#include "base/varint.h"
#include "wire/decode.h"

#include <string.h>

/* The smallest and the largest value of each length, and values between. */
static uint64_t value_of(unsigned bits, unsigned i)
{
    uint64_t low = bits == 0 ? 0 : (uint64_t)1 << (bits - 1);
    uint64_t span = bits == 0 ? 0 : low - 1;
    uint64_t between = ((uint64_t)i * 0x9E3779B97F4A7C15u) & span;
    return i == 0 ? low : i == 1 ? low + span : low + between;
}

static void check(uint64_t value)
{
    uint8_t long_form[MT_VARINT_MAX + 8], form[MT_VARINT_MAX + 8], either[MT_VARINT_MAX + 8];
    memset(long_form, 0xFF, sizeof long_form); /* what follows looks as if it went on */
    size_t bytes = (size_t)(mt_varint_put(long_form, value) - long_form);
    assert_int_equal(mt_varint_bytes(value), bytes);
    assert_int_equal(mt_varint_put_short(form, value) - form, bytes);
    assert_int_equal(mt_varint_put_either(either, value) - either, bytes);
    assert_memory_equal(form, long_form, bytes);
    assert_memory_equal(either, long_form, bytes);
    for (size_t room = 0; room <= 8; room++) { /* with more behind it, and at the very end */
        struct mt_bytes b = mt_bytes_of(long_form, bytes + room);
        assert_true(mt_bytes_u64(&b) == value);
        assert_false(b.bad);
        assert_int_equal(b.at - long_form, bytes);
    }
    for (size_t cut = 0; cut < bytes; cut++) {
        struct mt_bytes b = mt_bytes_of(long_form, cut);
        assert_int_equal(mt_bytes_u64(&b), 0);
        assert_true(b.bad);
    }
}

static void test_all_ways_to_write_and_read_agree(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (unsigned i = 0; i < 100; i++) {
            check(value_of(bits, i));
        }
    }
}

static void test_more_than_64_bits_are_refused(void **state)
{
    static const uint8_t too_long[16] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02 };
    (void)state;
    struct mt_bytes b = mt_bytes_of(too_long, sizeof too_long);
    assert_int_equal(mt_bytes_u64(&b), 0);
    assert_true(b.bad);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_ways_to_write_and_read_agree),
    cmocka_unit_test(test_more_than_64_bits_are_refused),
};

MT_TEST_MAIN(tests)
