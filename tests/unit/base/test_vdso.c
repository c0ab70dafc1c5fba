/* Unit tests of the kernel's own clocks. */
#include "harness.h"

#include "base/os.h"
#include "base/vdso.h"

#include <time.h>

/* Stands in front of libc's in this program, as libfaketime does. */
int clock_gettime(clockid_t id, struct timespec *ret);
int clock_gettime(clockid_t id, struct timespec *ret)
{
    (void)id;
    *ret = (struct timespec){ .tv_sec = 1, .tv_nsec = 0 };
    return 0;
}

static void test_clocks_are_the_machines_whatever_stands_before_libcs(void **state)
{
    (void)state;
    struct timespec fake;
    clock_gettime(CLOCK_MONOTONIC, &fake);
    assert_int_equal(fake.tv_sec, 1);
    assert_true(mt_os_realtime_ns() > 1500000000u * (uint64_t)1000000000);
    uint64_t before = mt_os_monotonic_ns();
    uint64_t after = mt_os_monotonic_ns();
    assert_true(before > 1000000001 && after >= before);
    assert_true(mt_os_monotonic_coarse_ns() <= mt_os_monotonic_ns());
}

static void test_the_vdso_is_searched_by_name(void **state)
{
    (void)state;
    assert_null(mt_vdso_find("__vdso_no_such_function"));
    assert_null(mt_vdso_find(""));
    if (mt_vdso_find("__vdso_gettimeofday") == NULL) {
        skip(); /* no vDSO: valgrind, User Mode Linux */
    }
    assert_non_null(mt_vdso_find("__vdso_clock_gettime"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_clocks_are_the_machines_whatever_stands_before_libcs),
    cmocka_unit_test(test_the_vdso_is_searched_by_name),
};
MT_TEST_MAIN(tests)
