/* profile_recording.c: memtap._memtap.Recording: reports, conversions and events of traces. */
#include "profile_parts.h"

int mt_py_add_recording(PyObject *module)
{
    (void)module;
    return 0;
}
