// wrapped.cpp: memory that wrappers and the C++ library allocate for the program. Every case keeps what it allocates; the
// truth is by case, so a report must give each case's bytes to lines of that case. my_pool_get is a wrapper that no list knows.
//
// Usage: wrapped [CHILDREN]   each child (fork) does the same again
#include "truth.h"

#include <map>
#include <new>
#include <string>
#include <sys/wait.h>
#include <vector>

CASE static void *zmalloc(size_t bytes)
{
    return malloc(bytes);
}

CASE static void *xmalloc(size_t bytes)
{
    return zmalloc(bytes);
}

CASE static void *my_pool_get(size_t bytes)
{
    return xmalloc(bytes);
}

CASE static void case_vector()
{
    auto *keep = new (truth_keep(malloc(sizeof(std::vector<char>)))) std::vector<char>;
    keep->reserve(100000);
}

CASE static void case_map()
{
    auto *keep = new (truth_keep(malloc(sizeof(std::map<int, std::string>)))) std::map<int, std::string>;
    for (int i = 0; i < 100; i++) {
        (*keep)[i] = std::string(1000, 'x');
    }
}

CASE static void case_new()
{
    truth_keep(new char[50000]);
}

CASE static void case_wrapped()
{
    TRUTH_ALLOC(xmalloc(60000), 60000);
}

CASE static void case_pool()
{
    TRUTH_ALLOC(my_pool_get(70000), 70000);
}

int main(int argc, char **argv)
{
    int children = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 0; i < children; i++) {
        if (fork() == 0) {
            children = 0;
            break;
        }
    }
    case_vector();
    case_map();
    case_new();
    case_wrapped();
    case_pool();
    while (children > 0 && wait(nullptr) > 0) {
    }
    truth_print(STDOUT_FILENO);
    return 0;
}
