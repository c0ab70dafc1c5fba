/* torch_amounts.c: see torch.h. Context: [gil]. */
#include "torch.h"

#include "labels.h"

#include <string.h>

bool mt_py_torch_drop_exception(void)
{
    if (PyErr_Occurred() != NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return false;
    }
    PyErr_Clear();
    return true;
}

static bool read_device(PyObject *read, struct mt_py_torch_amounts *ret)
{
    unsigned long long allocated, max_allocated, cached, max_cached;
    const char *source;
    PyObject *result = PyObject_CallObject(read, NULL);
    bool got = result != NULL && PyTuple_Check(result) &&
               PyArg_ParseTuple(result, "sKKKK", &source, &allocated, &max_allocated, &cached, &max_cached);
    if (got) {
        *ret = (struct mt_py_torch_amounts){ strcmp(source, "mps") == 0 ? "mps" : "cuda", allocated, max_allocated, cached, max_cached };
    }
    Py_XDECREF(result);
    return got;
}

/* The CPU has no cache of tensors: what is reserved is what is allocated. */
static void read_cpu(struct mt_py_torch_amounts *ret)
{
    static uint64_t most;
    uint64_t bytes, most_bytes, rss = 0, vms;
    if (mt_py_agent()->tensors(&bytes, &most_bytes)) {
        *ret = (struct mt_py_torch_amounts){ "cpu_alloc", bytes, most_bytes, bytes, most_bytes };
        return;
    }
    (void)mt_py_process_memory(&rss, &vms);
    most = rss > most ? rss : most;
    *ret = (struct mt_py_torch_amounts){ "rss", rss, most, rss, most };
}

bool mt_py_torch_read(PyObject *read, struct mt_py_torch_amounts *ret)
{
    Py_XINCREF(read); /* the step of another thread may end meanwhile */
    bool done = read != NULL && read_device(read, ret);
    Py_XDECREF(read);
    if (done) {
        return true;
    }
    bool fine = mt_py_torch_drop_exception();
    read_cpu(ret);
    return fine;
}
