/* recording.h: traces opened together, for as many reports as are wanted.
 *
 * Decides: what stays open between reports (the traces and the names already looked up) and when it is opened anew
 * (a trace that was still being written to). Commands and the library's struct mt_recording are this. Context: [tool],
 * one thread at a time.
 */
#ifndef MT_READER_RECORDING_H
#define MT_READER_RECORDING_H

#include "memtap/profile.h"
#include "model/frames.h"
#include "model/trace.h"
#include "util/error.h"
#include "util/strlist.h"

struct mt_recording {
    struct mt_strlist paths; /* files */
    struct mt_trace_set set;
    struct mt_frames *frames[4]; /* by what is shown (mt_recording_frames); NULL until needed */
    bool dead;                   /* failure.h */
};

/* operands: files and folders. MT_E_NOENT … with a sentence. */
mt_status mt_recording_make(char *const *operands, size_t count, struct mt_recording **ret,
                            struct mt_error *err) MT_CHECKED;
void mt_recording_free(struct mt_recording *recording); /* NULL is fine */
/* Opens traces again that were being written to. */
mt_status mt_recording_refresh(struct mt_recording *recording, struct mt_error *err) MT_CHECKED;
/* The resolver with or without native frames in Python stacks, folded or with all frames (model/frames.h); the recording's,
 * good until refresh. */
mt_status mt_recording_frames(struct mt_recording *recording, bool native, bool all_frames, struct mt_frames **ret,
                              struct mt_error *err) MT_CHECKED;

#endif
