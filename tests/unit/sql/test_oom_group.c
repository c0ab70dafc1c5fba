/* test_oom_group.c: kills that a control group has counted, of either version of the files. */
#include "harness.h"

#include "../util/scratch.h"
#include "sql/oom_group.h"

#include <stdio.h>
#include <sys/stat.h>

static void make(const char *folder)
{
    char *path = mt_format("%s/%s", g_folder, folder);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void put(const char *name, const char *text)
{
    char *path = mt_format("%s/%s", g_folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    free(path);
}

static void assert_group(const char *groups, const char *path, uint64_t killed, uint64_t limit_bytes)
{
    struct mt_oom_group group;
    assert_true(mt_oom_group_find(groups, g_folder, &group));
    assert_string_equal(group.path, path);
    assert_true(group.killed == killed && group.limit_bytes == limit_bytes);
    mt_oom_group_fini(&group);
}

static void assert_none(const char *groups)
{
    struct mt_oom_group group;
    assert_false(mt_oom_group_find(groups, g_folder, &group));
    mt_oom_group_fini(&group);
}

static void test_version_2_counts_kills_in_memory_events(void **state)
{
    (void)state;
    make("app");
    put("app/memory.events", "low 0\nhigh 7\nmax 12\noom 4\noom_kill 3\noom_group_kill 9\n");
    put("app/memory.max", "5000000\n");
    assert_group("0::/app\n", "/app", 3, 5000000);
    put("app/memory.max", "max\n");
    assert_group("0::/app\n", "/app", 3, UINT64_MAX);
    assert_none("0::/gone\n");
    assert_none("0::/../app\n");
}

static void test_version_1_counts_them_in_the_folder_of_memory(void **state)
{
    (void)state;
    make("memory");
    make("memory/jobs");
    put("memory/jobs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put("memory/jobs/memory.limit_in_bytes", "268435456\n");
    assert_group("9:cpu:/elsewhere\n4:memory:/jobs\n0::/\n", "/jobs", 2, 268435456);
    put("memory/jobs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"); /* before Linux 4.13 */
    assert_none("4:memory:/jobs\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_version_2_counts_kills_in_memory_events, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_version_1_counts_them_in_the_folder_of_memory, make_folder, remove_folder),
};
MT_TEST_MAIN(tests)
