/* test_frames_fold.c: frames that only bring code in or start it become one. Stacks are Python only, so every expected list
 * is known by construction. */
#include "harness.h"

#include "model/builder.h"
#include "model/frames.h"

/* Code objects by what they are; number 1 is APP. */
enum code { NONE, APP, JSON, DECODER, LOAD, EXEC, RUN_CODE, WORK, RUN, BOOTSTRAP, WORKER, RECORD, GETPATH, SITE, CODES };

static const struct {
    const char *name, *file;
} g_codes[CODES] = {
    [APP] = { "<module>", "/srv/app.py" },
    [JSON] = { "<module>", "/usr/lib/python3.11/json/__init__.py" },
    [DECODER] = { "<module>", "/usr/lib/python3.11/json/decoder.py" },
    [LOAD] = { "_find_and_load", "<frozen importlib._bootstrap>" },
    [EXEC] = { "exec_module", "<frozen importlib._bootstrap_external>" },
    [RUN_CODE] = { "_run_code", "<frozen runpy>" },
    [WORK] = { "work", "/srv/app.py" },
    [RUN] = { "run", "/usr/lib/python3.11/threading.py" },
    [BOOTSTRAP] = { "_bootstrap", "/usr/lib/python3.11/threading.py" },
    [WORKER] = { "_worker", "/usr/lib/python3.11/concurrent/futures/thread.py" },
    [GETPATH] = { "<module>", "<frozen getpath>" },
    [SITE] = { "main", "/usr/lib/python3.11/site.py" },
    [RECORD] = { "record", "/v/lib/python3.11/site-packages/memtap/recording.py" },
};

static uint32_t g_nodes; /* so far */

static void begin(struct builder *b)
{
    builder_init(b);
    b->python_version = 0x030b0000;
    for (uint32_t i = 1; i < CODES; i++) {
        builder_string(b, g_codes[i].name);
        builder_string(b, g_codes[i].file);
        builder_code(b, i, 2 * i, 2 * i - 1, 0, 10 * i);
    }
    g_nodes = 0;
}

/* A stack of codes, innermost first; ends at NONE. Calls of one position are one node. parent: of its outermost, 0 none.
 * Returns its innermost node. */
static uint32_t stack(struct builder *b, uint32_t parent, const enum code *codes)
{
    uint32_t count = 0;
    while (codes[count] != NONE) {
        count++;
    }
    for (uint32_t i = count; i > 0; i--) {
        builder_python(b, parent, codes[i - 1], -1, 1);
        parent = ++g_nodes;
    }
    builder_stack(b, 0, parent, NULL, 0);
    return parent;
}

/* Opens what was built; compares stacks 1, 2 … with "a|b|c", innermost first, with the line behind a file. */
static void expect(struct builder *b, bool all_frames, const char *const *wanted, uint32_t count)
{
    struct mt_frames_options options = { .no_symbols = true, .all_frames = all_frames };
    struct mt_trace *t;
    struct mt_frames *f;
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &t, NULL), MT_OK);
    struct mt_trace_set set = { &t, 1 };
    assert_int_equal(mt_frames_new(&set, &options, &f), MT_OK);
    for (uint32_t stack = 1; stack <= count; stack++) {
        char text[1024] = "";
        size_t at = 0;
        struct mt_frame_list list = mt_frames_stack(f, 0, stack);
        for (size_t i = 0; i < list.count; i++) {
            const struct mt_frame *frame = mt_frames_frame(f, list.ids[i]);
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i > 0 ? "|" : "", frame->function);
            if (frame->line > 0) {
                at += (size_t)snprintf(text + at, sizeof text - at, ":%u", frame->line);
            }
        }
        assert_string_equal(text, wanted[stack - 1]);
    }
    mt_frames_free(f);
    mt_trace_close(t);
    builder_fini(b);
}
#define EXPECT(b, all, ...)                                                                                            \
    expect(b, all, (const char *const[]){ __VA_ARGS__ }, MT_COUNTOF(((const char *const[]){ __VA_ARGS__ })))

static void test_an_import_is_one_frame_at_the_line_that_imports(void **state)
{
    (void)state;
    static const enum code codes[] = { DECODER, EXEC, LOAD, LOAD, JSON, EXEC, LOAD, APP, NONE };
    struct builder b;
    begin(&b);
    (void)stack(&b, 0, codes);
    EXPECT(&b, false, "<module>:30|import json.decoder:20|<module>:20|import json:10|<module>:10");
    begin(&b);
    (void)stack(&b, 0, codes);
    EXPECT(&b, true, "<module>:30|exec_module:50|_find_and_load:40|_find_and_load:40|<module>:20|exec_module:50|"
                     "_find_and_load:40|<module>:10");
}

static void test_what_the_import_system_allocates_has_the_name_of_what_it_imports(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    static const enum code reads[] = { EXEC, LOAD, APP, NONE };
    uint32_t node = stack(&b, 0, reads);
    (void)stack(&b, node, (const enum code[]){ JSON, NONE }); /* the same import goes on to run the module */
    (void)stack(&b, 0, reads);                               /* another import of the same line, of a module in C */
    EXPECT(&b, false, "import json:10|<module>:10", "<module>:20|import json:10|<module>:10", "import:10|<module>:10");
}

static void test_what_starts_a_program_is_left_out_and_a_thread_is_one_frame(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    (void)stack(&b, 0, (const enum code[]){ WORK, APP, RUN_CODE, RUN_CODE, NONE });
    (void)stack(&b, 0, (const enum code[]){ WORK, RUN, BOOTSTRAP, BOOTSTRAP, NONE });
    (void)stack(&b, 0, (const enum code[]){ WORK, WORKER, RUN, BOOTSTRAP, NONE });
    (void)stack(&b, 0, (const enum code[]){ WORK, APP, RUN_CODE, WORK, NONE });
    (void)stack(&b, 0, (const enum code[]){ RUN_CODE, NONE });
    EXPECT(&b, false, "work:70|<module>:10", "work:70|thread", "work:70|thread", "work:70|<module>:10|run app.py|work:70",
           "run a program");
}

static void test_what_python_does_before_the_program_is_below_one_frame(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    (void)stack(&b, 0, (const enum code[]){ EXEC, LOAD, NONE });
    (void)stack(&b, 0, (const enum code[]){ JSON, EXEC, LOAD, NONE });
    (void)stack(&b, 0, (const enum code[]){ GETPATH, NONE });
    (void)stack(&b, 0, (const enum code[]){ JSON, EXEC, LOAD, SITE, NONE });
    (void)stack(&b, 0, (const enum code[]){ SITE, APP, NONE });
    EXPECT(&b, false, "import|Python itself", "<module>:20|import json|Python itself", "<module>:120|Python itself",
           "<module>:20|import json:130|main:130|Python itself", "main:130|<module>:10");
}

static void test_own_frames_are_never_shown(void **state)
{
    (void)state;
    struct builder b;
    begin(&b);
    (void)stack(&b, 0, (const enum code[]){ RECORD, APP, NONE });
    (void)stack(&b, 0, (const enum code[]){ WORK, RECORD, APP, NONE });
    (void)stack(&b, 0, (const enum code[]){ RECORD, NONE });
    EXPECT(&b, false, "<module>:10", "work:70|<module>:10", "<unknown>");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_import_is_one_frame_at_the_line_that_imports),
    cmocka_unit_test(test_what_the_import_system_allocates_has_the_name_of_what_it_imports),
    cmocka_unit_test(test_what_starts_a_program_is_left_out_and_a_thread_is_one_frame),
    cmocka_unit_test(test_what_python_does_before_the_program_is_below_one_frame),
    cmocka_unit_test(test_own_frames_are_never_shown),
};
MT_TEST_MAIN(tests)
