/* brk.c: the program moves its break itself: +100,000, -30,000, +5 bytes with sbrk, then +8,192 with brk.
 *
 * Live at the end: 100,000 - 30,000 + 5 + 8,192 bytes; peak the same or 100,000, whichever is more. Prints
 * {"live_bytes": L, "peak_bytes": P}. The program itself makes no malloc call, so libc does not move the break.
 */
#include "truth.h"

CASE static void case_sbrk(void)
{
    if (sbrk(100000) == (void *)-1 || sbrk(-30000) == (void *)-1 || sbrk(5) == (void *)-1 || sbrk(0) == (void *)-1) {
        abort();
    }
}

CASE static void case_brk(void)
{
    char *now = sbrk(0);
    if (brk(now + 8192) != 0) {
        abort();
    }
}

int main(void)
{
    case_sbrk();
    case_brk();
    static const char text[] = "{\"live_bytes\":78197,\"peak_bytes\":100000}\n";
    return write(1, text, sizeof text - 1) > 0 ? 0 : 1;
}
