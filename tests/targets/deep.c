/* deep.c: one allocation under DEPTH frames of case_descend, one half way up, one at the top, and one by each of the
 * twenty innermost frames on the way back (a stack that shrinks by one frame each time).
 *
 * Usage: deep DEPTH [thread]. With `thread` the recursion runs on a thread with a 64 MiB stack.
 */
#include "truth.h"

#include <pthread.h>

static unsigned g_depth;

CASE static void case_bottom(void)
{
    TRUTH_ALLOC(malloc(12345), 12345);
}

CASE static void case_half_way(void)
{
    TRUTH_ALLOC(malloc(2345), 2345);
}

CASE static void case_way_back(void)
{
    TRUTH_ALLOC(malloc(33), 33);
}

CASE static unsigned case_descend(unsigned level)
{
    unsigned below = 0;
    if (level == g_depth) {
        case_bottom();
    } else {
        below = case_descend(level + 1);
    }
    if (level == g_depth / 2) {
        case_half_way();
    }
    if (g_depth - level < 20) {
        case_way_back();
    }
    return below + 1;
}

CASE static void case_top(void)
{
    TRUTH_ALLOC(malloc(45), 45);
}

static void *thread_main(void *unused)
{
    if (case_descend(1) != g_depth) {
        abort();
    }
    case_top();
    return unused;
}

int main(int argc, char **argv)
{
    g_depth = argc > 1 ? (unsigned)atoi(argv[1]) : 3000;
    if (argc > 2) {
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, (size_t)64 << 20);
        if (pthread_create(&thread, &attributes, thread_main, NULL) != 0) {
            abort();
        }
        pthread_join(thread, NULL);
    } else {
        thread_main(NULL);
    }
    truth_print(1);
    return 0;
}
