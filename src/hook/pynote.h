/* pynote.h: which allocator Python uses, in words for the trace.
 *
 * Decides: the words are PYTHONMALLOC's own. It is known for certain when Python is initialised, so it may be noted again; the last note
 * counts. Context: [hook] with the guard set.
 */
#ifndef MT_HOOK_PYNOTE_H
#define MT_HOOK_PYNOTE_H

#include <stdbool.h>

enum mt_python_family { MT_PYTHON_MALLOC, MT_PYTHON_PYMALLOC, MT_PYTHON_MIMALLOC };

/* Where it is not what was noted last. */
void mt_python_note(enum mt_python_family family, bool debug);
/* In a trace that has just begun: what was noted last, which is asked of nobody. */
void mt_python_note_again(void);
bool mt_python_is_noted(void);
/* Python is gone. */
void mt_python_forget_noted(void);

#endif
