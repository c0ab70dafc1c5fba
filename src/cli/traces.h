/* traces.h: the traces that a reading command is about. Internal to cli/.
 *
 * Decides: where a FILE may stand a process may stand too, by its number or its socket (control/endpoint.h): it means the trace that it is
 * being recorded into. Two processes of one run mean the run once. Context: [tool].
 */
#ifndef MT_CLI_TRACES_H
#define MT_CLI_TRACES_H

#include "reader/recording.h"
#include "util/option.h"
#include "util/strlist.h"

#include <sys/types.h>

struct mt_traces {
    struct mt_strlist paths;
    pid_t *processes; /* that were named, recorded or not; malloc'ed */
    size_t process_count, process_capacity;
    pid_t unrecorded; /* the first that has no trace; 0: all have */
};

/* MT_E_NOENT, MT_E_PERM, MT_E_BUSY with a sentence: a process that is not there, may not be looked at or does not answer. A file that is not
 * there is no failure of this. ret to mt_traces_fini whatever is returned. */
mt_status mt_traces_of(const struct mt_operands *operands, struct mt_traces *ret, struct mt_error *err) MT_CHECKED;
void mt_traces_fini(struct mt_traces *traces);
/* For commands that need a trace of each: MT_E_NOENT with what to do where one has none. */
mt_status mt_traces_check_recorded(const struct mt_traces *traces, struct mt_error *err) MT_CHECKED;
/* Opens what operands mean as one recording, to mt_recording_free. Fails with the command's exit code. */
mt_status mt_traces_open(char *const *operands, size_t count, struct mt_recording **ret, int *ret_code, struct mt_error *err) MT_CHECKED;

#endif
