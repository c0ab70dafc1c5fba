/* snapshot.c: see snapshot.h. */
#include "agent/snapshot.h"

#include "base/os.h"
#include "heap/engine.h"

static int g_number; /* of the signal that is ours; 0: none is */

/* Context: [signal]. */
static void take_snapshot(int number)
{
    (void)number;
    mt_engine_snapshot();
}

static void say_it_is_the_programs(void)
{
    mt_engine_note("warning", "the program has its own use for the signal that asks for snapshots, and gets it: send it to memtap instead");
}

void mt_agent_snapshot_arm(int number)
{
    if (number == 0) {
        return;
    }
    if (mt_os_signal_take(number, take_snapshot)) {
        g_number = number;
    } else {
        say_it_is_the_programs();
    }
}

void mt_agent_snapshot_settle(void)
{
    if (g_number != 0 && mt_engine_mode() != MT_MODE_OFF && !mt_os_signal_is_taken(g_number, take_snapshot)) {
        mt_engine_enter();
        say_it_is_the_programs();
        mt_engine_leave();
    }
}
