/* enabled.c: which interpreter's frames are read now. detect.c publishes it, captures and the search for the thread's state read
 * it; it stands below all three. Context: any.
 */
#include "pystack/layout.h"

const struct mt_py_enabled *mt_g_py_enabled;
