/* agent.c: starts and stops the agent in this process. */
#include "ext.h"

int mt_py_add_agent(PyObject *module)
{
    (void)module;
    return 0;
}
