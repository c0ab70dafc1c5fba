/* execs.c: a process that executes itself N times in its own place, as wrappers and scripts do. What one of these costs is the CPU
 * time of the process tree less that of none, so nothing is timed in here. */
#include "micro.h"

int main(int argc, char **argv)
{
    int left = argc > 1 ? atoi(argv[1]) : 0;
    if (left <= 0) {
        printf("BENCH {\"left\": %d}\n", left);
        return 0;
    }
    char next[16];
    snprintf(next, sizeof next, "%d", left - 1);
    execl(argv[0], argv[0], next, (char *)NULL);
    return 1;
}
