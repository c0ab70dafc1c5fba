/* profile_recording.h: what the methods of memtap._memtap.Recording share. */
#ifndef MEMTAP_PYTHON_PROFILE_RECORDING_H
#define MEMTAP_PYTHON_PROFILE_RECORDING_H

#include "profile_parts.h"

struct mt_py_kept;

struct recording {
    PyObject_HEAD
    pthread_mutex_t turn;
    struct mt_recording *recording; /* NULL: closed */
    struct mt_py_kept *kept;        /* by trace: objects made for snapshots; under the turn */
    size_t kept_count;
};

/* Paths of a sequence as C strings that borrow from *ret_bytes (a list); the array is malloc'ed. NULL: exception. */
const char **mt_py_paths(PyObject *sequence, PyObject **ret_bytes, size_t *ret_count);

/* What temporary_max of the methods means: 0 is 0. */
static inline void mt_py_set_temporary(struct mt_profile_query *query, unsigned int most)
{
    query->temporary_max = most;
    query->temporary_at_once = most == 0;
}

/* diff(before, before_time, *, selection, time, temporary_max, thread, by, native, all_frames, rows, all, suppressions): profile_diff.c */
PyObject *mt_py_recording_diff(PyObject *object, PyObject *args, PyObject *kwargs);

/* query(sql) -> (names, rows): profile_query.c */
PyObject *mt_py_recording_query(PyObject *object, PyObject *args);

/* profile_snapshot.c */
PyObject *mt_py_recording_snapshot(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *mt_py_recording_totals(PyObject *object, PyObject *args, PyObject *kwargs);
void mt_py_drop_kept(struct recording *self);

#endif
