/* process.c: resident set, address space and GPU totals of this process.
 *
 * Decides: process totals come from /proc/self/statm (two numbers, one read, no dependency); GPU totals come from the
 * driver's own library, NVML, opened at the first question and kept. Nothing links against it and no CUDA context is
 * ever made: a context would cost hundreds of MB and change what is being measured.
 * Invariant: a question that has no answer (no driver, MIG, a pid of another namespace) gives None, never a guess.
 * Context: [gil]; the GIL is released around NVML (its first call can take seconds). The caller serialises
 * gpu_devices() and keeps fork children away from a call that was in flight (memtap/memsnap.py).
 * NVML: the entry points, versions and structure layouts are those of NVIDIA's "NVML API Reference", release 550.
 */
#include "ext.h"

#include "base/os.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NVML_LIBRARY "libnvidia-ml.so.1"
#define CUDA_LIBRARY "libcuda.so.1"
#define NVML_SUCCESS 0
#define NVML_ERROR_INSUFFICIENT_SIZE 7
#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX
#define MAX_DEVICES 64          /* per machine; more are left out */
#define MAX_GPU_PROCESSES 1024  /* per device; more make this process's share unknown */
#define NAME_BYTES 96           /* NVML_DEVICE_NAME_V2_BUFFER_SIZE */
#define FIRST_PID_NAMESPACE "pid:[4026531836]" /* PROC_PID_INIT_INO of include/linux/proc_ns.h */

/* nvmlMemory_t */
struct nvml_memory {
    unsigned long long total, free, used;
};

/* nvmlProcessInfo_t of the _v2 and _v3 calls: 24 bytes */
struct nvml_process {
    unsigned pid;
    unsigned long long used_bytes;
    unsigned gpu_instance, compute_instance;
};

/* nvmlProcessInfo_v1_t: 16 bytes */
struct nvml_process_v1 {
    unsigned pid;
    unsigned long long used_bytes;
};

_Static_assert(sizeof(struct nvml_process) == 24 && sizeof(struct nvml_process_v1) == 16, "NVML's layouts");

union process_list {
    struct nvml_process now[MAX_GPU_PROCESSES];
    struct nvml_process_v1 v1[MAX_GPU_PROCESSES];
};

/* What one device answered. has_* say which questions it answered. */
struct device {
    char name[NAME_BYTES], uuid[NAME_BYTES];
    struct nvml_memory memory;
    uint64_t process_bytes;
    bool has_memory, has_process;
};

static struct {
    bool tried, ready;
    int (*init)(void);
    int (*device_count)(unsigned *);
    int (*device_handle)(unsigned, void **);
    int (*device_memory)(void *, struct nvml_memory *);
    int (*device_name)(void *, char *, unsigned);
    int (*device_uuid)(void *, char *, unsigned);
    int (*device_processes)(void *, unsigned *, void *);
    bool processes_v1;
} g_nvml;

#define LOAD(field, name) (*(void **)(&g_nvml.field) = dlsym(library, name))

static bool load_process_query(void *library)
{
    if (LOAD(device_processes, "nvmlDeviceGetComputeRunningProcesses_v3") != NULL ||
        LOAD(device_processes, "nvmlDeviceGetComputeRunningProcesses_v2") != NULL) {
        return true;
    }
    g_nvml.processes_v1 = true;
    return LOAD(device_processes, "nvmlDeviceGetComputeRunningProcesses") != NULL;
}

/* True when NVML is there and initialised; tried once a process, fork children inherit the answer. */
static bool nvml_ready(void)
{
    if (g_nvml.tried) {
        return g_nvml.ready;
    }
    g_nvml.tried = true;
    void *library = dlopen(NVML_LIBRARY, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        return false;
    }
    bool complete = LOAD(init, "nvmlInit_v2") != NULL && LOAD(device_count, "nvmlDeviceGetCount_v2") != NULL &&
                    LOAD(device_handle, "nvmlDeviceGetHandleByIndex_v2") != NULL &&
                    LOAD(device_memory, "nvmlDeviceGetMemoryInfo") != NULL &&
                    LOAD(device_name, "nvmlDeviceGetName") != NULL && LOAD(device_uuid, "nvmlDeviceGetUUID") != NULL &&
                    load_process_query(library);
    g_nvml.ready = complete && g_nvml.init() == NVML_SUCCESS;
    return g_nvml.ready;
}

/* Can a pid of NVML be compared with ours? It speaks in the pids of the first namespace, or in the caller's. */
static bool in_first_pid_namespace(void)
{
    char text[64];
    return mt_os_readlink("/proc/self/ns/pid", text, sizeof(text)) > 0 && strcmp(text, FIRST_PID_NAMESPACE) == 0;
}

/* A process that never loaded the CUDA driver holds no device memory, whatever the pids say. */
static bool has_cuda(void)
{
    void *library = dlopen(CUDA_LIBRARY, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (library == NULL) {
        return false;
    }
    dlclose(library);
    return true;
}

static unsigned list_pid(const union process_list *list, unsigned i)
{
    return g_nvml.processes_v1 ? list->v1[i].pid : list->now[i].pid;
}

static uint64_t list_bytes(const union process_list *list, unsigned i)
{
    return g_nvml.processes_v1 ? list->v1[i].used_bytes : list->now[i].used_bytes;
}

/* Sums this process's entries of a list; false when that cannot be told. */
static bool sum_own(const union process_list *list, unsigned count, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    bool found = false;
    for (unsigned i = 0; i < count; i++) {
        if (list_pid(list, i) != (unsigned)mt_os_pid()) {
            continue;
        }
        if (list_bytes(list, i) == NVML_VALUE_NOT_AVAILABLE) {
            return false;
        }
        bytes += list_bytes(list, i);
        found = true;
    }
    *ret_bytes = bytes;
    return found || count == 0 || in_first_pid_namespace();
}

static void ask_process_bytes(void *handle, struct device *device)
{
    static union process_list list; /* callers are serialised */
    if (!has_cuda()) {
        device->has_process = true;
        return;
    }
    unsigned count = MAX_GPU_PROCESSES;
    if (g_nvml.device_processes(handle, &count, &list) == NVML_SUCCESS && count <= MAX_GPU_PROCESSES) {
        device->has_process = sum_own(&list, count, &device->process_bytes);
    }
}

static void ask_device(unsigned index, struct device *device)
{
    void *handle = NULL;
    if (g_nvml.device_handle(index, &handle) != NVML_SUCCESS) {
        return;
    }
    (void)g_nvml.device_name(handle, device->name, NAME_BYTES);
    (void)g_nvml.device_uuid(handle, device->uuid, NAME_BYTES);
    device->name[NAME_BYTES - 1] = device->uuid[NAME_BYTES - 1] = '\0';
    device->has_memory = g_nvml.device_memory(handle, &device->memory) == NVML_SUCCESS;
    ask_process_bytes(handle, device);
}

/* Fills the table; the number of devices, or -1 without a driver. */
static int ask_devices(struct device devices[MAX_DEVICES])
{
    unsigned count = 0;
    if (!nvml_ready() || g_nvml.device_count(&count) != NVML_SUCCESS) {
        return -1;
    }
    count = count < MAX_DEVICES ? count : MAX_DEVICES;
    memset(devices, 0, count * sizeof(*devices));
    for (unsigned i = 0; i < count; i++) {
        ask_device(i, &devices[i]);
    }
    return (int)count;
}

/* Borrows nothing: a new reference to an int, or to None. */
static PyObject *bytes_or_none(bool known, unsigned long long bytes)
{
    if (known) {
        return PyLong_FromUnsignedLongLong(bytes);
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *describe_device(int index, const struct device *device)
{
    return Py_BuildValue("{s:i,s:s,s:s,s:N,s:N,s:N,s:N}", "index", index, "name", device->name, "uuid", device->uuid,
                         "total_bytes", bytes_or_none(device->has_memory, device->memory.total), "used_bytes",
                         bytes_or_none(device->has_memory, device->memory.used), "free_bytes",
                         bytes_or_none(device->has_memory, device->memory.free), "process_bytes",
                         bytes_or_none(device->has_process, device->process_bytes));
}

static PyObject *py_gpu_devices(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    static struct device devices[MAX_DEVICES]; /* callers are serialised */
    PyThreadState *thread = PyEval_SaveThread();
    int count = ask_devices(devices);
    PyEval_RestoreThread(thread);
    if (count < 0) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *item = describe_device(i, &devices[i]);
        if (item == NULL || PyList_Append(list, item) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

int mt_py_process_memory(uint64_t *ret_rss, uint64_t *ret_vms)
{
    char text[256];
    size_t length = 0;
    int fd = -1;
    mt_status status = mt_os_open("/proc/self/statm", MT_OPEN_READ, &fd);
    if (status == MT_OK) {
        status = mt_os_read(fd, text, sizeof(text) - 1, &length);
        mt_os_close(fd);
    }
    unsigned long long vms_pages = 0, rss_pages = 0;
    text[status == MT_OK ? length : 0] = '\0';
    if (sscanf(text, "%llu %llu", &vms_pages, &rss_pages) != 2) {
        return -1;
    }
    *ret_rss = rss_pages * mt_os_page_bytes();
    *ret_vms = vms_pages * mt_os_page_bytes();
    return 0;
}

static PyObject *py_process_memory(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    uint64_t rss, vms;
    if (mt_py_process_memory(&rss, &vms) != 0) {
        return PyErr_Format(PyExc_OSError, "cannot read /proc/self/statm: is /proc mounted here?");
    }
    return Py_BuildValue("(KK)", (unsigned long long)rss, (unsigned long long)vms);
}

static PyMethodDef g_methods[] = {
    {"process_memory", py_process_memory, METH_NOARGS,
     "process_memory() -> (rss_bytes, vms_bytes)\n\n"
     "Resident set and address space of this process, from /proc/self/statm (proc(5)). OSError without /proc."},
    {"gpu_devices", py_gpu_devices, METH_NOARGS,
     "gpu_devices() -> list of dict, or None without an NVIDIA driver\n\n"
     "Each: index, name, uuid, total_bytes, used_bytes, free_bytes (the whole device), process_bytes (this process).\n"
     "A value the driver does not give is None. From NVML; makes no CUDA context. Not for concurrent calls."},
    {NULL, NULL, 0, NULL},
};

int mt_py_add_process(PyObject *module)
{
    return PyModule_AddFunctions(module, g_methods);
}
