/* filter.c: see filter.h. */
#include "hook/filter.h"

#include "heap/engine.h"
#include "hook/parting.h"

#include <linux/seccomp.h>

/* What a call is about to install. */
struct filter_call {
    bool strict, filter;
    const void *program;
    bool listener; /* success is a descriptor */
    bool counted;  /* mt_parting_before_filter's */
};

static uint32_t begin(struct filter_call *call)
{
    call->counted = mt_parting_before_filter();
    mt_engine_enter();
    if (call->strict) {
        mt_engine_forbid_tsc(); /* the kernel does */
    }
    return mt_engine_filter_begin(call->strict ? NULL : call->program);
}

/* With TSYNC a positive result names a thread that could not follow: nothing was installed. */
static void end(const struct filter_call *call, uint32_t place, long result)
{
    bool installed = result == 0 || (call->listener && result > 0);
    mt_engine_filter_end(place, installed);
    mt_engine_leave();
    mt_parting_after_filter(installed, call->counted);
}

static struct filter_call of_prctl(int option, long mode, long program)
{
    if (option == PR_SET_TSC) {
        if (mode == PR_TSC_SIGSEGV) {
            mt_engine_forbid_tsc();
        }
        return (struct filter_call){ 0 };
    }
    return (struct filter_call){ .strict = mode == SECCOMP_MODE_STRICT,
                                 .filter = mode == SECCOMP_MODE_FILTER,
                                 .program = (const void *)program };
}

static struct filter_call of_call(long number, long a, long b, long c)
{
    if (number != SYS_seccomp) {
        return of_prctl((int)a, b, c);
    }
    return (struct filter_call){ .strict = a == SECCOMP_SET_MODE_STRICT,
                                 .filter = a == SECCOMP_SET_MODE_FILTER,
                                 .program = (const void *)c,
                                 .listener = ((unsigned long)b & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 };
}

int mt_filter_prctl(int option, long a, long b, long c, long d, const struct mt_originals *real)
{
    struct filter_call call = of_prctl(option, a, b);
    if (!call.strict && !call.filter) {
        return real->prctl(option, a, b, c, d);
    }
    uint32_t place = begin(&call);
    int result = real->prctl(option, a, b, c, d);
    end(&call, place, result);
    return result;
}

long mt_filter_call(long number, long a, long b, long c, long d, const struct mt_originals *real)
{
    struct filter_call call = of_call(number, a, b, c);
    if (!call.strict && !call.filter) {
        return real->syscall(number, a, b, c, d, 0, 0);
    }
    uint32_t place = begin(&call);
    long result = real->syscall(number, a, b, c, d, 0, 0);
    end(&call, place, result);
    return result;
}
