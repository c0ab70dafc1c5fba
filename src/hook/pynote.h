/* pynote.h: which allocator Python uses, in words for the trace.
 *
 * Decides: the words are PYTHONMALLOC's own. It is known for certain when Python is initialised, so it may be noted again; the last note
 * counts. Context: [hook] with the guard set.
 */
#ifndef MT_HOOK_PYNOTE_H
#define MT_HOOK_PYNOTE_H

#include <stdbool.h>

enum mt_python_family { MT_PYTHON_MALLOC, MT_PYTHON_PYMALLOC, MT_PYTHON_MIMALLOC };

/* *noted: what the trace has last, NULL: nothing. */
void mt_python_note(enum mt_python_family family, bool debug, const char **noted);

#endif
