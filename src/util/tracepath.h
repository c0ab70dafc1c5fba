/* tracepath.h: the names of trace files of one run.
 *
 * Decides: FILE.mtap is the root process; every other process of the run writes <stem>.<pid>.mtap beside it, and an
 * image replaced by exec in the same process was renamed to <stem>.<pid>.<n>.mtap. <stem> is FILE without ".mtap"; a
 * FILE with another suffix keeps it. The agent computes the same names (agent/config.c). Context: [tool].
 */
#ifndef MT_UTIL_TRACEPATH_H
#define MT_UTIL_TRACEPATH_H

#include "util/error.h"
#include "util/strlist.h"

#include <stdbool.h>

/* malloc'ed. */
char *mt_tracepath_stem(const char *file);
/* True when name (no folder) is <stem>.<digits>.mtap or <stem>.<digits>.<digits>.mtap. */
bool mt_tracepath_is_sibling(const char *stem, const char *name);
/* Appends the files of the other processes of the run of file, that exist now, in order of name. */
void mt_tracepath_siblings(const char *file, struct mt_strlist *paths);
/* Default output of run: memtap-NAME.PID.mtap with NAME made from a program name (last component, no ".py"). malloc'ed.
 */
char *mt_tracepath_default(const char *program, long pid);
/* Absolute form of a path whose folder exists. malloc'ed. MT_E_NOENT etc. about the folder. */
mt_status mt_tracepath_absolute(const char *file, char **ret, struct mt_error *err) MT_CHECKED;
/* Files meant by operands: a folder stands for all *.mtap in it. Missing files are reported by whoever opens them. */
mt_status mt_tracepath_expand(char *const *operands, int count, struct mt_strlist *paths,
                              struct mt_error *err) MT_CHECKED;

#endif
