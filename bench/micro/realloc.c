/* realloc.c: a buffer that grows in small steps, as a string builder does: glibc grows it in place, a profiler that
 * moves sampled blocks copies it every time (30x and more).
 *
 * Usage: realloc [STEPS]. From 64 B by 64 B to 64 KiB, then free and start again; what is counted is one realloc.
 */
#include "micro.h"

enum { STEP_BYTES = 64, LARGEST = 65536 };

int main(int argc, char **argv)
{
    uint64_t steps = parse_count(argc, argv, 1, 10000000);
    unsigned char *buffer = NULL;
    size_t size = 0;
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < steps; i++) {
        size += STEP_BYTES;
        buffer = realloc(buffer, size);
        buffer[size - 1] = 1;
        if (size >= LARGEST) {
            free(buffer);
            buffer = NULL;
            size = 0;
        }
    }
    timer_stop(&timer);
    free(buffer);
    print_result("realloc", &timer, steps);
    return 0;
}
