/* profile_parts.h: what the files of the trace reader's part share.
 *
 * Decides: which Python exception a failure of memtap/profile.h is, how a long call gives up the GIL and still hears
 * Ctrl-C, and that calls on one handle take turns.
 */
#ifndef MEMTAP_PYTHON_PROFILE_PARTS_H
#define MEMTAP_PYTHON_PROFILE_PARTS_H

#include "ext.h"

#include "memtap/profile.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int mt_py_add_recording(PyObject *module); /* profile_recording.c */

/* Sets the exception of a failure: FileNotFoundError, PermissionError, MemoryError, ValueError, OSError, or
 * memtap.TraceError with what to do. MT_PROFILE_INTERRUPTED leaves the signal handler's own. Returns NULL. */
PyObject *mt_py_raise(const struct mt_profile_failure *failure);

/* A long call on a handle: begin gives up the GIL and waits for the handle's turn (false: this thread has it already,
 * from a finalizer or signal handler; RuntimeError is set), resume takes the GIL back, end gives the turn to the next.
 * interrupted is for the options' field of that name, with the work as context. */
struct mt_py_work {
    pthread_mutex_t *turn;
    PyThreadState *state;
    uint64_t asked_ns;
};
int mt_py_turn_init(pthread_mutex_t *turn); /* 0, or -1 with an exception */
bool mt_py_work_begin(struct mt_py_work *work, pthread_mutex_t *turn);
void mt_py_work_resume(struct mt_py_work *work);
void mt_py_work_end(struct mt_py_work *work);
bool mt_py_work_interrupted(void *context);

/* Keyword names as PyArg_ParseTupleAndKeywords wants them: it does not write to them. */
#define MT_PY_NAMES(names) ((char **)(uintptr_t)(names))

/* A path (str, bytes or os.PathLike) as a new bytes object, NULL with an exception. */
PyObject *mt_py_path(PyObject *path);

/* Text that is usually UTF-8: a byte that is not becomes a lone surrogate (PEP 383), as in the reports' JSON. */
PyObject *mt_py_text(const char *text);
/* Puts value under key and drops the reference; 0, or -1 also when value is NULL. */
int mt_py_put(PyObject *dict, const char *key, PyObject *value);

#endif
