/* Limits of control groups, what is charged against them and who was killed, from folders like the kernel's. */
#include "harness.h"

#include "scratch.h"
#include "util/cgroup.h"

#include <math.h>
#include <sys/stat.h>

static void put(const char *name, const char *text)
{
    char *path = mt_format("%s/%s", g_folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    free(path);
}

static void make(const char *name)
{
    char *path = mt_format("%s/%s", g_folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void test_what_counts_is_without_the_cache_of_files(void **state)
{
    (void)state;
    struct mt_cgroup group;
    make("a");
    put("a/memory.max", "1000\n");
    put("a/memory.current", "900\n");
    put("a/memory.events", "low 0\nhigh 7\nmax 3\noom 2\noom_kill 5\noom_group_kill 0\n");
    put("a/memory.stat", "anon 300\nfile 600\ninactive_file 400\nactive_file 100\n");
    put("a/memory.pressure", "some avg10=40.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=12.50 avg60=0.00 avg300=0.00 total=1\n");
    mt_cgroup_find("0::/a\n", g_folder, &group);
    assert_true(group.unified && mt_cgroup_bound(&group) == 1000);
    assert_true(mt_cgroup_usage(&group) == 900 && mt_cgroup_charged(&group) == 400 && mt_cgroup_kills(&group) == 5);
    assert_true(fabs(mt_cgroup_pressure(&group) - 12.5) < 1e-9);
    put("a/memory.stat", "inactive_file 4000\nactive_file 100\n"); /* read at another moment than the usage */
    assert_true(mt_cgroup_charged(&group) == 0);
    mt_cgroup_fini(&group);
}

static void test_high_is_a_bound_where_it_is_the_lower_one(void **state)
{
    (void)state;
    struct mt_cgroup group;
    make("a");
    make("a/b");
    put("a/memory.max", "2000\n");
    put("a/memory.high", "1500\n");
    put("a/b/memory.max", "max\n");
    put("a/b/memory.high", "1600\n");
    put("a/b/memory.events", "oom_kill 0\n");
    mt_cgroup_find("0::/a/b\n", g_folder, &group);
    assert_true(mt_cgroup_bound(&group) == 1500 && group.limit_bytes == 2000 && group.high_bytes == 1500);
    assert_true(strstr(group.tightest, "/a") != NULL && strstr(group.own, "/a/b") != NULL && mt_cgroup_kills(&group) == 0);
    mt_cgroup_fini(&group);
}

static void test_the_older_kind_says_the_same_in_other_words(void **state)
{
    (void)state;
    struct mt_cgroup group;
    make("memory");
    make("memory/a");
    put("memory/a/memory.limit_in_bytes", "1000\n");
    put("memory/a/memory.usage_in_bytes", "900\n");
    put("memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    put("memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 400\ntotal_active_file 100\n");
    mt_cgroup_find("4:memory:/a\n0::/\n", g_folder, &group);
    assert_true(!group.unified && mt_cgroup_bound(&group) == 1000 && group.high_bytes == MT_CGROUP_UNKNOWN);
    assert_true(mt_cgroup_charged(&group) == 400 && mt_cgroup_kills(&group) == 3);
    mt_cgroup_fini(&group);
}

static void test_what_is_not_there_is_unknown(void **state)
{
    (void)state;
    struct mt_cgroup group;
    mt_cgroup_find("0::/gone\njunk\n4:memory:/../etc\n", g_folder, &group);
    assert_true(group.own == NULL && group.tightest == NULL && mt_cgroup_bound(&group) == MT_CGROUP_UNKNOWN);
    assert_true(mt_cgroup_charged(&group) == MT_CGROUP_UNKNOWN && mt_cgroup_kills(&group) == MT_CGROUP_UNKNOWN);
    mt_cgroup_fini(&group);
    assert_true(mt_machine_memory() > mt_machine_available() && mt_machine_memory() != MT_CGROUP_UNKNOWN);
    assert_true(mt_process_resident(getpid()) < mt_machine_memory());
    assert_true(mt_process_resident(INT32_MAX) == MT_CGROUP_UNKNOWN);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
static const struct CMUnitTest tests[] = {
    IN_FOLDER(test_what_counts_is_without_the_cache_of_files),
    IN_FOLDER(test_high_is_a_bound_where_it_is_the_lower_one),
    IN_FOLDER(test_the_older_kind_says_the_same_in_other_words),
    IN_FOLDER(test_what_is_not_there_is_unknown),
};
MT_TEST_MAIN(tests)
