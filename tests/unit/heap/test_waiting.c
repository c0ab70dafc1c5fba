/* Unit tests of the blocks that wait: nothing is lost, doubled or out of order while writing fails for a time. */
#include "harness.h"

#include "heap/waiting.h"

#include <string.h>

enum { BLOCKS = 10 };

static mt_status g_answer; /* what writing says now */
static uint32_t g_written[64];
static size_t g_written_count;
static char g_text[64];

static mt_status write_block(const struct mt_block_header *header, const void *payload, size_t bytes)
{
    if (g_answer == MT_OK) {
        g_written[g_written_count++] = header->stream;
        memcpy(g_text, payload, bytes);
    }
    return g_answer;
}

static mt_status add(uint32_t stream)
{
    const struct mt_block_header header = { .stream = stream, .clock_first = 100 + stream, .events = 7 };
    return mt_waiting_add(&header, "payload", 8, MT_E_NOSPACE);
}

static void test_blocks_are_written_in_order_once_it_goes_again(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(add(i), MT_OK);
    }
    g_answer = MT_E_NOSPACE;
    assert_int_equal(mt_waiting_write(write_block), MT_E_NOSPACE);
    assert_false(mt_waiting_is_empty());
    g_answer = MT_OK;
    assert_int_equal(mt_waiting_write(write_block), MT_OK);
    assert_true(mt_waiting_is_empty());
    assert_int_equal(g_written_count, BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(g_written[i], i);
    }
    assert_string_equal(g_text, "payload");
    assert_int_equal(mt_waiting_drop().why, MT_OK);
}

static void test_what_is_given_up_is_counted_from_its_first_clock_on(void **state)
{
    (void)state;
    assert_int_equal(add(3), MT_OK);
    assert_int_equal(add(4), MT_OK);
    struct mt_waiting_loss loss = mt_waiting_drop();
    assert_int_equal(loss.why, MT_E_NOSPACE);
    assert_int_equal(loss.clock, 103);
    assert_int_equal(loss.events, 14);
    assert_true(mt_waiting_is_empty());
}

static void test_memory_for_it_is_bounded(void **state)
{
    (void)state;
    static uint8_t payload[64 * 1024];
    const struct mt_block_header header = { .stream = 1 };
    size_t kept = 0;
    while (mt_waiting_add(&header, payload, sizeof payload, MT_E_NOSPACE) == MT_OK) {
        kept++;
    }
    assert_in_range(kept * sizeof payload, MT_WAITING_MAX_BYTES - 2 * sizeof payload, MT_WAITING_MAX_BYTES);
    (void)mt_waiting_drop();
    assert_int_equal(add(1), MT_OK);
    (void)mt_waiting_drop();
}

static void test_only_what_may_pass_is_waited_for(void **state)
{
    (void)state;
    assert_true(mt_waiting_may_help(MT_E_NOSPACE));
    assert_true(mt_waiting_may_help(MT_E_NOFILES));
    assert_false(mt_waiting_may_help(MT_OK));
    assert_false(mt_waiting_may_help(MT_E_REPLACED));
    assert_false(mt_waiting_may_help(MT_E_SIZE));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_blocks_are_written_in_order_once_it_goes_again),
    cmocka_unit_test(test_what_is_given_up_is_counted_from_its_first_clock_on),
    cmocka_unit_test(test_memory_for_it_is_bounded),
    cmocka_unit_test(test_only_what_may_pass_is_waited_for),
};
MT_TEST_MAIN(tests)
