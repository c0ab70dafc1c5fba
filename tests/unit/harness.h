/* harness.h: main() of a unit-test program. `program` runs every test, each in a process of its own, for what they test has
 * global state; `program NAME` runs that one in this process, as ctest does. Use: `static const struct CMUnitTest tests[] =
 * { cmocka_unit_test(test_x), … }; MT_TEST_MAIN(tests)`. */
#ifndef MT_TESTS_UNIT_HARNESS_H
#define MT_TESTS_UNIT_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In a child: true. Else whether it failed comes back in *failed. */
static inline int mt_test_fork(int *failed)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        return 1;
    }
    *failed |= child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return 0;
}

#define MT_TEST_MAIN(tests)                                                                                            \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        int failed = 0;                                                                                                \
        for (size_t i = 0; argc <= 1 && i < sizeof(tests) / sizeof(tests)[0]; i++) {                                   \
            if (mt_test_fork(&failed)) {                                                                               \
                cmocka_set_test_filter((tests)[i].name);                                                               \
                exit(cmocka_run_group_tests(tests, NULL, NULL));                                                       \
            }                                                                                                          \
        }                                                                                                              \
        if (argc > 1) {                                                                                                \
            cmocka_set_test_filter(argv[1]);                                                                           \
        }                                                                                                              \
        return argc > 1 ? cmocka_run_group_tests(tests, NULL, NULL) : failed;                                          \
    }

#endif
