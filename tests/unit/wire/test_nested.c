/* test_nested.c: traces of other processes inside a file are traces of their own, whatever is damaged around them. */
#include "harness.h"

#include "model/builder.h"
#include "model/cursor.h"
#include "model/trace.h"
#include "wire/decode_file.h"
#include "wire/pack.h"

#include <dirent.h>
#include <unistd.h>

enum { CHILDREN = 3, OUTER_EVENTS = 20, CHILD_EVENTS = 30 };

static char g_path[64];

/* A trace of `events` allocations with addresses of its own; the caller has builder_fini. */
static void build_one(struct builder *b, uint64_t pid, size_t events, bool slots)
{
    builder_init(b);
    b->slots = slots;
    b->state = slots ? MT_STATE_RECORDING : MT_STATE_ENDED;
    builder_plain_stacks(b, 3);
    for (size_t i = 0; i < events; i++) {
        builder_alloc(b, 1 + (uint32_t)(i % 2), 10 * i + 10, pid << 20 | 16 * i, pid + i, 1 + (uint32_t)(i % 3));
    }
    builder_finish(b);
    memcpy(b->file + offsetof(struct mt_trace_header, pid), &pid, sizeof pid);
}

/* A trace of process 1 with those of 2 … 1 + CHILDREN in it. at[i]: where the i-th begins. */
static void build_run(struct builder *b, size_t children, bool slots, size_t *ret_at)
{
    build_one(b, 1, OUTER_EVENTS, slots);
    for (size_t i = 0; i < children; i++) {
        struct builder child;
        build_one(&child, 2 + i, CHILD_EVENTS, slots);
        if (ret_at != NULL) {
            ret_at[i] = b->file_bytes + sizeof(struct mt_block_header);
        }
        builder_nest(b, child.file, child.file_bytes);
        builder_fini(&child);
    }
}

static void write_file(const uint8_t *data, size_t bytes)
{
    (void)snprintf(g_path, sizeof g_path, "/tmp/memtap-nested-%d.mtap", (int)getpid());
    FILE *f = fopen(g_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

static void expect_events(const struct mt_trace *t, uint64_t pid, size_t count)
{
    struct mt_cursor *cursor;
    struct mt_event events[CHILD_EVENTS + 1];
    assert_int_equal(mt_trace_info(t)->pid, pid);
    assert_int_equal(mt_cursor_new(t, UINT64_MAX, &cursor), MT_OK);
    assert_int_equal(mt_cursor_next(cursor, events, CHILD_EVENTS + 1), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(events[i].addr, pid << 20 | 16 * i);
        assert_int_equal(events[i].size, pid + i);
    }
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    mt_cursor_free(cursor);
}

static void expect_child(const struct mt_trace *outer, size_t index)
{
    struct mt_trace *child;
    assert_int_equal(mt_trace_open_nested(outer, index, &child, NULL), MT_OK);
    expect_events(child, 2 + index, CHILD_EVENTS);
    assert_int_equal(mt_trace_completeness(child)->holes, 0);
    assert_int_equal(mt_trace_completeness(child)->truncated_at, 0);
    assert_int_equal(mt_trace_nested_count(child), 0);
    mt_trace_close(child);
}

static void expect_run(const struct mt_trace *outer, size_t children)
{
    expect_events(outer, 1, OUTER_EVENTS);
    assert_int_equal(mt_trace_completeness(outer)->lost_blocks, 0);
    assert_int_equal(mt_trace_nested_count(outer), children);
    for (size_t i = 0; i < children; i++) {
        expect_child(outer, i);
    }
}

static void test_each_process_has_its_own_trace(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct builder b;
        struct mt_trace *t;
        build_run(&b, CHILDREN, slots, NULL);
        assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
        expect_run(t, CHILDREN);
        mt_trace_close(t);
        write_file(b.file, b.file_bytes);
        assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
        expect_run(t, CHILDREN);
        assert_int_equal(mt_trace_completeness(t)->holes, 0);
        mt_trace_close(t);
        unlink(g_path);
        builder_fini(&b);
    }
}

static size_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static void test_processes_share_the_descriptor_and_outlive_the_outer(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace *outer, *nested[CHILDREN];
    build_run(&b, CHILDREN, false, NULL);
    write_file(b.file, b.file_bytes);
    size_t before = count_descriptors();
    assert_int_equal(mt_trace_open(g_path, &outer, NULL), MT_OK);
    for (size_t i = 0; i < CHILDREN; i++) {
        assert_int_equal(mt_trace_open_nested(outer, i, &nested[i], NULL), MT_OK);
        assert_string_equal(mt_trace_info(nested[i])->path, g_path);
    }
    unlink(g_path);
    assert_int_equal(count_descriptors(), before + 1);
    mt_trace_close(outer);
    for (size_t i = 0; i < CHILDREN; i++) {
        expect_events(nested[i], 2 + i, CHILD_EVENTS);
        mt_trace_close(nested[i]);
    }
    assert_int_equal(count_descriptors(), before);
    builder_fini(&b);
}

/* The block before a trace is lost: its blocks must not become those of the trace around. */
static void test_a_damaged_block_does_not_mix_processes(void **state)
{
    (void)state;
    struct builder b;
    size_t at[CHILDREN];
    struct mt_trace *t;
    build_run(&b, CHILDREN, false, at);
    memset(b.file + at[1] - sizeof(struct mt_block_header), 0, sizeof(struct mt_block_header));
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
    expect_run(t, CHILDREN);
    assert_int_equal(mt_trace_completeness(t)->holes, 1);
    assert_int_equal(mt_trace_completeness(t)->first_hole, at[1] - sizeof(struct mt_block_header));
    mt_trace_close(t);
    memset(b.file + at[1] + offsetof(struct mt_trace_header, file_tail), 0, 8); /* and no length either: the rest is its */
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
    assert_int_equal(mt_trace_nested_count(t), 2);
    expect_events(t, 1, OUTER_EVENTS);
    expect_child(t, 0);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_file_cut_anywhere_gives_what_it_has(void **state)
{
    (void)state;
    struct builder b;
    size_t at[CHILDREN];
    build_run(&b, CHILDREN, false, at);
    for (size_t bytes = at[0] - 200; bytes < b.file_bytes; bytes += 33) {
        struct mt_trace *t;
        uint8_t *copy = malloc(bytes); /* so that a read beyond it is seen */
        memcpy(copy, b.file, bytes);
        assert_int_equal(mt_trace_open_memory(copy, bytes, &t, NULL), MT_OK);
        assert_int_equal(mt_trace_completeness(t)->truncated_at, bytes);
        size_t whole = 0;
        while (whole + 1 < CHILDREN && at[whole + 1] <= bytes) {
            expect_child(t, whole++);
        }
        mt_trace_close(t);
        free(copy);
    }
    builder_fini(&b);
}

static void test_packing_takes_them_along_as_they_are(void **state)
{
    (void)state;
    struct builder b;
    size_t at[CHILDREN], count;
    struct mt_reader *r;
    build_run(&b, CHILDREN, false, at);
    write_file(b.file, b.file_bytes);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_OK);
    assert_int_equal(mt_reader_open(g_path, &r, NULL), MT_OK);
    const struct mt_nested *nested = mt_reader_nested(r, &count);
    assert_int_equal(count, CHILDREN);
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = malloc(nested[i].bytes);
        size_t got;
        assert_int_equal(mt_reader_read(r, nested[i].offset, bytes, nested[i].bytes, &got), MT_OK);
        assert_int_equal(got, nested[i].bytes);
        assert_memory_equal(bytes, b.file + at[i], got);
        free(bytes);
    }
    mt_reader_close(r);
    struct mt_trace *t;
    assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
    expect_run(t, CHILDREN);
    assert_int_equal(mt_trace_completeness(t)->holes, 0);
    mt_trace_close(t);
    unlink(g_path);
    builder_fini(&b);
}

/* A block may claim any length. */
static void test_no_length_leads_out_of_the_file(void **state)
{
    (void)state;
    static const uint64_t lengths[] = { 0, 1, 63, 512, UINT64_MAX, UINT64_MAX - 63, UINT64_MAX / 2, 1u << 31 };
    for (size_t i = 0; i < MT_COUNTOF(lengths); i++) {
        struct builder b;
        size_t at;
        struct mt_trace *t, *child;
        build_run(&b, 1, false, &at);
        struct mt_block_header h;
        mt_process_seal(&h, MT_TRACE_HEADER_BYTES, lengths[i]);
        memcpy(b.file + at - sizeof h, &h, sizeof h);
        assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &t, NULL), MT_OK);
        assert_int_equal(mt_trace_nested_count(t), 1);
        mt_status expected = lengths[i] < MT_TRACE_FIXED_BYTES ? MT_E_TRUNCATED : MT_OK;
        assert_int_equal(mt_trace_open_nested(t, 0, &child, NULL), expected);
        if (expected == MT_OK) {
            mt_trace_close(child);
        }
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_process_has_its_own_trace),
    cmocka_unit_test(test_processes_share_the_descriptor_and_outlive_the_outer),
    cmocka_unit_test(test_a_damaged_block_does_not_mix_processes),
    cmocka_unit_test(test_a_file_cut_anywhere_gives_what_it_has),
    cmocka_unit_test(test_packing_takes_them_along_as_they_are),
    cmocka_unit_test(test_no_length_leads_out_of_the_file),
};
MT_TEST_MAIN(tests)
