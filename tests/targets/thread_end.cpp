// thread_end.cpp: allocations at the very end of threads and of the process.
//
// In thread_local destructors, in pthread key destructors over several rounds (a destructor that sets its key again is
// called again, four rounds at most), in atexit and at_quick_exit handlers, in static constructors and destructors, in a
// DT_FINI function. `thread_end quick` leaves by quick_exit. The truth is printed by the last of them.
#include "truth.h"

#include <cstdlib>
#include <new>
#include <pthread.h>
#include <thread>

static void *g_kept[256];
static unsigned g_kept_count;

static void keep(void *p)
{
    g_kept[__atomic_fetch_add(&g_kept_count, 1, __ATOMIC_RELAXED)] = p;
}

CASE static void case_tls_constructor()
{
    keep(TRUTH_ALLOC(operator new(511), 511));
}

CASE static void case_tls_destructor()
{
    keep(TRUTH_ALLOC(malloc(522), 522));
    void *p = TRUTH_ALLOC(malloc(523), 523);
    free(p);
    TRUTH_FREED(523);
}

struct at_thread_exit {
    at_thread_exit() { case_tls_constructor(); }
    ~at_thread_exit() { case_tls_destructor(); }
    int value = 1;
};
static thread_local at_thread_exit t_object;

static pthread_key_t g_early_key, g_late_key;

// What a key's value points to: it says who made it, as its destructor is called for several makers.
struct key_value {
    const char *maker;
    std::size_t bytes;
};

static void *key_value_stamp(void *p, const char *maker, std::size_t bytes)
{
    return new (p) key_value{ maker, bytes };
}

CASE static void case_key_destructor(void *value)
{
    keep(TRUTH_ALLOC(malloc(533), 533));
    const auto *old = static_cast<key_value *>(value);
    truth_free(old->maker, old->bytes);
    free(value);
    // Asks for another round; the value set in the last of the four rounds is never destroyed.
    pthread_setspecific(g_early_key, key_value_stamp(TRUTH_ALLOC(malloc(535), 535), __func__, 535));
}

CASE static void case_late_key_destructor(void *value)
{
    (void)value;
    keep(TRUTH_ALLOC(malloc(555), 555));
}

CASE static void case_key_value()
{
    pthread_setspecific(g_early_key, key_value_stamp(TRUTH_ALLOC(malloc(544), 544), __func__, 544));
    pthread_setspecific(g_late_key, &g_late_key);
}

CASE static void case_static_constructor()
{
    keep(TRUTH_ALLOC(malloc(566), 566));
}

CASE static void case_static_destructor()
{
    keep(TRUTH_ALLOC(malloc(577), 577));
}

struct static_object {
    static_object() { case_static_constructor(); }
    ~static_object() { case_static_destructor(); }
};
static static_object g_object;

CASE static void case_atexit()
{
    keep(TRUTH_ALLOC(malloc(588), 588));
}

CASE static void case_quick_exit()
{
    keep(TRUTH_ALLOC(malloc(599), 599));
    truth_print(1);
}

CASE static void case_constructor_function()
{
    keep(TRUTH_ALLOC(malloc(601), 601));
}

CASE static void case_fini()
{
    keep(TRUTH_ALLOC(malloc(611), 611));
}

__attribute__((constructor(101))) static void constructor_function()
{
    case_constructor_function();
}

__attribute__((destructor(101))) static void fini()
{
    case_fini();
    truth_print(1);
}

static void *thread_main(void *)
{
    t_object.value++;
    case_key_value();
    return nullptr;
}

int main(int argc, char **argv)
{
    std::atexit(case_atexit);
    std::at_quick_exit(case_quick_exit);
    if (pthread_key_create(&g_early_key, case_key_destructor) != 0 ||
        pthread_key_create(&g_late_key, case_late_key_destructor) != 0) {
        abort();
    }
    for (int i = 0; i < 5; i++) {
        pthread_t id;
        if (pthread_create(&id, nullptr, thread_main, nullptr) != 0 || pthread_join(id, nullptr) != 0) {
            abort();
        }
    }
    if (argc > 1 && strcmp(argv[1], "quick") == 0) {
        std::quick_exit(7);
    }
    return 0;
}
