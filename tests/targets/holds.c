/* holds.c: keeps many blocks, whatever serves malloc, and two mappings of its own. Linked with several allocators, which map
 * memory for the blocks themselves.
 *
 * Prints {"blocks": N, "block_bytes": B, "map_bytes": M}.
 */
#include "truth.h"

#include <pthread.h>
#include <sys/mman.h>

enum { BLOCKS = 30000, BLOCK_BYTES = 1000, MAP_BYTES = 1 << 20 };

static void *g_kept[BLOCKS];

CASE static void case_blocks(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        g_kept[i] = truth_keep(malloc(BLOCK_BYTES));
        memset(g_kept[i], 1, BLOCK_BYTES);
    }
}

CASE static void case_map(void)
{
    (void)truth_keep(mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Ends in a jump to mmap, which so returns into libc's start of threads. */
CASE __attribute__((optimize("O2"))) static void *case_map_by_jump(void *bytes)
{
    return mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(void)
{
    pthread_t thread;
    case_blocks();
    case_map();
    if (pthread_create(&thread, NULL, case_map_by_jump, (void *)MAP_BYTES) != 0 || pthread_join(thread, NULL) != 0) {
        return 1;
    }
    char text[128];
    int n = snprintf(text, sizeof text, "{\"blocks\":%d,\"block_bytes\":%d,\"map_bytes\":%d}\n", BLOCKS, BLOCK_BYTES, 2 * MAP_BYTES);
    return write(1, text, (size_t)n) == n ? 0 : 1;
}
