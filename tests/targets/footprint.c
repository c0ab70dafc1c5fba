/* footprint.c: programs whose RSS is not their heap, each for one reason. Usage: footprint untouched|slack|files|same BYTES */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *volatile g_kept;

static void untouched(size_t bytes)
{
    g_kept = malloc(bytes);
}

/* One byte of each of the allocator's smallest blocks. */
static void slack(size_t bytes)
{
    for (size_t i = 0; i < bytes / 32; i++) {
        g_kept = malloc(1);
        *(volatile char *)g_kept = 1;
    }
}

static void files(size_t bytes)
{
    int fd = memfd_create("footprint", MFD_CLOEXEC);
    char *base = ftruncate(fd, (off_t)bytes) == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (base == MAP_FAILED) {
        abort();
    }
    memset(base, 1, bytes);
    g_kept = malloc(1000);
}

static void same(size_t bytes)
{
    g_kept = malloc(bytes);
    memset(g_kept, 1, bytes);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(size_t bytes);
    } ways[] = { { "untouched", untouched }, { "slack", slack }, { "files", files }, { "same", same } };
    for (size_t i = 0; argc == 3 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i].name) == 0) {
            ways[i].run(strtoull(argv[2], NULL, 10));
            return 0;
        }
    }
    return 2;
}
