// linked.cpp: one program, linked with several allocators (CMakeLists.txt): libc's, jemalloc, tcmalloc, one of our own.
//
// Whatever serves malloc and operator new, the truth is the same, and blocks must go back to where they came from.
#include "truth.h"

#include <malloc.h>
#include <new>
#include <string>

static void *g_kept[4096];
static unsigned g_kept_count;

static void keep(void *p)
{
    g_kept[g_kept_count++] = p;
}

CASE static void case_c_calls()
{
    for (std::size_t i = 1; i <= 1000; i++) {
        void *p = TRUTH_ALLOC(malloc(i * 10), i * 10);
        memset(p, 1, i * 10);
        if (i % 2) {
            p = TRUTH_ALLOC(realloc(p, i * 20), i * 20);
            TRUTH_FREED(i * 10);
            keep(p);
        } else {
            free(p);
            TRUTH_FREED(i * 10);
        }
    }
    keep(TRUTH_ALLOC(calloc(3, 333), 999));
    void *aligned = nullptr;
    if (posix_memalign(&aligned, 512, 5120) != 0) {
        abort();
    }
    keep(TRUTH_ALLOC(aligned, 5120));
    if (malloc_usable_size(aligned) < 5120) {
        abort();
    }
}

CASE static void case_cpp_calls()
{
    for (std::size_t i = 1; i <= 1000; i++) {
        void *p = TRUTH_ALLOC(operator new(i * 8), i * 8);
        if (i % 4) {
            operator delete(p);
            TRUTH_FREED(i * 8);
        } else {
            keep(p);
        }
    }
    keep(TRUTH_ALLOC(operator new[](4444), 4444));
    keep(TRUTH_ALLOC(operator new(6400, std::align_val_t(64)), 6400));
}

int main()
{
    case_c_calls();
    case_cpp_calls();
    truth_print(1);
    return 0;
}
