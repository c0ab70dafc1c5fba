/* restrict.c: recording under a seccomp filter of the program's.
 *
 * Decides: that the recording goes on as far as memory mapped beforehand reaches. Where the filter lets us write to files
 * nothing changes. Where it does not, full slots stay where they are and the next ones come from a reserve; when that is used
 * up the recording ends, and the trace says why. The calls themselves are held back in base/os_filter.c.
 */
#include "heap/clock.h"
#include "heap/thread.h"

enum { RESERVE_SLOTS = 48 }; /* 3 MiB: half a million events */

uint32_t mt_engine_filter_begin(const void *program)
{
    if (mt_mode() != MT_MODE_OFF && (program == NULL || !mt_os_filter_lets_write(program))) {
        mt_slot_reserve(RESERVE_SLOTS);
    }
    return mt_os_filter_add(program);
}

/* It may be a vfork child that finds it: then its parent, whose trace this is, has the filter too. */
void mt_engine_filter_unknown(void)
{
    static uint32_t said;
    if (mt_exchange_acq_rel(&said, 1u) != 0 || mt_mode() == MT_MODE_OFF || mt_is_unnoticed_child()) {
        return;
    }
    (void)mt_os_filter_add(NULL); /* forbids everything */
    mt_engine_enter();
    mt_engine_note("warning", "the program has a seccomp filter that memtap did not see being installed: programs that it executes "
                              "are not recorded");
    mt_engine_leave();
}

void mt_engine_forbid_tsc(void)
{
    mt_clock_forbid_tsc();
}

void mt_engine_filter_end(uint32_t place, bool installed)
{
    if (!installed) {
        mt_os_filter_undo(place);
    } else if (mt_mode() != MT_MODE_OFF) {
        mt_engine_note("seccomp", "the program restricts its system calls");
        if (mt_os_filters_let_execute() && !mt_os_filters_let_start()) {
            mt_engine_note("warning", "the program restricts its system calls: programs that it executes are not recorded");
        }
    }
}
