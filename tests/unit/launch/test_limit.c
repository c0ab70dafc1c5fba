/* How near a limit is, and what is said of it on the clock page. */
#include "harness.h"

#include "launch/limit.h"
#include "util/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FAR, SOON, NEAR };

static void test_nine_tenths_are_near(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(900, 1000, 0, FAR), NEAR);
    assert_int_equal(mt_limit_level(899, 1000, 0, FAR), FAR);
    assert_int_equal(mt_limit_level(2000, 1000, 0, FAR), NEAR); /* the limit was lowered below what is charged */
}

static void test_growth_that_meets_it_within_two_seconds_is_soon(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(500, 1000, 250, FAR), SOON);
    assert_int_equal(mt_limit_level(500, 1000, 249, FAR), FAR);
    assert_int_equal(mt_limit_level(499, 1000, 1e9, FAR), FAR);
    assert_int_equal(mt_limit_level(600, 1000, -1e9, FAR), FAR);
}

static void test_it_is_said_again_only_after_a_fifth_was_free(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(800, 1000, 0, NEAR), NEAR);
    assert_int_equal(mt_limit_level(799, 1000, 0, NEAR), FAR);
    assert_int_equal(mt_limit_level(799, 1000, 1000, NEAR), NEAR); /* it grows again already */
    assert_int_equal(mt_limit_level(400, 1000, 0, SOON), SOON);
    assert_int_equal(mt_limit_level(399, 1000, 0, SOON), FAR);
    assert_int_equal(mt_limit_level(900, 1000, 0, SOON), NEAR);
}

static void test_a_process_that_trembles_crosses_once(void **state)
{
    (void)state;
    uint64_t resident = mt_process_resident(getpid());
    struct mt_limit limit = { .snapshot_bytes = resident / 2 };
    bool is_above = false;
    assert_true(mt_limit_crosses(&limit, getpid(), &is_above) && is_above);
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    limit.snapshot_bytes = resident + resident / 50; /* below it by less than a twentieth */
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    assert_true(is_above);
    limit.snapshot_bytes = 2 * resident;
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    assert_false(is_above);
    assert_false(mt_limit_crosses(&limit, INT32_MAX, &is_above));
}

/* A file with so much of a header as there is room for, open and without a name. */
static int new_trace(size_t bytes, bool is_trace)
{
    char path[] = "/tmp/memtap-test-limit-XXXXXX";
    struct mt_trace_header header = { .state = MT_STATE_RECORDING };
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    if (is_trace) {
        memcpy(header.magic, MT_TRACE_MAGIC, sizeof header.magic);
    }
    assert_int_equal(write(fd, &header, bytes), (int)bytes);
    return fd;
}

static struct mt_trace_memory memory_of(int fd)
{
    struct mt_trace_memory memory;
    assert_int_equal(pread(fd, &memory, sizeof memory, offsetof(struct mt_trace_header, memory)), (int)sizeof memory);
    return memory;
}

static void test_it_is_written_into_a_trace_and_into_no_other_file(void **state)
{
    const struct mt_limit limit = { .bytes = 1000, .charged_bytes = 10 };
    struct stat info;
    (void)state;
    int fd = new_trace(sizeof(struct mt_trace_header), true);
    mt_limit_write(&limit, fd);
    assert_int_equal(memory_of(fd).limit_bytes, 1000);
    assert_int_equal(close(fd), 0);
    fd = new_trace(sizeof(struct mt_trace_header), false);
    mt_limit_write(&limit, fd);
    assert_int_equal(memory_of(fd).limit_bytes, 0);
    assert_int_equal(close(fd), 0);
    fd = new_trace(0, false);
    mt_limit_write(&limit, fd);
    assert_true(fstat(fd, &info) == 0 && info.st_size == 0);
    assert_int_equal(close(fd), 0);
}

static void set_kills(const char *folder, unsigned kills)
{
    char *path = mt_format("%s/memory.events", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "low 0\noom_kill %u\n", kills) > 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static uint32_t kills_told(const struct mt_limit *limit)
{
    int fd = new_trace(sizeof(struct mt_trace_header), true);
    mt_limit_write_death(limit, fd);
    uint32_t kills = memory_of(fd).kills;
    assert_int_equal(close(fd), 0);
    return kills;
}

static void test_more_deaths_than_kills_leave_open_whose_they_were(void **state)
{
    char folder[] = "/tmp/memtap-test-limit-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    struct mt_limit limit = { .bytes = 1000, .kills_before = 3, .group = { .own = folder, .unified = true } };
    set_kills(folder, 3);
    mt_limit_count_death(&limit);
    assert_int_equal(kills_told(&limit), MT_KILLS_NONE);
    set_kills(folder, 4);
    assert_int_equal(kills_told(&limit), MT_KILLS_ONE);
    mt_limit_count_death(&limit);
    assert_int_equal(kills_told(&limit), MT_KILLS_UNKNOWN);
    set_kills(folder, 5);
    assert_int_equal(kills_told(&limit), MT_KILLS_ONE);
    char *path = mt_format("%s/memory.events", folder);
    assert_true(unlink(path) == 0 && rmdir(folder) == 0);
    free(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nine_tenths_are_near),
    cmocka_unit_test(test_growth_that_meets_it_within_two_seconds_is_soon),
    cmocka_unit_test(test_it_is_said_again_only_after_a_fifth_was_free),
    cmocka_unit_test(test_a_process_that_trembles_crosses_once),
    cmocka_unit_test(test_it_is_written_into_a_trace_and_into_no_other_file),
    cmocka_unit_test(test_more_deaths_than_kills_leave_open_whose_they_were),
};
MT_TEST_MAIN(tests)
