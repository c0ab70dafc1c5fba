/* torch.h: objects of a training loop and their names (ext/torch_names.c) and the memory it holds (ext/torch_amounts.c), for ext/torch.c.
 *
 * Decides: a module or optimizer is known by its address as long as it lives, which a weak reference tells; torch's own
 * attributes of it are left alone. Context: [gil].
 */
#ifndef MEMTAP_PYTHON_TORCH_H
#define MEMTAP_PYTHON_TORCH_H

#include "ext.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_py_torch_known {
    const void *object;  /* NULL: free */
    PyObject *reference; /* weak, of object */
    char *name;          /* UTF-8 */
    uint64_t calls;      /* of an optimizer */
    uint64_t called_in;  /* number of the step */
};

enum { MT_PY_TORCH_NAME_BYTES = 1024 }; /* of a name; what is longer is cut */

/* NULL: not named yet. Good until the next mt_py_torch_name. */
struct mt_py_torch_known *mt_py_torch_known(const void *object);
/* object has this name from here on. NULL: no memory, or it takes no weak reference; no exception is set. */
struct mt_py_torch_known *mt_py_torch_name(PyObject *object, const char *name, size_t bytes);
void mt_py_torch_forget_all(void);

struct mt_py_torch_amounts {
    const char *source; /* one of cuda, mps, cpu_alloc, rss */
    uint64_t allocated, max_allocated, cached, max_cached; /* bytes */
};

/* read: a function of the device's, or NULL; where it fails, and without one, it is the memory of the CPU. False: an exception that has
 * to be raised. */
bool mt_py_torch_read(PyObject *read, struct mt_py_torch_amounts *ret);
/* An Exception of ours is nobody's; false: it is something else, which the caller has to raise. */
bool mt_py_torch_drop_exception(void);

#endif
