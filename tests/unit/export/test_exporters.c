/* test_exporters.c: what other tools get, from a trace with hostile names whose amounts are known by construction. */
#include "harness.h"

#include "export/exporter.h"
#include "export/proto.h"
#include "export/records.h"
#include "export/rows.h"
#include "export/stats.h"
#include "export/tree_view.h"
#include "model/builder.h"
#include "base/varint.h"

/* Python stacks: 1 = f <- main, 2 = <module>. f allocates 100 + 20 (all alive), <module> 1000, freed again. */
struct fixture {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_analysis analysis;
    struct mt_profile profile, total;
    struct mt_frames *frames;
    struct mt_tree tree;
    struct mt_report report;
    struct mt_export_input input;
};

static void build_trace(struct builder *b)
{
    builder_init(b);
    b->flags = MT_TRACE_EXACT | MT_TRACE_PYTHON_FRAMES;
    builder_string(b, "/src/a;b.py");    /* 1 */
    builder_string(b, "f\x1b[2J\xFF\n"); /* 2: drives terminals, is not UTF-8 */
    builder_string(b, "<module>");       /* 3 */
    builder_thread(b, 1, 77, "wor,ker\"");
    builder_code(b, 1, 1, 2, 0, 10);
    builder_code(b, 2, 1, 3, 0, 1);
    builder_python(b, 0, 2, -1, MT_PYTHON_ENTRY); /* node 1: <module> */
    builder_python(b, 1, 1, -1, 0);               /* node 2: f called by it */
    builder_stack(b, 0, 2, NULL, 0);              /* stack 1 */
    builder_stack(b, 0, 1, NULL, 0);              /* stack 2 */
    builder_alloc(b, 1, 10, 0x1000, 100, 1);
    builder_alloc(b, 1, 20, 0x2000, 1000, 2);
    builder_alloc(b, 1, 30, 0x3000, 20, 1);
    builder_free(b, 1, 40, 0x2000);
    builder_finish(b);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mt_profile_options options = { .measure = MT_MEASURE_PEAK, .by_thread = true, .by_allocator = true };
    struct mt_frames_options shown = { .no_symbols = true };
    *state = f;
    build_trace(&f->b);
    assert_int_equal(mt_trace_open_memory(f->b.file, f->b.file_bytes, &f->trace, NULL), MT_OK);
    f->set = (struct mt_trace_set){ .traces = &f->trace, .count = 1 };
    assert_int_equal(mt_analyze(&f->set, NULL, &f->analysis), MT_OK);
    assert_int_equal(mt_profile_make(&f->set, &f->analysis, &options, &f->profile), MT_OK);
    options.measure = MT_MEASURE_TOTAL;
    assert_int_equal(mt_profile_make(&f->set, &f->analysis, &options, &f->total), MT_OK);
    assert_int_equal(mt_frames_new(&f->set, &shown, &f->frames), MT_OK);
    assert_int_equal(mt_tree_make(&f->profile, f->frames, NULL, &f->tree), MT_OK);
    f->report = (struct mt_report){
        .set = &f->set, .analysis = &f->analysis, .frames = f->frames, .selection = "at the peak", .format = MT_FORMAT_TABLE
    };
    f->input = (struct mt_export_input){ &f->report, &f->profile, &f->total, &f->tree };
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mt_tree_fini(&f->tree);
    mt_frames_free(f->frames);
    mt_profile_fini(&f->total);
    mt_profile_fini(&f->profile);
    mt_analysis_fini(&f->analysis);
    mt_trace_close(f->trace);
    builder_fini(&f->b);
    free(f);
    return 0;
}

static void expect_output(struct mt_out *out, const char *wanted)
{
    assert_string_equal(mt_out_text(out, NULL), wanted);
    mt_out_discard(out);
}

static void test_collapsed_stacks_hold_no_separator_and_add_up(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    mt_export_collapsed(out, &f->input);
    char *text = strdup(mt_out_text(out, NULL));
    uint64_t sum = 0;
    size_t lines = 0;
    char *save;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *space = strrchr(line, ' ');
        assert_null(strchr(line, '\x1b'));
        sum += strtoull(space, NULL, 10);
        size_t separators = 0;
        for (const char *at = line; *at != '\0'; at++) {
            separators += *at == ';' ? 1 : 0;
        }
        assert_int_equal(separators, strncmp(space, " 120", 4) == 0 ? 1 : 0);
        lines++;
    }
    assert_int_equal(sum, 1120);
    assert_int_equal(lines, 2);
    free(text);
    mt_out_discard(out);
}

static void test_stats_say_what_was_built(void **state)
{
    struct fixture *f = *state;
    static const char *const wanted[] = { "\"pid\": 4242",
                                          "\"allocations\": 3",
                                          "\"deallocations\": 1",
                                          "\"total_allocated_bytes\": 1120",
                                          "\"peak_bytes\": 1120",
                                          "\"leaked_bytes\": 120",
                                          "\"leaked_allocations\": 2",
                                          "\"command\": \"./a arg\"",
                                          "\"mode\": \"exact\"",
                                          "\"min_bytes\": 16, \"max_bytes\": 31, \"bytes\": 20, \"count\": 1" };
    struct mt_out *out = mt_out_open_memory();
    f->report.format = MT_FORMAT_JSON;
    mt_stats_write(out, &f->report);
    for (size_t i = 0; i < MT_COUNTOF(wanted); i++) {
        if (strstr(mt_out_text(out, NULL), wanted[i]) == NULL) {
            fail_msg("%s is not in %s", wanted[i], mt_out_text(out, NULL));
        }
    }
    assert_null(strstr(mt_out_text(out, NULL), "_ci95"));
    mt_out_discard(out);
}

static void test_estimates_carry_their_interval(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    f->report.format = MT_FORMAT_NDJSON;
    f->analysis.sampled = true;
    f->analysis.totals.heap[MT_MEASURE_PEAK].bytes_variance = 100;
    mt_stats_write(out, &f->report);
    assert_non_null(strstr(mt_out_text(out, NULL), "\"peak_bytes\": 1120, \"peak_bytes_ci95\": 19."));
    mt_out_discard(out);
}

static void test_a_terminal_table_cannot_be_driven_by_names(void **state)
{
    struct fixture *f = *state;
    struct mt_table table;
    struct mt_out *out = mt_out_open_memory();
    f->report.places = mt_places_new(f->frames, NULL);
    f->report.grouping.by = MT_BY_LINE;
    assert_int_equal(mt_table_make(&f->set, &f->profile, f->report.places, &f->report.grouping, &table), MT_OK);
    mt_rows_write_table(out, &f->report, &table);
    const char *text = mt_out_text(out, NULL);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "f\\x1b[2J\\xff\\n"));
    assert_non_null(strstr(text, "1000 B"));
    mt_out_discard(out);
    mt_places_free(f->report.places);
    mt_table_fini(&table);
}

static void test_the_tree_is_drawn_without_an_indent_for_chains(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    mt_tree_view_write(out, &f->report, &f->tree);
    const char *text = mt_out_text(out, NULL);
    assert_non_null(strstr(text, "1.09 KiB 100.0%  all"));
    assert_non_null(strstr(text, "  10.7%  "));
    assert_null(strchr(text, '\x1b'));
    mt_out_discard(out);
}

static void test_csv_fields_stay_apart(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    mt_export_csv(out, &f->input);
    assert_non_null(strstr(mt_out_text(out, NULL), "4242,77,malloc,1000,1,0,0.0,"));
    mt_out_discard(out);
}

/* ---- pprof: a decoder of the wire format, written from its description ----------------------------------------------
 */

struct field {
    unsigned number;
    uint64_t value; /* varint */
    const uint8_t *data;
    size_t bytes; /* length-delimited; SIZE_MAX: varint */
};

static bool next_field(const uint8_t **at, const uint8_t *end, struct field *ret)
{
    uint64_t tag;
    if (*at == end || !mt_varint_get(at, end, &tag)) {
        return false;
    }
    *ret = (struct field){ .number = (unsigned)(tag >> 3), .bytes = SIZE_MAX };
    assert_true(mt_varint_get(at, end, &ret->value));
    if ((tag & 7) == 2) {
        ret->bytes = (size_t)ret->value;
        ret->data = *at;
        *at += ret->bytes;
        assert_true(*at <= end);
    } else {
        assert_int_equal(tag & 7, 0);
    }
    return true;
}

static void test_pprof_strings_begin_empty_and_values_add_up(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    size_t bytes;
    uint64_t sums[4] = { 0 };
    size_t strings = 0;
    bool bracketed = false;
    mt_export_pprof(out, &f->input);
    const uint8_t *at = (const uint8_t *)mt_out_text(out, &bytes);
    const uint8_t *end = at + bytes;
    struct field field;
    while (next_field(&at, end, &field)) {
        if (field.number == 6) {
            assert_true(strings++ > 0 || field.bytes == 0);
            bracketed = bracketed || (field.bytes == 8 && memcmp(field.data, "[module]", 8) == 0);
        }
        const uint8_t *inner = field.data;
        struct field part;
        while (field.number == 2 && next_field(&inner, field.data + field.bytes, &part)) {
            const uint8_t *value = part.data;
            for (size_t i = 0; part.number == 2 && i < 4; i++) {
                uint64_t number = 0;
                assert_true(mt_varint_get(&value, part.data + part.bytes, &number));
                sums[i] += number;
            }
        }
    }
    assert_true(at == end && bracketed);
    assert_int_equal(sums[0], 3);
    assert_int_equal(sums[1], 1120);
    assert_int_equal(sums[2], 3);
    assert_int_equal(sums[3], 1120);
    mt_out_discard(out);
}

static void test_protobuf_fields_are_coded_as_documented(void **state)
{
    static const uint8_t wanted[] = { 0x08, 0x96, 0x01, 0x12, 0x02, 'h', 'i', 0x1A, 0x01, 0x05 };
    struct mt_proto message = { 0 };
    struct mt_proto packed = { 0 };
    (void)state;
    mt_proto_u64(&message, 1, 150); /* the example of the encoding guide */
    mt_proto_u64(&message, 9, 0);   /* defaults are left out */
    mt_proto_bytes(&message, 2, "hi", 2);
    mt_proto_packed(&packed, 5);
    mt_proto_message(&message, 3, &packed);
    assert_int_equal(message.bytes, sizeof wanted);
    assert_memory_equal(message.data, wanted, sizeof wanted);
    mt_proto_fini(&message);
    mt_proto_fini(&packed);
}

static void test_every_record_is_a_line(void **state)
{
    struct fixture *f = *state;
    struct mt_out *out = mt_out_open_memory();
    assert_int_equal(mt_records_write(out, mt_trace_reader(f->trace), NULL), MT_OK);
    const char *text = mt_out_text(out, NULL);
    static const char *const wanted[] = {
        "\nstring 2 \"f\\x1b[2J\\xff\\n\"\n",
        "\nthread 1 tid 77 name \"wor,ker\\\"\" at 0.000000000\n",
        "\ncode 1 file 1 name 2 qualname 0 line 10 kind 3 table 0\n",
        "\npython 2 parent 1 code 1 offset -1 flags 0\n",
        "\nstack 1 native 0 python 2 anchors\n",
        "\nevent 0.000000010 1 alloc malloc 0x1000 100 stack 1\n",
        "\nevent 0.000000040 1 free 0x2000\n",
    };
    for (size_t i = 0; i < MT_COUNTOF(wanted); i++) {
        if (strstr(text, wanted[i]) == NULL) {
            fail_msg("%s is not in %s", wanted[i], text);
        }
    }
    mt_out_discard(out);
}

/* A trace with what threads do, what happened once, and a block that grows where it is. */
static void open_grown(struct builder *b, struct mt_trace **ret)
{
    builder_init(b);
    builder_plain_stacks(b, 1);
    builder_label(b, 3, MT_LABEL_TASK, "sweep");
    builder_mark(b, 15, 1, MT_MARK_PHASE, 0, "load");
    builder_mark(b, 16, 0, 77, 5, "");
    builder_alloc(b, 1, 10, 0x1000, 100, 1);
    builder_resized(b, 1, 20, 0x1000, 100, 300);
    builder_resized(b, 1, 30, 0x9000, 1, 2); /* not known */
    builder_free(b, 1, 40, 0x1000);
    builder_event(b, 1, MT_EVENT_REALLOC_OLD, 50)->addr = 0x1000;
    (void)builder_event(b, 1, MT_EVENT_REALLOC_GONE, 51);
    b->events[1].label = 3;
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, ret, NULL), MT_OK);
}

static void test_marks_labels_and_changed_sizes_are_lines(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace *trace;
    open_grown(&b, &trace);
    struct mt_out *out = mt_out_open_memory();
    assert_int_equal(mt_records_write(out, mt_trace_reader(trace), NULL), MT_OK);
    static const char *const wanted[] = {
        "\nlabel 3 kind 2 \"sweep\"\n",
        "\nmark 0.000000015 1 phase 0 \"load\"\nmark 0.000000016 0 77 5 \"\"\n",
        " 1 label 3\nevent 0.000000020 1 resized 0x1000 100 300\n",
        " 1 label 0\nevent 0.000000030 1 resized 0x9000 1 2\n",
        "\nevent 0.000000051 1 realloc-gone\n",
    };
    for (size_t i = 0; i < MT_COUNTOF(wanted); i++) {
        if (strstr(mt_out_text(out, NULL), wanted[i]) == NULL) {
            fail_msg("%s is not in %s", wanted[i], mt_out_text(out, NULL));
        }
    }
    mt_out_discard(out);
    mt_trace_close(trace);
    builder_fini(&b);
}

static void test_heaptrack_has_a_grown_block_as_another_one(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace *trace;
    struct mt_frames *frames;
    struct mt_frames_options shown = { .no_symbols = true };
    open_grown(&b, &trace);
    struct mt_trace_set set = { .traces = &trace, .count = 1 };
    assert_int_equal(mt_frames_new(&set, &shown, &frames), MT_OK);
    struct mt_report report = { .set = &set, .frames = frames };
    struct mt_out *out = mt_out_open_memory();
    assert_int_equal(mt_export_heaptrack(out, &report, NULL), MT_OK);
    assert_non_null(strstr(mt_out_text(out, NULL), "a 64 1\n+ 0\n- 0\na 12c 1\n+ 1\n- 1\n"));
    mt_out_discard(out);
    mt_frames_free(frames);
    mt_trace_close(trace);
    builder_fini(&b);
}

static void test_formats_are_found_by_name_and_longest_suffix(void **state)
{
    (void)state;
    assert_string_equal(mt_exporter_find("pprof")->name, "pprof");
    assert_null(mt_exporter_find("svg"));
    assert_string_equal(mt_exporter_by_suffix("a/x.speedscope.json")->name, "speedscope");
    assert_string_equal(mt_exporter_by_suffix("x.json")->name, "json");
    assert_string_equal(mt_exporter_by_suffix("x.pb")->name, "pprof");
    assert_null(mt_exporter_by_suffix("x.txt"));
    assert_null(mt_exporter_by_suffix(".json"));
}

static void test_an_empty_trace_gives_valid_empty_reports(void **state)
{
    struct builder b;
    struct mt_trace *trace;
    struct mt_analysis analysis = { 0 };
    (void)state;
    builder_init(&b);
    builder_finish(&b);
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &trace, NULL), MT_OK);
    struct mt_trace_set set = { .traces = &trace, .count = 1 };
    assert_int_equal(mt_analyze(&set, NULL, &analysis), MT_OK);
    struct mt_report report = {
        .set = &set, .analysis = &analysis, .selection = "at the peak", .format = MT_FORMAT_JSON
    };
    struct mt_leaks leaks = { 0 };
    struct mt_out *out = mt_out_open_memory();
    mt_rows_write_leaks(out, &report, &leaks);
    expect_output(out, "[]\n");
    mt_analysis_fini(&analysis);
    mt_trace_close(trace);
    builder_fini(&b);
}

#define WITH_TRACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    WITH_TRACE(test_collapsed_stacks_hold_no_separator_and_add_up),
    WITH_TRACE(test_stats_say_what_was_built),
    WITH_TRACE(test_estimates_carry_their_interval),
    WITH_TRACE(test_a_terminal_table_cannot_be_driven_by_names),
    WITH_TRACE(test_the_tree_is_drawn_without_an_indent_for_chains),
    WITH_TRACE(test_csv_fields_stay_apart),
    WITH_TRACE(test_pprof_strings_begin_empty_and_values_add_up),
    WITH_TRACE(test_every_record_is_a_line),
    cmocka_unit_test(test_protobuf_fields_are_coded_as_documented),
    cmocka_unit_test(test_marks_labels_and_changed_sizes_are_lines),
    cmocka_unit_test(test_heaptrack_has_a_grown_block_as_another_one),
    cmocka_unit_test(test_formats_are_found_by_name_and_longest_suffix),
    cmocka_unit_test(test_an_empty_trace_gives_valid_empty_reports),
};
MT_TEST_MAIN(tests)
