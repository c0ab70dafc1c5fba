/* test_meta_columns.c: metadata becomes columns and the same records again; whatever else is given is refused without a
 * byte read or written outside (buffers are exact, so AddressSanitizer sees it). */
#include "harness.h"

#include "model/builder.h"
#include "wire/meta_columns.h"

/* Records of every kind, with numbers as writers make them and as none would. */
static void random_records(struct builder *b, uint64_t *seed, size_t count)
{
    static const char letters[] = "abcdefgh/ijkl.py";
    uint32_t natives = 1 + (uint32_t)(builder_random(seed) % 50), pythons = 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = builder_random(seed), values[9];
        bool odd = (r >> 32) % 16 == 0;
        for (size_t k = 0; k < MT_COUNTOF(values); k++) {
            values[k] = odd ? builder_random(seed) >> (builder_random(seed) & 63) : builder_random(seed) % natives;
        }
        switch (r % 8) {
        case 0:
            builder_record(b, MT_META_STRING, letters, (r >> 8) % sizeof letters);
            break;
        case 1:
            builder_code(b, (uint32_t)i, 1, 2, 3, (uint32_t)(r >> 40));
            break;
        case 2:
            builder_python(b, odd ? (uint32_t)(r >> 20) : (uint32_t)(r >> 20) % pythons++, (uint32_t)(r >> 44) % 30,
                           odd ? (int64_t)values[0] : (int64_t)(r >> 50) - 1, (unsigned)(r >> 60));
            break;
        case 3:
            values[2] = (r >> 8) % 7;
            builder_numbers(b, MT_META_STACK, values, odd ? 1 + (r >> 12) % 9 : 3 + values[2]);
            break;
        case 4:
            builder_record(b, (enum mt_meta_tag)(9 + (r >> 8) % 119), &values[1], (r >> 16) % 9); /* also to come */
            break;
        default:
            builder_numbers(b, MT_META_NATIVE_NODE,
                            (const uint64_t[]){ odd ? values[0] : natives - 1 - (r >> 8) % natives % 3,
                                                odd ? values[1] : 0x7F0000000000 + 16 * ((r >> 16) % 40), 7 },
                            odd ? 1 + (r >> 50) % 3 : 2);
            natives++;
        }
    }
}

static uint8_t *exact(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
    memcpy(copy, data, bytes);
    return copy;
}

static void test_columns_make_the_records_again(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 400; round++) {
        struct builder b;
        struct mt_meta_count count = { (uint32_t)builder_random(&seed), 5 };
        uint8_t *columns;
        size_t bytes, row_bytes;
        builder_init(&b);
        random_records(&b, &seed, 1 + builder_random(&seed) % 300);
        assert_int_equal(mt_meta_columns_split(b.meta, b.meta_bytes, &count, &columns, &bytes, &row_bytes), MT_OK);
        assert_int_equal(row_bytes, b.meta_bytes);
        uint8_t *again = malloc(row_bytes);
        assert_int_equal(mt_meta_columns_join(columns, bytes, again, row_bytes), MT_OK);
        assert_memory_equal(again, b.meta, row_bytes);
        assert_int_equal(mt_meta_columns_join(columns, bytes, again, row_bytes - 1), MT_E_CORRUPT);
        free(again);
        free(columns);
        builder_fini(&b);
    }
}

static void test_nodes_are_counted_over_blocks(void **state)
{
    (void)state;
    struct builder b;
    struct mt_meta_count count = { 0, 0 };
    uint8_t *columns;
    size_t bytes[2], row_bytes;
    builder_init(&b);
    for (uint32_t i = 0; i < 5000; i++) {
        builder_native(&b, i, 0x1000 + i % 7);
        builder_python(&b, i, 1, 4, 0);
    }
    size_t half = b.meta_bytes / 2;
    for (size_t at = 0; at < half;) { /* the end of a record near the middle */
        struct mt_bytes rest = mt_bytes_of(b.meta + at, b.meta_bytes - at), payload;
        uint8_t tag;
        assert_true(mt_bytes_record(&rest, &tag, &payload));
        at = (size_t)(rest.at - b.meta);
        half = at >= half ? at : half;
    }
    assert_int_equal(mt_meta_columns_split(b.meta, half, &count, &columns, &bytes[0], &row_bytes), MT_OK);
    free(columns);
    assert_true(count.native >= 2000 && count.python >= 2000);
    assert_true(bytes[0] < half);
    mt_status second = mt_meta_columns_split(b.meta + half, b.meta_bytes - half, &count, &columns, &bytes[1], &row_bytes);
    assert_int_equal(second, MT_OK);
    assert_int_equal(count.native, 5000);
    assert_int_equal(count.python, 5000);
    assert_true(bytes[1] <= bytes[0] + 100); /* parents are a step away there, too */
    free(columns);
    builder_fini(&b);
}

/* A length that takes a byte more than it must comes out in the shortest form; a number keeps its own. */
static void test_lengths_come_out_shortest(void **state)
{
    (void)state;
    const uint8_t rows[] = { MT_META_NATIVE_NODE, 0x83, 0, 0x80, 0, 9, MT_META_STRING, 0x81, 0, 'a' };
    const uint8_t want[] = { MT_META_NATIVE_NODE, 3, 0x80, 0, 9, MT_META_STRING, 1, 'a' };
    struct mt_meta_count count = { 0, 0 };
    uint8_t *columns, again[sizeof want];
    size_t bytes, row_bytes;
    assert_int_equal(mt_meta_columns_split(rows, sizeof rows, &count, &columns, &bytes, &row_bytes), MT_OK);
    assert_int_equal(row_bytes, sizeof want);
    assert_int_equal(mt_meta_columns_join(columns, bytes, again, row_bytes), MT_OK);
    assert_memory_equal(again, want, sizeof want);
    assert_int_equal(count.native, 1);
    free(columns);
}

/* A stack that claims more anchors than it has, or than there can be, is kept whole. */
static void test_impossible_stacks_are_kept_whole(void **state)
{
    (void)state;
    static const uint64_t claims[] = { 1, 4097, (uint64_t)1 << 60 };
    for (size_t i = 0; i < MT_COUNTOF(claims); i++) {
        struct builder b;
        struct mt_meta_count count = { 9, 9 };
        uint8_t *columns, again[32];
        size_t bytes, row_bytes;
        builder_init(&b);
        builder_numbers(&b, MT_META_STACK, (const uint64_t[]){ 1, 2, claims[i] }, 3);
        assert_int_equal(mt_meta_columns_split(b.meta, b.meta_bytes, &count, &columns, &bytes, &row_bytes), MT_OK);
        assert_int_equal(mt_meta_columns_join(columns, bytes, again, row_bytes), MT_OK);
        assert_memory_equal(again, b.meta, b.meta_bytes);
        free(columns);
        builder_fini(&b);
    }
}

static void test_what_is_no_metadata_is_refused(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct builder b;
    uint8_t *columns;
    size_t bytes, row_bytes, refused = 0;
    builder_init(&b);
    random_records(&b, &seed, 40);
    for (size_t cut = 1; cut < b.meta_bytes; cut++) {
        struct mt_meta_count count = { 7, 8 };
        uint8_t *rows = exact(b.meta, cut);
        mt_status status = mt_meta_columns_split(rows, cut, &count, &columns, &bytes, &row_bytes);
        assert_true(status == MT_OK || (status == MT_E_CORRUPT && columns == NULL && count.native == 7));
        refused += status != MT_OK;
        free(columns);
        free(rows);
    }
    assert_true(refused > b.meta_bytes / 2);
    const uint8_t high[] = { 0x80 | MT_META_STRING, 1, 'a' };
    struct mt_meta_count count = { 0, 0 };
    assert_int_equal(mt_meta_columns_split(high, sizeof high, &count, &columns, &bytes, &row_bytes), MT_E_CORRUPT);
    builder_fini(&b);
}

static void test_any_columns_are_joined_or_refused(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    size_t joined = 0, refused = 0;
    for (int round = 0; round < 10000; round++) {
        struct builder b;
        struct mt_meta_count count = { 0, 0 };
        uint8_t *columns;
        size_t bytes, row_bytes;
        builder_init(&b);
        random_records(&b, &seed, 1 + builder_random(&seed) % 30);
        assert_int_equal(mt_meta_columns_split(b.meta, b.meta_bytes, &count, &columns, &bytes, &row_bytes), MT_OK);
        for (uint64_t n = 1 + builder_random(&seed) % 3; n > 0; n--) {
            bool head = builder_random(&seed) % 4 == 0;
            size_t from = head ? 0 : MT_META_COLUMNS_HEAD_BYTES, most = head ? MT_META_COLUMNS_HEAD_BYTES : bytes;
            columns[from + builder_random(&seed) % (most - from)] = (uint8_t)builder_random(&seed);
        }
        uint8_t *copy = exact(columns, bytes), *again = malloc(row_bytes);
        bool good = mt_meta_columns_join(copy, bytes, again, row_bytes) == MT_OK;
        joined += good;
        refused += !good;
        size_t cut = builder_random(&seed) % bytes;
        uint8_t *part = exact(columns, cut);
        assert_int_equal(mt_meta_columns_join(part, cut, again, row_bytes), MT_E_CORRUPT);
        free(part);
        free(again);
        free(copy);
        free(columns);
        builder_fini(&b);
    }
    assert_true(joined > 500 && refused > 500);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_columns_make_the_records_again),
    cmocka_unit_test(test_nodes_are_counted_over_blocks),
    cmocka_unit_test(test_lengths_come_out_shortest),
    cmocka_unit_test(test_impossible_stacks_are_kept_whole),
    cmocka_unit_test(test_what_is_no_metadata_is_refused),
    cmocka_unit_test(test_any_columns_are_joined_or_refused),
};
MT_TEST_MAIN(tests)
