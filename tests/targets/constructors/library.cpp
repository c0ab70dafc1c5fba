// library.cpp: what runs before main() in a library: a constructor and the making of a C++ static. Both keep what they
// allocate; program.cpp prints how much that is.
#include <cstdlib>

#define CASE __attribute__((noinline, noclone, used))

static void *g_kept[100];

CASE static void *case_library_static()
{
    return operator new(4321);
}

CASE static void case_library_constructor()
{
    for (void *&kept : g_kept) {
        kept = malloc(1000);
    }
}

struct Holder {
    void *block = case_library_static();
};
static Holder g_holder;

__attribute__((constructor)) static void construct()
{
    case_library_constructor();
}

extern "C" const void *library_blocks()
{
    return g_holder.block != nullptr ? g_kept : nullptr;
}
