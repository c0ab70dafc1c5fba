/* history.h: lines that were typed at a prompt, also before. Internal to cli/.
 *
 * Decides: they are kept in $XDG_STATE_HOME/memtap/history (~/.local/state), which only the user may read: queries name what a program does. The
 * last HISTORY_MAX stay. Where the file cannot be written there is a history of this session alone. Context: [tool].
 */
#ifndef MT_CLI_HISTORY_H
#define MT_CLI_HISTORY_H

#include "util/strlist.h"

enum { MT_HISTORY_MAX = 1000 };

struct mt_history {
    struct mt_strlist lines; /* the oldest first */
    char *path;              /* malloc'ed; NULL: there is none */
};

void mt_history_open(struct mt_history *history);
/* Not if it is empty or the same as the one before. */
void mt_history_add(struct mt_history *history, const char *line);
void mt_history_close(struct mt_history *history);

#endif
