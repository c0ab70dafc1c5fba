/* top_session.h: the process or trace that `memtap top` watches, from finding its trace to giving it back. Context: [tool].
 *
 * Decides: a process that is recorded already is only read, by as many viewers as like; one that is not is attached to, and what was
 * attached is detached at the end. When the process executes another program its new trace is looked for, and where attach began the
 * old one, it is attached to again. A look without a screen leaves no trace that nobody asked for.
 */
#ifndef MT_CLI_TOP_SESSION_H
#define MT_CLI_TOP_SESSION_H

#include "cli/join.h"
#include "top/watch.h"
#include "util/strlist.h"

struct mt_top_session {
    struct mt_join how;
    pid_t pid; /* 0: a file was given */
    bool attached;
    bool keeps_nothing; /* what attach writes is removed at the end */
    struct mt_strlist made; /* the traces that it wrote */
    char *path; /* of the trace */
    uint64_t started; /* of the process: when it began, which tells it from another one of its number */
    uint64_t image; /* of the process: another one after exec */
    unsigned busy_tries; /* to attach, since exec, for which no thread could be borrowed in time */
    struct mt_top_watch *watch;
    struct mt_top_look look; /* the last one that succeeded */
    bool has_look;
    char *message; /* what has happened meanwhile; NULL: nothing */
};

/* operand: PID or FILE. On failure *ret_code is the exit code. mt_top_session_close also then. */
mt_status mt_top_session_open(struct mt_top_session *session, const char *operand, int *ret_code, struct mt_error *err) MT_CHECKED;
/* A new look. */
mt_status mt_top_session_look(struct mt_top_session *session, const struct mt_top_ui *ui, struct mt_error *err) MT_CHECKED;
/* Ends what open attached. */
void mt_top_session_close(struct mt_top_session *session);

#endif
