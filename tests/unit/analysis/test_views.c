/* test_views.c: profiles, trees and tables over a trace whose call tree is known by construction:
 *
 *     main ── a ── leaf   (stack 1: leaf <- a <- main)
 *        │    └─ self      (stack 2: a <- main)
 *        └── b ── leaf   (stack 3: leaf <- b <- main)
 *     main ── a ── a       (stack 4: recursion, a <- a <- main)
 */
#include "harness.h"

#include "analysis/leaks.h"
#include "analysis/table.h"
#include "analysis/tree.h"
#include "model/builder.h"

#include <math.h>

enum { MAIN = 1, A = 2, B = 3, LEAF = 4 };

struct fixture {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_analysis analysis;
    struct mt_frames *frames;
};

static void setup(struct fixture *f)
{
    static const char *const names[] = { "main", "a", "b", "leaf" };
    struct builder *b = &f->b;
    builder_init(b);
    b->python_version = 0x030c0000;
    builder_string(b, "/app/x.py");
    builder_string(b, "/usr/lib/site-packages/pkg/y.py");
    for (uint32_t i = 0; i < 4; i++) {
        builder_string(b, names[i]);
        builder_code(b, i + 1, i == 3 ? 2 : 1, 3 + i, 0, 10 * (i + 1));
    }
    builder_python(b, 0, MAIN, -1, 0); /* 1: main */
    builder_python(b, 1, A, -1, 0);    /* 2: main a */
    builder_python(b, 2, LEAF, -1, 0); /* 3: main a leaf */
    builder_python(b, 1, B, -1, 0);    /* 4: main b */
    builder_python(b, 4, LEAF, -1, 0); /* 5: main b leaf */
    builder_python(b, 2, A, -1, 0);    /* 6: main a a */
    builder_stack(b, 0, 3, NULL, 0);
    builder_stack(b, 0, 2, NULL, 0);
    builder_stack(b, 0, 5, NULL, 0);
    builder_stack(b, 0, 6, NULL, 0);
    builder_thread(b, 1, 100, "main");
    builder_thread(b, 2, 200, "other");
    builder_alloc(b, 1, 10, 0x1000, 100, 1);
    builder_alloc(b, 1, 20, 0x2000, 20, 2);
    builder_alloc(b, 2, 30, 0x3000, 300, 3);
    builder_alloc(b, 1, 40, 0x4000, 4, 4);
    builder_alloc(b, 1, 45, 0x5000, 50, 1);
    builder_map(b, 1, 47, MT_MAP_FILE, 0x700000, 4096, 1); /* not heap */
    b->events[3].allocator = MT_ALLOCATOR_CALLOC;
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &f->trace, NULL), MT_OK);
    f->set = (struct mt_trace_set){ &f->trace, 1 };
    assert_int_equal(mt_analyze(&f->set, NULL, &f->analysis), MT_OK);
    assert_int_equal(mt_frames_new(&f->set, &(struct mt_frames_options){ .no_symbols = true }, &f->frames), MT_OK);
}

static void teardown(struct fixture *f)
{
    mt_frames_free(f->frames);
    mt_analysis_fini(&f->analysis);
    mt_trace_close(f->trace);
    builder_fini(&f->b);
}

static struct mt_profile profile_of(struct fixture *f, struct mt_profile_options options)
{
    struct mt_profile p;
    assert_int_equal(mt_profile_make(&f->set, &f->analysis, &options, &p), MT_OK);
    return p;
}

static void test_a_profile_adds_sites_of_a_stack_and_sorts(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mt_profile p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE });
    static const uint32_t stacks[] = { 3, 1, 2, 4 };
    static const uint64_t bytes[] = { 300, 150, 20, 4 };
    assert_int_equal(p.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(p.rows[i].stack, stacks[i]);
        assert_int_equal(p.rows[i].amount.bytes, bytes[i]);
    }
    assert_int_equal(p.rows[1].amount.count, 2);
    assert_int_equal(p.sum.bytes, 474);
    mt_profile_fini(&p);
    p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE, .thread_tid = 200 });
    assert_int_equal(p.count, 1);
    assert_int_equal(p.sum.bytes, 300);
    mt_profile_fini(&p);
    p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE, .storage = MT_STORAGE_FILE });
    assert_int_equal(p.sum.bytes, 4096);
    mt_profile_fini(&p);
    p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_TEMPORARY });
    assert_int_equal(p.count, 0);
    mt_profile_fini(&p);
    teardown(&f);
}

/* "name:bytes/self(children…)" of a subtree. */
static size_t print_tree(const struct fixture *f, const struct mt_tree *t, uint32_t at, char *text)
{
    const struct mt_tree_node *n = &t->nodes[at];
    const char *name = n->frame == MT_TREE_NONE ? "all" : mt_frames_frame(f->frames, n->frame)->function;
    size_t bytes = (size_t)sprintf(text, "%s:%llu/%llu", name, (unsigned long long)n->amount.bytes,
                                   (unsigned long long)n->self.bytes);
    if (n->first_child != MT_TREE_NONE) {
        bytes += (size_t)sprintf(text + bytes, "(");
        for (uint32_t c = n->first_child; c != MT_TREE_NONE; c = t->nodes[c].next_sibling) {
            assert_int_equal(t->nodes[c].parent, at);
            assert_int_equal(t->nodes[c].depth, n->depth + 1);
            bytes += (size_t)sprintf(text + bytes, "%s", c == n->first_child ? "" : " ");
            bytes += print_tree(f, t, c, text + bytes);
        }
        bytes += (size_t)sprintf(text + bytes, ")");
    }
    return bytes;
}

static void test_a_tree_has_the_calls_largest_first(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_tree tree;
    char text[1024];
    setup(&f);
    struct mt_profile p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_PEAK });
    assert_int_equal(mt_tree_make(&p, f.frames, NULL, &tree), MT_OK);
    print_tree(&f, &tree, 0, text);
    assert_string_equal(text, "all:474/0(main:474/0(b:300/0(leaf:300/300) a:174/20(leaf:150/150 a:4/4)))");
    mt_tree_fini(&tree);
    assert_int_equal(mt_tree_make(&p, f.frames, &(struct mt_tree_options){ .inverted = true }, &tree), MT_OK);
    print_tree(&f, &tree, 0, text);
    assert_string_equal(text, "all:474/0(leaf:450/0(b:300/0(main:300/300) a:150/0(main:150/150)) "
                              "a:24/0(main:20/20 a:4/0(main:4/4)))");
    mt_tree_fini(&tree);
    mt_profile_fini(&p);
    teardown(&f);
}

static void test_an_empty_profile_is_a_tree_of_its_root(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_tree tree;
    setup(&f);
    struct mt_profile p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_TEMPORARY });
    assert_int_equal(mt_tree_make(&p, f.frames, NULL, &tree), MT_OK);
    assert_int_equal(tree.count, 1);
    assert_int_equal(tree.nodes[0].amount.bytes, 0);
    mt_tree_fini(&tree);
    mt_profile_fini(&p);
    teardown(&f);
}

/* With each stack's memory at its innermost frame. */
static mt_status make_table(const struct fixture *f, const struct mt_profile *p, enum mt_table_by by, struct mt_table *ret)
{
    struct mt_places *places = mt_places_new(f->frames, &(struct mt_places_options){ .all_frames = true });
    struct mt_grouping_options options = { .by = by };
    mt_status status = mt_table_make(&f->set, p, places, &options, ret);
    mt_places_free(places);
    return status;
}

static const struct mt_table_row *row_named(const struct fixture *f, const struct mt_table *t, const char *function)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(mt_frames_frame(f->frames, t->rows[i].frame)->function, function) == 0) {
            return &t->rows[i];
        }
    }
    fail_msg("no row %s", function);
    return NULL;
}

static void test_a_table_counts_recursion_once(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_table t;
    setup(&f);
    struct mt_profile p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE });
    assert_int_equal(make_table(&f, &p, MT_BY_FUNCTION, &t), MT_OK);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.sum.bytes, 474);
    assert_int_equal(row_named(&f, &t, "leaf")->self.bytes, 450);
    assert_ptr_equal(row_named(&f, &t, "leaf"), &t.rows[0]);
    assert_int_equal(row_named(&f, &t, "leaf")->stack, 3);
    assert_int_equal(row_named(&f, &t, "a")->self.bytes, 24);
    assert_int_equal(row_named(&f, &t, "a")->total.bytes, 174);
    assert_int_equal(row_named(&f, &t, "a")->total.count, 4);
    assert_int_equal(row_named(&f, &t, "main")->self.bytes, 0);
    assert_int_equal(row_named(&f, &t, "main")->total.bytes, 474);
    mt_table_fini(&t);
    mt_profile_fini(&p);
    teardown(&f);
}

static void test_tables_by_file_module_thread_and_type(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_table t;
    setup(&f);
    struct mt_profile p = profile_of(
        &f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE, .by_thread = true, .by_allocator = true });
    assert_int_equal(make_table(&f, &p, MT_BY_FILE, &t), MT_OK);
    assert_int_equal(t.count, 2);
    assert_string_equal(mt_frames_frame(f.frames, t.rows[0].frame)->file, "/usr/lib/site-packages/pkg/y.py");
    assert_int_equal(t.rows[0].self.bytes, 450);
    assert_int_equal(t.rows[1].self.bytes, 24);
    mt_table_fini(&t);
    assert_int_equal(make_table(&f, &p, MT_BY_MODULE, &t), MT_OK);
    assert_string_equal(t.rows[0].name, "pkg");
    mt_table_fini(&t);
    assert_int_equal(make_table(&f, &p, MT_BY_THREAD, &t), MT_OK);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.rows[0].stream, 2);
    assert_int_equal(t.rows[0].self.bytes, 300);
    assert_int_equal(t.rows[1].self.bytes, 174);
    mt_table_fini(&t);
    assert_int_equal(make_table(&f, &p, MT_BY_TYPE, &t), MT_OK);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.rows[0].allocator, MT_ALLOCATOR_MALLOC);
    assert_int_equal(t.rows[1].allocator, MT_ALLOCATOR_CALLOC);
    assert_int_equal(t.rows[1].self.bytes, 4);
    mt_table_fini(&t);
    mt_profile_fini(&p);
    enum mt_table_by by;
    assert_true(mt_table_by_parse("thread", &by));
    assert_int_equal(by, MT_BY_THREAD);
    assert_false(mt_table_by_parse("colour", &by));
    teardown(&f);
}

/* An aggregate trace: rows, one folded at the last peak, one changed since, one not. */
static void test_an_aggregate_table_gives_the_same_measures(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    b.flags = MT_TRACE_AGGREGATE;
    b.counters[MT_COUNTER_PEAK_NUMBER] = 3;
    b.counters[MT_COUNTER_PEAK_BYTES] = 170;
    b.counters[MT_COUNTER_PEAK_CLOCK] = BUILDER_START_CLOCK + 77;
    builder_plain_stacks(&b, 3);
    builder_finish(&b);
    struct mt_aggregate_row rows[4] = {
        { .stack = 1, .allocator = 1, .used = 1, .allocations = 10, .allocated_bytes = 1000, .live_count = 5,
          .live_bytes = 50, .peak_count = 7, .peak_bytes = 70, .peak_number = 3 },
        { .stack = 2, .allocator = 2, .used = 1, .allocations = 20, .allocated_bytes = 2000, .live_count = 1,
          .live_bytes = 100, .peak_count = 9, .peak_bytes = 90, .peak_number = 2 },
        { .stack = 77, .used = 1, .allocations = 1, .allocated_bytes = 5 },
    };
    builder_block(&b, MT_BLOCK_AGGREGATE, 0, 0, false, (const uint8_t *)rows, sizeof rows, 0, 0, 0);
    struct mt_block_header h;
    uint8_t *at = b.file + b.file_bytes - mt_block_extent(sizeof rows);
    memcpy(&h, at, sizeof h);
    mt_slot_seal(&h); /* its checksum covers the first 24 bytes only */
    memcpy(at, &h, sizeof h);
    memcpy(b.file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ b.file_bytes }, 8);
    struct mt_trace *t;
    struct mt_analysis a;
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
    struct mt_trace_set set = { &t, 1 };
    assert_int_equal(mt_analyze(&set, NULL, &a), MT_OK);
    assert_true(a.aggregate);
    assert_int_equal(a.site_count, 3);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, 70 + 100);
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].count, 7 + 1);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, 150);
    assert_int_equal(a.totals.heap[MT_MEASURE_TOTAL].count, 31);
    assert_int_equal(a.totals.deallocations, 31 - 6);
    assert_int_equal(a.totals.peak_time_ns, 77);
    assert_int_equal(a.sites[2].stack, 0);
    mt_analysis_fini(&a);
    mt_trace_close(t);
    builder_fini(&b);
}

/* Stacks 1 and 2: leaf <- a <- main over different native frames; stack 3: leaf <- b <- main; stack 4: as 1, freed. */
static void test_leaks_of_stacks_that_show_the_same_frames_are_one_row(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_leaks leaks;
    struct builder *b = &f.b;
    static const struct mt_frames_options options = { .python_only = true, .no_symbols = true };
    builder_init(b);
    b->python_version = 0x030c0000;
    builder_string(b, "/app/x.py");
    builder_string(b, "f");
    for (uint32_t i = 1; i <= 4; i++) {
        builder_code(b, i, 1, 2, 0, 10 * i);
        builder_native(b, 0, 0x1000 * (uint64_t)i);
    }
    builder_python(b, 0, MAIN, -1, 0); /* 1: main */
    builder_python(b, 1, A, -1, 0);    /* 2: main a */
    builder_python(b, 2, LEAF, -1, 0); /* 3: main a leaf */
    builder_python(b, 1, B, -1, 0);    /* 4: main b */
    builder_python(b, 4, LEAF, -1, 0); /* 5: main b leaf */
    builder_stack(b, 1, 3, NULL, 0);
    builder_stack(b, 2, 3, NULL, 0);
    builder_stack(b, 1, 5, NULL, 0);
    builder_stack(b, 3, 3, NULL, 0);
    builder_alloc(b, 1, 1000000000, 0x1000, 100, 1);
    builder_alloc(b, 1, 2000000000, 0x2000, 30, 2);
    builder_alloc(b, 1, 3000000000, 0x3000, 120, 3);
    builder_alloc(b, 1, 3500000000, 0x4000, 7, 4);
    builder_free(b, 1, 4000000000, 0x4000);
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &f.trace, NULL), MT_OK);
    f.set = (struct mt_trace_set){ &f.trace, 1 };
    assert_int_equal(mt_analyze(&f.set, NULL, &f.analysis), MT_OK);
    assert_int_equal(mt_frames_new(&f.set, &options, &f.frames), MT_OK);

    struct mt_places *places = mt_places_new(f.frames, NULL);
    struct mt_grouping *grouping = mt_grouping_new(places, &f.set, &(struct mt_grouping_options){ .stacks = true });
    assert_int_equal(mt_leaks_make(&f.set, &f.analysis, grouping, 0, 0, &leaks), MT_OK);
    mt_grouping_free(grouping);
    mt_places_free(places);
    assert_int_equal(leaks.count, 2);
    assert_int_equal(leaks.sum.bytes, 250);
    assert_int_equal(leaks.rows[0].live.bytes, 130); /* two rows of 100 and 30 are larger than one of 120 */
    assert_int_equal(leaks.rows[0].live.count, 2);
    assert_int_equal(leaks.rows[1].live.bytes, 120);
    assert_true(fabs(leaks.rows[0].score - 0.75) < 1e-9); /* 1 - (0 + 1) / (2 + 2) */
    assert_true(leaks.rows[0].age_s > leaks.rows[1].age_s);
    mt_leaks_fini(&leaks);
    assert_int_equal(mt_leaks_make(&f.set, &f.analysis, NULL, 0, 0, &leaks), MT_OK);
    assert_int_equal(leaks.count, 3);
    mt_leaks_fini(&leaks);
    teardown(&f);
}

/* The lines of a table or list with their own bytes: "main:10=170 …". */
static void expect_table(const struct fixture *f, const struct mt_profile *p, const struct mt_grouping_options *options,
                         const char *want)
{
    char text[512] = "";
    struct mt_table t;
    struct mt_places *places = mt_places_new(f->frames, NULL);
    assert_int_equal(mt_table_make(&f->set, p, places, options, &t), MT_OK);
    size_t at = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < t.count; i++) {
        const struct mt_frame *frame = mt_frames_frame(f->frames, t.rows[i].frame);
        sum += t.rows[i].self.bytes;
        if (t.rows[i].self.bytes > 0) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s:%u=%llu/%zu", at > 0 ? " " : "", frame->function,
                                   frame->line, (unsigned long long)t.rows[i].self.bytes, t.rows[i].stacks.count);
        }
    }
    assert_int_equal(sum, t.sum.bytes);
    assert_string_equal(text, want);
    mt_table_fini(&t);
    mt_places_free(places);
}

static void test_what_a_library_allocates_belongs_to_the_line_that_called_it(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mt_profile p = profile_of(&f, (struct mt_profile_options){ .measure = MT_MEASURE_LIVE });
    expect_table(&f, &p, NULL, "b:30=300/1 a:20=174/3");
    expect_table(&f, &p, &(struct mt_grouping_options){ .stacks = true }, "b:30=300/1 a:20=150/1 a:20=20/1 a:20=4/1");
    mt_profile_fini(&p);
    teardown(&f);
}

static void test_leaks_are_one_row_a_place_over_all_processes(void **state)
{
    (void)state;
    struct fixture f;
    struct mt_leaks leaks;
    struct mt_trace *traces[2];
    setup(&f);
    mt_frames_free(f.frames);
    mt_analysis_fini(&f.analysis);
    traces[0] = f.trace;
    assert_int_equal(mt_trace_open_memory(f.b.file, f.b.file_bytes, &traces[1], NULL), MT_OK);
    f.set = (struct mt_trace_set){ traces, 2 };
    assert_int_equal(mt_analyze(&f.set, NULL, &f.analysis), MT_OK);
    assert_int_equal(mt_frames_new(&f.set, &(struct mt_frames_options){ .no_symbols = true }, &f.frames), MT_OK);
    struct mt_places *places = mt_places_new(f.frames, NULL);
    struct mt_grouping *grouping = mt_grouping_new(places, &f.set, NULL);
    assert_int_equal(mt_leaks_make(&f.set, &f.analysis, grouping, 0, 0, &leaks), MT_OK);
    assert_int_equal(leaks.count, 2);
    assert_int_equal(leaks.rows[0].live.bytes, 600);
    assert_int_equal(leaks.rows[0].live.count, 2);
    assert_int_equal(leaks.rows[0].stacks.count, 2);
    assert_int_equal(leaks.rows[1].live.bytes, 348);
    assert_int_equal(leaks.sum.bytes, f.analysis.totals.heap[MT_MEASURE_LIVE].bytes);
    mt_leaks_fini(&leaks);
    mt_grouping_free(grouping);
    mt_places_free(places);
    mt_trace_close(traces[1]);
    teardown(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_profile_adds_sites_of_a_stack_and_sorts),
    cmocka_unit_test(test_a_tree_has_the_calls_largest_first),
    cmocka_unit_test(test_an_empty_profile_is_a_tree_of_its_root),
    cmocka_unit_test(test_a_table_counts_recursion_once),
    cmocka_unit_test(test_tables_by_file_module_thread_and_type),
    cmocka_unit_test(test_an_aggregate_table_gives_the_same_measures),
    cmocka_unit_test(test_leaks_of_stacks_that_show_the_same_frames_are_one_row),
    cmocka_unit_test(test_what_a_library_allocates_belongs_to_the_line_that_called_it),
    cmocka_unit_test(test_leaks_are_one_row_a_place_over_all_processes),
};
MT_TEST_MAIN(tests)
