/* gather.h: the traces of a run become one file. Internal to launch/.
 *
 * Decides: the first process's trace is packed in place, each other one is packed in FILE.d, put behind the others in FILE
 * and removed from FILE.d: in this order, so that a killed tool leaves every process to be found at least once
 * (wire/append.h, model/trace_set.c). What is still written to stays in FILE.d. In two steps: between them the traces are
 * complete and as they were written. Context: [tool].
 */
#ifndef MT_LAUNCH_GATHER_H
#define MT_LAUNCH_GATHER_H

#include "launch/launch.h"

struct mt_gathered {
    size_t found; /* traces of the run */
    size_t live;  /* of these: still being written, in FILE.d */
    size_t apart; /* of these: could not be put into FILE, in FILE.d */
    bool noted;   /* what was told of processes that are not recorded is in FILE, as warnings */
    struct mt_others *others; /* those that have ended, until they are in FILE; malloc'ed */
};

/* The program has ended: completes the traces. FILE is not ours any more, or never was: nothing is written there. Then
 * mt_gather_pack, which makes them one file. */
void mt_gather(struct mt_run *run, struct mt_gathered *ret);
void mt_gather_pack(struct mt_run *run, struct mt_gathered *gathered);

#endif
