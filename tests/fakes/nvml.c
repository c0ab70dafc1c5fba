/* nvml.c: a stand-in for NVIDIA's management library, for tests/python/test_memsnap_devices.py
 * and tests/integration/test_query_tables.py.
 *
 * Decides: what the driver answers, by environment: FAKE_NVML_DEVICES (count), FAKE_NVML_PIDS (own, other, unknown),
 * FAKE_NVML_PID (whose entries are "own": 0 the caller's),
 * FAKE_NVML_INIT (an error code), FAKE_NVML_UNIT (a factor of what the entries use). Device i has (i + 1) GiB in
 * all; its own-process entries are 100 and 28 MiB times (i + 1). FAKE_NVML_GATE names a FIFO: the process query makes a
 * file of that name with ".there" and waits until somebody opens the FIFO's other end.
 * Built as libnvidia-ml.so.1 and put on LD_LIBRARY_PATH; with -DFIRST_ABI it offers only the unversioned process query
 * and its 16-byte entries.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024ULL * 1024)

struct memory {
    unsigned long long total, free, used;
};

struct process {
    unsigned pid;
    unsigned long long used_bytes;
#ifndef FIRST_ABI
    unsigned gpu_instance, compute_instance;
#endif
};

static int number(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : 0;
}

int nvmlInit_v2(void)
{
    return number("FAKE_NVML_INIT");
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)number("FAKE_NVML_DEVICES");
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(uintptr_t)(index + 1);
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    uintptr_t number = (uintptr_t)device;
    memory->total = number * 1024 * MIB;
    memory->used = number * 256 * MIB;
    memory->free = number * 768 * MIB;
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned bytes)
{
    snprintf(name, bytes, "Fake GPU %d", (int)(uintptr_t)device - 1);
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned bytes)
{
    snprintf(uuid, bytes, "GPU-%d", (int)(uintptr_t)device - 1);
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates)
{
    rates[0] = 10 * (unsigned)(uintptr_t)device;
    rates[1] = 1;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    *major = 8 + (int)(uintptr_t)device;
    *minor = 6;
    return 0;
}

static void wait_at_gate(void)
{
    const char *gate = getenv("FAKE_NVML_GATE");
    char there[4096];
    if (gate != NULL) {
        snprintf(there, sizeof(there), "%s.there", gate);
        close(open(there, O_CREAT | O_WRONLY, 0600));
        close(open(gate, O_WRONLY));
    }
}

static unsigned unit_factor(void)
{
    int factor = number("FAKE_NVML_UNIT");
    return factor > 0 ? (unsigned)factor : 1;
}

static int list(void *device, unsigned *count, struct process *processes)
{
    const char *pids = getenv("FAKE_NVML_PIDS");
    unsigned own = pids != NULL && strcmp(pids, "other") == 0 ? 1 : number("FAKE_NVML_PID") > 0 ? (unsigned)number("FAKE_NVML_PID") : (unsigned)getpid();
    bool unknown = pids != NULL && strcmp(pids, "unknown") == 0;
    unsigned long long unit = unknown ? 0 : (uintptr_t)device * MIB * unit_factor();
    wait_at_gate();
    memset(processes, 0, 3 * sizeof(*processes));
    processes[0].pid = own, processes[0].used_bytes = unit != 0 ? 100 * unit : UINT64_MAX;
    processes[1].pid = 1, processes[1].used_bytes = 7 * MIB;
    processes[2].pid = own, processes[2].used_bytes = unit != 0 ? 28 * unit : UINT64_MAX;
    *count = 3;
    return 0;
}

#ifdef FIRST_ABI
int nvmlDeviceGetComputeRunningProcesses(void *device, unsigned *count, struct process *processes)
#else
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *processes)
#endif
{
    return list(device, count, processes);
}
