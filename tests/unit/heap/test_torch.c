/* Unit tests of rows of training loops: each is in the trace as it was said, in order, and none is of a process without a trace. */
#include "heap/torch.h"

#include "heap/engine.h"
#include "heap/folder.h"
#include "model/trace.h"

static const struct mt_torch_names NAMES = { "Net.fc1", "post forward", "cpu_alloc" };

static void start(void)
{
    struct mt_engine_config config = {
        .mode = MT_MODE_EXACT, .rate_bytes = 1, .path = g_path, .command = "unit", .command_bytes = 5, .seed = 11
    };
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

static void test_rows_are_read_as_they_were_said(void **state)
{
    (void)state;
    enum { ROWS = 5000 }; /* more than a block of metadata holds */
    start();
    assert_true(mt_torch_recording() != 0);
    for (uint64_t i = 0; i < ROWS; i++) {
        const struct mt_record_torch row = { .step = i / 4, .micro_step = i / 2, .seq = (uint32_t)(i % 4), .allocated = 1000 + i,
                                             .max_allocated = 2000, .cached = 3000, .max_cached = UINT64_MAX, .offset_ns = i,
                                             .duration_ns = 7, .allocated_delta = -(int64_t)i, .max_allocated_delta = INT64_MIN };
        assert_true(mt_torch_row(&row, &NAMES));
    }
    mt_engine_stop(MT_STATE_STOPPED);
    struct mt_trace *trace = NULL;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    size_t count;
    const struct mt_trace_torch *rows = mt_trace_torch(trace, &count);
    assert_int_equal(count, ROWS);
    for (uint64_t i = 0; i < ROWS; i++) {
        assert_int_equal(rows[i].step, i / 4);
        assert_int_equal(rows[i].micro_step, i / 2);
        assert_int_equal(rows[i].seq, i % 4);
        assert_int_equal(rows[i].allocated, 1000 + i);
        assert_int_equal(rows[i].max_cached, UINT64_MAX);
        assert_int_equal(rows[i].allocated_delta, -(int64_t)i);
        assert_int_equal(rows[i].max_allocated_delta, INT64_MIN);
        assert_string_equal(rows[i].module, "Net.fc1");
        assert_string_equal(rows[i].stage, "post forward");
        assert_string_equal(rows[i].source, "cpu_alloc");
        assert_true(i == 0 || rows[i].time_ns >= rows[i - 1].time_ns);
    }
    mt_trace_close(trace);
}

static void test_without_a_trace_there_are_no_rows(void **state)
{
    (void)state;
    const struct mt_record_torch row = { .step = 1 };
    assert_int_equal(mt_torch_recording(), 0);
    assert_false(mt_torch_row(&row, &NAMES));
    start();
    uint64_t recording = mt_torch_recording();
    assert_int_equal(mt_torch_recording(), recording);
    mt_engine_stop(MT_STATE_STOPPED);
    assert_int_equal(mt_torch_recording(), 0);
    assert_false(mt_torch_row(&row, &NAMES));
}

#define TORCH_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

static const struct CMUnitTest tests[] = {
    TORCH_TEST(test_rows_are_read_as_they_were_said),
    TORCH_TEST(test_without_a_trace_there_are_no_rows),
};
MT_TEST_MAIN(tests)
