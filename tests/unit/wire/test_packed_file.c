/* test_packed_file.c: what a reader believes of a packed file: sizes of columns, short headers, how far it expands. */
#include "harness.h"

#include "model/builder.h"
#include "model/trace.h"
#include "wire/decode_file.h"
#include "wire/pack.h"

#include <unistd.h>

static char g_path[64];

static void write_file(const struct builder *b)
{
    (void)snprintf(g_path, sizeof g_path, "/tmp/memtap-packed-%d.mtap", (int)getpid());
    FILE *f = fopen(g_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->file, 1, b->file_bytes, f), b->file_bytes);
    fclose(f);
}

static void build(struct builder *b, size_t events)
{
    builder_init(b);
    builder_plain_stacks(b, 50);
    builder_note(b, "key", "value");
    for (size_t i = 0; i < events; i++) {
        builder_alloc(b, 1 + (uint32_t)(i % 2), 10 * i + 10, 64 + 16 * (i * 7 % 501), i % 900, (uint32_t)(i % 50));
    }
    builder_finish(b);
}

/* A block of a packed file, with its checksums made right again. */
static void reseal(uint8_t *file, const struct mt_block_header *h, uint64_t offset)
{
    struct mt_block_header sealed = *h;
    mt_block_seal(&sealed, file + offset + sizeof sealed);
    memcpy(file + offset, &sealed, sizeof sealed);
}

static size_t read_file(const char *path, uint8_t **ret)
{
    enum { ROOM = 1 << 20 };
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *ret = malloc(ROOM);
    size_t bytes = fread(*ret, 1, ROOM, f);
    fclose(f);
    assert_true(bytes < ROOM);
    return bytes;
}

/* The packed file of a built trace. */
static size_t build_packed(struct builder *b, size_t events, uint8_t **ret)
{
    build(b, events);
    write_file(b);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_OK);
    return read_file(g_path, ret);
}

/* Sizes of columns that are not what is in the block: the block is refused with its reason, the rest is read. */
static void test_wrong_sizes_of_columns_are_refused(void **state)
{
    (void)state;
    struct builder b;
    uint8_t *file;
    size_t bytes = build_packed(&b, 2000, &file), refused = 0;
    struct mt_reader *r;
    size_t count;
    assert_int_equal(mt_reader_open_memory(file, bytes, &r, NULL), MT_OK);
    const struct mt_extent *e = mt_reader_extents(r, &count);
    for (size_t i = 0; i < count; i++) {
        if (e[i].codec != MT_CODEC_COLUMNS) {
            continue;
        }
        for (unsigned wrong = 0; wrong < 6; wrong++) {
            struct mt_block_header h;
            struct mt_trace *t;
            struct mt_payload p = { 0 };
            struct mt_wire_error error = { 0 };
            memcpy(&h, file + e[i].offset, sizeof h);
            struct mt_block_header good = h;
            uint32_t *field = wrong % 2 ? &h.raw_bytes : &h.column_bytes;
            *field = wrong / 2 == 0 ? *field - 1 : wrong / 2 == 1 ? *field + 1 : 0;
            reseal(file, &h, e[i].offset);
            assert_int_equal(mt_trace_open_memory(file, bytes, &t, NULL), MT_OK);
            size_t again;
            const struct mt_extent *changed = mt_reader_extents(mt_trace_reader(t), &again);
            assert_int_equal(again, count);
            assert_int_equal(mt_reader_load(mt_trace_reader(t), &changed[i], &p, &error), MT_E_CORRUPT);
            assert_non_null(error.text);
            assert_int_equal(p.bytes, 0);
            assert_int_equal(mt_trace_completeness(t)->metadata_broken, e[i].type == MT_BLOCK_META);
            mt_payload_fini(&p);
            mt_trace_close(t);
            reseal(file, &good, e[i].offset);
            refused++;
        }
    }
    assert_true(refused == 18);
    mt_reader_close(r);
    free(file);
    unlink(g_path);
    builder_fini(&b);
}

/* The header of a packed file is as short as its command line, and no shorter than it can be. */
static void test_short_headers(void **state)
{
    (void)state;
    struct builder b;
    uint8_t *file;
    size_t bytes = build_packed(&b, 50, &file);
    struct mt_trace_header h = { 0 };
    struct mt_reader *r;
    memcpy(&h, file, MT_TRACE_FIXED_BYTES);
    assert_int_equal(h.major, MT_TRACE_MAJOR);
    assert_int_equal(h.header_bytes, 576);
    assert_int_equal(mt_reader_open_memory(file, bytes, &r, NULL), MT_OK);
    assert_int_equal(mt_reader_header(r)->command_bytes, 7);
    assert_memory_equal(mt_reader_header(r)->command, "./a\0arg", 7);
    mt_reader_close(r);
    memcpy(file + offsetof(struct mt_trace_header, command_bytes), &(uint16_t){ 3000 }, 2); /* more than there is */
    assert_int_equal(mt_reader_open_memory(file, bytes, &r, NULL), MT_OK);
    assert_int_equal(mt_reader_header(r)->command_bytes, 576 - 514);
    assert_int_equal(mt_reader_report(r)->truncated_at, 0);
    mt_reader_close(r);
    static const uint32_t wrong[] = { 0, 64, 512, 577, 575, 640 + 32, UINT32_MAX & ~63u };
    for (size_t i = 0; i < MT_COUNTOF(wrong); i++) {
        memcpy(file + offsetof(struct mt_trace_header, header_bytes), &wrong[i], 4);
        assert_int_equal(mt_reader_open_memory(file, bytes, &r, NULL), MT_E_CORRUPT);
    }
    memcpy(file + offsetof(struct mt_trace_header, header_bytes), &(uint32_t){ 576 }, 4);
    memcpy(file + offsetof(struct mt_trace_header, major), &(uint16_t){ 1 }, 2); /* version 1 has a page */
    assert_int_equal(mt_reader_open_memory(file, bytes, &r, NULL), MT_E_CORRUPT);
    free(file);
    unlink(g_path);
    builder_fini(&b);
}

/* Stacks that compress further than a reader accepts: a recursion. */
static void test_repetitive_metadata_is_readable_after_packing(void **state)
{
    (void)state;
    struct builder b;
    struct mt_trace *t;
    uint8_t *file;
    builder_init(&b);
    for (uint32_t i = 0; i < 100000; i++) {
        builder_native(&b, i, 0x7F0000001000);
    }
    builder_finish(&b);
    write_file(&b);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_OK);
    assert_true(read_file(g_path, &file) < 100000);
    free(file);
    assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
    assert_false(mt_trace_completeness(t)->metadata_broken);
    assert_int_equal(mt_trace_native_count(t), 100001);
    assert_int_equal(mt_trace_native(t, 100000).parent, 99999);
    mt_trace_close(t);
    unlink(g_path);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_wrong_sizes_of_columns_are_refused),
    cmocka_unit_test(test_short_headers),
    cmocka_unit_test(test_repetitive_metadata_is_readable_after_packing),
};
MT_TEST_MAIN(tests)
