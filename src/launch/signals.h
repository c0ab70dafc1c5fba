/* signals.h: memtap between whoever sends signals and the program. Internal to launch/.
 *
 * Decides: from before the fork until the program has ended every signal is blocked and taken synchronously, so that none
 * kills or stops memtap first. What a process sent to memtap goes to the program; what the terminal sends reaches the whole
 * foreground group, the program with it, and is not doubled, nor is what a process sends to the group (witness.h). When the terminal
 * stops the job, memtap stops as soon as the program has, so that the shell sees it. The signal of --snapshot-signal is memtap's: what
 * would be passed on becomes a request on the clock page. Context: [tool].
 */
#ifndef MT_LAUNCH_SIGNALS_H
#define MT_LAUNCH_SIGNALS_H

#include "launch/launch.h"

/* Before the fork: from here on signals wait for us. run->before is the mask memtap was started with: the program's. */
void mt_signals_block(struct mt_run *run);
/* In the parent, after the fork. */
void mt_signals_settle(void);
/* Sleeps until a signal has come or deadline_ns has passed (false). */
bool mt_signals_take(uint64_t deadline_ns, siginfo_t *ret);
/* Does with a signal what its sender meant: see above. */
void mt_signals_pass_on(struct mt_run *run, const siginfo_t *info);
/* The program has stopped by this signal: stops memtap too when it was asked to, and returns when it is continued. */
void mt_signals_program_stopped(struct mt_run *run, int number);
/* The program has ended: what still waits was meant for it. Signals are as they were before. */
void mt_signals_release(struct mt_run *run);

#endif
