/* test_biggest.c: the biggest row without all names is that of the whole table: random traces of Python and native stacks,
 * and what is looked up on the way. No binary of these traces exists: native frames are addresses, which is all a row needs. */
#include "harness.h"

#include "analysis/biggest.h"
#include "model/builder.h"

enum { ROUNDS = 5000, NODES = 24, STACKS_MAX = 150, PAGE = 0x1000, CODES = 8, ADDRESS = 0x1000000 };

static const struct {
    const char *name, *file;
} g_codes[CODES] = {
    { "<module>", "/srv/app.py" },
    { "handle", "/srv/cache.py" },
    { "loads", "/usr/lib/python3.11/json/__init__.py" },
    { "<module>", "/v/lib/python3.11/site-packages/pkg/decoder.py" },
    { "_find_and_load", "<frozen importlib._bootstrap>" },
    { "<module>", "<string>" },
    { "0x1000", "" }, /* as a native frame is called; its code has no file */
    { "run", "/usr/lib/python3.11/threading.py" },
};

struct fixture {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_analysis analysis;
    struct mt_frames *frames;
    struct mt_places *places;
    struct mt_profile profile;
};

static void begin(struct fixture *f)
{
    struct builder *b = &f->b;
    builder_init(b);
    b->python_version = 0x030b0000;
    for (uint32_t i = 0; i < CODES; i++) {
        builder_string(b, g_codes[i].name);
        builder_string(b, g_codes[i].file);
        builder_code(b, i + 1, g_codes[i].file[0] != '\0' ? 2 * i + 2 : 0, 2 * i + 1, 0, 10 * (i + 1));
    }
    builder_module(b, 1, 0, "/none/app", 0x10000, 0x10000);
    builder_module(b, 2, 0, "/usr/lib/libnone.so.1", 0x20000, 0x10000);
}

static void finish(struct fixture *f)
{
    struct mt_profile_options live = { .measure = MT_MEASURE_LIVE, .by_allocator = true };
    builder_finish(&f->b);
    assert_int_equal(mt_trace_open_memory(f->b.file, f->b.file_bytes, &f->trace, NULL), MT_OK);
    f->set = (struct mt_trace_set){ &f->trace, 1 };
    assert_int_equal(mt_analyze(&f->set, NULL, &f->analysis), MT_OK);
    assert_int_equal(mt_frames_new(&f->set, &(struct mt_frames_options){ .python_only = true }, &f->frames), MT_OK);
    f->places = mt_places_new(f->frames, NULL);
    assert_int_equal(mt_profile_make(&f->set, &f->analysis, &live, &f->profile), MT_OK);
}

static void end(struct fixture *f)
{
    mt_profile_fini(&f->profile);
    mt_places_free(f->places);
    mt_frames_free(f->frames);
    mt_analysis_fini(&f->analysis);
    mt_trace_close(f->trace);
    builder_fini(&f->b);
}

static uint32_t below(uint64_t *random, uint32_t end)
{
    return (uint32_t)(builder_random(random) % end);
}

/* A pc in the program, in the library, or in no module; 0 where the stack was cut. */
static uint64_t some_pc(uint64_t *random)
{
    static const uint64_t starts[] = { 0x10000, 0x20000, 0x0 };
    return below(random, 8) == 0 ? 0 : starts[below(random, 3)] + PAGE + below(random, 8);
}

/* Few nodes and codes, so that places meet; in every round another mixture of Python and native, and other sizes: from all
 * different to all the same, so that rows are equal. */
static void make_random(struct fixture *f, uint64_t *random)
{
    uint32_t python_of_8 = below(random, 9), sizes = 1 + below(random, 14), stacks = 2 + below(random, STACKS_MAX - 1);
    uint32_t nodes = 2 + below(random, NODES - 1);
    begin(f);
    for (uint32_t i = 0; i < nodes; i++) {
        builder_native(&f->b, below(random, i + 1), some_pc(random));
        builder_python(&f->b, below(random, i + 1), below(random, CODES + 1), -1, 1);
    }
    for (uint32_t i = 0; i < stacks; i++) {
        bool python = below(random, 8) < python_of_8;
        builder_stack(&f->b, below(random, nodes + 1), python ? 1 + below(random, nodes) : 0, NULL, 0);
    }
    for (uint32_t i = 0; i < 2 * stacks; i++) {
        builder_alloc(&f->b, 1, 10 + i, ADDRESS + PAGE * (uint64_t)i, (uint64_t)1 << below(random, sizes), below(random, stacks + 1));
    }
    finish(f);
}

static size_t stacks_of(const struct mt_table *table, const struct mt_table_row *row, uint64_t *ret_bytes)
{
    size_t count = 0;
    *ret_bytes = 0;
    for (const struct mt_row_stack *s = mt_rowstacks_next(&table->stacks, &row->stacks, NULL); s != NULL;
         s = mt_rowstacks_next(&table->stacks, &row->stacks, s)) {
        *ret_bytes += s->bytes;
        count++;
    }
    return count;
}

static void expect_as_whole(struct fixture *f)
{
    struct mt_table some, whole;
    const struct mt_table_row *got, *want;
    uint64_t got_bytes, want_bytes;
    assert_int_equal(mt_biggest_make(&f->set, &f->profile, f->places, &some, &got), MT_OK);
    assert_int_equal(mt_table_make(&f->set, &f->profile, f->places, NULL, &whole), MT_OK);
    want = mt_biggest_row(&whole, f->frames);
    assert_non_null(want);
    assert_non_null(got);
    assert_int_equal(got->frame, want->frame);
    assert_int_equal(got->self.bytes, want->self.bytes);
    assert_int_equal(got->self.count, want->self.count);
    assert_int_equal(got->import, want->import);
    assert_int_equal(stacks_of(&some, got, &got_bytes), stacks_of(&whole, want, &want_bytes));
    assert_int_equal(got_bytes, got->self.bytes);
    mt_table_fini(&some);
    mt_table_fini(&whole);
}

static void test_it_is_the_row_of_the_whole_table(void **state)
{
    (void)state;
    uint64_t random = builder_seed();
    for (int i = 0; i < ROUNDS; i++) {
        struct fixture f;
        make_random(&f, &random);
        expect_as_whole(&f);
        end(&f);
    }
}

/* `first` stacks of 1,000 bytes at a line of the program; as many native ones as there are others, of 10 bytes. */
static void make_led(struct fixture *f, uint32_t first, uint32_t others)
{
    begin(f);
    builder_python(&f->b, 0, 2, -1, 1);
    builder_stack(&f->b, 0, 1, NULL, 0);
    for (uint32_t i = 0; i < others; i++) {
        builder_native(&f->b, 0, 0x10000 + PAGE + i);
        builder_stack(&f->b, i + 1, 0, NULL, 0);
    }
    for (uint32_t i = 0; i < first + others; i++) {
        builder_alloc(&f->b, 1, 10 + i, ADDRESS + PAGE * (uint64_t)i, i < first ? 1000 : 10, i < first ? 1 : 2 + i - first);
    }
    finish(f);
}

static void find_only(struct fixture *f)
{
    struct mt_table table;
    const struct mt_table_row *row;
    assert_int_equal(mt_biggest_make(&f->set, &f->profile, f->places, &table, &row), MT_OK);
    assert_string_equal(mt_frames_frame(f->frames, row->frame)->function, "handle");
    mt_table_fini(&table);
}

static void test_names_that_cannot_matter_are_not_looked_up(void **state)
{
    (void)state;
    struct fixture f;
    make_led(&f, 10, 900); /* all 900 together hold less than the line */
    find_only(&f);
    assert_int_equal(mt_frames_visited(f.frames), 1);
    end(&f);
    make_led(&f, 10, 1100); /* together they hold more */
    find_only(&f);
    assert_true(mt_frames_visited(f.frames) > 1 && mt_frames_visited(f.frames) < 600);
    end(&f);
}

static void test_nothing_has_no_biggest_row(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_table table;
    const struct mt_table_row *row;
    begin(&f);
    finish(&f);
    assert_int_equal(mt_biggest_make(&f.set, &f.profile, f.places, &table, &row), MT_OK);
    assert_null(row);
    mt_table_fini(&table);
    end(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_it_is_the_row_of_the_whole_table),
    cmocka_unit_test(test_names_that_cannot_matter_are_not_looked_up),
    cmocka_unit_test(test_nothing_has_no_biggest_row),
};
MT_TEST_MAIN(tests)
