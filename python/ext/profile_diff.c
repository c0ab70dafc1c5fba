/* profile_diff.c: Recording.diff: what changed since an earlier recording, which is opened for this call. */
#include "profile_recording.h"

#include <stdlib.h>

PyObject *mt_py_recording_diff(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *names[] = { "", "", "selection", "time", "temporary_max", "thread", "by", "native", "all_frames", "rows", "all",
                            "suppressions", NULL };
    struct recording *self = (struct recording *)object;
    struct mt_profile_failure failure = { .code = MT_PROFILE_USAGE, .text = "the trace is closed: open it again with memtap.open" };
    struct mt_py_work work;
    struct mt_profile_query query = {
        .struct_bytes = sizeof query, .interrupted = mt_py_work_interrupted, .context = &work
    };
    PyObject *before, *kept = NULL;
    const char *before_time;
    unsigned int temporary_max = 1;
    unsigned long long rows = 0;
    int native = 0, all_frames = 0, all = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oz|$zzIzzppKpy:diff", MT_PY_NAMES(names), &before, &before_time, &query.selection,
                                     &query.time, &temporary_max, &query.thread, &query.by, &native, &all_frames, &rows, &all,
                                     &query.suppressions)) {
        return NULL;
    }
    mt_py_set_temporary(&query, temporary_max);
    query.all = all != 0;
    query.native = native != 0;
    query.all_frames = all_frames != 0;
    query.rows = rows;
    size_t count = 0;
    const char **paths = mt_py_paths(before, &kept, &count);
    if (paths == NULL || !mt_py_work_begin(&work, &self->turn)) {
        Py_XDECREF(kept);
        free(paths);
        return NULL;
    }
    char *text = NULL;
    size_t bytes = 0;
    int code = failure.code;
    if (self->recording != NULL) {
        code = mt_recording_diff(self->recording, paths, count, before_time, &query, &text, &bytes, &failure);
    }
    mt_py_work_end(&work);
    mt_py_work_resume(&work);
    PyObject *result = code == MT_PROFILE_OK ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)bytes, "replace") : mt_py_raise(&failure);
    mt_profile_release(text);
    Py_XDECREF(kept);
    free(paths);
    return result;
}
