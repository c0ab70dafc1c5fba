/* prompt.h: `memtap query TARGET` on a terminal: one query after the other. Internal to cli/. docs/decisions/0078. Context: [tool]. */
#ifndef MT_CLI_PROMPT_H
#define MT_CLI_PROMPT_H

#include "cli/query_session.h"
#include "export/report.h"

/* Until .quit, Ctrl-D or the end of standard input. Returns the exit code. */
int mt_prompt_run(struct mt_query_session *session, enum mt_format format);

#endif
