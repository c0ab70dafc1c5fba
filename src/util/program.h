/* program.h: what a program named on a command line is, before it is started.
 *
 * Decides: which file a name means (PATH as execvp would), and whether the agent can be preloaded into it: a statically
 * linked, set-user-ID, 32-bit or musl program never shows it to the dynamic loader. Scripts are followed to their
 * interpreter. Reads files only. Context: [tool].
 */
#ifndef MT_UTIL_PROGRAM_H
#define MT_UTIL_PROGRAM_H

#include "base/executable.h"
#include "util/error.h"

#include <stdbool.h>

/* Finds name as the shell would: a path when it has a slash, else the first executable on PATH (search: a PATH-like
 * list; NULL: getenv("PATH")). *ret is malloc'ed. MT_E_NOENT: nothing there; MT_E_PERM: there, but not executable. */
mt_status mt_program_find(const char *name, const char *search, char **ret, struct mt_error *err) MT_CHECKED;

/* A python found on PATH may be a script that starts the real one (pyenv, asdf): it is run once with -c to ask for
 * sys.executable. *program (malloc'ed) is replaced by the answer; an ELF program, or a script that does not answer,
 * stays. */
void mt_program_resolve_python(char **program);

/* The Python that runs .py files, -m and -c: MEMTAP_PYTHON, else the one whose package this program came with
 * (MEMTAP_OWN_PYTHON), else python3 on PATH; *ret (malloc'ed) is its program, resolved. *ret_word, when not NULL: how it is
 * called, borrowed from *ret or the environment. */
mt_status mt_program_python(char **ret, const char **ret_word, struct mt_error *err) MT_CHECKED;

struct mt_program_info {
    enum mt_program_kind kind;
    char path[512]; /* the file looked at in the end: the interpreter of a script */
};

void mt_program_examine(const char *path, struct mt_program_info *ret);
/* Why such a program leaves no trace and what to do; "" for MT_PROGRAM_DYNAMIC. Static storage. */
const char *mt_program_obstacle(enum mt_program_kind kind);

#endif
