/* plugin.c: compiled several times with another PLUGIN_NAME: case_NAME_work, a constructor and a destructor allocate.
 *
 * All variants have the same size and layout, so that one loaded after another is closed lands at the same addresses.
 */
#include <stddef.h>
#include <stdlib.h>

#define JOIN3(a, b, c) a##b##c
#define NAMED(prefix, name, suffix) JOIN3(prefix, name, suffix)
#define CASE __attribute__((noinline, noclone, used))

CASE static void *NAMED(case_, PLUGIN_NAME, _constructor)(void)
{
    return malloc(PLUGIN_BYTES + 1);
}

CASE static void *NAMED(case_, PLUGIN_NAME, _destructor)(void)
{
    return malloc(PLUGIN_BYTES + 2);
}

static void *g_kept;

__attribute__((constructor)) static void loaded(void)
{
    g_kept = NAMED(case_, PLUGIN_NAME, _constructor)();
}

__attribute__((destructor)) static void unloaded(void)
{
    g_kept = NAMED(case_, PLUGIN_NAME, _destructor)();
}

CASE static void *NAMED(case_, PLUGIN_NAME, _work)(size_t bytes)
{
    return malloc(bytes);
}

/* Allocates PLUGIN_BYTES and returns the block. */
void *plugin_work(void);
void *plugin_work(void)
{
    void *p = NAMED(case_, PLUGIN_NAME, _work)(PLUGIN_BYTES);
    __asm__ volatile("" : "+r"(p));
    return p;
}
