/* inlined.c: case_outer calls foo -> bar -> baz, all inlined into it; the innermost real function is case_outer, and a
 * report must show baz, bar, foo, case_outer, main with the right lines. The lines are marked LINE name.
 */
#include "truth.h"

#define INLINED static inline __attribute__((always_inline))

INLINED void *baz(size_t size)
{
    void *p = malloc(size); /* LINE baz */
    return truth_keep(p);
}

INLINED void *bar(size_t size)
{
    void *p = baz(size * 2); /* LINE bar */
    return truth_keep(p);
}

INLINED void *foo(size_t size)
{
    void *p = bar(size + 1); /* LINE foo */
    return truth_keep(p);
}

CASE static void case_outer(size_t size)
{
    truth_keep(foo(size)); /* LINE case_outer */
    truth_alloc(__func__, NULL, (size + 1) * 2);
}

int main(void)
{
    case_outer(500); /* LINE main */
    truth_print(1);
    return 0;
}
