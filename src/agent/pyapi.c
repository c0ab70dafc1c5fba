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

/* Writers: threads of those who ask, which all write the same. Pairing P3: g_api, then g_found (release) -> g_found (acquire), g_api. */
static struct mt_py_api g_api;
static uint32_t g_found;

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
    if (mt_load_acquire(&g_found) == 0 && mt_elf_lookup("PyGILState_Ensure") != NULL && mt_pystack_detect(mt_elf_lookup, &g_api.info) &&
        g_api.info.version_hex >= 0x03080000 && find_all(&g_api)) {
        mt_store_release(&g_found, 1u);
    }
    return mt_load_acquire(&g_found) != 0 ? &g_api : NULL;
}

bool mt_py_is_ready(const struct mt_py_api *py)
{
    return py->Py_IsInitialized() != 0 && py->is_finalizing() == 0;
}
