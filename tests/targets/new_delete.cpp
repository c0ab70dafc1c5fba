// new_delete.cpp: every form of operator new and delete that the ABI has.
//
// Blocks made by operator new must be counted once (libstdc++'s operator new calls malloc), under the function that said
// `new`. Sized, aligned and nothrow forms are called directly so that the compiler cannot choose another one.
#include "truth.h"

#include <new>
#include <string>
#include <vector>

static void *g_kept[64];
static unsigned g_kept_count;

static void keep(void *p)
{
    g_kept[g_kept_count++] = p;
}

CASE static void case_new()
{
    keep(TRUTH_ALLOC(operator new(101), 101));
    void *p = TRUTH_ALLOC(operator new(102), 102);
    operator delete(p);
    TRUTH_FREED(102);
    p = TRUTH_ALLOC(operator new(103), 103);
    operator delete(p, std::size_t(103));
    TRUTH_FREED(103);
}

CASE static void case_new_array()
{
    keep(TRUTH_ALLOC(operator new[](201), 201));
    void *p = TRUTH_ALLOC(operator new[](202), 202);
    operator delete[](p);
    TRUTH_FREED(202);
    p = TRUTH_ALLOC(operator new[](203), 203);
    operator delete[](p, std::size_t(203));
    TRUTH_FREED(203);
}

CASE static void case_new_nothrow()
{
    keep(TRUTH_ALLOC(operator new(301, std::nothrow), 301));
    keep(TRUTH_ALLOC(operator new[](302, std::nothrow), 302));
    void *p = TRUTH_ALLOC(operator new(303, std::nothrow), 303);
    operator delete(p, std::nothrow);
    TRUTH_FREED(303);
    p = TRUTH_ALLOC(operator new[](304, std::nothrow), 304);
    operator delete[](p, std::nothrow);
    TRUTH_FREED(304);
}

// libstdc++ throws and catches inside: what it allocates for that is its own.
CASE static void case_new_nothrow_fails()
{
    if (operator new(std::size_t(1) << 62, std::nothrow) != nullptr) {
        abort();
    }
}

CASE static void case_new_aligned()
{
    const auto align = std::align_val_t(128);
    keep(TRUTH_ALLOC(operator new(1280, align), 1280));
    keep(TRUTH_ALLOC(operator new[](2560, align), 2560));
    keep(TRUTH_ALLOC(operator new(3840, align, std::nothrow), 3840));
    keep(TRUTH_ALLOC(operator new[](5120, align, std::nothrow), 5120));
    void *p = TRUTH_ALLOC(operator new(1408, align), 1408);
    operator delete(p, align);
    TRUTH_FREED(1408);
    p = TRUTH_ALLOC(operator new[](1536, align), 1536);
    operator delete[](p, align);
    TRUTH_FREED(1536);
    p = TRUTH_ALLOC(operator new(1664, align), 1664);
    operator delete(p, std::size_t(1664), align);
    TRUTH_FREED(1664);
    p = TRUTH_ALLOC(operator new[](1792, align), 1792);
    operator delete[](p, std::size_t(1792), align);
    TRUTH_FREED(1792);
    p = TRUTH_ALLOC(operator new(1920, align, std::nothrow), 1920);
    operator delete(p, align, std::nothrow);
    TRUTH_FREED(1920);
    p = TRUTH_ALLOC(operator new[](2048, align, std::nothrow), 2048);
    operator delete[](p, align, std::nothrow);
    TRUTH_FREED(2048);
}

// A failing new throws through the hook: the unwinder of the C++ runtime must get past it.
CASE static void case_new_throws()
{
    bool caught = false;
    try {
        keep(operator new(std::size_t(1) << 62));
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    if (!caught) {
        abort();
    }
}

static unsigned g_handler_calls;

static void new_handler()
{
    g_handler_calls++;
    std::set_new_handler(nullptr);
}

CASE static void case_new_handler()
{
    std::set_new_handler(new_handler);
    if (operator new(std::size_t(1) << 62, std::nothrow) != nullptr || g_handler_calls != 1) {
        abort();
    }
}

struct widget {
    explicit widget(std::size_t n) : data(n) {}
    std::vector<char> data;
};

// One `new widget` and the vector's buffer: two blocks, the second from inside the standard library.
CASE static void case_object()
{
    auto *w = new widget(4321);
    TRUTH_ALLOC(w, sizeof(widget));
    TRUTH_ALLOC(w->data.data(), 4321);
    keep(w);
}

int main()
{
    case_new();
    case_new_array();
    case_new_nothrow();
    case_new_nothrow_fails();
    case_new_aligned();
    case_new_throws();
    case_new_handler();
    case_object();
    truth_print(1);
    return 0;
}
