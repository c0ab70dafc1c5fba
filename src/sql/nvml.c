/* nvml.c: see nvml.h. Layouts are those of nvml.h of NVIDIA's driver (API version 12). */
#include "sql/nvml.h"

#include "base/os.h"
#include "util/memory.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"
#define FIRST_PID_NAMESPACE "pid:[4026531836]" /* PROC_PID_INIT_INO of include/linux/proc_ns.h */
enum { DONE = 0, PROCESSES_MAX = 1024 };

struct memory {
    unsigned long long total, free, used;
};
struct utilization {
    unsigned gpu, memory;
};
/* Of the _v3 call. */
struct process {
    unsigned pid;
    unsigned long long used_bytes;
    unsigned gpu_instance, compute_instance;
};
static_assert(sizeof(struct process) == 24, "the library's layout");

static struct {
    const char *why; /* it cannot be asked; NULL: it can */
    int (*init)(void);
    int (*count)(unsigned *);
    int (*handle)(unsigned, void **);
    int (*memory)(void *, struct memory *);
    int (*name)(void *, char *, unsigned);
    int (*uuid)(void *, char *, unsigned);
    int (*utilization)(void *, struct utilization *);     /* these may be missing */
    int (*capability)(void *, int *, int *);
    int (*processes)(void *, unsigned *, struct process *);
} g_nvml;

#define LOAD(field, symbol) ((*(void **)(&g_nvml.field) = dlsym(library, symbol)) != NULL)

static const char *load(void)
{
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        return "this machine has no NVIDIA driver (" LIBRARY ")";
    }
    if (!LOAD(init, "nvmlInit_v2") || !LOAD(count, "nvmlDeviceGetCount_v2") || !LOAD(handle, "nvmlDeviceGetHandleByIndex_v2") ||
        !LOAD(memory, "nvmlDeviceGetMemoryInfo") || !LOAD(name, "nvmlDeviceGetName") || !LOAD(uuid, "nvmlDeviceGetUUID")) {
        return LIBRARY " is too old";
    }
    (void)LOAD(utilization, "nvmlDeviceGetUtilizationRates");
    (void)LOAD(capability, "nvmlDeviceGetCudaComputeCapability");
    (void)LOAD(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
    return g_nvml.init() == DONE ? NULL : "the NVIDIA driver does not answer (nvmlInit)";
}

static void begin(void)
{
    g_nvml.why = load();
}

unsigned mt_nvml_count(const char **ret_why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* several threads may ask at a time */
    unsigned count = 0;
    (void)pthread_once(&once, begin);
    *ret_why = g_nvml.why;
    if (g_nvml.why == NULL && g_nvml.count(&count) != DONE) {
        *ret_why = "the NVIDIA driver does not say how many devices there are";
    }
    return *ret_why == NULL ? count : 0;
}

/* The library speaks in numbers of the first pid namespace. */
static bool same_pids(void)
{
    char text[64];
    return mt_os_readlink("/proc/self/ns/pid", text, sizeof text) > 0 && strcmp(text, FIRST_PID_NAMESPACE) == 0;
}

static void sum_processes(void *device, const pid_t *pids, size_t pid_count, struct mt_nvml_device *ret)
{
    unsigned count = PROCESSES_MAX;
    struct process *list = mt_alloc_zero(PROCESSES_MAX, sizeof *list);
    ret->has_processes = pid_count > 0 && g_nvml.processes != NULL && same_pids() && g_nvml.processes(device, &count, list) == DONE;
    for (unsigned i = 0; ret->has_processes && i < count; i++) {
        bool wanted = false;
        for (size_t p = 0; p < pid_count; p++) {
            wanted = wanted || (unsigned)pids[p] == list[i].pid;
        }
        ret->has_processes = !wanted || list[i].used_bytes != UINT64_MAX; /* "not available" */
        ret->processes_bytes += wanted ? list[i].used_bytes : 0;
    }
    free(list);
}

bool mt_nvml_device(unsigned index, const pid_t *pids, size_t pid_count, struct mt_nvml_device *ret)
{
    void *device;
    struct memory memory;
    struct utilization utilization;
    *ret = (struct mt_nvml_device){ 0 };
    if (g_nvml.handle(index, &device) != DONE) {
        return false;
    }
    ret->name[0] = g_nvml.name(device, ret->name, sizeof ret->name) == DONE ? ret->name[0] : '\0';
    ret->uuid[0] = g_nvml.uuid(device, ret->uuid, sizeof ret->uuid) == DONE ? ret->uuid[0] : '\0';
    ret->has_memory = g_nvml.memory(device, &memory) == DONE;
    if (ret->has_memory) {
        ret->total_bytes = memory.total;
        ret->free_bytes = memory.free;
        ret->used_bytes = memory.used;
    }
    ret->has_utilization = g_nvml.utilization != NULL && g_nvml.utilization(device, &utilization) == DONE;
    ret->utilization_percent = ret->has_utilization ? utilization.gpu : 0;
    ret->has_capability = g_nvml.capability != NULL && g_nvml.capability(device, &ret->capability_major, &ret->capability_minor) == DONE;
    sum_processes(device, pids, pid_count, ret);
    return true;
}
