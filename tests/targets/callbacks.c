/* callbacks.c: libc calls back into the program, which allocates: the frames of libc stand between those of the program.
 *
 * Truth by function; case_compare runs under qsort under case_sort, and so on. Blocks of callbacks are kept.
 */
#include "truth.h"

#include <pthread.h>
#include <search.h>
#include <ftw.h>

static unsigned g_compared;

CASE static int case_compare(const void *a, const void *b)
{
    if (g_compared++ < 5) {
        TRUTH_ALLOC(malloc(711), 711);
    }
    return *(const int *)a - *(const int *)b;
}

CASE static void case_sort(void)
{
    int values[] = { 5, 3, 9, 1, 7, 2, 8 };
    qsort(values, 7, sizeof values[0], case_compare);
    if (values[0] != 1 || values[6] != 9) {
        abort();
    }
}

CASE static int case_found(const void *a, const void *b)
{
    TRUTH_ALLOC(malloc(723), 723);
    return *(const int *)a - *(const int *)b;
}

CASE static void case_search(void)
{
    static const int values[] = { 4 };
    int key = 4;
    if (bsearch(&key, values, 1, sizeof values[0], case_found) == NULL) {
        abort();
    }
}

CASE static void case_once(void)
{
    TRUTH_ALLOC(malloc(737), 737);
}

CASE static void case_call_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, case_once);
    pthread_once(&once, case_once);
}

CASE static int case_visit(const char *path, const struct stat *status, int type)
{
    (void)path, (void)status, (void)type;
    TRUTH_ALLOC(malloc(741), 741);
    return 1; /* stop */
}

CASE static void case_walk(void)
{
    ftw("/proc/self", case_visit, 2);
}

int main(void)
{
    case_sort();
    case_search();
    case_call_once();
    case_walk();
    truth_print(1);
    return 0;
}
