/* ext.h: the parts of the extension module memtap._memtap.
 *
 * Decides: one file a part (agent control, labels, process totals, tracker, training loops, trace reader); each adds its functions and types to the
 * one module. Built against the limited API of CPython 3.8, so one binary serves 3.8 and later: only what that API has.
 * Rules: long work releases the GIL; every failure raises in the caller with what to do; nothing here runs in a hook.
 */
#ifndef MEMTAP_PYTHON_EXT_H
#define MEMTAP_PYTHON_EXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* Each returns 0, or -1 with an exception set. Called once, while the module is made. */
int mt_py_add_agent(PyObject *module);   /* start, stop, rate of the agent in this process */
int mt_py_add_labels(PyObject *module);  /* whose memory it is */
int mt_py_add_greenlets(PyObject *module); /* the same where greenlets take turns */
int mt_py_add_process(PyObject *module); /* resident set, address space, GPU totals */
int mt_py_add_tracker(PyObject *module); /* the exact tracker */
int mt_py_add_torch(PyObject *module);   /* rows of training loops */
int mt_py_add_profile(PyObject *module); /* reading traces */

/* Resident set and address space in bytes; -1: /proc cannot be read (no exception is set). */
int mt_py_process_memory(uint64_t *ret_rss, uint64_t *ret_vms);

#endif
