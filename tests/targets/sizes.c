/* sizes.c: what the accuracy tests sample: RUNS times COUNT allocations of SIZE bytes by case_sized.
 *
 * Usage: sizes SIZE RUNS COUNT [keep]. Without `keep` each block is freed at once. Every run is announced by a mapping of
 * one page by case_marker: mappings are recorded exactly in every mode, so a reader can tell the runs apart. Large blocks
 * are never touched.
 */
#include "truth.h"

#include <sys/mman.h>

CASE static void case_marker(void)
{
    if (mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
        abort();
    }
}

CASE static void case_sized(size_t size, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        free(truth_keep(malloc(size)));
    }
}

CASE static void case_sized_kept(size_t size, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        if (truth_keep(malloc(size)) == NULL) {
            abort();
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        return 2;
    }
    size_t size = (size_t)atoll(argv[1]);
    unsigned long runs = (unsigned long)atol(argv[2]), count = (unsigned long)atol(argv[3]);
    for (unsigned long run = 0; run < runs; run++) {
        case_marker();
        (argc > 4 ? case_sized_kept : case_sized)(size, count);
    }
    return 0;
}
