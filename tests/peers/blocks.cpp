/* blocks.cpp: an extension module that allocates by every function there is, at addresses the test is told.
 *
 * get/put: C and C++ allocators; py/pyput: PyMem domains; map/unmap: mmap. Each call makes exactly one request of the size
 * asked for, so a test can count on finding it once.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#define CASE __attribute__((noinline, noclone, used))

namespace {

void *kept; /* the compiler may not take an allocation away that somebody could see */

CASE void *allocate(const char *how, size_t size)
{
    void *block = nullptr;
    if (!strcmp(how, "malloc")) {
        block = malloc(size);
    } else if (!strcmp(how, "calloc")) {
        block = calloc(1, size);
    } else if (!strcmp(how, "realloc")) {
        block = realloc(nullptr, size);
    } else if (!strcmp(how, "posix_memalign")) {
        block = posix_memalign(&block, 64, size) == 0 ? block : nullptr;
    } else if (!strcmp(how, "aligned_alloc")) {
        block = aligned_alloc(64, size);
    } else if (!strcmp(how, "memalign")) {
        block = memalign(64, size);
    } else if (!strcmp(how, "valloc")) {
        block = valloc(size);
    } else if (!strcmp(how, "pvalloc")) {
        block = pvalloc(size);
    } else if (!strcmp(how, "operator new")) {
        block = ::operator new(size);
    } else if (!strcmp(how, "operator new[]")) {
        block = ::operator new[](size);
    }
    kept = block;
    return block;
}

/* C23's frees are in newer C libraries only. */
bool sized_free(const char *name, void *block, size_t size)
{
    void *function = dlsym(RTLD_DEFAULT, name);
    if (function == nullptr) {
        return false;
    }
    if (!strcmp(name, "free_sized")) {
        reinterpret_cast<void (*)(void *, size_t)>(function)(block, size);
    } else {
        reinterpret_cast<void (*)(void *, size_t, size_t)>(function)(block, 64, size);
    }
    return true;
}

PyObject *get(PyObject *, PyObject *args)
{
    const char *how;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "sn", &how, &size)) {
        return nullptr;
    }
    return PyLong_FromVoidPtr(allocate(how, static_cast<size_t>(size)));
}

PyObject *put(PyObject *, PyObject *args)
{
    unsigned long long address;
    const char *how = "free";
    Py_ssize_t size = 0;
    if (!PyArg_ParseTuple(args, "K|sn", &address, &how, &size)) {
        return nullptr;
    }
    void *block = reinterpret_cast<void *>(address);
    bool done = true;
    if (!strcmp(how, "free")) {
        free(block);
    } else if (!strcmp(how, "operator delete")) {
        ::operator delete(block);
    } else if (!strcmp(how, "operator delete[]")) {
        ::operator delete[](block);
    } else {
        done = sized_free(how, block, static_cast<size_t>(size));
    }
    return PyBool_FromLong(done);
}

PyObject *py(PyObject *, PyObject *args)
{
    const char *domain, *how;
    Py_ssize_t asked;
    if (!PyArg_ParseTuple(args, "ssn", &domain, &how, &asked)) {
        return nullptr;
    }
    const size_t size = static_cast<size_t>(asked);
    const char d = domain[0], h = how[0];
    void *block = nullptr;
    if (d == 'r') {
        block = h == 'm' ? PyMem_RawMalloc(size) : h == 'c' ? PyMem_RawCalloc(1, size) : PyMem_RawRealloc(nullptr, size);
    } else if (d == 'm') {
        block = h == 'm' ? PyMem_Malloc(size) : h == 'c' ? PyMem_Calloc(1, size) : PyMem_Realloc(nullptr, size);
    } else {
        block = h == 'm' ? PyObject_Malloc(size) : h == 'c' ? PyObject_Calloc(1, size) : PyObject_Realloc(nullptr, size);
    }
    return PyLong_FromVoidPtr(block);
}

PyObject *pyput(PyObject *, PyObject *args)
{
    const char *domain;
    unsigned long long address;
    if (!PyArg_ParseTuple(args, "sK", &domain, &address)) {
        return nullptr;
    }
    void *block = reinterpret_cast<void *>(address);
    if (domain[0] == 'r') {
        PyMem_RawFree(block);
    } else if (domain[0] == 'm') {
        PyMem_Free(block);
    } else {
        PyObject_Free(block);
    }
    Py_RETURN_NONE;
}

PyObject *map(PyObject *, PyObject *args)
{
    Py_ssize_t size;
    unsigned long long at = 0;
    if (!PyArg_ParseTuple(args, "n|K", &size, &at)) {
        return nullptr;
    }
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at != 0 ? MAP_FIXED : 0);
    void *base = mmap(reinterpret_cast<void *>(at), static_cast<size_t>(size), PROT_READ | PROT_WRITE, flags, -1, 0);
    return base == MAP_FAILED ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromVoidPtr(base);
}

PyObject *unmap(PyObject *, PyObject *args)
{
    unsigned long long at;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "Kn", &at, &size)) {
        return nullptr;
    }
    return PyBool_FromLong(munmap(reinterpret_cast<void *>(at), static_cast<size_t>(size)) == 0);
}

void *call_in_thread(void *function)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_XDECREF(PyObject_CallNoArgs(static_cast<PyObject *>(function)));
    PyGILState_Release(gil);
    return nullptr;
}

/* A thread that Python does not know of until it asks for the GIL. */
PyObject *in_thread(PyObject *, PyObject *function)
{
    pthread_t thread;
    Py_BEGIN_ALLOW_THREADS;
    pthread_create(&thread, nullptr, call_in_thread, function);
    pthread_join(thread, nullptr);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* Native threads without the GIL. */
PyObject *storm(PyObject *, PyObject *args)
{
    int threads, count;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "iin", &threads, &count, &size)) {
        return nullptr;
    }
    Py_BEGIN_ALLOW_THREADS;
    std::vector<std::thread> all;
    for (int i = 0; i < threads; i++) {
        all.emplace_back([count, size] {
            for (int n = 0; n < count; n++) {
                free(allocate("valloc", static_cast<size_t>(size)));
            }
        });
    }
    for (std::thread &thread : all) {
        thread.join();
    }
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

void at_thread_end(void *size)
{
    free(allocate("valloc", reinterpret_cast<size_t>(size)));
}

/* Allocates in a destructor of thread-specific data. */
PyObject *end_of_thread(PyObject *, PyObject *args)
{
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "n", &size)) {
        return nullptr;
    }
    pthread_key_t key;
    pthread_key_create(&key, at_thread_end);
    Py_BEGIN_ALLOW_THREADS;
    std::thread([key, size] { pthread_setspecific(key, reinterpret_cast<void *>(size)); }).join();
    Py_END_ALLOW_THREADS;
    pthread_key_delete(key);
    Py_RETURN_NONE;
}

PyObject *vector(PyObject *, PyObject *args)
{
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(args, "n", &bytes)) {
        return nullptr;
    }
    std::vector<int> numbers;
    while (numbers.capacity() * sizeof(int) < static_cast<size_t>(bytes)) {
        numbers.push_back(1);
    }
    return PyLong_FromSize_t(numbers.capacity());
}

CASE void *case_here(size_t size)
{
    void *block = allocate("valloc", size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

CASE void *case_there(size_t size)
{
    void *block = allocate("valloc", size);
    __asm__ volatile("nop" : "+r"(block));
    return block;
}

PyObject *two_places(PyObject *, PyObject *args)
{
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "n", &size)) {
        return nullptr;
    }
    return Py_BuildValue("(NN)", PyLong_FromVoidPtr(case_here(static_cast<size_t>(size))),
                         PyLong_FromVoidPtr(case_there(static_cast<size_t>(size))));
}

inline __attribute__((always_inline)) void *case_inlined(size_t size)
{
    return case_here(size);
}

CASE void *case_outer(size_t size)
{
    void *block = case_inlined(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

PyObject *inlined(PyObject *, PyObject *args)
{
    Py_ssize_t size;
    return PyArg_ParseTuple(args, "n", &size) ? PyLong_FromVoidPtr(case_outer(static_cast<size_t>(size))) : nullptr;
}

CASE void *case_deep(int depth, size_t size)
{
    void *block = depth > 0 ? case_deep(depth - 1, size) : case_here(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

PyObject *deep(PyObject *, PyObject *args)
{
    int depth;
    Py_ssize_t size;
    return PyArg_ParseTuple(args, "in", &depth, &size) ? PyLong_FromVoidPtr(case_deep(depth, static_cast<size_t>(size))) : nullptr;
}

CASE PyObject *case_call(PyObject *function, PyObject *argument)
{
    PyObject *result = PyObject_CallFunctionObjArgs(function, argument, nullptr);
    __asm__ volatile("" : "+r"(result));
    return result;
}

PyObject *call(PyObject *, PyObject *args)
{
    PyObject *function, *argument;
    return PyArg_ParseTuple(args, "OO", &function, &argument) ? case_call(function, argument) : nullptr;
}

/* Takes the GIL again and again, as extensions do that call back from threads of their own. */
PyObject *ensure(PyObject *, PyObject *function)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *result = PyObject_CallNoArgs(function);
    PyGILState_Release(gil);
    return result;
}

PyObject *hard_exit(PyObject *, PyObject *args)
{
    int status;
    if (!PyArg_ParseTuple(args, "i", &status)) {
        return nullptr;
    }
    _exit(status);
}

PyMethodDef g_methods[] = {
    { "get", get, METH_VARARGS, "get(how, size) -> address" },
    { "put", put, METH_VARARGS, "put(address, how='free', size=0) -> whether this C library has it" },
    { "py", py, METH_VARARGS, "py(domain, how, size) -> address" },
    { "pyput", pyput, METH_VARARGS, "pyput(domain, address)" },
    { "map", map, METH_VARARGS, "map(size, at=0) -> address" },
    { "unmap", unmap, METH_VARARGS, "unmap(address, size)" },
    { "in_thread", in_thread, METH_O, "in_thread(function)" },
    { "storm", storm, METH_VARARGS, "storm(threads, count, size)" },
    { "end_of_thread", end_of_thread, METH_VARARGS, "end_of_thread(size)" },
    { "vector", vector, METH_VARARGS, "vector(bytes) -> capacity" },
    { "two_places", two_places, METH_VARARGS, "two_places(size) -> addresses" },
    { "inlined", inlined, METH_VARARGS, "inlined(size) -> address" },
    { "deep", deep, METH_VARARGS, "deep(depth, size) -> address" },
    { "call", call, METH_VARARGS, "call(function, argument)" },
    { "ensure", ensure, METH_O, "ensure(function)" },
    { "hard_exit", hard_exit, METH_VARARGS, "hard_exit(status)" },
    { nullptr, nullptr, 0, nullptr },
};
PyModuleDef g_module = { PyModuleDef_HEAD_INIT, "blocks", nullptr, -1, g_methods, nullptr, nullptr, nullptr, nullptr };

} // namespace

PyMODINIT_FUNC PyInit_blocks()
{
    return PyModule_Create(&g_module);
}
