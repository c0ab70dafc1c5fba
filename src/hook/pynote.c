/* pynote.c: see pynote.h. */
#include "hook/pynote.h"

#include "heap/engine.h"

#include <stddef.h>

static const char *g_noted; /* the name that was noted last, in this trace or one before; NULL: none */

void mt_python_note(enum mt_python_family family, bool debug)
{
    static const char *const names[][2] = { [MT_PYTHON_MALLOC] = { "malloc", "malloc_debug" },
                                            [MT_PYTHON_PYMALLOC] = { "pymalloc", "pymalloc_debug" },
                                            [MT_PYTHON_MIMALLOC] = { "mimalloc", "mimalloc_debug" } };
    const char *name = names[family][debug];
    if (g_noted != name && mt_engine_mode() != MT_MODE_OFF) {
        g_noted = name;
        mt_python_note_again();
    }
}

void mt_python_note_again(void)
{
    if (g_noted != NULL) {
        mt_engine_note("python.allocator", g_noted);
    }
}

bool mt_python_is_noted(void)
{
    return g_noted != NULL;
}

void mt_python_forget_noted(void)
{
    g_noted = NULL;
}
