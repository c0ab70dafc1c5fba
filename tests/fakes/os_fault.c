/* os_fault.c: stands in front of base/os in the fault-injecting agent (build/bin/libmemtap-agent-fault.so, tests only).
 *
 * MEMTAP_FAULT="KIND:N" makes the Nth call of KIND (mmap, open, write, fallocate; counted from 0) and all later ones fail;
 * "KIND:N!" only that one. Linked with ld --wrap, so that the agent's own code is the shipped one.
 */
#include "base/atomic.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

static uint32_t g_calls[MT_OS__COUNT];

mt_status __real_mt_os_map_anonymous(size_t bytes, void **ret_base);
mt_status __real_mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base);
mt_status __real_mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd);
mt_status __real_mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset);
mt_status __real_mt_os_preallocate(int fd, uint64_t offset, uint64_t bytes);
mt_status __wrap_mt_os_map_anonymous(size_t bytes, void **ret_base);
mt_status __wrap_mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base);
mt_status __wrap_mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd);
mt_status __wrap_mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset);
mt_status __wrap_mt_os_preallocate(int fd, uint64_t offset, uint64_t bytes);

extern void *__libc_stack_end; /* ld.so: where the kernel put argument count, arguments, NULL, environment */

/* getenv, also before libc knows the environment: the agent starts that early. */
static const char *variable(const char *name)
{
    char **stack = __libc_stack_end;
    char **environment = stack + 1 + (uintptr_t)stack[0] + 1;
    size_t length = strlen(name);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') {
            return *environment + length + 1;
        }
    }
    return NULL;
}

/* True when this call of the kind is to fail. */
static bool fails(enum mt_os_call kind, const char *name)
{
    const char *wanted = variable("MEMTAP_FAULT");
    size_t length = strlen(name);
    if (wanted == NULL || strncmp(wanted, name, length) != 0 || wanted[length] != ':') {
        return false;
    }
    char *rest = NULL;
    uint32_t first = (uint32_t)strtoul(wanted + length + 1, &rest, 10);
    uint32_t now = mt_fetch_add_relaxed(&g_calls[kind], 1u);
    return *rest == '!' ? now == first : now >= first;
}

mt_status __wrap_mt_os_map_anonymous(size_t bytes, void **ret_base)
{
    return fails(MT_OS_MMAP, "mmap") ? MT_E_NOMEM : __real_mt_os_map_anonymous(bytes, ret_base);
}

mt_status __wrap_mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base)
{
    return fails(MT_OS_MMAP, "mmap") ? MT_E_NOMEM : __real_mt_os_map_file(fd, offset, bytes, writable, ret_base);
}

mt_status __wrap_mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd)
{
    return fails(MT_OS_OPEN, "open") ? MT_E_PERM : __real_mt_os_open(path, mode, ret_fd);
}

mt_status __wrap_mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
    return fails(MT_OS_WRITE, "write") ? MT_E_NOSPACE : __real_mt_os_write_at(fd, data, bytes, offset);
}

mt_status __wrap_mt_os_preallocate(int fd, uint64_t offset, uint64_t bytes)
{
    return fails(MT_OS_FALLOCATE, "fallocate") ? MT_E_NOSPACE : __real_mt_os_preallocate(fd, offset, bytes);
}
