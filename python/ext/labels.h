/* labels.h: what a thread is labelled with: ext/labels.c, for ext/greenlets.c; and what it needs of ext/agent.c. */
#ifndef MEMTAP_PYTHON_LABELS_H
#define MEMTAP_PYTHON_LABELS_H

#include "ext.h"
#include "memtap/agent.h"

#include <stdbool.h>

/* The agent in use, NULL before agent_load. */
const struct memtap_agent_api *mt_py_agent(void);

/* The context variable of labels; NULL: none has been set. Borrowed. */
PyObject *mt_py_label_variable(void);
/* Are tasks labelled with their names? */
bool mt_py_labels_tasks(void);
/* The calling thread works for this value of the variable, this task (a str); NULL: for none. Takes the reference. */
void mt_py_wear_user(PyObject *value);
void mt_py_wear_task(PyObject *name);
/* Borrowed; NULL: none. */
PyObject *mt_py_worn_task(void);

#endif
