/* tracepath.h: the names of trace files of one run.
 *
 * Decides: FILE is the trace of the first process. While a run lasts the others lie in the folder FILE.d: <pid>.mtap, and
 * <pid>.<n>.mtap for what exec put in the place of a recorded program. The agent computes the same names (agent/config.c).
 * Whatever is not a regular file is no trace, whatever its name. Context: [tool].
 */
#ifndef MT_UTIL_TRACEPATH_H
#define MT_UTIL_TRACEPATH_H

#include "util/error.h"
#include "util/strlist.h"

#include <stdbool.h>

/* FILE.d, malloc'ed. */
char *mt_tracepath_folder(const char *file);
/* True when a name (no folder) is <digits>.mtap or <digits>.<digits>.mtap. */
bool mt_tracepath_is_other(const char *name);
/* Appends the files in FILE.d that exist now, in order of name. */
void mt_tracepath_others(const char *file, struct mt_strlist *paths);
/* Appends the journals in a folder (wire/journal_path.h), alike. */
void mt_tracepath_journals(const char *folder, struct mt_strlist *paths);
/* Default output of run: memtap-NAME.PID.mtap with NAME made from a program name (last component, no ".py"). malloc'ed.
 */
char *mt_tracepath_default(const char *program, long pid);
/* Absolute form of a path whose folder exists. malloc'ed. MT_E_NOENT etc. about the folder. */
mt_status mt_tracepath_absolute(const char *file, char **ret, struct mt_error *err) MT_CHECKED;
/* What may have been meant by a path that is not there: a trace of the same folder with a name like it; NULL: none is. malloc'ed. */
char *mt_tracepath_like(const char *path);
/* Files meant by operands: a folder stands for all *.mtap in it. Missing files are reported by whoever opens them. */
mt_status mt_tracepath_expand(char *const *operands, int count, struct mt_strlist *paths,
                              struct mt_error *err) MT_CHECKED;

#endif
