// throws.cpp: operator new of an allocator in the program throws; what follows is recorded as before.
#include "truth.h"

#include <new>

static volatile std::size_t g_too_much = std::size_t(1) << 62;

CASE static int case_throws()
{
    try {
        truth_keep(operator new(g_too_much));
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

CASE static void case_after()
{
    for (std::size_t i = 1; i <= 100; i++) {
        truth_keep(TRUTH_ALLOC(operator new(i), i));
    }
}

int main()
{
    int caught = case_throws();
    case_after();
    truth_print(1);
    return caught == 1 ? 0 : 1;
}
