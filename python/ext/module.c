/* module.c: makes memtap._memtap of its parts (ext.h). */
#include "ext.h"

static struct PyModuleDef g_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "memtap._memtap",
    .m_doc = "The C half of the memtap package; use the modules of the package instead.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__memtap(void);
PyMODINIT_FUNC PyInit__memtap(void)
{
    PyObject *module = PyModule_Create(&g_definition);
    if (module == NULL) {
        return NULL;
    }
    if (PyModule_AddStringConstant(module, "VERSION", MEMTAP_VERSION) != 0 || mt_py_add_agent(module) != 0 ||
        mt_py_add_labels(module) != 0 || mt_py_add_greenlets(module) != 0 || mt_py_add_process(module) != 0 || mt_py_add_tracker(module) != 0 || mt_py_add_torch(module) != 0 || mt_py_add_profile(module) != 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
