/* attached.c: programs for `memtap attach`: they know what they do after they have been joined, and notice what it did to them.
 *
 * attached phases THREADS      each thread allocates, waits for a line on standard input, frees that and allocates anew; the truth
 *                              printed is of what came after the line. The first thread waits in read, the others on a condition.
 * attached storm THREADS N     each thread makes N rounds of malloc, realloc, calloc and free over blocks it checks; another one
 *                              opens and closes plugins until they are done. After a line it prints a checksum of all contents.
 * attached waits               one thread in each call that a process waits in, until a line comes; prints for each how often it came
 *                              back for another reason, which none ever should.
 * attached closed FOLDER       makes FOLDER its root, where nothing is, and does as phases 1.
 * attached headless            its first thread ends at once; the other one waits for the line, allocates and prints the truth.
 * attached altered             sets all registers that a detour could lose, and watches them change in a loop without calls; prints
 *                              how often one did.
 */
#include "truth.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum { THREADS_MAX = 16, OLD = 300, NEW = 1000, BLOCKS = 64 };

static void wait_for_line(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

static void say(const char *text)
{
    (void)!write(1, text, strlen(text));
}

/* ---- phases --------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_changed = PTHREAD_COND_INITIALIZER;
static unsigned g_waiting, g_threads;
static int g_line_came;

static void wait_for_first_thread(void)
{
    pthread_mutex_lock(&g_mutex);
    g_waiting++;
    pthread_cond_broadcast(&g_changed);
    while (!g_line_came) {
        pthread_cond_wait(&g_changed, &g_mutex);
    }
    pthread_mutex_unlock(&g_mutex);
}

static void line_came(void)
{
    pthread_mutex_lock(&g_mutex);
    g_line_came = 1;
    pthread_cond_broadcast(&g_changed);
    pthread_mutex_unlock(&g_mutex);
}

CASE static void *case_old(size_t bytes)
{
    return truth_keep(malloc(bytes));
}

CASE static void *case_new(size_t bytes)
{
    return TRUTH_ALLOC(malloc(bytes), bytes);
}

static void *work(void *first)
{
    void *old[OLD], *kept[NEW];
    for (size_t i = 0; i < OLD; i++) {
        old[i] = case_old(100 + i);
    }
    if (first != NULL) {
        say("ready\n");
        wait_for_line();
        line_came();
    } else {
        wait_for_first_thread();
    }
    for (size_t i = 0; i < NEW; i++) {
        kept[i] = case_new(24 + i % 500);
        free(i < OLD ? old[i] : NULL);
    }
    for (size_t i = 0; i < NEW; i += 2) {
        truth_free("case_new", 24 + i % 500);
        free(kept[i]);
    }
    return NULL;
}

static void run_threads(unsigned count)
{
    pthread_t threads[THREADS_MAX];
    truth_row("case_new");
    g_threads = count;
    for (unsigned i = 1; i < count; i++) {
        pthread_create(&threads[i], NULL, work, NULL);
    }
    pthread_mutex_lock(&g_mutex);
    while (g_waiting + 1 < count) {
        pthread_cond_wait(&g_changed, &g_mutex);
    }
    pthread_mutex_unlock(&g_mutex);
    work(&g_threads);
    for (unsigned i = 1; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    truth_print(1);
}

/* ---- storm ---------------------------------------------------------------------------------------------------------- */

static unsigned long g_rounds;
static unsigned g_storming;
static char g_folder[512];

struct block {
    unsigned char *at;
    size_t bytes;
};

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static uint64_t drop(struct block *block)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < block->bytes; i++) {
        sum = sum * 31 + block->at[i];
    }
    free(block->at);
    block->at = NULL;
    return sum;
}

static void *storm_thread(void *number)
{
    struct block blocks[BLOCKS] = { 0 };
    uint64_t state = 1 + (uintptr_t)number, sum = 0;
    for (unsigned long i = 0; i < g_rounds; i++) {
        struct block *block = &blocks[next(&state) % BLOCKS];
        sum = block->at != NULL ? sum * 7 + drop(block) : sum;
        size_t bytes = 1 + (size_t)(next(&state) % 300);
        block->at = truth_keep(i % 3 == 0 ? calloc(1, bytes) : malloc(bytes));
        block->bytes = bytes;
        memset(block->at, (int)(i & 255), bytes);
        if (i % 5 == 0) {
            block->at = truth_keep(realloc(block->at, bytes + 40));
            memset(block->at + bytes, (int)(sum & 255), 40);
            block->bytes += 40;
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        sum = blocks[i].at != NULL ? sum * 7 + drop(&blocks[i]) : sum;
    }
    __atomic_sub_fetch(&g_storming, 1, __ATOMIC_RELEASE);
    return (void *)(uintptr_t)sum;
}

static void *plugin_thread(void *unused)
{
    char path[600];
    (void)unused;
    for (unsigned i = 0; __atomic_load_n(&g_storming, __ATOMIC_ACQUIRE) > 0; i++) {
        snprintf(path, sizeof path, "%s/plugins/libplugin_%s.so", g_folder, i % 2 == 0 ? "a" : "b");
        void *handle = dlopen(path, RTLD_NOW);
        void *(*plugin_work)(void) = handle != NULL ? (void *(*)(void))dlsym(handle, "plugin_work") : NULL;
        if (plugin_work == NULL) {
            fprintf(stderr, "attached: %s\n", dlerror());
            abort();
        }
        free(plugin_work());
        dlclose(handle);
    }
    return NULL;
}

static void run_storm(unsigned count, unsigned long rounds)
{
    pthread_t threads[THREADS_MAX], plugins;
    uint64_t sum = 0;
    char text[64];
    g_rounds = rounds;
    g_storming = count;
    pthread_create(&plugins, NULL, plugin_thread, NULL);
    for (uintptr_t i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, storm_thread, (void *)i);
    }
    say("ready\n");
    wait_for_line();
    for (unsigned i = 0; i < count; i++) {
        void *one;
        pthread_join(threads[i], &one);
        sum = sum * 1000003 + (uintptr_t)one;
    }
    pthread_join(plugins, NULL);
    snprintf(text, sizeof text, "%016llx\n", (unsigned long long)sum);
    say(text);
}

/* ---- waits ---------------------------------------------------------------------------------------------------------- */

static int g_never[2], g_over[2]; /* sockets: nothing ever comes; closed when the line has come */

static int wait_epoll(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    int fd = epoll_create1(0);
    epoll_ctl(fd, EPOLL_CTL_ADD, g_over[0], &event);
    int got = epoll_wait(fd, &event, 1, 600000);
    int error = errno;
    close(fd);
    errno = error;
    return got;
}

static int wait_poll(void)
{
    struct pollfd fd = { .fd = g_over[0], .events = POLLIN };
    return poll(&fd, 1, 600000);
}

static int wait_select(void)
{
    fd_set set;
    struct timeval limit = { 600, 0 };
    FD_ZERO(&set);
    FD_SET(g_over[0], &set);
    return select(g_over[0] + 1, &set, NULL, NULL, &limit);
}

static int wait_recv(void)
{
    char byte;
    return recv(g_over[0], &byte, 1, MSG_PEEK) >= 0 ? 1 : -1; /* with a time limit */
}

static int wait_sleep(void)
{
    struct timespec limit = { 0, 200000000 }, left;
    int result = 0;
    struct pollfd fd = { .fd = g_over[0], .events = POLLIN };
    while (result == 0 && poll(&fd, 1, 0) == 0) {
        result = nanosleep(&limit, &left);
    }
    return result == 0 ? 1 : -1;
}

static int wait_condition(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 600;
    pthread_mutex_lock(&g_mutex);
    int result = 0;
    while (!g_line_came && result == 0) {
        result = pthread_cond_timedwait(&g_changed, &g_mutex, &until);
    }
    pthread_mutex_unlock(&g_mutex);
    return result == 0 ? 1 : -1;
}

static const struct {
    const char *name;
    int (*wait)(void);
} g_waits[] = { { "epoll_wait", wait_epoll }, { "poll", wait_poll },   { "select", wait_select },
                { "recv", wait_recv },        { "nanosleep", wait_sleep }, { "condition", wait_condition } };
enum { WAITS = sizeof g_waits / sizeof *g_waits };
static unsigned g_disturbed[WAITS];

static void *wait_thread(void *number)
{
    size_t i = (uintptr_t)number;
    pthread_mutex_lock(&g_mutex);
    g_waiting++;
    pthread_cond_broadcast(&g_changed);
    pthread_mutex_unlock(&g_mutex);
    while (g_waits[i].wait() <= 0) {
        g_disturbed[i]++;
    }
    return NULL;
}

static void run_waits(void)
{
    pthread_t threads[WAITS];
    struct timeval limit = { 600, 0 };
    socketpair(AF_UNIX, SOCK_STREAM, 0, g_over);
    socketpair(AF_UNIX, SOCK_STREAM, 0, g_never);
    setsockopt(g_over[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (uintptr_t i = 0; i < WAITS; i++) {
        pthread_create(&threads[i], NULL, wait_thread, (void *)i);
    }
    pthread_mutex_lock(&g_mutex);
    while (g_waiting < WAITS) {
        pthread_cond_wait(&g_changed, &g_mutex);
    }
    pthread_mutex_unlock(&g_mutex);
    say("ready\n");
    wait_for_line();
    line_came();
    close(g_over[1]);
    for (unsigned i = 0; i < WAITS; i++) {
        pthread_join(threads[i], NULL);
        printf("%s %u\n", g_waits[i].name, g_disturbed[i]);
    }
}

/* ---- without a first thread ----------------------------------------------------------------------------------------- */

static void *go_on_alone(void *first)
{
    pthread_join(*(pthread_t *)first, NULL);
    work(first);
    truth_print(1);
    exit(0);
}

static void run_headless(void)
{
    static pthread_t first;
    pthread_t other;
    first = pthread_self();
    truth_row("case_new");
    pthread_create(&other, NULL, go_on_alone, &first);
    pthread_exit(NULL);
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

static int g_stop;

/* Fills what the ABI gives us, goes round a loop that calls nothing, and returns how many are not what they were. */
static __attribute__((noinline)) unsigned watch_registers(void)
{
    uint64_t wrong = 0;
    __asm__ volatile("    sub $128, %%rsp\n" /* our own red zone, which nobody may touch */
                     "    movq $0x5EED, -8(%%rsp)\n"
                     "    movq $0x5EED, -120(%%rsp)\n"
                     "    mov $101, %%rcx\n    mov $102, %%rdx\n    mov $103, %%rsi\n    mov $104, %%rdi\n"
                     "    mov $108, %%r8\n    mov $109, %%r9\n    mov $110, %%r10\n    mov $111, %%r11\n"
                     "    mov $112, %%r12\n    mov $113, %%r13\n    mov $114, %%r14\n    mov $115, %%r15\n"
                     "    movq %%r12, %%xmm0\n    movq %%r13, %%xmm7\n    movq %%r14, %%xmm15\n    fldpi\n"
                     "1:  cmpl $0, %[stop]\n"
                     "    je 1b\n"
                     "    xor %%eax, %%eax\n"
                     "    cmp $101, %%rcx\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $102, %%rdx\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $103, %%rsi\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $104, %%rdi\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $108, %%r8\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $109, %%r9\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $110, %%r10\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $111, %%r11\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $112, %%r12\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $113, %%r13\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $114, %%r14\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmp $115, %%r15\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    movq %%xmm0, %%rcx\n    cmp $112, %%rcx\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    movq %%xmm7, %%rcx\n    cmp $113, %%rcx\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    movq %%xmm15, %%rcx\n    cmp $114, %%rcx\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    fldpi\n    fcomip %%st(1), %%st\n    setne %%al\n    add %%rax, %[wrong]\n    fstp %%st(0)\n"
                     "    cmpq $0x5EED, -8(%%rsp)\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    cmpq $0x5EED, -120(%%rsp)\n    setne %%al\n    add %%rax, %[wrong]\n"
                     "    add $128, %%rsp\n"
                     : [wrong] "+b"(wrong)
                     : [stop] "m"(g_stop)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm7", "xmm15", "memory", "cc");
    return (unsigned)wrong;
}

static void *watch_thread(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)watch_registers();
}

/* The first thread waits in a call that nobody may be borrowed in, so the other one is. */
static void run_altered(void)
{
    pthread_t thread;
    void *wrong;
    char text[32];
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pthread_create(&thread, NULL, watch_thread, NULL);
    say("ready\n");
    char byte;
    struct iovec part = { &byte, 1 };
    while (readv(0, &part, 1) == 1 && byte != '\n') {
    }
    __atomic_store_n(&g_stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, &wrong);
    snprintf(text, sizeof text, "%u\n", (unsigned)(uintptr_t)wrong);
    say(text);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    snprintf(g_folder, sizeof g_folder, "%.500s", argv[0]);
    *strrchr(g_folder, '/') = '\0';
    if (strcmp(what, "phases") == 0) {
        run_threads((unsigned)atoi(argv[2]));
    } else if (strcmp(what, "storm") == 0) {
        run_storm((unsigned)atoi(argv[2]), strtoul(argv[3], NULL, 10));
    } else if (strcmp(what, "waits") == 0) {
        run_waits();
    } else if (strcmp(what, "closed") == 0) {
        if (chroot(argv[2]) != 0 || chdir("/") != 0) {
            return 1;
        }
        run_threads(1);
    } else if (strcmp(what, "headless") == 0) {
        run_headless();
    } else if (strcmp(what, "altered") == 0) {
        run_altered();
    } else {
        return 2;
    }
    return 0;
}
