/* ending.h: the moment a program's code is done, as a mark in the trace.
 *
 * Decides: a Python program has ended when its interpreter says that it is finalizing: threads have been joined and
 * functions of atexit called by then, modules are taken down afterwards and free what the program held. No function is
 * called at that moment that could be hooked, and to look at each event would cost every program. So the thread that
 * enters the end of Python is no longer READY but ENDING: all its calls go through the slow half of the gate, which looks.
 * A shell (IPython) whose own function of atexit takes away what its user's code made has come to the end of that code: its mark
 * stands before. Internal to heap/.
 */
#ifndef MT_HEAP_ENDING_H
#define MT_HEAP_ENDING_H

#include "base/status.h"

#include <stdbool.h>

/* The calling thread is ENDING: has it come? Then leaves the mark, and the thread is READY again. False: nothing more is
 * recorded. Context: gate.c, depth 0. */
bool mt_ending_look(void) MT_CHECKED;

#endif
