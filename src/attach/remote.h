/* remote.h: memory of another process.
 *
 * Decides: by /proc/PID/mem, which stays the memory of the image it was opened in: after an exec it is nobody's, and what was
 * meant for the old image can neither be read from nor written into the new one (process_vm_writev would). All of a range or
 * nothing is told. What is read was written by a stranger: callers check every offset before they follow it. Context: [tool].
 */
#ifndef MT_ATTACH_REMOTE_H
#define MT_ATTACH_REMOTE_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_remote {
    pid_t pid;
    int mem_fd; /* /proc/PID/mem; -1: closed */
};

/* Needs the right to trace the process: MT_E_PERM when it is not there, MT_E_NOENT when the process is not. */
mt_status mt_remote_open(pid_t pid, struct mt_remote *ret, struct mt_error *err) MT_CHECKED;
/* The number of this process in the pid namespace of another; 0: that is not ours. */
uint64_t mt_remote_own_number(pid_t pid);
void mt_remote_close(struct mt_remote *remote);

/* False: a part of it cannot be read. */
bool mt_remote_read(const struct mt_remote *remote, uint64_t address, void *ret, size_t bytes) MT_CHECKED;
/* As much as can be read from the start, in bytes. */
size_t mt_remote_read_some(const struct mt_remote *remote, uint64_t address, void *ret, size_t bytes);
/* A text that ends in a NUL, cut at the capacity. False: it does not end in memory that can be read. */
bool mt_remote_read_text(const struct mt_remote *remote, uint64_t address, char *ret, size_t capacity) MT_CHECKED;
/* Only where the process itself may write, which the caller has looked at: a guard page would be written to as well. */
bool mt_remote_write(const struct mt_remote *remote, uint64_t address, const void *data, size_t bytes) MT_CHECKED;

#endif
