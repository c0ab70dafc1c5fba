/* What is asked, in SQLite's words. */
#include "sql/dialect.h"

#include "harness.h"

#include <string.h>

static void assert_translated(const char *asked, const char *expected)
{
    struct mt_sql_text text;
    mt_sql_text_init(&text, asked);
    mt_sql_translate(&text);
    assert_string_equal(text.text, expected);
    mt_sql_text_fini(&text);
}

static void test_having_without_group_is_a_filter_behind_the_window_functions(void **state)
{
    (void)state;
    assert_translated("SELECT a, LAG(b) OVER (PARTITION BY c) AS d FROM t WHERE b > 0 HAVING abs(d) > 50",
                      "SELECT * FROM (SELECT a, LAG(b) OVER (PARTITION BY c) AS d FROM t WHERE b > 0 ) WHERE ( abs(d) > 50\n) ");
}

static void test_having_with_group_or_aggregates_keeps_its_meaning(void **state)
{
    (void)state;
    const char *const kept[] = {
        "SELECT a, sum(b) FROM t GROUP BY a HAVING sum(b) > 1",
        "SELECT sum(b) FROM t HAVING sum(b) > 1",
        "SELECT 1 FROM t HAVING count(*) > 1",
        "SELECT a FROM t WHERE b IN (SELECT a FROM t GROUP BY a HAVING max(b) > 1)",
    };
    for (size_t i = 0; i < MT_COUNTOF(kept); i++) {
        assert_translated(kept[i], kept[i]);
    }
}

static void test_min_of_several_arguments_is_no_aggregate(void **state)
{
    (void)state;
    assert_translated("SELECT min(a, 1) AS m FROM t HAVING m > 0", "SELECT * FROM (SELECT min(a, 1) AS m FROM t ) WHERE ( m > 0\n) ");
}

static void test_qualify_takes_window_functions_and_columns_that_are_not_listed(void **state)
{
    (void)state;
    assert_translated("SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a) = 1 AND b > 2",
                      "SELECT * FROM (SELECT a, row_number() OVER (PARTITION BY a) AS memtap_filter_0, b AS memtap_filter_1 FROM t ) WHERE "
                      "( memtap_filter_0 = 1 AND memtap_filter_1 > 2\n) ");
    assert_translated("SELECT * FROM t QUALIFY b > 2", "SELECT * FROM (SELECT * FROM t ) WHERE ( b > 2\n) ");
}

static void test_a_filter_stands_before_order_limit_and_inside_brackets(void **state)
{
    (void)state;
    assert_translated("WITH x AS (SELECT a FROM t QUALIFY a > 1) SELECT a FROM x LIMIT 3",
                      "WITH x AS (SELECT * FROM (SELECT a FROM t ) WHERE ( a > 1\n) ) SELECT a FROM x LIMIT 3");
    assert_translated("SELECT a FROM t HAVING a > 1 -- why\nORDER BY a",
                      "SELECT * FROM (SELECT a FROM t ) WHERE ( a > 1\n) ORDER BY a NULLS LAST");
}

static void test_a_window_clause_stays_with_its_select(void **state)
{
    (void)state;
    assert_translated("SELECT sum(a) OVER w AS s FROM t QUALIFY s > 1 WINDOW w AS (PARTITION BY b)",
                      "SELECT * FROM (SELECT sum(a) OVER w AS s FROM t WINDOW w AS (PARTITION BY b)) WHERE ( s > 1\n) ");
}

static void test_every_order_says_where_nulls_are(void **state)
{
    (void)state;
    assert_translated("SELECT lag(a) OVER (ORDER BY b, c DESC ROWS 1 PRECEDING) FROM t ORDER BY (SELECT max(x) FROM u ORDER BY 1), d "
                      "NULLS FIRST LIMIT 2",
                      "SELECT lag(a) OVER (ORDER BY b NULLS LAST, c DESC NULLS FIRST ROWS 1 PRECEDING) FROM t ORDER BY (SELECT max(x) FROM u "
                      "ORDER BY 1 NULLS LAST) NULLS LAST, d NULLS FIRST LIMIT 2");
}

static void test_words_in_strings_comments_and_names_are_let_alone(void **state)
{
    (void)state;
    const char *const kept[] = {
        "SELECT 'x QUALIFY y ORDER BY z', \"order\" FROM t -- ORDER BY a\n",
        "SELECT [a b] /* HAVING 1 */ FROM t",
        "SELECT 'it''s HAVING' FROM t",
    };
    for (size_t i = 0; i < MT_COUNTOF(kept); i++) {
        assert_translated(kept[i], kept[i]);
    }
}

static void test_percentiles_and_statements_of_other_engines(void **state)
{
    (void)state;
    assert_translated("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a + 1) FROM t", "SELECT percentile_cont(a + 1, 0.5) FROM t");
    assert_translated("show tables", "SELECT table_schema, table_name, table_type, description FROM information_schema.tables");
    assert_translated("DESCRIBE memory.Sites",
                      "SELECT column_name, data_type, unit, description FROM information_schema.columns WHERE table_schema = lower('memory') "
                      "AND table_name = lower('Sites') ORDER BY table_schema NULLS LAST, ordinal_position NULLS LAST");
    assert_translated("EXPLAIN SELECT 1", "EXPLAIN QUERY PLAN SELECT 1");
    assert_translated("SELECT * FROM memory.between(1, 2)", "SELECT * FROM memory.\"between\"(1, 2)");
}

/* Whatever is written, it ends, and each byte of the result has its place in what was asked. */
static void test_anything_is_translated_and_knows_where_it_stood(void **state)
{
    static const char *const words[] = { "SELECT ", "a ", "FROM ", "t ", "HAVING ", "QUALIFY ", "(", ")", ", ", "ORDER BY ", "OVER ", "* ",
                                         "'", "\"", "-- ", "\n", "/*", "min(", "WITHIN GROUP (", ".", "WINDOW w AS ", "DISTINCT " };
    unsigned random = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char asked[200] = "";
        for (int i = 0; i < 14; i++) {
            random = random * 1103515245u + 12345u;
            strcat(asked, words[(random >> 16) % MT_COUNTOF(words)]);
        }
        struct mt_sql_text text;
        mt_sql_text_init(&text, asked);
        mt_sql_translate(&text);
        assert_int_equal(text.bytes, strlen(text.text));
        for (size_t i = 0; i <= text.bytes; i++) {
            assert_true(text.origin[i] <= strlen(asked));
        }
        mt_sql_text_fini(&text);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_having_without_group_is_a_filter_behind_the_window_functions),
    cmocka_unit_test(test_having_with_group_or_aggregates_keeps_its_meaning),
    cmocka_unit_test(test_min_of_several_arguments_is_no_aggregate),
    cmocka_unit_test(test_qualify_takes_window_functions_and_columns_that_are_not_listed),
    cmocka_unit_test(test_a_filter_stands_before_order_limit_and_inside_brackets),
    cmocka_unit_test(test_a_window_clause_stays_with_its_select),
    cmocka_unit_test(test_every_order_says_where_nulls_are),
    cmocka_unit_test(test_words_in_strings_comments_and_names_are_let_alone),
    cmocka_unit_test(test_percentiles_and_statements_of_other_engines),
    cmocka_unit_test(test_anything_is_translated_and_knows_where_it_stood),
};

MT_TEST_MAIN(tests)
