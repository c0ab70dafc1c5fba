/* allocator.c: see allocator.h. Names: jemalloc(3), "MALLCTL NAMESPACE"; gperftools, malloc_extension.h. */
#include "agent/allocator.h"

#include "base/compiler.h"
#include "hook/hook.h"

#include <stddef.h>
#include <string.h>

/* ---- jemalloc ------------------------------------------------------------------------------------------------------- */

typedef int mallctl_function(const char *name, void *old_value, size_t *old_bytes, void *new_value, size_t new_bytes);

static mallctl_function *find_mallctl(void)
{
    static const char *const names[] = { "mallctl", "je_mallctl" }; /* the latter where it was built to stand beside another */
    mallctl_function *call = NULL;
    for (size_t i = 0; call == NULL && i < MT_COUNTOF(names); i++) {
        void *found = mt_elf_lookup(names[i]);
        memcpy(&call, &found, sizeof call);
    }
    return call;
}

static bool read_size(mallctl_function *mallctl, const char *name, uint64_t *ret)
{
    size_t value = 0, bytes = sizeof value;
    bool good = mallctl(name, &value, &bytes, NULL, 0) == 0 && bytes == sizeof value;
    *ret = value;
    return good;
}

static bool ask_jemalloc(struct mt_allocator_statistics *ret)
{
    mallctl_function *mallctl = find_mallctl();
    uint64_t epoch = 1;
    size_t bytes = sizeof epoch;
    ret->name = "jemalloc";
    return mallctl != NULL && mallctl("epoch", &epoch, &bytes, &epoch, sizeof epoch) == 0 && /* what is read is of this moment */
           read_size(mallctl, "stats.allocated", &ret->in_use_bytes) && read_size(mallctl, "stats.metadata", &ret->own_bytes) &&
           read_size(mallctl, "stats.resident", &ret->resident_bytes) && read_size(mallctl, "stats.retained", &ret->given_back_bytes);
}

/* ---- tcmalloc ------------------------------------------------------------------------------------------------------- */

typedef int property_function(const char *name, size_t *value);

static bool read_property(property_function *property, const char *name, uint64_t *ret)
{
    size_t value = 0;
    bool good = property(name, &value) != 0;
    *ret = value;
    return good;
}

static bool ask_tcmalloc(struct mt_allocator_statistics *ret)
{
    property_function *property = NULL;
    void *found = mt_elf_lookup("MallocExtension_GetNumericProperty");
    uint64_t heap_bytes = 0;
    memcpy(&property, &found, sizeof property);
    ret->name = "tcmalloc";
    ret->own_bytes = 0; /* it does not say */
    if (property == NULL || !read_property(property, "generic.current_allocated_bytes", &ret->in_use_bytes) ||
        !read_property(property, "generic.heap_size", &heap_bytes) ||
        !read_property(property, "tcmalloc.pageheap_unmapped_bytes", &ret->given_back_bytes) || ret->given_back_bytes > heap_bytes) {
        return false;
    }
    ret->resident_bytes = heap_bytes - ret->given_back_bytes;
    return true;
}

bool mt_allocator_ask(struct mt_allocator_statistics *ret)
{
    return ask_jemalloc(ret) || ask_tcmalloc(ret);
}
