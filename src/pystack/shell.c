/* shell.c: whether a shell for Python code is taking away what that code made.
 *
 * Decides: IPython (a notebook's kernel) clears its user's names in a function of atexit of its own, core/interactiveshell.py's
 * InteractiveShell.atexit_operations (all versions since 0.12). Known by its outermost frame: at the end of Python a function of
 * atexit lies on nothing. A function that the user registers is the user's code, whoever wrote it. Context: [hook], own thread.
 */
#include "pystack/layout.h"

enum { NAME_BYTES = 256 };

static const char FUNCTION[] = "atexit_operations", FILE_NAME[] = "IPython/core/interactiveshell.py";

bool mt_pystack_clears_a_shell(const struct mt_pystack *p)
{
    char text[NAME_BYTES];
    struct mt_code_description d;
    if (p->count == 0 || !mt_pystack_describe(p->frames[0].code, text, sizeof text, &d)) {
        return false;
    }
    return d.name_bytes == sizeof FUNCTION - 1 && memcmp(d.name, FUNCTION, sizeof FUNCTION - 1) == 0 &&
           d.filename_bytes >= sizeof FILE_NAME - 1 &&
           memcmp((const char *)d.filename + d.filename_bytes - (sizeof FILE_NAME - 1), FILE_NAME, sizeof FILE_NAME - 1) == 0;
}
