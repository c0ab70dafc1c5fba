/* asked.h: a request of a client, and the line that it leaves in the trace. Internal to agent/. Context: [agent]. */
#ifndef MT_AGENT_ASKED_H
#define MT_AGENT_ASKED_H

#include "wire/control.h"

struct mt_asked {
    uint16_t kind;
    uint64_t user; /* who asks, by the kernel; MT_ASKED_BY_TOKEN: who has the token; MT_ASKED_BY_UNKNOWN */
    const char *payload;
    size_t bytes;
};
#define MT_ASKED_BY_UNKNOWN UINT32_MAX /* no user has this number, and none the next one */
#define MT_ASKED_BY_TOKEN (UINT64_C(1) << 32)

/* What was asked for, and by whom, as a note of the trace. */
void mt_asked_note(const char *what, uint64_t user);

#endif
