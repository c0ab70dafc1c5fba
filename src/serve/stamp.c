/* stamp.c: see stamp.h. */
#include "serve/stamp.h"

#include <stdio.h>
#include <time.h>

void mt_stamp_now(char *ret, size_t capacity)
{
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t bytes = strftime(ret, capacity, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(ret + bytes, capacity - bytes, ".%06ld+00:00", now.tv_nsec / 1000);
}
