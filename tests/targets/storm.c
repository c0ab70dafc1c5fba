/* storm.c: everything at once, with a log that survives SIGKILL: threads that end and are replaced, malloc and realloc and
 * free, fork, dlopen and dlclose.
 *
 * Usage: storm LOG SEED [OPS_PER_THREAD [GENERATIONS]]. LOG is made a shared mapping: struct log_row rows, one for each
 * worker of any process. A worker's first allocation has size WORKER_BASE + row, so its stream in a trace is known
 * without its name. After that, operation i of a worker follows from (SEED, row, i) alone: storm_model.py computes the
 * same. `begun` is increased before an operation and `done` after it, so a trace that lost nothing holds at least `done`
 * and at most `begun` operations of each worker.
 * Around the workers, one thread forks children that are workers themselves, one opens and closes plugins.
 * The program runs until it has done all its generations (default: practically for ever).
 */
#include "truth.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { ROWS = 16384, WORKERS = 4, BLOCKS = 32, WORKER_BASE = 1000000 };
struct log_row {
    uint64_t begun, done;
    uint32_t pid, unused;
};
struct log_head {
    uint64_t next_row; /* atomic */
    uint64_t root_pid; /* of the first process; others are its children */
};
static struct log_head *g_log;
static struct log_row *g_rows;
static uint64_t g_seed;
static unsigned g_ops = 2000, g_generations = 1000000;
static char g_folder[512];

/* What a program does that finds its world broken. */
static void fail(const char *what, long value)
{
    fprintf(stderr, "storm: %s: %ld, errno %d\n", what, value, errno);
    abort();
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

struct worker {
    struct log_row *log;
    uint64_t key;
    char *blocks[BLOCKS];
};

CASE static void *case_first(size_t bytes)
{
    return truth_keep(malloc(bytes));
}

CASE static char *case_alloc(size_t bytes)
{
    return truth_keep(malloc(bytes));
}

CASE static char *case_resize(char *p, size_t bytes)
{
    return truth_keep(realloc(p, bytes));
}

CASE static void case_free(char *p)
{
    free(p);
}

/* Operation i: on an empty place malloc; on a full one free or realloc. */
static void operate(struct worker *w, unsigned i)
{
    uint64_t r = mix(w->key + i);
    char **place = &w->blocks[r % BLOCKS];
    size_t bytes = 1 + (r >> 8) % (r & 0x800000 ? 40000 : 300);
    if (*place == NULL) {
        *place = case_alloc(bytes);
    } else if (r & 0x1000000) {
        *place = case_resize(*place, bytes);
    } else {
        case_free(*place);
        *place = NULL;
    }
}

static void work(void)
{
    uint64_t row = __atomic_fetch_add(&g_log->next_row, 1, __ATOMIC_RELAXED);
    if (row >= ROWS) {
        return;
    }
    struct worker w = { .log = &g_rows[row], .key = mix(g_seed * 1000003 + row) };
    w.log->pid = (uint32_t)getpid();
    void *first = case_first(WORKER_BASE + row);
    for (unsigned i = 0; i < g_ops; i++) {
        __atomic_store_n(&w.log->begun, i + 1, __ATOMIC_RELEASE);
        operate(&w, i);
        __atomic_store_n(&w.log->done, i + 1, __ATOMIC_RELEASE);
    }
    (void)first; /* kept: the mark of this worker; its other blocks stay too */
}

static void *worker_main(void *unused)
{
    work();
    return unused;
}

static void start_worker(pthread_t *id)
{
    int error = pthread_create(id, NULL, worker_main, NULL);
    if (error != 0) {
        fail("pthread_create", error);
    }
}

static void run_workers(unsigned generations)
{
    pthread_t ids[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        start_worker(&ids[i]);
    }
    for (unsigned n = 0; n < generations; n++) {
        pthread_t *next = &ids[n % WORKERS];
        pthread_join(*next, NULL);
        start_worker(next);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(ids[i], NULL);
    }
}

static int g_stop;

static void *fork_main(void *unused)
{
    for (unsigned n = 0; n < 5 && !__atomic_load_n(&g_stop, __ATOMIC_ACQUIRE); n++) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* a killed storm leaves nobody behind */
            run_workers(2);
            _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fail("child", status);
        }
    }
    return unused;
}

static void *plugin_main(void *unused)
{
    char path[2][700];
    snprintf(path[0], sizeof path[0], "%s/plugins/libplugin_a.so", g_folder);
    snprintf(path[1], sizeof path[1], "%s/plugins/libplugin_b.so", g_folder);
    for (unsigned n = 0; !__atomic_load_n(&g_stop, __ATOMIC_ACQUIRE); n++) {
        void *handle = dlopen(path[n % 2], RTLD_NOW);
        void *(*plugin_work)(void) = handle ? (void *(*)(void))dlsym(handle, "plugin_work") : NULL;
        if (plugin_work == NULL) {
            fail(dlerror(), (long)n);
        }
        free(truth_keep(plugin_work()));
        dlclose(handle);
    }
    return unused;
}

static void open_log(const char *path)
{
    size_t bytes = sizeof *g_log + ROWS * sizeof *g_rows;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
        fail(path, fd);
    }
    g_log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (g_log == MAP_FAILED) {
        fail("mmap", 0);
    }
    g_rows = (struct log_row *)(g_log + 1);
    g_log->root_pid = (uint64_t)getpid();
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3 || readlink("/proc/self/exe", g_folder, sizeof g_folder - 1) <= 0) {
        return 2;
    }
    *strrchr(g_folder, '/') = '\0';
    open_log(argv[1]);
    g_seed = (uint64_t)atoll(argv[2]);
    g_ops = argc > 3 ? (unsigned)atoi(argv[3]) : g_ops;
    g_generations = argc > 4 ? (unsigned)atoi(argv[4]) : g_generations;
    pthread_t forker, loader;
    if (pthread_create(&forker, NULL, fork_main, NULL) != 0 || pthread_create(&loader, NULL, plugin_main, NULL) != 0) {
        fail("pthread_create", 0);
    }
    run_workers(g_generations);
    __atomic_store_n(&g_stop, 1, __ATOMIC_RELEASE);
    pthread_join(forker, NULL);
    pthread_join(loader, NULL);
    return 0;
}
