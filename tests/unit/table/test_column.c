/* What is said of columns once is what every face shows. */
#include "table/tables.h"

#include "harness.h"

#include "util/out.h"

#include <string.h>

struct row {
    uint64_t bytes;
    int64_t delta;
    double share;
    const char *name;
    double share_ci95;
};

static const struct mt_column g_columns[] = {
    { "bytes", MT_COLUMN_U64, "bytes", offsetof(struct row, bytes), 0, "" },
    { "delta", MT_COLUMN_S64, "", offsetof(struct row, delta), 0, "" },
    { "share", MT_COLUMN_F64, "", offsetof(struct row, share), 0, "" },
    { "name", MT_COLUMN_TEXT, "", offsetof(struct row, name), 0, "" },
    { "share_ci95", MT_COLUMN_F64, "", offsetof(struct row, share_ci95), MT_COLUMN_OPTIONAL, "" },
};
static const struct mt_table g_table = { "t", "", g_columns, MT_COUNTOF(g_columns), sizeof(struct row) };
static const struct row g_rows[] = {
    { 1, -2, 0.5, "a,\x1b[2J", 0.25 },
    { MT_NULL_U64, MT_NULL_S64, (double)NAN, NULL, (double)NAN },
};

static void assert_written(void (*write)(struct mt_out *, const struct mt_rows *), const char *expected)
{
    struct mt_rows rows = { &g_table, g_rows, MT_COUNTOF(g_rows) };
    struct mt_out *out = mt_out_open_memory();
    write(out, &rows);
    assert_string_equal(mt_out_text(out, NULL), expected);
    mt_out_discard(out);
}

static void test_unknown_values_are_null_in_json_and_optional_ones_are_left_out(void **state)
{
    (void)state;
    assert_written(mt_rows_ndjson, "{\"bytes\": 1, \"delta\": -2, \"share\": 0.5, \"name\": \"a,\\u001b[2J\", \"share_ci95\": 0.25}\n"
                                   "{\"bytes\": null, \"delta\": null, \"share\": null, \"name\": null}\n");
}

static void test_rows_of_csv_have_every_column_and_text_is_clean(void **state)
{
    (void)state;
    assert_written(mt_rows_csv, "bytes,delta,share,name,share_ci95\r\n1,-2,0.5,\"a,\\x1b[2J\",0.25\r\n,,,,\r\n");
}

static void test_pairs_of_csv_are_those_of_json(void **state)
{
    (void)state;
    struct mt_out *out = mt_out_open_memory();
    mt_table_csv_pairs(out, &g_table, &g_rows[1]);
    assert_string_equal(mt_out_text(out, NULL), "bytes,\r\ndelta,\r\nshare,\r\nname,\r\n");
    mt_out_discard(out);
}

/* A column's place is its member's, its sentence stands alone, and no name comes twice. */
static void check_table(const struct mt_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct mt_column *column = &table->columns[i];
        assert_int_equal(column->offset, 8 * i);
        assert_true(strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", column->about[0]) != NULL);
        assert_true(column->about[strlen(column->about) - 1] != '.');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(table->columns[j].name, column->name);
        }
    }
    assert_int_equal(table->row_bytes, 8 * table->column_count);
}

static void test_every_table_describes_its_columns(void **state)
{
    (void)state;
#define MT_TABLE(id, name, about) check_table(mt_table_##id());
#define MT_COLUMN(type, member, unit, about)
#define MT_TABLE_END(id)
#include "table/tables.def"
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unknown_values_are_null_in_json_and_optional_ones_are_left_out),
    cmocka_unit_test(test_rows_of_csv_have_every_column_and_text_is_clean),
    cmocka_unit_test(test_pairs_of_csv_are_those_of_json),
    cmocka_unit_test(test_every_table_describes_its_columns),
};

MT_TEST_MAIN(tests)
