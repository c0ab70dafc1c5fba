/* say.h: a sentence for the person at the terminal.
 *
 * Decides: messages go to standard error, clean (text.h) and broken between words where a terminal is narrower, because they quote paths, arguments and names.
 * Commands talk; libraries return a struct mt_error. Context: [tool].
 */
#ifndef MT_UTIL_SAY_H
#define MT_UTIL_SAY_H

/* The line break is added. */
void mt_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
