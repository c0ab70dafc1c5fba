/* Leaves mmap and munmap by other ways than their return, and then allocates.
 * Usage: jumps WAY. jump: siglongjmp out of a signal handler; altstack: the same from a signal stack; throw: an exception;
 * exit: the thread exits; cancel: it is cancelled, asynchronously. The last two allocate in the destructor of a key. */
#include "../truth.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

extern "C" void (*jumps_callback)(void);

enum { ROUNDS = 20, BLOCKS = 50, BYTES = 1 << 20 };

/* libc's are declared not to throw. */
static void *(*volatile map)(void *, size_t, int, int, int, off_t) = mmap;
static int (*volatile unmap)(void *, size_t) = munmap;

static sigjmp_buf back;
static pthread_key_t key;
static void (*leave)(void);

CASE static void case_after()
{
    for (int i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(5717), 5717));
        TRUTH_FREED(5717);
    }
}

static void on_signal(int)
{
    siglongjmp(back, 1);
}

static void raise_signal()
{
    raise(SIGUSR1);
}

static void throw_number()
{
    throw 42;
}

static void exit_thread()
{
    pthread_exit(nullptr);
}

static void cancel_thread()
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    pthread_cancel(pthread_self());
}

/* Odd rounds leave munmap, even ones mmap. */
static void map_and_unmap(int round)
{
    jumps_callback = round % 2 ? nullptr : leave;
    void *memory = map(nullptr, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    jumps_callback = leave;
    unmap(memory, BYTES);
}

static void rounds_of_jumps()
{
    for (volatile int round = 0; round < ROUNDS; round = round + 1) {
        if (sigsetjmp(back, 1) == 0) {
            map_and_unmap(round);
        }
        case_after();
    }
}

static void rounds_of_exceptions()
{
    for (int round = 0; round < ROUNDS; round++) {
        try {
            map_and_unmap(round);
        } catch (int) {
        }
        case_after();
    }
}

static void at_end_of_thread(void *)
{
    case_after();
}

static void *leave_in_thread(void *argument)
{
    pthread_setspecific(key, &key);
    map_and_unmap(*static_cast<int *>(argument));
    return nullptr;
}

static void rounds_of_threads()
{
    pthread_key_create(&key, at_end_of_thread);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t thread;
        pthread_create(&thread, nullptr, leave_in_thread, &round);
        pthread_join(thread, nullptr);
    }
}

static void use_a_stack_of_its_own()
{
    static char stack[64 * 1024];
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof stack;
    sigaltstack(&alternate, nullptr);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = strcmp(way, "altstack") == 0 ? SA_ONSTACK : 0;
    sigaction(SIGUSR1, &action, nullptr);
    leave = raise_signal;
    if (strcmp(way, "throw") == 0) {
        leave = throw_number;
        rounds_of_exceptions();
    } else if (strcmp(way, "exit") == 0 || strcmp(way, "cancel") == 0) {
        leave = strcmp(way, "exit") == 0 ? exit_thread : cancel_thread;
        rounds_of_threads();
    } else {
        use_a_stack_of_its_own();
        rounds_of_jumps();
    }
    truth_print(1);
}
