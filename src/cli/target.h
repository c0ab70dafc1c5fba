/* target.h: the process that a command is about. Internal to cli/. */
#ifndef MT_CLI_TARGET_H
#define MT_CLI_TARGET_H

#include "util/option.h"

#include <sys/types.h>

/* The one operand, a process id. */
mt_status mt_target_pid(const struct mt_operands *operands, pid_t *ret, struct mt_error *err) MT_CHECKED;
/* The exit code for a failure to join or reach a process. */
int mt_target_exit_code(mt_status status);

#endif
