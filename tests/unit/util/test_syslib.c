/* test_syslib.c: which files are the system's libraries, by their names. */
#include "harness.h"

#include "base/status.h"
#include "util/syslib.h"

static void test_libraries_are_known_by_name_in_any_folder(void **state)
{
    static const struct {
        const char *path;
        enum mt_syslib library;
    } cases[] = {
        { "/lib/x86_64-linux-gnu/libc.so.6", MT_SYSLIB_C },
        { "/usr/lib64/libc-2.17.so", MT_SYSLIB_C },
        { "libpthread.so.0", MT_SYSLIB_C },
        { "/lib/libdl-2.31.so", MT_SYSLIB_C },
        { "/lib/libc.musl-x86_64.so.1", MT_SYSLIB_C },
        { "/lib64/ld-linux-x86-64.so.2", MT_SYSLIB_LOADER },
        { "/lib/ld-musl-x86_64.so.1", MT_SYSLIB_LOADER },
        { "/lib/ld-2.31.so", MT_SYSLIB_LOADER },
        { "/opt/x/lib/libstdc++.so.6.0.30", MT_SYSLIB_CXX },
        { "/opt/libc.so.6/program", MT_SYSLIB_NONE },
        { "/usr/bin/ld-something", MT_SYSLIB_NONE },
        { "/usr/lib/libcap.so.2", MT_SYSLIB_NONE },
        { "/usr/lib/libpthreadpool.so", MT_SYSLIB_NONE },
        { "[vdso]", MT_SYSLIB_NONE },
        { "", MT_SYSLIB_NONE },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(cases); i++) {
        if (mt_syslib_of(cases[i].path) != cases[i].library) {
            fail_msg("%s", cases[i].path);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_libraries_are_known_by_name_in_any_folder),
};
MT_TEST_MAIN(tests)
