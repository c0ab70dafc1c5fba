/* nvml.h: what NVIDIA's management library says of the GPUs of this machine. Private to sql/.
 *
 * Decides: the library is opened when it is asked for the first time, and stays. Context: [tool]. */
#ifndef MT_SQL_NVML_H
#define MT_SQL_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MT_NVML_TEXT_BYTES = 96 };

struct mt_nvml_device {
    char name[MT_NVML_TEXT_BYTES], uuid[MT_NVML_TEXT_BYTES]; /* "": not known */
    bool has_memory, has_utilization, has_capability, has_processes;
    uint64_t total_bytes, free_bytes, used_bytes;
    unsigned utilization_percent;
    int capability_major, capability_minor;
    uint64_t processes_bytes; /* of the processes that were asked for */
};

/* How many devices there are; *ret_why: why none could be counted, NULL: they were. */
unsigned mt_nvml_count(const char **ret_why);
/* One of them. pids: whose memory processes_bytes is; it is not known where the library's numbers of processes may be others than ours. False: it
 * does not answer. */
bool mt_nvml_device(unsigned index, const pid_t *pids, size_t pid_count, struct mt_nvml_device *ret);

#endif
