/* test_paths.c: paths as short as the others of a report allow. */
#include "harness.h"

#include "export/paths.h"

#include <string.h>

static void expect(const char *const *given, const char *const *wanted, bool full)
{
    struct mt_paths *paths = mt_paths_new(full);
    for (size_t i = 0; given[i] != NULL; i++) {
        mt_paths_add(paths, given[i]);
        mt_paths_add(paths, given[i]); /* twice is once */
    }
    for (size_t i = 0; given[i] != NULL; i++) {
        assert_string_equal(mt_paths_short(paths, given[i]), wanted[i]);
    }
    mt_paths_free(paths);
}
#define EXPECT(full, given, ...)                                                                                       \
    expect((const char *const[]){ given }, (const char *const[]){ __VA_ARGS__, NULL }, full)
#define ALL(...) __VA_ARGS__, NULL

static void test_a_path_is_its_shortest_tail_that_no_other_has(void **state)
{
    (void)state;
    EXPECT(false, ALL("/srv/app/cache.py", "/srv/app/log.py"), "cache.py", "log.py");
    EXPECT(false, ALL("/srv/app/cache.py", "/srv/web/cache.py", "/srv/x.py"), "app/cache.py", "web/cache.py", "x.py");
    EXPECT(false, ALL("/a/cache.py", "/b/a/cache.py", "cache.py"), "/a/cache.py", "b/a/cache.py", "cache.py");
    EXPECT(false, ALL("/srv/mycache.py", "/srv/cache.py"), "mycache.py", "cache.py");
    EXPECT(false, ALL("", "/", "<string>", "<frozen a/b>", "//x//y.c"), "", "/", "<string>", "<frozen a/b>", "y.c");
}

static void test_a_file_of_a_library_keeps_its_place_in_it(void **state)
{
    (void)state;
    EXPECT(false,
           ALL("/v/lib/python3.12/site-packages/numpy/core/numeric.py", "/usr/lib/python3.11/json/decoder.py",
               "/usr/lib/x86_64-linux-gnu/libssl.so.3"),
           "numpy/core/numeric.py", "json/decoder.py", "libssl.so.3");
    EXPECT(false, ALL("/a/site-packages/p/q.py", "/b/site-packages/p/q.py"), "a/site-packages/p/q.py",
           "b/site-packages/p/q.py");
}

static void test_full_paths_stay_whole(void **state)
{
    (void)state;
    EXPECT(true, ALL("/srv/app/cache.py"), "/srv/app/cache.py");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_path_is_its_shortest_tail_that_no_other_has),
    cmocka_unit_test(test_a_file_of_a_library_keeps_its_place_in_it),
    cmocka_unit_test(test_full_paths_stay_whole),
};
MT_TEST_MAIN(tests)
