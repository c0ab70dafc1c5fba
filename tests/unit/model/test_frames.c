/* test_frames.c: native and Python halves of a stack become one list. Without symbol files: a native frame is its
 * address in its module, so every expected list is known by construction. */
#include "harness.h"

#include "model/builder.h"
#include "model/frames.h"

enum { PYTHON = 0x100000, EXTENSION = 0x200000, LIBC = 0x300000, HOST = 0x400000 };

/* Modules 1 … 4, and code objects 1 … 4 named f1 … f4 in app.py, line 10 n. */
static void begin(struct builder *b)
{
    builder_init(b);
    b->python_version = 0x030c0000;
    builder_module(b, 1, PYTHON, "/usr/lib/libpython3.12.so.1.0", 0, 0x10000);
    builder_module(b, 2, EXTENSION, "/site/ext.so", 0, 0x10000);
    builder_module(b, 3, LIBC, "/lib/libc.so.6", 0, 0x10000);
    builder_module(b, 4, HOST, "/bin/host", 0, 0x10000);
    builder_string(b, "app.py");
    for (uint32_t i = 1; i <= 4; i++) {
        char name[8] = { 'f', (char)('0' + i) };
        builder_string(b, name);
        builder_code(b, i, 1, 1 + i, 0, 10 * i);
    }
}

/* A native stack, innermost first; returns its node. First call only: nodes are numbered from 1. */
static uint32_t native_stack(struct builder *b, const uint64_t *pcs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        builder_native(b, i, pcs[count - 1 - i]);
    }
    return count;
}

/* f1 innermost; entry says which are entry frames. */
static uint32_t python_stack(struct builder *b, const unsigned *entry, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        builder_python(b, i, count - i, -1, entry[count - 1 - i]);
    }
    return count;
}

/* Resolves stack 1 and compares it with "a|b|c", innermost first; names of Python frames carry their line. */
static void expect(struct builder *b, const struct mt_frames_options *options, const char *want)
{
    struct mt_frames_options o = options != NULL ? *options : (struct mt_frames_options){ 0 };
    o.no_symbols = true;
    builder_finish(b);
    struct mt_trace *t;
    struct mt_frames *f;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &t, NULL), MT_OK);
    assert_false(mt_trace_completeness(t)->metadata_broken);
    struct mt_trace_set set = { &t, 1 };
    assert_int_equal(mt_frames_new(&set, &o, &f), MT_OK);
    char text[1024] = "";
    size_t at = 0;
    struct mt_frame_list list = mt_frames_stack(f, 0, 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct mt_frame *frame = mt_frames_frame(f, list.ids[i]);
        const char *bar = i > 0 ? "|" : "";
        at += (size_t)snprintf(text + at, sizeof text - at, frame->kind == MT_FRAME_PYTHON ? "%s%s:%u" : "%s%s", bar,
                               frame->function, frame->line);
    }
    assert_string_equal(text, want);
    mt_frames_free(f);
    mt_trace_close(t);
    builder_fini(b);
}

/* An extension called from Python that calls back into Python:
 * ext | eval(f1 f2) helper | ext | eval(f3) | main start */
static const uint64_t g_pcs[] = { EXTENSION + 1, PYTHON + 2, PYTHON + 3, EXTENSION + 4,
                                  PYTHON + 5,    LIBC + 6,   HOST + 7 };
static const unsigned g_entry[] = { 0, 1, 1 };

static void test_anchors_replace_evaluation_loops_by_python_frames(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    uint32_t native = native_stack(&b, g_pcs, 7), python = python_stack(&b, g_entry, 3);
    builder_stack(&b, native, python, (const uint64_t[]){ 1, 4 }, 2);
    expect(&b, NULL, "0x1 (ext.so)|f1:10|f2:20|0x4 (ext.so)|f3:30|0x6 (libc.so.6)|0x7 (host)");
}

static void test_interpreter_frames_show_when_asked_for(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    uint32_t native = native_stack(&b, g_pcs, 7), python = python_stack(&b, g_entry, 3);
    builder_stack(&b, native, python, (const uint64_t[]){ 1, 4 }, 2);
    struct mt_frames_options options = { .interpreter = true };
    expect(&b, &options,
           "0x1 (ext.so)|f1:10|f2:20|0x3 (libpython3.12.so.1.0)|0x4 (ext.so)|f3:30|0x6 (libc.so.6)|0x7 (host)");
}

static void test_start_up_frames_outside_python_are_hidden(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    static const uint64_t pcs[] = { EXTENSION + 1, PYTHON + 2, PYTHON + 3, LIBC + 4, LIBC + 5, PYTHON + 6 };
    uint32_t native = native_stack(&b, pcs, 6), python = python_stack(&b, (const unsigned[]){ 1 }, 1);
    builder_stack(&b, native, python, (const uint64_t[]){ 1 }, 1);
    expect(&b, NULL, "0x1 (ext.so)|f1:10");
}

static void test_python_only_leaves_native_frames_out(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    uint32_t native = native_stack(&b, g_pcs, 7), python = python_stack(&b, g_entry, 3);
    builder_stack(&b, native, python, (const uint64_t[]){ 1, 4 }, 2);
    struct mt_frames_options options = { .python_only = true };
    expect(&b, &options, "f1:10|f2:20|f3:30");
}

static void test_without_anchors_every_python_frame_has_a_loop(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    builder_numbers(&b, MT_META_EVAL_RANGE, (const uint64_t[]){ PYTHON + 0x100, PYTHON + 0x200 }, 2);
    static const uint64_t pcs[] = { EXTENSION + 1, PYTHON + 0x110, PYTHON + 3, PYTHON + 0x120, EXTENSION + 4,
                                    PYTHON + 0x130, LIBC + 5 };
    uint32_t native = native_stack(&b, pcs, 7), python = python_stack(&b, (const unsigned[]){ 1, 1, 1 }, 3);
    builder_stack(&b, native, python, NULL, 0);
    expect(&b, NULL, "0x1 (ext.so)|f1:10|f2:20|0x4 (ext.so)|f3:30");
}

static void test_unknown_loops_put_python_where_the_interpreter_begins(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    static const uint64_t pcs[] = { EXTENSION + 1, PYTHON + 2, PYTHON + 3, LIBC + 4 };
    uint32_t native = native_stack(&b, pcs, 4), python = python_stack(&b, (const unsigned[]){ 0, 1 }, 2);
    builder_stack(&b, native, python, NULL, 0);
    expect(&b, NULL, "0x1 (ext.so)|f1:10|f2:20");
}

static void test_one_half_alone_is_the_stack(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    builder_stack(&b, 0, python_stack(&b, g_entry, 3), NULL, 0);
    expect(&b, NULL, "f1:10|f2:20|f3:30");
    begin(&b);
    static const uint64_t pcs[] = { PYTHON + 2, LIBC + 4 };
    builder_stack(&b, native_stack(&b, pcs, 2), 0, NULL, 0);
    expect(&b, NULL, "0x2 (libpython3.12.so.1.0)|0x4 (libc.so.6)");
}

static void test_truncated_halves_are_marked(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    builder_native(&b, 0, 0);
    builder_native(&b, 1, EXTENSION + 1);
    builder_python(&b, 0, 0, -1, 0);
    builder_python(&b, 1, 1, -1, 0);
    builder_stack(&b, 2, 2, NULL, 0);
    expect(&b, NULL, "0x1 (ext.so)|<truncated>|f1:10|<truncated>");
}

static void test_the_unknown_stack_has_a_name(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    builder_stack(&b, 0, 0, NULL, 0);
    expect(&b, NULL, "<unknown>");
    begin(&b);
    expect(&b, NULL, "<unknown>"); /* stack 1 does not exist */
}

static void test_impossible_anchors_lose_no_frame(void **state)
{
    (void)state;
    static const uint64_t anchors[][3] = { { 4, 1, 0 }, { 99, 98, 97 }, { 0, 0, 0 }, { 4000000000u, 1, 1 } };
    for (size_t i = 0; i < MT_COUNTOF(anchors); i++) {
        struct builder b;
        begin(&b);
        uint32_t native = native_stack(&b, g_pcs, 7), python = python_stack(&b, g_entry, 3);
        builder_stack(&b, native, python, anchors[i], 3);
        builder_finish(&b);
        struct mt_trace *t;
        struct mt_frames *f;
        assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
        struct mt_trace_set set = { &t, 1 };
        assert_int_equal(mt_frames_new(&set, &(struct mt_frames_options){ .no_symbols = true }, &f), MT_OK);
        struct mt_frame_list list = mt_frames_stack(f, 0, 1);
        unsigned line = 0, found = 0;
        for (size_t k = 0; k < list.count; k++) {
            const struct mt_frame *frame = mt_frames_frame(f, list.ids[k]);
            if (frame->kind == MT_FRAME_PYTHON) {
                assert_true(frame->line > line); /* in order */
                line = frame->line;
                found++;
            }
        }
        assert_int_equal(found, 3);
        mt_frames_free(f);
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static void test_equal_frames_of_two_processes_are_one_id(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    builder_stack(&b, 0, python_stack(&b, g_entry, 3), NULL, 0);
    builder_finish(&b);
    struct mt_trace *traces[2];
    struct mt_frames *f;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &traces[i], NULL), MT_OK);
    }
    struct mt_trace_set set = { traces, 2 };
    assert_int_equal(mt_frames_new(&set, &(struct mt_frames_options){ .no_symbols = true }, &f), MT_OK);
    struct mt_frame_list one = mt_frames_stack(f, 0, 1);
    struct mt_frame_list two = mt_frames_stack(f, 1, 1);
    assert_int_equal(one.count, 3);
    assert_int_equal(two.count, 3);
    assert_memory_equal(one.ids, two.ids, 3 * sizeof *one.ids);
    assert_int_equal(mt_frames_count(f), 2 + 3);
    mt_frames_free(f);
    mt_trace_close(traces[0]);
    mt_trace_close(traces[1]);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_anchors_replace_evaluation_loops_by_python_frames),
    cmocka_unit_test(test_interpreter_frames_show_when_asked_for),
    cmocka_unit_test(test_start_up_frames_outside_python_are_hidden),
    cmocka_unit_test(test_python_only_leaves_native_frames_out),
    cmocka_unit_test(test_without_anchors_every_python_frame_has_a_loop),
    cmocka_unit_test(test_unknown_loops_put_python_where_the_interpreter_begins),
    cmocka_unit_test(test_one_half_alone_is_the_stack),
    cmocka_unit_test(test_truncated_halves_are_marked),
    cmocka_unit_test(test_the_unknown_stack_has_a_name),
    cmocka_unit_test(test_impossible_anchors_lose_no_frame),
    cmocka_unit_test(test_equal_frames_of_two_processes_are_one_id),
};
MT_TEST_MAIN(tests)
