/* What an eval prints, from its thread to who asked: agent/pyoutput. */
#include "harness.h"

#include "agent/pyeval_private.h"

#include <pthread.h>
#include <string.h>

enum { BYTES = 3 << 20 };

static struct {
    char text[BYTES + 1];
    size_t bytes, pieces;
    int stream; /* of the last piece */
} g_heard;

static void hear(void *context, int stream, const char *text, size_t bytes)
{
    (void)context;
    assert_true(g_heard.bytes + bytes <= BYTES);
    memcpy(g_heard.text + g_heard.bytes, text, bytes);
    g_heard.bytes += bytes;
    g_heard.pieces++;
    g_heard.stream = stream;
}

static const struct mt_eval_asker asker = { .say = hear };

static void test_pieces_of_one_stream_come_together_and_in_order(void **state)
{
    (void)state;
    assert_true(mt_pyoutput_open());
    assert_int_equal(mt_pyoutput_put(MT_EVAL_OUT, "line", 4), 4);
    assert_int_equal(mt_pyoutput_put(MT_EVAL_OUT, "\n", 1), 1);
    assert_int_equal(mt_pyoutput_put(MT_EVAL_ERR, "error", 5), 5);
    mt_pyoutput_take(&asker);
    assert_int_equal(g_heard.pieces, 2);
    assert_int_equal(g_heard.stream, MT_EVAL_ERR);
    assert_string_equal(g_heard.text, "line\nerror");
    mt_pyoutput_take(&asker);
    assert_int_equal(g_heard.pieces, 2);
}

static void test_a_full_ring_takes_nothing_until_it_is_read(void **state)
{
    (void)state;
    static char block[100000];
    size_t put = 0, taken;
    assert_true(mt_pyoutput_open());
    while ((taken = mt_pyoutput_put(MT_EVAL_OUT, block, sizeof block)) > 0) {
        put += taken;
    }
    assert_true(put > sizeof block);
    mt_pyoutput_take(&asker);
    assert_int_equal(g_heard.bytes, put);
    assert_int_equal(mt_pyoutput_put(MT_EVAL_OUT, "x", 1), 1);
}

static void test_what_was_not_taken_is_not_said_to_the_next(void **state)
{
    (void)state;
    assert_true(mt_pyoutput_open());
    assert_int_equal(mt_pyoutput_put(MT_EVAL_OUT, "old", 3), 3);
    assert_true(mt_pyoutput_open());
    mt_pyoutput_take(&asker);
    assert_int_equal(g_heard.pieces, 0);
}

static char byte_at(size_t at)
{
    return (char)('a' + at % 23);
}

/* In pieces of 1 to 4999 bytes, as much as there is room for. */
static void *write_all(void *unused)
{
    static char piece[5000];
    for (size_t at = 0, bytes; at < BYTES; at += mt_pyoutput_put(MT_EVAL_OUT, piece, bytes)) {
        bytes = 1 + at % 4999;
        bytes = bytes < BYTES - at ? bytes : BYTES - at;
        for (size_t i = 0; i < bytes; i++) {
            piece[i] = byte_at(at + i);
        }
    }
    return unused;
}

static void test_a_writer_and_a_reader_lose_nothing(void **state)
{
    (void)state;
    pthread_t writer;
    assert_true(mt_pyoutput_open());
    assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
    while (g_heard.bytes < BYTES) {
        mt_pyoutput_take(&asker);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    for (size_t at = 0; at < BYTES; at++) {
        assert_int_equal(g_heard.text[at], byte_at(at));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pieces_of_one_stream_come_together_and_in_order),
    cmocka_unit_test(test_a_full_ring_takes_nothing_until_it_is_read),
    cmocka_unit_test(test_what_was_not_taken_is_not_said_to_the_next),
    cmocka_unit_test(test_a_writer_and_a_reader_lose_nothing),
};
MT_TEST_MAIN(tests)
