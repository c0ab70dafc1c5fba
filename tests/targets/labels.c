/* labels.c: a worker that forks children and runs threads, each of which says what it works for, in a program that does not
 * know whether it is recorded.
 *
 * Usage: labels [CHILDREN [THREADS]]. Child I (default 3) runs tasks "mail.send", "report.build" and "thumbs.make" in turn and
 * keeps what they allocate; report.build takes most. Thread I (default 4) does the same in the parent, as "pool-I". Blocks
 * without a label: 7,000 bytes in main.
 */
#include "truth.h"

#include "memtap/agent.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    size_t bytes;
} TASKS[] = { { "mail.send", 1000 }, { "report.build", 90000 }, { "thumbs.make", 5000 } };

CASE static void case_task(size_t bytes)
{
    TRUTH_ALLOC(malloc(bytes), bytes);
}

static void child(unsigned number)
{
    for (unsigned i = 0; i < 30; i++) {
        unsigned task = (number + i) % 3;
        mt_label_set(TASKS[task].name);
        case_task(TASKS[task].bytes);
        mt_label_clear();
    }
}

static void *pool_thread(void *argument)
{
    char name[32];
    snprintf(name, sizeof name, "pool-%u", (unsigned)(uintptr_t)argument);
    mt_label_set(name);
    case_task(2000 * (1 + (size_t)(uintptr_t)argument));
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned children = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 4;
    mt_label_set("parent");
    for (unsigned i = 0; i < children; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            case_task(300); /* under the label of the parent */
            child(i);
            _exit(0);
        }
        (void)waitpid(pid, NULL, 0);
    }
    mt_label_clear();
    case_task(7000);
    for (uintptr_t i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pool_thread, (void *)i) == 0) {
            pthread_join(thread, NULL);
        }
    }
    return 0;
}
