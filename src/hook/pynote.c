/* pynote.c: see pynote.h. */
#include "hook/pynote.h"

#include "heap/engine.h"

void mt_python_note(enum mt_python_family family, bool debug, const char **noted)
{
    static const char *const names[][2] = { [MT_PYTHON_MALLOC] = { "malloc", "malloc_debug" },
                                            [MT_PYTHON_PYMALLOC] = { "pymalloc", "pymalloc_debug" },
                                            [MT_PYTHON_MIMALLOC] = { "mimalloc", "mimalloc_debug" } };
    const char *name = names[family][debug];
    if (*noted != name && mt_engine_mode() != MT_MODE_OFF) {
        *noted = name;
        mt_engine_note("python.allocator", name);
    }
}
