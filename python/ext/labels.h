/* labels.h: what ext/labels.c needs of ext/agent.c. */
#ifndef MEMTAP_PYTHON_LABELS_H
#define MEMTAP_PYTHON_LABELS_H

#include "ext.h"
#include "memtap/agent.h"

/* The agent in use, NULL before agent_load. */
const struct memtap_agent_api *mt_py_agent(void);

#endif
