/* test_pack_lines.c: a line table cut down to some instructions gives the same line for each of them, whatever the
 * tables' kind and bytes; through a whole pack too. */
#include "harness.h"

#include "model/builder.h"
#include "model/trace.h"
#include "symbol/pyline.h"
#include "wire/pack_lines.h"

#include <unistd.h>

enum { ROOM = 4096 };

/* The payload of a CODE record. */
static size_t code_record(uint8_t *to, uint32_t number, uint32_t first_line, uint32_t kind, const uint8_t *table, size_t bytes)
{
    struct mt_meta_builder m;
    mt_meta_begin(&m, to, ROOM);
    mt_meta_u64(&m, number);
    mt_meta_u64(&m, 1);
    mt_meta_u64(&m, 2);
    mt_meta_u64(&m, 0);
    mt_meta_u64(&m, first_line);
    mt_meta_u64(&m, kind);
    mt_meta_bytes(&m, table, bytes);
    assert_false(m.overflow);
    return m.bytes;
}

static void use(struct mt_used_lines *u, uint32_t code, int64_t lasti)
{
    uint8_t node[64];
    struct mt_meta_builder m;
    mt_meta_begin(&m, node, sizeof node);
    mt_meta_u64(&m, 0);
    mt_meta_u64(&m, code);
    mt_meta_s64(&m, lasti);
    mt_meta_u8(&m, 0);
    assert_true(mt_used_lines_add(u, mt_bytes_of(node, m.bytes)));
}

/* The line of an instruction by a CODE payload. */
static uint32_t line_in(const uint8_t *record, size_t bytes, int64_t lasti)
{
    struct mt_bytes b = mt_bytes_of(record, bytes);
    for (int names = 0; names < 4; names++) {
        (void)mt_bytes_u32(&b);
    }
    uint32_t first_line = mt_bytes_u32(&b);
    uint32_t kind = mt_bytes_u32(&b);
    assert_false(b.bad);
    return mt_pyline_lookup(kind, b.at, (size_t)(b.end - b.at), first_line, lasti);
}

static size_t random_table(uint64_t *seed, uint8_t *table)
{
    size_t bytes = builder_random(seed) % 1000;
    for (size_t i = 0; i < bytes; i++) {
        uint64_t r = builder_random(seed);
        table[i] = (uint8_t)(r % 4 ? (r >> 8) % 6 : r >> 8); /* mostly short steps, as in real tables */
    }
    return bytes;
}

static void test_used_instructions_keep_their_lines(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    size_t reduced_count = 0;
    for (int round = 0; round < 3000; round++) {
        uint8_t table[1000], record[ROOM], out[ROOM];
        uint32_t kind = (uint32_t)(builder_random(&seed) % 5), first = (uint32_t)(builder_random(&seed) % 3000);
        int64_t used[600];
        size_t count = builder_random(&seed) % (round % 20 == 0 ? 600 : 40);
        struct mt_used_lines u = { 0 };
        first = round % 50 == 0 ? UINT32_MAX - first : first;
        size_t bytes = code_record(record, 7, first, kind, table, random_table(&seed, table));
        for (size_t i = 0; i < count; i++) {
            uint64_t r = builder_random(&seed);
            used[i] = (int64_t)(r % 3 ? r >> 8 & 511 : r >> 8 & 0xFFFF) - 1;
            use(&u, 7, used[i]);
            use(&u, 6 + 2 * (uint32_t)(r % 2), used[i] + 1); /* another code object's */
        }
        mt_used_lines_settle(&u);
        size_t reduced = mt_used_lines_reduce(&u, mt_pyline_lookup_all, mt_bytes_of(record, bytes), out);
        assert_true(reduced <= bytes);
        for (size_t i = 0; i < count && reduced > 0; i++) {
            assert_int_equal(line_in(out, reduced, used[i]), line_in(record, bytes, used[i]));
        }
        reduced_count += reduced > 0;
        mt_used_lines_fini(&u);
    }
    assert_true(reduced_count > 1000);
}

static void test_a_table_nobody_asks_becomes_empty(void **state)
{
    (void)state;
    uint8_t table[100] = { 2, 1 }, record[ROOM], out[ROOM];
    struct mt_used_lines u = { 0 };
    use(&u, 8, 4);
    use(&u, 7, -1);
    mt_used_lines_settle(&u);
    size_t bytes = code_record(record, 7, 30, MT_LINETABLE_LNOTAB, table, sizeof table);
    assert_int_equal(mt_used_lines_reduce(&u, mt_pyline_lookup_all, mt_bytes_of(record, bytes), out), bytes - sizeof table);
    assert_int_equal(line_in(out, bytes - sizeof table, -1), 30);
    mt_used_lines_fini(&u);
}

static void test_records_that_are_none_stay(void **state)
{
    (void)state;
    uint8_t table[100] = { 2, 1, 2, 1 }, record[ROOM], out[ROOM];
    struct mt_used_lines u = { 0 };
    size_t bytes = code_record(record, 7, 30, MT_LINETABLE_310, table, sizeof table);
    size_t fixed = bytes - sizeof table;
    for (size_t cut = 0; cut < fixed; cut++) {
        assert_int_equal(mt_used_lines_reduce(&u, mt_pyline_lookup_all, mt_bytes_of(record, cut), out), 0);
    }
    memset(record, 0xFF, 12); /* a number beyond 32 bits */
    assert_int_equal(mt_used_lines_reduce(&u, mt_pyline_lookup_all, mt_bytes_of(record, bytes), out), 0);
    uint8_t node[3] = { 0x80, 0x80, 0x80 };
    assert_true(mt_used_lines_add(&u, mt_bytes_of(node, sizeof node)));
    assert_int_equal(u.count, 0);
    mt_used_lines_fini(&u);
}

/* Repetitions do not make the list grow. */
static void test_a_million_nodes_of_few_instructions(void **state)
{
    (void)state;
    struct mt_used_lines u = { 0 };
    for (uint32_t i = 0; i < 1000000; i++) {
        use(&u, 1 + i % 3, i % 100);
    }
    assert_true(u.capacity <= 16 * 1024);
    mt_used_lines_settle(&u);
    assert_int_equal(u.count, 300);
    mt_used_lines_fini(&u);
}

static void write_file(const char *path, const struct builder *b)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->file, 1, b->file_bytes, f), b->file_bytes);
    fclose(f);
}

static void test_packing_keeps_the_lines_of_every_node(void **state)
{
    (void)state;
    char path[64];
    uint8_t record[ROOM], table[600];
    struct builder b;
    struct mt_trace *before, *after;
    uint64_t seed = builder_seed();
    builder_init(&b);
    builder_string(&b, "app.py");
    builder_string(&b, "f");
    for (uint32_t code = 1; code <= 20; code++) {
        for (size_t i = 0; i < sizeof table; i++) {
            table[i] = (uint8_t)(builder_random(&seed) % 8);
        }
        builder_record(&b, MT_META_CODE, record, code_record(record, code, 10 * code, 1 + code % 3, table, sizeof table));
        builder_python(&b, 0, code, (int64_t)(builder_random(&seed) % 900), 0);
        builder_python(&b, code, code, (int64_t)(builder_random(&seed) % 900), 0);
    }
    builder_finish(&b);
    (void)snprintf(path, sizeof path, "/tmp/memtap-lines-%d.mtap", (int)getpid());
    write_file(path, &b);
    struct mt_pack_options options = { .lines_of = mt_pyline_lookup_all };
    assert_int_equal(mt_pack(path, NULL, &options, NULL, NULL), MT_OK);
    assert_int_equal(mt_pack(path, path, &options, NULL, NULL), MT_OK); /* again */
    assert_int_equal(mt_trace_open_memory(b.file, b.file_bytes, &before, NULL), MT_OK);
    assert_int_equal(mt_trace_open(path, &after, NULL), MT_OK);
    assert_int_equal(mt_trace_python_count(after), 41);
    size_t kept = 0;
    for (uint32_t i = 1; i <= 40; i++) {
        struct mt_python_node node = mt_trace_python(after, i);
        struct mt_trace_code x = mt_trace_code(before, node.code), y = mt_trace_code(after, node.code);
        assert_int_equal(mt_pyline_lookup(x.linetable_kind, x.linetable, x.linetable_bytes, x.first_line, node.lasti),
                         mt_pyline_lookup(y.linetable_kind, y.linetable, y.linetable_bytes, y.first_line, node.lasti));
        kept += y.linetable_bytes;
    }
    assert_true(kept < 2000); /* of 24,000 */
    mt_trace_close(before);
    mt_trace_close(after);
    unlink(path);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_used_instructions_keep_their_lines),
    cmocka_unit_test(test_a_table_nobody_asks_becomes_empty),
    cmocka_unit_test(test_records_that_are_none_stay),
    cmocka_unit_test(test_a_million_nodes_of_few_instructions),
    cmocka_unit_test(test_packing_keeps_the_lines_of_every_node),
};
MT_TEST_MAIN(tests)
