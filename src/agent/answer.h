/* answer.h: what is done for each kind of request. Internal to agent/. Context: the thread of listen.c. */
#ifndef MT_AGENT_ANSWER_H
#define MT_AGENT_ANSWER_H

#include "agent/asked.h"

/* Does it, and writes the reply's payload. Returns its status. */
enum mt_control_status mt_answer(const struct mt_asked *asked, struct mt_control_text *reply);
/* Requests that take long are answered on a thread of their own, which gets the connection: true when it has taken fd and the
 * payload (mapped, `mapped` bytes) and will give both back. *ret_status: else, what to answer. */
bool mt_answer_apart(const struct mt_asked *asked, int fd, size_t mapped, enum mt_control_status *ret_status);

#endif
