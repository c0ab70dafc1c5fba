/* plugin_taker.c: another profiler's hook: counts and forwards. */
#include <stddef.h>

extern void *__libc_malloc(size_t size);

int taker_calls;

void *taker_malloc(size_t size)
{
    taker_calls++;
    return __libc_malloc(size);
}
