/* Rows of one group come one after the other, and stay in order within it. */
#include "sql/grouped.h"

#include "harness.h"

#include <string.h>

struct row {
    uint64_t number;
    double share;
    const char *text;
};

static const struct mt_column g_columns[] = {
    { "number", MT_COLUMN_U64, "", offsetof(struct row, number), 0, "" },
    { "share", MT_COLUMN_F64, "", offsetof(struct row, share), 0, "" },
    { "text", MT_COLUMN_TEXT, "", offsetof(struct row, text), 0, "" },
};
static const struct mt_table g_table = { "t", "", g_columns, MT_COUNTOF(g_columns), sizeof(struct row) };

static bool equal_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_group(const struct row *a, const struct row *b)
{
    bool same_share = a->share == b->share || (isnan(a->share) && isnan(b->share));
    return a->number == b->number && same_share && equal_texts(a->text, b->text);
}

static void test_groups_are_together_whatever_the_address_of_a_text(void **state)
{
    enum { ROWS = 3000, FIRST = 7 };
    static const double shares[] = { 0.0, -0.0, 1.5, (double)NAN, -(double)NAN };
    static const char one[] = "x", two[] = "x", empty[] = "", other[] = "y";
    static const char *const texts[] = { one, two, empty, NULL, other };
    static struct row rows[FIRST + ROWS];
    static const int columns[] = { 2, 1, 0 };
    unsigned random = 1;
    (void)state;
    for (int i = 0; i < FIRST + ROWS; i++) {
        random = random * 1103515245u + 12345u;
        rows[i] = (struct row){ random >> 16 & 3, shares[(random >> 18) % 5], texts[(random >> 24) % 5] };
    }
    uint32_t *order = mt_sql_group(&g_table, rows, FIRST, ROWS, columns, 3);
    bool seen[FIRST + ROWS] = { false };
    for (int i = 0; i < ROWS; i++) {
        assert_true(order[i] >= FIRST && order[i] < FIRST + ROWS && !seen[order[i]]);
        seen[order[i]] = true;
        if (i > 0 && is_same_group(&rows[order[i - 1]], &rows[order[i]])) {
            assert_true(order[i - 1] < order[i]);
        }
    }
    int groups = 1;
    for (int i = 1; i < ROWS; i++) {
        groups += !is_same_group(&rows[order[i - 1]], &rows[order[i]]);
    }
    assert_int_equal(groups, 4 * 3 * 4); /* 0 and -0 are one, so are both NaNs, and both "x" */
    free(order);
}

static void test_nothing_is_no_group(void **state)
{
    static const int columns[] = { 0 };
    (void)state;
    free(mt_sql_group(&g_table, NULL, 0, 0, columns, 1));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_groups_are_together_whatever_the_address_of_a_text),
    cmocka_unit_test(test_nothing_is_no_group),
};

MT_TEST_MAIN(tests)
