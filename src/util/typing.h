/* typing.h: keys from a terminal of which only the present line is ours, as a prompt needs them.
 *
 * Decides: between begin and end keys come one by one and are not shown; before and after, the terminal is as it was. It is given back before the
 * process dies of SIGTERM, SIGHUP or SIGQUIT, and while it is stopped by ^Z. Ctrl-C, Ctrl-D and Ctrl-\ are keys like others. For a whole screen
 * there is terminal.h. Context: [tool], one thread.
 */
#ifndef MT_UTIL_TYPING_H
#define MT_UTIL_TYPING_H

#include <stdbool.h>

/* False: standard input is no terminal. */
bool mt_typing_begin(void);
void mt_typing_end(void); /* fine if it was not begun */
/* Waits for a key (enum mt_key of terminal.h, or a byte). MT_KEY_RESIZED: show the line again; MT_KEY_CLOSED: no more come. */
int mt_typing_key(void);
/* Is more there already? So it is where a text was pasted. */
bool mt_typing_more(void);

#endif
