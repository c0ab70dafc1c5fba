/* plugin_hooked.c: a library whose slots lead to hooked functions in every way there is. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern void free_sized(void *ptr, size_t size) __attribute__((weak)); /* absent from libc before 2.43 */

static void *(*const g_table[])(size_t) = { malloc };
static void *(*g_reassigned)(size_t) = malloc;
static void (*g_own)(void *) = free;

static void *other_malloc(size_t size)
{
    return calloc(1, size);
}

__attribute__((constructor)) static void reassign(void)
{
    g_reassigned = other_malloc;
}

void *plugin_malloc(size_t size)
{
    return malloc(size);
}

void *plugin_malloc_by_table(size_t size)
{
    return g_table[0](size);
}

void *plugin_malloc_by_variable(size_t size)
{
    return g_reassigned(size);
}

void plugin_free(void *ptr)
{
    free(ptr);
}

void plugin_free_by_variable(void *ptr)
{
    g_own(ptr);
}

int plugin_has_free_sized(void)
{
    return free_sized != NULL;
}

void *plugin_dlsym_malloc(void)
{
    return dlsym(RTLD_DEFAULT, "malloc");
}

void *plugin_map(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int plugin_unmap(void *addr, size_t bytes)
{
    return munmap(addr, bytes);
}

int plugin_thread(pthread_t *ret_thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    return pthread_create(ret_thread, attr, start, arg);
}
