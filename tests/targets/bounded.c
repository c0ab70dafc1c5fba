/* bounded.c LIVE SAMPLES [BOOKS]: keeps LIVE blocks, each of a size of its own, and makes and frees SAMPLES others, one at a time. At a
 * rate of one byte each block is a sample.
 *
 * Prints {"live": N, "bytes": B}: what it keeps at its end. BOOKS: a file that has the size of what is in each place, 0 where
 * nothing is; written after an allocation and before a free. Then places are chosen at random, and it goes on until it is killed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEAST = 8192 };

static void churn(uint64_t samples)
{
    for (uint64_t i = 0; i < samples; i++) {
        void *volatile block = malloc(LEAST - 1 - i % 64);
        free(block);
    }
}

static uint64_t *map_books(const char *path, size_t places)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)(places * sizeof(uint64_t))) != 0) {
        exit(2);
    }
    return mmap(NULL, places * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void run_until_killed(uint64_t *books, void **blocks, uint64_t places)
{
    uint64_t random = 88172645463325252u;
    for (;;) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t at = random % places;
        if (blocks[at] == NULL) {
            uint64_t size = LEAST + at;
            blocks[at] = malloc(size);
            __atomic_store_n(&books[at], size, __ATOMIC_SEQ_CST);
        } else {
            __atomic_store_n(&books[at], 0, __ATOMIC_SEQ_CST);
            free(blocks[at]);
            blocks[at] = NULL;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        return 2;
    }
    uint64_t live = strtoull(argv[1], NULL, 10), samples = strtoull(argv[2], NULL, 10), bytes = 0;
    void **blocks = mmap(NULL, live * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc > 3) {
        run_until_killed(map_books(argv[3], live), blocks, live);
    }
    for (uint64_t i = 0; i < live; i++) {
        blocks[i] = malloc(LEAST + i);
        bytes += LEAST + i;
    }
    churn(samples);
    printf("{\"live\": %llu, \"bytes\": %llu}\n", (unsigned long long)live, (unsigned long long)bytes);
    return 0;
}
