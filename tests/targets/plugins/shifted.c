/* shifted.c: what libfaketime is to a program: clocks in front of libc's, ten years ago and a thousand times as fast (the monotonic one is faster only). */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { YEARS_S = 10 * 365 * 24 * 3600, FASTER = 1000 };

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    static struct timespec first;
    struct timespec now;
    if (syscall(SYS_clock_gettime, clock, &now) != 0) {
        return -1;
    }
    if (first.tv_sec == 0) {
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &first);
    }
    struct timespec since;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &since);
    long ns = (since.tv_sec - first.tv_sec) * 1000000000L + since.tv_nsec - first.tv_nsec;
    long shifted = now.tv_sec * 1000000000L + now.tv_nsec + ns * (FASTER - 1);
    shifted -= clock == CLOCK_REALTIME ? YEARS_S * 1000000000L : 0;
    *ret = (struct timespec){ .tv_sec = shifted / 1000000000L, .tv_nsec = shifted % 1000000000L };
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ret != NULL ? (*ret = now.tv_sec) : now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}
