/* signal_name.h: signals as people name them: "USR2", "SIGUSR2", "12", "RTMIN+3".
 *
 * Decides: which may ask for snapshots: those that somebody sends on purpose, not those that say what went wrong or that job
 * control and children make. Context: [tool], pure.
 */
#ifndef MT_LAUNCH_SIGNAL_NAME_H
#define MT_LAUNCH_SIGNAL_NAME_H

#include "base/status.h"

#include <stdbool.h>

bool mt_signal_parse(const char *text, int *ret_number) MT_CHECKED;

#endif
