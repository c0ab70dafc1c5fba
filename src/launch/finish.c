/* finish.c: after the program has ended: complete the traces, make them one file, say what was found.
 *
 * The program's result is never at stake here: whatever fails is said on standard error, and the exit code stays the
 * program's. A trace is left alone while another process may still write to it (a child that outlives the program).
 */
#include "launch/launch.h"

#include "launch/closing.h"
#include "launch/gather.h"
#include "launch/runfiles.h"

#include <sys/stat.h>

/* Reading a trace before it is packed saves unpacking it again. Not a large one, of which packing keeps what the lines need, and
 * not many: they would all be open. */
static bool is_read_first(const struct mt_run *run, const struct mt_gathered *gathered)
{
    enum { SMALL_BYTES = 4 << 20 };
    struct stat info;
    bool alone = gathered->found == 1 && gathered->live == 0 && mt_runfiles_is_ours(run);
    return alone && fstat(run->trace_fd, &info) == 0 && info.st_size < SMALL_BYTES;
}

void mt_run_finish(struct mt_run *run)
{
    struct mt_gathered gathered;
    struct mt_closing closing = { 0 };
    mt_gather(run, &gathered);
    bool read_first = is_read_first(run, &gathered);
    if (read_first) {
        mt_closing_read(run, &closing);
    }
    mt_gather_pack(run, &gathered);
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
        mt_closing_report(run, &closing, gathered.live);
        if (read_first && gathered.noted) { /* the trace said it, but not yet */
            mt_closing_say_unrecorded(run);
        }
    }
    mt_closing_fini(&closing);
    mt_runfiles_release(run);
}
