/* runfiles.h: the files of a run as the tool sees them: whose they are, whether they are still written to, what an
 * earlier run left. Internal to launch/.
 *
 * Decides: what a name leads to is ours only when its content says so (magic, pid, start), only regular files are opened,
 * and none waits (a FIFO). A recording that goes on is never touched. Context: [tool].
 */
#ifndef MT_LAUNCH_RUNFILES_H
#define MT_LAUNCH_RUNFILES_H

#include "launch/launch.h"
#include "wire/format.h"

/* False: it is no regular file that begins like a trace, or no longer. */
bool mt_runfiles_read(int fd, struct mt_trace_header *ret);
/* Opens a regular file that begins like a trace; -1: it is none. */
int mt_runfiles_open(const char *path, bool writable, struct mt_trace_header *ret);
/* The process maps the file with this inode, which is a journal. */
bool mt_runfiles_maps(pid_t pid, ino_t inode);
/* Its process lives and has the agent in it. */
bool mt_runfiles_is_live(const char *path, const struct mt_trace_header *header);

/* Before the start: MT_E_BUSY when somebody is being recorded into FILE or FILE.d, MT_E_EXIST when something is there and
 * -f was not given. */
mt_status mt_runfiles_check(const struct mt_run *run, struct mt_error *err) MT_CHECKED;
/* Removes what an earlier run left: FILE and the traces in FILE.d. Nothing else, whatever its name. */
void mt_runfiles_remove(const char *file);
/* Is a process still recorded into FILE.d? */
bool mt_runfiles_have_live(const char *file);

/* In the program's process, before exec: FILE must not be there, FILE.d is made. Returns an errno, 0: good. */
int mt_runfiles_begin(const char *output);
/* In the parent: takes FILE.d for this run. */
void mt_runfiles_hold(struct mt_run *run);
/* Looks for the first process's trace, until it is found. */
void mt_runfiles_find(struct mt_run *run);
/* At the end, when it was never found under its name: it may have been renamed within the folder before the first look. */
void mt_runfiles_search(struct mt_run *run);
/* FILE still leads to the trace of the first process. */
bool mt_runfiles_is_ours(const struct mt_run *run);
/* Removes FILE.d when it is empty, and lets go of it. */
void mt_runfiles_release(struct mt_run *run);

#endif
