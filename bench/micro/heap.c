/* heap.c: COUNT live blocks of SIZE bytes, every page touched: how much memory does a profiler need beside them?
 *
 * Usage: heap [COUNT] [SIZE]. Prints the resident size (VmRSS) when all of them live and the highest it ever was
 * (VmHWM), read from /proc by read(2) so that reading allocates nothing.
 */
#include "micro.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static long status_kib(const char *status, const char *field)
{
    const char *line = strstr(status, field);
    return line == NULL ? -1 : strtol(line + strlen(field), NULL, 10);
}

static void print_resident(uint64_t count, uint64_t size)
{
    static char status[8192];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = read(fd, status, sizeof status - 1);
    close(fd);
    status[bytes > 0 ? bytes : 0] = 0;
    printf("BENCH {\"bench\": \"heap\", \"ops\": %llu, \"heap_kib\": %llu, \"rss_kib\": %ld, \"hwm_kib\": %ld}\n",
           (unsigned long long)count, (unsigned long long)(count * size / 1024u), status_kib(status, "VmRSS:"),
           status_kib(status, "VmHWM:"));
}

int main(int argc, char **argv)
{
    uint64_t count = parse_count(argc, argv, 1, 1000000);
    uint64_t size = parse_count(argc, argv, 2, 1024);
    unsigned char **live = calloc(count + 1u, sizeof *live);
    for (uint64_t i = 0; i < count; i++) {
        live[i] = malloc(size);
        memset(live[i], 1, size);
    }
    print_resident(count, size);
    for (uint64_t i = 0; i < count; i++) {
        free(live[i]);
    }
    free(live);
    return 0;
}
