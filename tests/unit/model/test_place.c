/* test_place.c: whose memory a stack is. Stacks are Python only, so every place is known by construction. */
#include "harness.h"

#include "model/builder.h"
#include "model/place.h"

#include <stdlib.h>

enum code { NONE, APP, HANDLE, LOADS, DECODER, LOAD, MADE, POOL, THREAD_RUN, CODES };

static const struct {
    const char *name, *file;
} g_codes[CODES] = {
    [APP] = { "<module>", "/srv/app.py" },
    [HANDLE] = { "handle", "/srv/cache.py" },
    [LOADS] = { "loads", "/usr/lib/python3.11/json/__init__.py" },
    [DECODER] = { "<module>", "/v/lib/python3.11/site-packages/pkg/decoder.py" },
    [LOAD] = { "_find_and_load", "<frozen importlib._bootstrap>" },
    [MADE] = { "<module>", "<string>" },
    [POOL] = { "pool_get", "/srv/pool.py" },
    [THREAD_RUN] = { "run", "/usr/lib/python3.11/threading.py" },
};

struct opened {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_frames *frames;
};

/* One stack of codes, innermost first; ends at NONE. */
static void open_stack(struct opened *o, const enum code *codes)
{
    struct builder *b = &o->b;
    builder_init(b);
    b->python_version = 0x030b0000;
    for (uint32_t i = 1; i < CODES; i++) {
        builder_string(b, g_codes[i].name);
        builder_string(b, g_codes[i].file);
        builder_code(b, i, 2 * i, 2 * i - 1, 0, 10 * i);
    }
    uint32_t count = 0;
    while (codes[count] != NONE) {
        count++;
    }
    for (uint32_t i = 0; i < count; i++) {
        builder_python(b, i, codes[count - 1 - i], -1, 1);
    }
    builder_stack(b, 0, count, NULL, 0);
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &o->trace, NULL), MT_OK);
    o->set = (struct mt_trace_set){ &o->trace, 1 };
    assert_int_equal(mt_frames_new(&o->set, &(struct mt_frames_options){ .no_symbols = true }, &o->frames), MT_OK);
}

static void close_stack(struct opened *o)
{
    mt_frames_free(o->frames);
    mt_trace_close(o->trace);
    builder_fini(&o->b);
}

/* "function:line" of the place, " <- by" when something stands behind it. */
static void expect_with(const enum code *codes, const struct mt_places_options *options, const char *want)
{
    struct opened o;
    char text[256];
    open_stack(&o, codes);
    struct mt_places *places = mt_places_new(o.frames, options);
    struct mt_frame_list list = mt_frames_stack(o.frames, 0, 1);
    struct mt_place place = mt_places_find(places, &list);
    char *by = mt_places_by(places, 0, 1, &list, &place);
    const struct mt_frame *frame = mt_frames_frame(o.frames, list.ids[place.at]);
    (void)snprintf(text, sizeof text, "%s:%u%s%s", frame->function, frame->line, by != NULL ? " <- " : "",
                   by != NULL ? by : "");
    assert_string_equal(text, want);
    free(by);
    mt_places_free(places);
    close_stack(&o);
}
#define EXPECT(want, ...) expect_with((const enum code[]){ __VA_ARGS__, NONE }, NULL, want)

static void test_the_innermost_line_of_the_program_is_the_place(void **state)
{
    (void)state;
    EXPECT("handle:20", HANDLE, APP);
    EXPECT("handle:20 <- json.loads", LOADS, HANDLE, APP);
    EXPECT("handle:20 <- json.loads", DECODER, LOADS, HANDLE, THREAD_RUN);
    EXPECT("<module>:60", MADE, APP); /* what the program made itself is the program's */
    EXPECT("<module>:10 <- json.loads", MADE, LOADS, APP);
    EXPECT("<module>:10 <- json.loads", MADE, MADE, LOADS, APP);
}

static void test_an_import_is_a_place_at_the_line_of_the_program(void **state)
{
    (void)state;
    EXPECT("import pkg.decoder:10", DECODER, LOAD, APP);
    EXPECT("import pkg.decoder:10", LOADS, DECODER, LOAD, APP);
    EXPECT("import pkg.decoder:10", LOAD, DECODER, LOAD, APP); /* one import leads to others */
    EXPECT("handle:20", HANDLE, LOAD, APP);                    /* a module of the program has lines of its own */
    EXPECT("handle:20 <- json.loads", DECODER, LOAD, LOADS, HANDLE); /* imported by a library when it was called */
}

static void test_without_a_line_of_the_program_it_is_the_innermost_of_others(void **state)
{
    (void)state;
    EXPECT("loads:30", LOADS, THREAD_RUN);
    EXPECT("import pkg.decoder:30", DECODER, LOAD, LOADS);
    EXPECT("thread:0", THREAD_RUN);
}

static void test_a_name_that_was_given_is_a_wrapper(void **state)
{
    (void)state;
    static const enum code codes[] = { POOL, HANDLE, APP, NONE };
    static const char *const names[] = { "nothing", "pool_*", NULL }, *const other[] = { "pool", NULL };
    expect_with(codes, NULL, "pool_get:70");
    expect_with(codes, &(struct mt_places_options){ .wrappers = names }, "handle:20 <- pool.pool_get");
    expect_with(codes, &(struct mt_places_options){ .wrappers = other }, "pool_get:70");
}

static void test_with_all_frames_it_is_the_innermost(void **state)
{
    (void)state;
    static const enum code codes[] = { LOADS, HANDLE, APP, NONE };
    expect_with(codes, &(struct mt_places_options){ .all_frames = true }, "loads:30");
}

static void test_objects_are_named_by_who_makes_them(void **state)
{
    (void)state;
    assert_string_equal(mt_place_object("PyByteArray_Resize"), "bytearray");
    assert_string_equal(mt_place_object("list_resize"), "list");
    assert_string_equal(mt_place_object("PyUnicode_New"), "str");
    assert_null(mt_place_object("_PyEval_Vector"));
    assert_null(mt_place_object(""));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_innermost_line_of_the_program_is_the_place),
    cmocka_unit_test(test_an_import_is_a_place_at_the_line_of_the_program),
    cmocka_unit_test(test_without_a_line_of_the_program_it_is_the_innermost_of_others),
    cmocka_unit_test(test_a_name_that_was_given_is_a_wrapper),
    cmocka_unit_test(test_with_all_frames_it_is_the_innermost),
    cmocka_unit_test(test_objects_are_named_by_who_makes_them),
};
MT_TEST_MAIN(tests)
