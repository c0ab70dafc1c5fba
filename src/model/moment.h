/* moment.h: the moments at which a process can be looked at, other than times.
 *
 * Decides: END is where the program's code was done: a Python program's mark (trace.md section 2, MARK), before its
 * interpreter takes down what the program held; of any other program, and of one that did not come so far (_exit, exec,
 * a signal), the last event. EXIT is the last event. MAIN_END is the return of main, or the call of exit.
 * Context: [tool], pure.
 */
#ifndef MT_MODEL_MOMENT_H
#define MT_MODEL_MOMENT_H

#include "model/trace.h"

enum mt_moment { MT_MOMENT_END, MT_MOMENT_EXIT, MT_MOMENT_MAIN_END };

/* What a trace knows of a moment. */
struct mt_moment_mark {
    uint64_t clock; /* events up to it lie before the moment; UINT64_MAX: all do */
    bool certain;   /* false: Python was ended by a program that may have gone on */
};

struct mt_moment_mark mt_moment_find(const struct mt_trace *trace, enum mt_moment moment);
/* "end", "exit", "main-end". */
const char *mt_moment_word(enum mt_moment moment);

#endif
