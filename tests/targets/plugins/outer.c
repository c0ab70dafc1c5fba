/* outer.c: a library with RUNPATH $ORIGIN/inner that loads libplugin_inner.so by its bare name. A profiler that calls
 * dlopen on its behalf breaks this: the loader looks at the caller's RUNPATH. Returns the inner library's block or NULL.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

void *outer_work(void);
int outer_opens_apart(void);
void *outer_work(void)
{
    void *inner = dlopen("libplugin_inner.so", RTLD_NOW | RTLD_LOCAL);
    if (inner == NULL) {
        return NULL;
    }
    void *(*work)(void) = (void *(*)(void))dlsym(inner, "plugin_work");
    return work();
}

/* The same library in a namespace of its own; 0: it is not found. */
int outer_opens_apart(void)
{
    return dlmopen(LM_ID_NEWLM, "libplugin_inner.so", RTLD_NOW) != NULL;
}
