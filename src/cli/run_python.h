/* run_python.h: Python code in an armed process, for what it prints. Internal to cli/. Context: [tool]. */
#ifndef MT_CLI_RUN_PYTHON_H
#define MT_CLI_RUN_PYTHON_H

#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

/* How it is done. */
struct mt_run_python {
    uint64_t timeout_ns;   /* of each code */
    uint64_t held_gil_ns;  /* added to: for how long processes could run no Python meanwhile */
};

/* *ret_text: what the code printed, malloc'ed, NUL behind it. MT_E_NOENT, MT_E_PERM, MT_E_BUSY: the process is not armed, runs no Python or does not allow
 * it, or not in time; MT_E_INVAL: the code raised. The sentence says it. context: a struct mt_run_python. */
mt_status mt_run_python(void *context, pid_t pid, const char *code, char **ret_text, struct mt_error *err) MT_CHECKED;

#endif
