/* harness.h: main() of a unit-test program. `program` runs every test, `program NAME` only that one (its own process, as
 * ctest does). Use: `static const struct CMUnitTest tests[] = { cmocka_unit_test(test_x), … }; MT_TEST_MAIN(tests)`. */
#ifndef MT_TESTS_UNIT_HARNESS_H
#define MT_TESTS_UNIT_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MT_TEST_MAIN(tests)                                                                                            \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        if (argc > 1) {                                                                                                \
            cmocka_set_test_filter(argv[1]);                                                                           \
        }                                                                                                              \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

#endif
