/* test_past.c: what changed since the mark, and how fast. */
#include "harness.h"

#include "top/past.h"
#include "top/process.h"
#include "util/memory.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t S = 1000000000;

struct seen {
    const char *key;
    uint64_t bytes;
    double since_mark, rate;
};

/* A look that finds these; since_mark and rate come back. */
static void look_at(struct mt_top_past *past, uint64_t now_s, struct seen *seen, size_t count)
{
    struct mt_top_look look = { 0 };
    look.sites = mt_alloc_zero(count, sizeof *look.sites);
    for (size_t i = 0; i < count; i++) {
        look.sites[i] = (struct mt_top_site){ .key = mt_strdup(seen[i].key), .line = mt_strdup(""), .by = mt_strdup(""),
                                              .bytes = seen[i].bytes, .rate_bytes_per_s = 77 };
    }
    look.site_count = count;
    mt_top_past_add(past, &look, now_s * S);
    for (size_t i = 0; i < count; i++) {
        seen[i].since_mark = look.sites[i].since_mark_bytes;
        seen[i].rate = look.sites[i].rate_bytes_per_s;
    }
    mt_top_look_fini(&look);
}

static void test_changes_are_since_the_first_look_until_a_mark_is_set(void **state)
{
    (void)state;
    struct mt_top_past *past = mt_top_past_new();
    struct seen one[] = { { .key = "a", .bytes = 100 } };
    look_at(past, 100, one, 1);
    assert_true(one[0].since_mark == 0 && one[0].rate == 77);
    struct seen two[] = { { .key = "b", .bytes = 50 }, { .key = "a", .bytes = 130 } };
    look_at(past, 102, two, 2);
    assert_true(two[1].since_mark == 30 && two[1].rate == 15);
    assert_true(two[0].since_mark == 50 && two[0].rate == 25); /* it held nothing before */
    mt_top_past_mark(past, 102 * S);
    struct seen three[] = { { .key = "a", .bytes = 110 } };
    look_at(past, 103, three, 1);
    assert_true(three[0].since_mark == -20);
    struct seen four[] = { { .key = "b", .bytes = 10 } };
    look_at(past, 104, four, 1);
    assert_true(four[0].since_mark == -40);
    mt_top_past_unmark(past);
    look_at(past, 105, four, 1);
    assert_true(isnan(four[0].since_mark));
    mt_top_past_free(past);
}

static void test_a_rate_is_of_the_last_ten_seconds(void **state)
{
    (void)state;
    struct mt_top_ring ring = { 0 };
    assert_true(mt_top_ring_rate(&ring, -1) == -1);
    for (uint64_t second = 1; second <= 60; second++) { /* a thousand a second, then nothing */
        mt_top_ring_add(&ring, second * S, (double)(second < 30 ? second : 30) * 1000);
        double rate = mt_top_ring_rate(&ring, -1);
        if (second > 1 && second <= 30) {
            assert_true(rate == 1000);
        }
        if (second > 42) {
            assert_true(rate == 0);
        }
    }
}

static void test_many_looks_a_second_do_not_shorten_what_a_rate_is_of(void **state)
{
    (void)state;
    struct mt_top_ring ring = { 0 };
    for (uint64_t i = 0; i <= 1000; i++) { /* ten looks a second, growth in the last second alone */
        mt_top_ring_add(&ring, S + i * (S / 10), i > 990 ? (double)(i - 990) * 1000 : 0);
    }
    double rate = mt_top_ring_rate(&ring, -1);
    assert_true(rate >= 900 && rate <= 1112); /* 10,000 over 9 to 11 s */
}

static void test_fields_of_a_status_are_found_by_their_whole_name(void **state)
{
    (void)state;
    static const char text[] = "Name:\tx\nVmRSSX:\t1 kB\nVmRSS:\t   2048 kB\nThreads:\t3\n";
    assert_int_equal(mt_top_field(text, "VmRSS"), 2048);
    assert_int_equal(mt_top_field(text, "Threads"), 3);
    assert_true(mt_top_field(text, "Vm") == MT_TOP_UNKNOWN);
    assert_true(mt_top_field("", "Vm") == MT_TOP_UNKNOWN);
}

static void test_this_process_is_seen_as_it_is(void **state)
{
    (void)state;
    struct mt_top_process process;
    mt_top_process_read((uint64_t)getpid(), &process);
    assert_true(process.alive);
    assert_int_equal(process.threads, 1);
    assert_true(process.rss_bytes != MT_TOP_UNKNOWN && process.anonymous_bytes < process.rss_bytes);
    mt_top_process_read(UINT64_C(1) << 40, &process);
    assert_false(process.alive);
    assert_true(process.rss_bytes == MT_TOP_UNKNOWN);
}

static void put(const char *folder, const char *name, const char *text)
{
    char *path = mt_format("%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    free(path);
}

static void make(const char *root, const char *folder)
{
    char *path = mt_format("%s/%s", root, folder);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void assert_limit(const char *groups, const char *root, uint64_t limit, uint64_t charged)
{
    struct mt_top_process process = { .limit_bytes = MT_TOP_UNKNOWN, .charged_bytes = MT_TOP_UNKNOWN };
    mt_top_limits_read(groups, root, &process);
    assert_true(process.limit_bytes == limit && process.charged_bytes == charged);
}

static void test_the_tightest_group_around_a_process_limits_it(void **state)
{
    (void)state;
    char root[] = "/tmp/memtap-groups-XXXXXX";
    assert_non_null(mkdtemp(root));
    make(root, "a");
    make(root, "a/b");
    make(root, "a/b/c");
    make(root, "memory");
    put(root, "a/memory.max", "5000000\n");
    put(root, "a/memory.current", "4000000\n");
    put(root, "a/b/memory.max", "9000000\n");
    put(root, "a/b/memory.current", "3000000\n");
    put(root, "a/b/c/memory.max", "max\n");
    put(root, "memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none, as the older kind says it */
    assert_limit("0::/a/b/c\n", root, 5000000, 4000000);
    assert_limit("0::/\n", root, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN);
    assert_limit("0::/a/../../etc\n", root, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN);
    assert_limit("3:cpu:/a\n4:memory:/\n", root, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN);
    put(root, "memory/memory.limit_in_bytes", "7000000\n");
    put(root, "memory/memory.usage_in_bytes", "10\n");
    assert_limit("3:cpu:/a\n4:memory:/\n", root, 7000000, 10);
    assert_limit("junk\n\n:", root, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN);
    char *command = mt_format("rm -r %s", root);
    assert_int_equal(system(command), 0);
    free(command);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_changes_are_since_the_first_look_until_a_mark_is_set),
    cmocka_unit_test(test_a_rate_is_of_the_last_ten_seconds),
    cmocka_unit_test(test_many_looks_a_second_do_not_shorten_what_a_rate_is_of),
    cmocka_unit_test(test_fields_of_a_status_are_found_by_their_whole_name),
    cmocka_unit_test(test_this_process_is_seen_as_it_is),
    cmocka_unit_test(test_the_tightest_group_around_a_process_limits_it),
};
MT_TEST_MAIN(tests)
