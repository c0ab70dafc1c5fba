/* test_trace_set.c: traces by name and by directory. */
#include "harness.h"

#include "model/builder.h"
#include "model/trace.h"

#include <sys/stat.h>
#include <unistd.h>

static char g_dir[64];

static void write_trace(const char *name, uint64_t pid)
{
    struct builder b;
    char path[128];
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    builder_finish(&b);
    ((struct mt_trace_header *)(void *)b.file)->pid = pid;
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, name);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(b.file, 1, b.file_bytes, f), b.file_bytes);
    fclose(f);
    builder_fini(&b);
}

static void remove_all(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", g_dir);
    assert_int_equal(system(command), 0);
}

static void test_a_directory_stands_for_its_traces_by_name(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "/tmp/memtap-set-%d", (int)getpid());
    mkdir(g_dir, 0700);
    struct mt_trace_set set;
    struct mt_wire_error error;
    char *path = NULL;
    const char *paths[] = { g_dir, NULL };
    assert_int_equal(mt_trace_set_open(paths, 1, &set, &error, &path), MT_E_NOENT);
    assert_string_equal(path, g_dir);
    free(path);
    write_trace("b.mtap", 2);
    write_trace("a.mtap", 1);
    write_trace("not-a-trace.txt", 3);
    assert_int_equal(mt_trace_set_open(paths, 1, &set, &error, &path), MT_OK);
    assert_int_equal(set.count, 2);
    assert_int_equal(mt_trace_info(set.traces[0])->pid, 1);
    assert_int_equal(mt_trace_info(set.traces[1])->pid, 2);
    mt_trace_set_close(&set);
    char name[128];
    (void)snprintf(name, sizeof name, "%s/broken.mtap", g_dir);
    FILE *f = fopen(name, "wb");
    fputs("hello", f);
    fclose(f);
    assert_int_equal(mt_trace_set_open(paths, 1, &set, &error, &path), MT_E_CORRUPT);
    assert_string_equal(path, name);
    free(path);
    remove_all();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_directory_stands_for_its_traces_by_name),
};
MT_TEST_MAIN(tests)
