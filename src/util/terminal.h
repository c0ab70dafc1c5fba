/* terminal.h: a full screen on a terminal, and the keys that come from it.
 *
 * Decides: plain termios and the escape sequences that every terminal since the VT100 has (alternate screen, home, clear to the end of
 * the line, reverse, bold, dim); no curses, whose terminfo a debug container lacks. A frame is written in one write, line by line over the
 * old one, so that nothing flickers. Whatever happens, the terminal is given back as it was: on close, on exit(), on SIGINT, SIGTERM,
 * SIGHUP and SIGQUIT, on faults of our own, and while the process is stopped by ^Z. Signals are only taken while mt_terminal_wait waits, so that
 * nothing else is ever interrupted. Text is the caller's and must be clean (text.h). Context: [tool], one terminal a process, one thread.
 */
#ifndef MT_UTIL_TERMINAL_H
#define MT_UTIL_TERMINAL_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_style { MT_STYLE_PLAIN, MT_STYLE_BOLD, MT_STYLE_DIM, MT_STYLE_REVERSE };

/* Lines of a screen, from the top. All zero is empty. */
struct mt_screen {
    struct mt_screen_line {
        char *text; /* malloc'ed, clean */
        enum mt_style style;
    } *lines;
    size_t count, capacity;
};
/* Takes text (malloc'ed). */
void mt_screen_take(struct mt_screen *screen, enum mt_style style, char *take_text);
void mt_screen_clear(struct mt_screen *screen);

/* What happened; characters are themselves (UTF-8 is given byte by byte). */
enum mt_key {
    MT_KEY_NONE = 0, /* the time is over */
    MT_KEY_TAB = 9,
    MT_KEY_ENTER = 13,
    MT_KEY_ESCAPE = 27,
    MT_KEY_ERASE = 127,
    MT_KEY_UP = 256,
    MT_KEY_DOWN,
    MT_KEY_PAGE_UP,
    MT_KEY_PAGE_DOWN,
    MT_KEY_HOME,
    MT_KEY_END,
    MT_KEY_LEFT,
    MT_KEY_RIGHT,
    MT_KEY_DELETE,
    MT_KEY_RESIZED, /* or was stopped and goes on: show all again */
    MT_KEY_CLOSED,  /* a signal that ends the program, or nobody is at the terminal any more */
};

/* Is there one at standard input and output? */
bool mt_terminal_is_here(void);
/* Takes no terminal, but the signals: then mt_terminal_wait waits for these and for the time only. mt_terminal_open may follow. */
void mt_terminal_open_none(void);
/* Takes it. MT_E_UNSUPPORTED: there is none. */
mt_status mt_terminal_open(struct mt_error *err) MT_CHECKED;
/* Gives it back; fine if it was not taken. */
void mt_terminal_close(void);
/* The signal that ended the wait with MT_KEY_CLOSED; 0: none did. */
int mt_terminal_signal(void);
/* As it is now, 80 by 24 where it does not say. */
void mt_terminal_size(size_t *ret_columns, size_t *ret_rows);
/* Lines beyond the terminal's are left out; each must fit its width. */
void mt_terminal_show(const struct mt_screen *screen);
/* The next key; waits at most so long. */
int mt_terminal_wait(uint64_t timeout_ns);

/* One key from bytes that a terminal sent; *at moves behind it. False: a sequence that is not whole yet. For tests. */
bool mt_key_parse(const char **at, const char *end, int *ret);

#endif
