/* wait.c: while the program runs: the clock, signals, its end.
 *
 * One thread does everything: it sleeps until the next tick, a signal or the death of another process of the run, whichever is first,
 * and takes signals with sigtimedwait, so there is no handler, no race between a signal and a sleep, and ends are seen at once. A tick every 4 ms is
 * what the agent's clock resolution is made for (trace.md section 4); 250 wake-ups a second cost about 0.1 % of one
 * core and save the program a clock read an event.
 */
#include "launch/launch.h"

#include "base/atomic.h"
#include "base/os.h"
#include "launch/signals.h"
#include "launch/runfiles.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

static bool has_ended(struct mt_run *run, mt_status *ret_status, struct mt_error *err)
{
    struct rusage usage;
    uint64_t before = mt_tick_read(&run->tick);
    pid_t got = wait4(run->pid, &run->wait_status, WNOHANG | WUNTRACED, &usage);
    if (got == run->pid && WIFSTOPPED(run->wait_status)) {
        mt_signals_program_stopped(run, WSTOPSIG(run->wait_status));
        return false;
    }
    if (got == run->pid) {
        run->ended_clock = mt_tick_read(&run->tick);
        run->rss_peak_bytes = (uint64_t)usage.ru_maxrss * 1024; /* KiB, getrusage(2) */
        *ret_status = MT_OK;
        return true;
    }
    if (got < 0 && errno != EINTR) {
        *ret_status = mt_error_set_errno(err, errno, "lost process %d", (int)run->pid);
        return true;
    }
    run->alive_clock = before;
    return false;
}

static void tick_once(struct mt_run *run, uint64_t now, uint64_t stop_at)
{
    mt_runfiles_find(run);
    mt_tick_now(&run->tick);
    mt_limit_look(&run->limit, &run->tick, run->pid, run->trace_fd);
    if (now >= stop_at) {
        mt_store_release(&run->tick.words[MT_TICK_STOP], (uint64_t)1);
    }
}

mt_status mt_run_wait(struct mt_run *run, struct mt_error *err)
{
    mt_status status = MT_OK;
    const struct mt_helper_place place = { .output = run->output, .root_pid = (uint64_t)run->pid, .tick_fd = run->tick.fd };
    uint64_t now = mt_os_monotonic_ns();
    uint64_t next = now;
    uint64_t stop_at = run->options.duration_ns > 0 ? now + run->options.duration_ns : UINT64_MAX;
    while (!has_ended(run, &status, err)) {
        siginfo_t info;
        now = mt_os_monotonic_ns();
        tick_once(run, now, stop_at);
        mt_helper_serve(&run->helper, &place);
        mt_watch_look(&run->watch, &run->tick, run->others);
        next += MT_TICK_PERIOD_NS;
        next = next > now ? next : now + MT_TICK_PERIOD_NS; /* after a suspend: no burst of old ticks */
        uint64_t until = mt_watch_sleep(&run->watch, next) ? 0 : next;
        if (mt_signals_take(until, &info)) {
            mt_signals_pass_on(run, &info);
        }
        now = mt_os_monotonic_ns();
        next = now < next ? now : next; /* woken before */
    }
    mt_helper_serve(&run->helper, &place); /* what was told before the program ended */
    mt_helper_close(&run->helper);
    mt_tick_close(&run->tick);
    mt_witness_end(&run->witness);
    mt_signals_release(run);
    return status;
}
