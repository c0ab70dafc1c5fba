/* test_growth.c: which places grow from one snapshot of the monitor to the next, and which are suspected. */
#include "harness.h"

#include "serve/monitor.h"
#include "util/json_read.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdlib.h>
#include <string.h>

static const double MIB = 1048576.0;
static struct mt_monitor *g_monitor; /* too large for a stack */

static int make_monitor(void **state)
{
    (void)state;
    g_monitor = mt_alloc_zero(1, sizeof *g_monitor);
    return 0;
}

static int free_monitor(void **state)
{
    (void)state;
    for (size_t i = 0; i < g_monitor->snapshot_count; i++) {
        for (size_t j = 0; j < g_monitor->snapshots[i].place_count; j++) {
            free(g_monitor->snapshots[i].places[j].file);
        }
        free(g_monitor->snapshots[i].places);
    }
    free(g_monitor);
    return 0;
}

/* One more snapshot: sizes in MiB of the lines 1, 2, 3 of app.py; negative: the line is not in it. */
static void add(const double mib[3])
{
    struct mt_memory_snapshot *snapshot = &g_monitor->snapshots[g_monitor->snapshot_count++];
    snapshot->places = mt_alloc_zero(3, sizeof *snapshot->places);
    for (uint64_t line = 1; line <= 3; line++) {
        if (mib[line - 1] >= 0) {
            snapshot->places[snapshot->place_count++] = (struct mt_place_seen){ mt_strdup("app.py"), line, mib[line - 1] * MIB, 1 };
        }
    }
}

static struct mt_json_value *growth(bool suspects_alone)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    struct mt_json_value *read = NULL;
    size_t bytes;
    mt_json_init(&json, out, 0);
    mt_monitor_put_growth(&json, g_monitor, suspects_alone);
    const char *text = mt_out_text(out, &bytes);
    assert_int_equal(mt_json_read(text, bytes, &read, NULL), MT_OK);
    mt_out_discard(out);
    return read;
}

/* The lines of growth's places, as digits in their order. */
static void assert_lines(bool suspects_alone, const char *expected)
{
    struct mt_json_value *read = growth(suspects_alone);
    char lines[8] = "";
    for (const struct mt_json_value *at = read->first; at != NULL; at = at->next) {
        size_t length = strlen(lines);
        lines[length] = (char)('0' + (int)mt_json_member(at, "line")->number);
        lines[length + 1] = '\0';
    }
    mt_json_value_free(read);
    assert_string_equal(lines, expected);
}

static void test_what_grew_in_every_snapshot_is_suspected_and_what_shrank_is_not(void **state)
{
    (void)state;
    add((const double[]){ 10, 50, 5 });
    add((const double[]){ 20, 60, 5 });
    add((const double[]){ 30, 55, 5 });
    add((const double[]){ 40, 70, 5 });
    assert_lines(true, "1");
    assert_lines(false, "123"); /* what grew most first */
    struct mt_json_value *read = growth(true);
    assert_true(mt_json_member(read->first, "delta_mb")->number == 30 && mt_json_member(read->first, "first_mb")->number == 10);
    assert_true(mt_json_member(read->first, "snapshots_present")->number == 4 && mt_json_member(read->first, "monotonic")->truth);
    assert_string_equal(mt_json_member(read->first, "file")->text, "app.py:1");
    mt_json_value_free(read);
}

static void test_two_snapshots_suspect_nobody(void **state)
{
    (void)state;
    assert_lines(true, "");
    assert_lines(false, "");
    add((const double[]){ 1, 1, 1 });
    assert_lines(false, "");
    add((const double[]){ 2, 1, 1 });
    assert_lines(true, "");
    add((const double[]){ 3, 1, 1 });
    assert_lines(true, "1");
}

static void test_what_is_gone_is_no_leak_and_what_comes_later_may_be(void **state)
{
    (void)state;
    add((const double[]){ 1, -1, 1 });
    add((const double[]){ 2, 1, 2 });
    add((const double[]){ 3, 2, 3 });
    add((const double[]){ -1, 3, 2 });
    assert_lines(true, "2");
}

static void test_all_kept_snapshots_are_compared(void **state)
{
    (void)state;
    for (int i = 0; i < MT_SNAPSHOTS_KEPT; i++) {
        add((const double[]){ i + 1, 1, 1 });
    }
    assert_lines(true, "1");
    struct mt_json_value *read = growth(true);
    assert_true(mt_json_member(read->first, "snapshots_present")->number == MT_SNAPSHOTS_KEPT);
    assert_true(mt_json_member(read->first, "last_mb")->number == MT_SNAPSHOTS_KEPT);
    mt_json_value_free(read);
}

#define ON_MONITOR(test) cmocka_unit_test_setup_teardown(test, make_monitor, free_monitor)
static const struct CMUnitTest tests[] = {
    ON_MONITOR(test_what_grew_in_every_snapshot_is_suspected_and_what_shrank_is_not),
    ON_MONITOR(test_two_snapshots_suspect_nobody),
    ON_MONITOR(test_what_is_gone_is_no_leak_and_what_comes_later_may_be),
    ON_MONITOR(test_all_kept_snapshots_are_compared),
};
MT_TEST_MAIN(tests)
