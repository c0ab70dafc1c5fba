/* finish.c: after the program has ended: complete the traces, make them one file, say what was found.
 *
 * The program's result is never at stake here: whatever fails is said on standard error, and the exit code stays the
 * program's. A trace is left alone while another process may still write to it (a child that outlives the program).
 */
#include "launch/launch.h"

#include "launch/closing.h"
#include "launch/gather.h"
#include "launch/runfiles.h"

void mt_run_finish(struct mt_run *run)
{
    struct mt_gathered gathered;
    mt_gather(run, &gathered);
    bool ours = mt_runfiles_is_ours(run);
    if (gathered.found == 0) {
        mt_closing_explain_missing(run);
    } else if (!ours) {
        mt_closing_say_where(run, gathered.apart + gathered.live);
    }
    if (!gathered.noted) {
        mt_closing_say_unrecorded(run);
    }
    if (ours) {
        mt_closing_report(run, gathered.live);
    }
    mt_runfiles_release(run);
}
