/* native.cpp: small programs with one question each, chosen by the first argument. See test_heaptrack.py. */
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <future>
#include <pthread.h>
#include <unistd.h>
#include <vector>

#define CASE __attribute__((noinline, noclone, used))

namespace {

CASE void *grab(size_t bytes)
{
    void *block = malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

/* Nobody frees it, and the compiler may not think so. */
inline __attribute__((always_inline)) void leave(size_t bytes)
{
    char *block = new char[bytes];
    __asm__ volatile("" : "+r"(block));
}

CASE void *case_hundred() { return grab(100); }
CASE void *case_quarter() { return grab(25); }

/* 125 bytes at the peak, although more than that is allocated in all. */
int peak()
{
    void *first = case_hundred(), *second = case_quarter();
    free(first);
    void *third = case_quarter(), *fourth = case_quarter();
    free(second);
    free(third);
    free(fourth);
    free(case_hundred());
    return 0;
}

CASE void case_a() { leave(1); }
CASE void case_b() { case_a(); leave(2); }
CASE void case_c() { case_b(); leave(3); }
CASE void case_d() { case_c(); leave(5); }

int aggregation()
{
    case_c();
    leave(4);
    case_d();
    return 0;
}

CASE void case_recurse(int depth)
{
    leave(2);
    case_b();
    if (depth > 0) {
        case_recurse(depth - 1);
    }
    __asm__ volatile(""); /* no tail calls: each level is a frame */
}

int callgraph()
{
    case_recurse(5);
    return 0;
}

enum { BLOCKS = 1000, ROUNDS = 20 };

/* Blocks made by one thread and freed by another, eighty pairs of them. */
int threaded()
{
    std::vector<std::future<void>> waits;
    for (int i = 0; i < 4 * ROUNDS; i++) {
        auto made = std::async(std::launch::async, [] {
            int **blocks = new int *[BLOCKS];
            for (int n = 0; n < BLOCKS; n++) {
                blocks[n] = new int;
            }
            return blocks;
        });
        waits.emplace_back(std::async(std::launch::async, [](std::future<int **> &&from) {
            int **blocks = from.get();
            for (int n = 0; n < BLOCKS; n++) {
                delete blocks[n];
            }
            delete[] blocks;
        }, std::move(made)));
    }
    return 0;
}

inline __attribute__((always_inline)) void case_innermost()
{
    void *block = new char[1234];
    __asm__ volatile("" : "+r"(block));
}

inline __attribute__((always_inline)) void case_middle() { case_innermost(); }

int inlining()
{
    case_middle();
    return 0;
}

/* Signals for one thread only: a thread of a profiler that took them would end the program. */
int signals()
{
    sigset_t all;
    free(grab(1000));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_t thread;
    pthread_create(&thread, nullptr, [](void *) -> void * {
        sigset_t set;
        int got = 0;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        free(grab(2000));
        return sigwait(&set, &got) == 0 && got == SIGTERM ? &errno : nullptr;
    }, nullptr);
    kill(getpid(), SIGTERM);
    void *result = nullptr;
    pthread_join(thread, &result);
    return result != nullptr ? 0 : 1;
}

/* The C library keeps what it makes for itself here. */
int library()
{
    time_t now = time(nullptr);
    struct tm parts;
    char text[16];
    gmtime_r(&now, &parts);
    return strftime(text, sizeof text, "%d", &parts) > 0 ? 0 : 1;
}

int deepbind(const char *path)
{
    free(grab(10));
    void *handle = dlopen(path, RTLD_DEEPBIND | RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    reinterpret_cast<void (*)()>(dlsym(handle, "allocate_in_library"))();
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    return !strcmp(what, "peak")        ? peak()
           : !strcmp(what, "aggregation") ? aggregation()
           : !strcmp(what, "callgraph")   ? callgraph()
           : !strcmp(what, "threaded")    ? threaded()
           : !strcmp(what, "inlining")    ? inlining()
           : !strcmp(what, "signals")     ? signals()
           : !strcmp(what, "library")     ? library()
           : !strcmp(what, "deepbind")    ? deepbind(argv[2])
                                          : 2;
}
