/* filter.h: hooks of prctl and syscall: a program that restricts its own system calls (seccomp), or takes away its right to read
 * the time stamp counter.
 *
 * Decides: which calls do that; everything else is passed on by one or two comparisons and a jump. The engine hears
 * of it before and after (heap/restrict.c). A program that makes the raw call itself is not seen. Context: [hook].
 */
#ifndef MT_HOOK_FILTER_H
#define MT_HOOK_FILTER_H

#include "hook/table.h"

#include <linux/prctl.h>
#include <sys/syscall.h>

MT_INLINE bool mt_filter_is_prctl(int option)
{
    return MT_UNLIKELY(option == PR_SET_SECCOMP || option == PR_SET_TSC);
}

MT_INLINE bool mt_filter_is_call(long number, long first)
{
    return MT_UNLIKELY(number == SYS_seccomp || (number == SYS_prctl && mt_filter_is_prctl((int)first)));
}

MT_COLD int mt_filter_prctl(int option, long a, long b, long c, long d, const struct mt_originals *real);
MT_COLD long mt_filter_call(long number, long a, long b, long c, long d, const struct mt_originals *real);

#endif
