/* interrupt.h: Ctrl-C leaves nothing half-written behind.
 *
 * Decides: on SIGINT, SIGTERM, SIGHUP a command removes its temporary files and dies of that signal, so that the shell
 * sees the truth (128+n). SIGPIPE and SIGXFSZ are ignored: writers see EPIPE and EFBIG. `memtap run` installs its own
 * handling instead. Context: [tool]; the handler uses only async-signal-safe calls.
 */
#ifndef MT_UTIL_INTERRUPT_H
#define MT_UTIL_INTERRUPT_H

/* Installs the handlers; called once by main. */
void mt_interrupt_install(void);
/* Puts back the dispositions main started with (before running another program). */
void mt_interrupt_restore(void);
/* Lists a file to unlink on a signal (the path is copied; up to 8 at a time, more are not listed). */
void mt_interrupt_remove_later(const char *path);
/* Takes it off the list: it is done, or already removed. */
void mt_interrupt_keep(const char *path);

#endif
