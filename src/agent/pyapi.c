/* pyapi.c: see pyapi.h. */
#include "agent/pyapi.h"

#include "base/atomic.h"
#include "hook/elf.h"

static const struct {
    const char *name;
    size_t offset;
} g_functions[] = {
#define ROW(result, name, parameters) { #name, offsetof(struct mt_py_api, name) },
    MT_PY_FUNCTIONS(ROW)
#undef ROW
};

/* Writers: threads that run evals, one at a time. */
static struct mt_py_api g_api;
static bool g_found;

static bool find(const char *name, void *ret)
{
    void *function = mt_elf_lookup(name);
    *(void **)ret = function;
    return function != NULL;
}

static bool find_all(struct mt_py_api *api)
{
    for (size_t i = 0; i < MT_COUNTOF(g_functions); i++) {
        if (!find(g_functions[i].name, (char *)api + g_functions[i].offset)) {
            return false;
        }
    }
    if (!find("Py_IsFinalizing", &api->is_finalizing)) {
        (void)find("_Py_IsFinalizing", &api->is_finalizing);
    }
    return find("_Py_NoneStruct", &api->none) && find("PyBaseObject_Type", &api->object_type) &&
           find("PyModule_Type", &api->module_type) && api->is_finalizing != NULL;
}

const struct mt_py_api *mt_py_api(void)
{
    if (!g_found && mt_elf_lookup("PyGILState_Ensure") != NULL) {
        g_found = mt_pystack_detect(mt_elf_lookup, &g_api.info) && g_api.info.version_hex >= 0x03080000 && find_all(&g_api);
    }
    return g_found ? &g_api : NULL;
}

bool mt_py_is_ready(const struct mt_py_api *py)
{
    return py->Py_IsInitialized() != 0 && py->is_finalizing() == 0;
}
