/* test_frames_bound.c: looking stacks up costs what the file costs, whatever it describes. Work is counted, not timed. */
#include "harness.h"

#include "model/builder.h"
#include "model/frames.h"

struct fixture {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_frames *frames;
};

/* `stacks` stacks, the innermost frames of depth stacks nested in each other: stack i has depth 1 + (i - 1) % depth. */
static void begin(struct fixture *f, uint32_t depth, uint32_t stacks, size_t name_bytes, bool python)
{
    char *name = calloc(1, name_bytes + 16);
    builder_init(&f->b);
    f->b.python_version = 0x030c0000;
    builder_string(&f->b, "app.py");
    for (uint32_t i = 1; python && i <= depth; i++) {
        int used = snprintf(name, 16, "f%u", i);
        memset(name + used, 'x', name_bytes);
        builder_string(&f->b, name);
        builder_code(&f->b, i, 1, 1 + i, 0, i);
    }
    for (uint32_t i = 1; i <= depth; i++) {
        if (python) {
            builder_python(&f->b, i - 1, i, -1, 1);
        } else {
            builder_native(&f->b, i - 1, 0x1000 + i * (uint64_t)16);
        }
    }
    for (uint32_t i = 0; i < stacks; i++) {
        uint32_t node = 1 + i % depth;
        builder_stack(&f->b, python ? 0 : node, python ? node : 0, NULL, 0);
    }
    builder_finish(&f->b);
    assert_int_equal(mt_trace_open_memory(f->b.file, f->b.file_bytes, &f->trace, NULL), MT_OK);
    assert_false(mt_trace_completeness(f->trace)->metadata_broken);
    f->set = (struct mt_trace_set){ &f->trace, 1 };
    struct mt_frames_options options = { .no_symbols = true, .python_only = python };
    assert_int_equal(mt_frames_new(&f->set, &options, &f->frames), MT_OK);
    free(name);
}

static void end(struct fixture *f)
{
    mt_frames_free(f->frames);
    mt_trace_close(f->trace);
    builder_fini(&f->b);
}

static uint64_t look_all_up(struct fixture *f, uint32_t stacks)
{
    uint64_t bytes = 0;
    for (uint32_t i = 1; i <= stacks; i++) {
        struct mt_frame_list list = mt_frames_stack(f->frames, 0, i);
        for (size_t k = 0; k < list.count; k++) {
            bytes += strlen(mt_frames_frame(f->frames, list.ids[k])->function);
        }
    }
    return bytes;
}

static void test_nested_stacks_cost_what_they_take_in_the_file(void **state)
{
    enum { STACKS = 20000 }; /* 200 million frames */
    (void)state;
    for (int python = 0; python < 2; python++) {
        struct fixture f;
        begin(&f, STACKS, STACKS, 0, python != 0);
        (void)look_all_up(&f, STACKS);
        assert_true(mt_frames_visited(f.frames) <= f.b.file_bytes * 16);
        assert_true(mt_frames_shortened(f.frames) > STACKS / 2);
        end(&f);
    }
}

static void test_long_names_are_not_multiplied(void **state)
{
    enum { STACKS = 540, NAME_BYTES = 4400 }; /* 640 MB of names in a file of 2.4 MB */
    struct fixture f;
    (void)state;
    begin(&f, STACKS, STACKS, NAME_BYTES, true);
    assert_true(look_all_up(&f, STACKS) <= (uint64_t)80 << 20);
    end(&f);
}

/* What is cut has its innermost frames, a marker and its outermost ones, each once and in order. */
static void test_a_stack_that_is_cut_has_both_ends(void **state)
{
    enum { STACKS = 20000 };
    struct fixture f;
    (void)state;
    begin(&f, STACKS, STACKS, 0, true);
    struct mt_frame_list list = mt_frames_stack(f.frames, 0, STACKS);
    assert_true(list.count >= 128 && list.count < 1000);
    size_t markers = 0;
    for (size_t k = 0; k < list.count; k++) {
        const struct mt_frame *frame = mt_frames_frame(f.frames, list.ids[k]);
        markers += frame->kind == MT_FRAME_MARKER;
        uint32_t wanted = markers == 0 ? (uint32_t)(STACKS - k) : (uint32_t)(list.count - k);
        assert_true(frame->kind == MT_FRAME_MARKER || frame->line == wanted);
    }
    assert_int_equal(markers, 1);
    list = mt_frames_stack(f.frames, 0, 100); /* less than its share */
    assert_int_equal(list.count, 100);
    end(&f);
}

static void test_a_deep_recursion_is_shown_whole(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1000, 1000, 20, true); /* half a million frames */
    struct mt_frame_list list = mt_frames_stack(f.frames, 0, 1000);
    assert_int_equal(list.count, 1000);
    assert_int_equal(mt_frames_shortened(f.frames), 0);
    end(&f);
}

static void test_stacks_as_deep_as_those_of_programs_are_shown_whole(void **state)
{
    enum { DEPTH = 400, STACKS = 12000 }; /* 200 frames a stack, 194 a record */
    (void)state;
    for (int python = 0; python < 2; python++) {
        struct fixture f;
        begin(&f, DEPTH, STACKS, 20, python != 0);
        (void)look_all_up(&f, STACKS);
        assert_int_equal(mt_frames_shortened(f.frames), 0);
        assert_int_equal(mt_frames_stack(f.frames, 0, DEPTH).count, DEPTH);
        end(&f);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nested_stacks_cost_what_they_take_in_the_file),
    cmocka_unit_test(test_long_names_are_not_multiplied),
    cmocka_unit_test(test_a_stack_that_is_cut_has_both_ends),
    cmocka_unit_test(test_a_deep_recursion_is_shown_whole),
    cmocka_unit_test(test_stacks_as_deep_as_those_of_programs_are_shown_whole),
};
MT_TEST_MAIN(tests)
