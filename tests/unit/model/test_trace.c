/* test_trace.c: opening traces: header facts, dictionaries, files cut at every byte, flipped bits, holes, lost and
 * duplicate blocks, slots. Truth by construction (builder.h knows where every record ends). */
#include "harness.h"

#include "model/builder.h"
#include "model/cursor.h"
#include "model/trace.h"
#include "wire/decode_file.h"

static struct mt_trace *open_bytes(const void *data, size_t bytes)
{
    struct mt_trace *t;
    struct mt_wire_error error = { 0 };
    assert_int_equal(mt_trace_open_memory(data, bytes, &t, &error), MT_OK);
    return t;
}

/* Reads all events; returns how many. */
static size_t read_events(const struct mt_trace *t, struct mt_event *out, size_t capacity,
                          struct mt_cursor_losses *losses)
{
    struct mt_cursor *c;
    assert_int_equal(mt_cursor_new(t, UINT64_MAX, &c), MT_OK);
    size_t count = 0, got;
    while (count < capacity && (got = mt_cursor_next(c, out + count, capacity - count)) > 0) {
        count += got;
    }
    assert_int_equal(mt_cursor_status(c), MT_OK);
    if (losses != NULL) {
        *losses = *mt_cursor_losses(c);
    }
    mt_cursor_free(c);
    return count;
}

/* Two streams that take turns, three stacks. */
static void build_small(struct builder *b, bool slots, size_t block_events)
{
    builder_init(b);
    b->slots = slots;
    b->block_events = block_events;
    builder_string(b, "one");
    builder_string(b, "two");
    builder_thread(b, 1, 100, "main");
    builder_thread(b, 2, 101, "worker");
    builder_plain_stacks(b, 3);
    for (uint64_t i = 0; i < 12; i++) {
        builder_alloc(b, 1 + (uint32_t)(i / 2 % 2), 10 * i + 10, 0x10000 + 64 * i, 100 + i, 1 + (uint32_t)(i % 3));
    }
    for (uint64_t i = 0; i < 8; i++) {
        builder_free(b, 1 + (uint32_t)(i % 2), 200 + 7 * i, 0x10000 + 64 * i);
    }
    builder_finish(b);
}

static void test_header_facts_and_columns(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 5);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    const struct mt_trace_info *info = mt_trace_info(t);
    assert_int_equal(info->pid, 4242);
    assert_int_equal(info->state, MT_STATE_ENDED);
    assert_int_equal(info->duration_ns, 249);
    assert_int_equal(info->events_known, 20);
    assert_int_equal(info->command_bytes, 7);
    assert_memory_equal(info->command, "./a\0arg", 8);
    assert_int_equal(mt_trace_string_count(t), 3);
    assert_string_equal(mt_trace_string(t, 2).data, "two");
    assert_string_equal(mt_trace_string(t, 99).data, "");
    assert_int_equal(mt_trace_stack_count(t), 4);
    assert_int_equal(mt_trace_stack(t, 3).native, 3);
    assert_int_equal(mt_trace_stack(t, 4).native, 0);
    assert_string_equal(mt_trace_thread(t, 2)->name.data, "worker");
    assert_null(mt_trace_thread(t, 3));
    const struct mt_trace_completeness *c = mt_trace_completeness(t);
    assert_int_equal(c->holes + c->truncated_at + c->lost_blocks + c->dropped_events, 0);
    assert_false(c->metadata_broken);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_marks_and_labels_are_kept(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_mark(&b, 50, 1, MT_MARK_PHASE, 0, "warm-up");
    builder_label(&b, 7, MT_LABEL_TASK, "before");
    builder_label(&b, 900, MT_LABEL_REQUEST, "GET /");
    builder_mark(&b, 70, 0, 99, UINT64_MAX, ""); /* a kind not known yet */
    builder_label(&b, 7, MT_LABEL_USER, "after");
    builder_record(&b, MT_META_MARK, "\x01\x01", 2); /* cut short */
    builder_label(&b, 0, MT_LABEL_USER, "no number");
    builder_finish(&b);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    size_t count;
    const struct mt_trace_mark *marks = mt_trace_marks(t, &count);
    assert_int_equal(count, 2);
    assert_int_equal(marks[0].time_ns, 50);
    assert_int_equal(marks[0].stream, 1);
    assert_int_equal(marks[0].kind, MT_MARK_PHASE);
    assert_string_equal(marks[0].text.data, "warm-up");
    assert_int_equal(marks[1].kind, 99);
    assert_true(marks[1].value == UINT64_MAX);
    assert_string_equal(mt_trace_label(t, 7)->text.data, "after");
    assert_int_equal(mt_trace_label(t, 7)->kind, MT_LABEL_USER);
    assert_string_equal(mt_trace_label(t, 900)->text.data, "GET /");
    assert_null(mt_trace_label(t, 0));
    assert_null(mt_trace_label(t, 8));
    mt_trace_close(t);
    builder_fini(&b);
}

static void expect_label(const struct mt_trace *t, uint32_t number, const char *label, const char *task)
{
    struct mt_text found = mt_trace_label_text(t, number, false);
    assert_int_equal(found.bytes, strlen(label));
    assert_memory_equal(found.data, label, found.bytes);
    found = mt_trace_label_text(t, number, true);
    assert_int_equal(found.bytes, strlen(task));
    assert_memory_equal(found.data, task, found.bytes);
}

static void test_labels_inside_others_lead_to_task_and_label(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_label(&b, 1, MT_LABEL_THREAD, "worker-2");
    builder_label_under(&b, 2, MT_LABEL_TASK, "fetch", 1);
    builder_label_under(&b, 3, MT_LABEL_REQUEST, "GET /", 2);
    builder_label_under(&b, 4, MT_LABEL_USER, "job-7", 3);
    builder_label_under(&b, 5, MT_LABEL_USER, "alone", 0);
    builder_label_under(&b, 6, MT_LABEL_USER, "in itself", 6);
    builder_label_under(&b, 7, MT_LABEL_TASK, "in a circle", 8);
    builder_label_under(&b, 8, MT_LABEL_TASK, "in nothing known", 4000);
    builder_label_under(&b, 9, 77, "of a kind not known", 1);
    builder_finish(&b);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    expect_label(t, 0, "", "");
    expect_label(t, 1, "", "worker-2");
    expect_label(t, 2, "", "fetch");
    expect_label(t, 3, "GET /", "fetch");
    expect_label(t, 4, "job-7", "fetch");
    expect_label(t, 5, "alone", "");
    expect_label(t, 6, "in itself", "");
    expect_label(t, 7, "", "in a circle");
    expect_label(t, 8, "", "in nothing known");
    expect_label(t, 9, "of a kind not known", "worker-2");
    expect_label(t, 10, "", "");
    mt_trace_close(t);
    builder_fini(&b);
}

static int compare_order(const void *a, const void *b)
{
    const struct mt_event *x = a, *y = b;
    if (x->clock != y->clock) {
        return x->clock < y->clock ? -1 : 1;
    }
    return x->stream < y->stream ? -1 : x->stream > y->stream;
}

/* The events whose records end at or before offset, in merged order. */
static size_t events_before(const struct builder *b, uint64_t offset, struct mt_event *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < b->end_count; i++) {
        if (b->ends[i].offset <= offset) {
            ret[count++] = b->events[b->ends[i].event];
        }
    }
    qsort(ret, count, sizeof *ret, compare_order);
    return count;
}

static void check_every_cut(bool slots, size_t block_events)
{
    struct builder b;
    build_small(&b, slots, block_events);
    struct mt_event want[64], got[64];
    for (size_t cut = 0; cut <= b.file_bytes; cut++) {
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        memcpy(copy, b.file, cut);
        struct mt_trace *t;
        mt_status status = mt_trace_open_memory(copy, cut, &t, NULL);
        if (cut < 512) {
            assert_int_equal(status, MT_E_TRUNCATED);
        } else {
            assert_int_equal(status, MT_OK);
            size_t count = read_events(t, got, 64, NULL);
            assert_int_equal(count, events_before(&b, cut, want));
            assert_memory_equal(got, want, count * sizeof *got);
            if (cut + MT_EXTENT_ALIGN <= b.file_bytes) { /* less may be padding, which a writer leaves out */
                assert_int_equal(mt_trace_completeness(t)->truncated_at, cut);
            } else if (cut == b.file_bytes) {
                assert_int_equal(mt_trace_completeness(t)->truncated_at, 0);
            }
            mt_trace_close(t);
        }
        free(copy);
    }
    builder_fini(&b);
}

static void test_blocks_cut_at_every_byte_give_the_events_before(void **state)
{
    (void)state;
    check_every_cut(false, 5);
    check_every_cut(false, 1000);
}

static void test_slots_cut_at_every_byte_give_the_events_before(void **state)
{
    (void)state;
    check_every_cut(true, 5);
}

static void test_flipped_bits_never_crash_and_checksums_find_them(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 5);
    struct mt_event want[64], got[64];
    size_t all = events_before(&b, UINT64_MAX, want);
    for (size_t bit = 0; bit < 8 * b.file_bytes; bit += bit < 8 * 4096 ? 7 : 1) {
        b.file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct mt_trace *t;
        if (mt_trace_open_memory(b.file, b.file_bytes, &t, NULL) == MT_OK) {
            size_t count = read_events(t, got, 64, NULL);
            assert_true(count <= all);
            if (bit >= 8 * 4096) { /* block headers and payloads are summed: what is delivered is true */
                for (size_t i = 0; i < count; i++) {
                    assert_non_null(bsearch(&got[i], want, all, sizeof *want, compare_order));
                }
            }
            mt_trace_close(t);
        }
        b.file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    builder_fini(&b);
}

/* Offset of the header of the nth extent of a stream. */
static size_t extent_offset(const struct builder *b, uint32_t stream, unsigned nth)
{
    size_t offset = MT_TRACE_HEADER_BYTES;
    while (offset < b->file_bytes) {
        struct mt_block_header h;
        memcpy(&h, b->file + offset, sizeof h);
        if (h.stream == stream && nth-- == 0) {
            return offset;
        }
        offset += h.extent_bytes;
    }
    fail();
    return 0;
}

static void test_a_block_that_was_never_written_is_a_hole(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 5);
    size_t at = extent_offset(&b, 1, 1);
    size_t next = extent_offset(&b, 2, 0);
    memset(b.file + at, 0, next - at);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    const struct mt_trace_completeness *c = mt_trace_completeness(t);
    struct mt_event got[64];
    assert_int_equal(c->holes, 1);
    assert_int_equal(c->hole_bytes, next - at);
    assert_int_equal(c->first_hole, at);
    assert_int_equal(read_events(t, got, 64, NULL), 15);
    mt_trace_close(t);
    at = extent_offset(&b, 1, 0); /* and when a later one of the stream is there, the gap is a lost block */
    memset(b.file + at, 0, 64);
    b.file_bytes = b.file_bytes + 0;
    t = open_bytes(b.file, b.file_bytes);
    assert_int_equal(mt_trace_completeness(t)->holes, 1);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_gap_in_a_stream_is_a_lost_block(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 3);
    memset(b.file + extent_offset(&b, 1, 1), 0, 64);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    assert_int_equal(mt_trace_completeness(t)->lost_blocks, 1);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_bad_payload_costs_its_block_only(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 5);
    size_t at = extent_offset(&b, 2, 0);
    b.file[at + 64 + 3] ^= 0x40;
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    struct mt_event got[64];
    struct mt_cursor_losses losses;
    assert_int_equal(read_events(t, got, 64, &losses), 15);
    assert_int_equal(losses.bad_blocks, 1);
    assert_int_equal(losses.first_error.offset, at + 64);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_slot_whose_block_is_there_is_ignored(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, true, 1000);
    uint8_t payload[256];
    size_t at = extent_offset(&b, 1, 0);
    struct mt_block_header h;
    memcpy(&h, b.file + at, sizeof h);
    size_t bytes = (uint32_t)h.seq_committed;
    memcpy(payload, b.file + at + 64, bytes);
    builder_block(&b, MT_BLOCK_EVENTS, 1, 0, false, payload, bytes, h.clock_first, h.clock_first + 1000, 10);
    memcpy(b.file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ b.file_bytes }, 8);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    struct mt_event got[64];
    assert_int_equal(read_events(t, got, 64, NULL), 20);
    assert_int_equal(mt_reader_report(mt_trace_reader(t))->duplicate_blocks, 1);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_free_slots_and_unknown_blocks_are_passed_over(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, true, 1000);
    builder_block(&b, MT_BLOCK_EVENTS, MT_STREAM_NONE, 0, true, (const uint8_t *)"abc", 3, 0, 0, 0);
    builder_block(&b, 77, 5, 0, false, (const uint8_t *)"abc", 3, 0, 0, 0);
    memcpy(b.file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ b.file_bytes }, 8);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    struct mt_event got[64];
    assert_int_equal(read_events(t, got, 64, NULL), 20);
    assert_int_equal(mt_trace_completeness(t)->holes, 0);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_what_is_not_a_trace_is_refused_with_its_reason(void **state)
{
    (void)state;
    struct builder b;
    build_small(&b, false, 5);
    struct mt_trace *t;
    struct mt_wire_error error;
    b.file[8] = MT_TRACE_MAJOR_BASE + 1;
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, &error), MT_E_VERSION);
    assert_int_equal(error.offset, 8);
    b.file[8] = 1;
    b.file[10] = 9; /* a newer minor is fine */
    t = open_bytes(b.file, b.file_bytes);
    mt_trace_close(t);
    b.file[0] = 'x';
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, &error), MT_E_CORRUPT);
    assert_int_equal(mt_trace_open("/nonexistent/x.mtap", &t, &error), MT_E_NOENT);
    builder_fini(&b);
}

static void test_forward_references_end_the_numbered_records(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_native(&b, 0, 0x1000);
    builder_stack(&b, 1, 0, NULL, 0);
    builder_native(&b, 2, 0x2000); /* its own number: a cycle */
    builder_native(&b, 1, 0x3000);
    builder_stack(&b, 2, 0, NULL, 0);
    builder_note(&b, "still", "read");
    builder_finish(&b);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    assert_int_equal(mt_trace_native_count(t), 2);
    assert_int_equal(mt_trace_stack_count(t), 2);
    assert_true(mt_trace_completeness(t)->metadata_broken);
    assert_int_not_equal(mt_trace_completeness(t)->metadata_error.offset, 0);
    assert_string_equal(mt_trace_note(t, "still"), "read");
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_giant_counts_are_refused(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_numbers(&b, MT_META_STACK, (const uint64_t[]){ 0, 0, 4000000000u }, 3);
    builder_numbers(&b, MT_META_CODE, (const uint64_t[]){ 4000000000u, 0, 0, 0, 1, 3 }, 6);
    uint8_t module[] = { 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F };
    builder_record(&b, MT_META_MODULE, module, sizeof module);
    builder_finish(&b);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    assert_int_equal(mt_trace_stack_count(t), 1);
    assert_int_equal(mt_trace_code_count(t), 1);
    assert_int_equal(mt_trace_module_count(t), 1);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_pc_belongs_to_the_module_of_its_time(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_module(&b, 1, 0x10000, "/lib/a.so", 0, 0x1000);
    builder_native(&b, 0, 0x10010);
    builder_numbers(&b, MT_META_MODULE_GONE, (const uint64_t[]){ 1 }, 1);
    builder_native(&b, 0, 0x10010);
    builder_module(&b, 2, 0x10800, "/lib/b.so", 0, 0x1000);
    builder_native(&b, 0, 0x10810);
    builder_native(&b, 0, 0x11800); /* one past the end: a return address after a last call */
    builder_module(&b, 3, 0x10000, "/lib/c.so", 0, 0x1000); /* replaces b, whose end was missed */
    builder_native(&b, 0, 0x10810);
    builder_finish(&b);
    struct mt_trace *t = open_bytes(b.file, b.file_bytes);
    static const char *const want[] = { "", "/lib/a.so", "", "/lib/b.so", "/lib/b.so", "/lib/c.so" };
    for (uint32_t i = 1; i < 6; i++) {
        assert_string_equal(mt_trace_module(t, mt_trace_native(t, i).module_idx)->path.data, want[i]);
    }
    assert_true(mt_trace_module(t, 1)->gone);
    mt_trace_close(t);
    builder_fini(&b);
}

static struct mt_trace_info with_line(enum mt_clock_kind kind, uint64_t scale)
{
    return (struct mt_trace_info){ .clock_kind = kind, .clock_line = { .origin = { .ticks = 1000, .ns = 5000 }, .scale = scale } };
}

/* Two clocks that have run apart: 1,500 ns after the origin by the counter, 1,400 by CLOCK_MONOTONIC. */
static void test_the_present_is_told_by_the_clock_of_the_events(void **state)
{
    (void)state;
    const uint64_t half = (uint64_t)1 << 31; /* half a ns a tick */
    const struct mt_tsc_moment moment = { .ticks = 4000, .ns = 6400 }, unread = { .ns = 6400 };
    const struct mt_trace_info by_line = with_line(MT_CLOCK_TSC, half), ticking = with_line(MT_CLOCK_TICK, half);
    const struct mt_trace_info none = with_line(MT_CLOCK_TICK, 0), counting = with_line(MT_CLOCK_COUNTER, half / 2);
    assert_int_equal(mt_trace_clock_at(&by_line, &moment), 6500);
    assert_int_equal(mt_trace_clock_at(&ticking, &moment), 6500);
    assert_int_equal(mt_trace_clock_at(&none, &moment), 6400);
    assert_int_equal(mt_trace_clock_at(&by_line, &unread), 6400);
    assert_int_equal(mt_trace_clock_at(&counting, &moment), 6400); /* the later: such clocks come from either */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_present_is_told_by_the_clock_of_the_events),
    cmocka_unit_test(test_marks_and_labels_are_kept),
    cmocka_unit_test(test_labels_inside_others_lead_to_task_and_label),
    cmocka_unit_test(test_header_facts_and_columns),
    cmocka_unit_test(test_blocks_cut_at_every_byte_give_the_events_before),
    cmocka_unit_test(test_slots_cut_at_every_byte_give_the_events_before),
    cmocka_unit_test(test_flipped_bits_never_crash_and_checksums_find_them),
    cmocka_unit_test(test_a_block_that_was_never_written_is_a_hole),
    cmocka_unit_test(test_a_gap_in_a_stream_is_a_lost_block),
    cmocka_unit_test(test_a_bad_payload_costs_its_block_only),
    cmocka_unit_test(test_a_slot_whose_block_is_there_is_ignored),
    cmocka_unit_test(test_free_slots_and_unknown_blocks_are_passed_over),
    cmocka_unit_test(test_what_is_not_a_trace_is_refused_with_its_reason),
    cmocka_unit_test(test_forward_references_end_the_numbered_records),
    cmocka_unit_test(test_giant_counts_are_refused),
    cmocka_unit_test(test_a_pc_belongs_to_the_module_of_its_time),
};
MT_TEST_MAIN(tests)
