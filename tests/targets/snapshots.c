/* snapshots.c: holds a known amount, says so and waits for a line of its input; then holds more, says so and waits again. Usage: snapshots
 * busy|idle|own. busy: frees and allocates while it waits, idle: sleeps in read, own: has its own handler of SIGUSR2, and counts.
 * Prints "held BYTES pid PID" twice, then "interrupted N own N". */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 10007, COUNT = 100 };
static void *g_kept[2 * COUNT];
static int g_interrupted;
static volatile sig_atomic_t g_own;

static void own_handler(int number)
{
    (void)number;
    g_own++;
}

__attribute__((noinline)) static void case_keep(int from)
{
    for (int i = from; i < from + COUNT; i++) {
        g_kept[i] = malloc(BLOCK);
    }
}

/* Nothing stays alive in between but the block of a moment. */
static void wait_busily(void)
{
    struct pollfd input = { 0, POLLIN, 0 };
    while (poll(&input, 1, 0) == 0) {
        free(malloc(1));
    }
}

static void wait_for_line(int busy)
{
    char byte = 0;
    if (busy) {
        wait_busily();
    }
    do {
        ssize_t got = read(0, &byte, 1);
        g_interrupted += got < 0 && errno == EINTR;
        if (got == 0) {
            return;
        }
    } while (byte != '\n');
}

int main(int argc, char **argv)
{
    int busy = argc > 1 && strcmp(argv[1], "busy") == 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1 && strcmp(argv[1], "own") == 0) {
        (void)signal(SIGUSR2, own_handler);
    }
    for (int i = 0; i < 2; i++) {
        case_keep(i * COUNT);
        printf("held %d pid %d\n", (i + 1) * COUNT * BLOCK, (int)getpid());
        wait_for_line(busy);
    }
    printf("interrupted %d own %d\n", g_interrupted, (int)g_own);
    return 0;
}
