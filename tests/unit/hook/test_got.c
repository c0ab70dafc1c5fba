/* test_got.c: slots of loaded libraries, in this very process: the plugin and libc call through slots that lead to hooks.
 * The test program's own slots are "ourselves" and never patched, so its calls count nowhere.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/os.h"
#include "fakes/engine.h"
#include "hook/got.h"
#include "hook/hook.h"
#include "hook/loader.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *g_plugin;

static void *function(const char *name)
{
    void *found = dlsym(g_plugin, name);
    assert_non_null(found);
    return found;
}

static void *call_size(const char *name, size_t size)
{
    return ((void *(*)(size_t))function(name))(size);
}

static void call_free(const char *name, void *ptr)
{
    ((void (*)(void *))function(name))(ptr);
}

static void open_plugin(void)
{
    g_plugin = dlopen(MT_TEST_PLUGINS "/plugin_hooked.so", RTLD_NOW);
    assert_non_null(g_plugin);
}

static int start(void **state)
{
    (void)state;
    open_plugin();
    memset(&mt_g_fake, 0, sizeof mt_g_fake);
    fake_engine_start(0);
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    mt_hooks_uninstall();
    fake_engine_stop();
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_g_fake.unbalanced, 0);
    assert_int_equal(mt_g_fake.counted_twice, 0);
    dlclose(g_plugin);
    return 0;
}

static uint64_t mallocs(void)
{
    return mt_g_fake.allocations[MT_ALLOCATOR_MALLOC];
}

static void test_a_library_loaded_before_is_hooked(void **state)
{
    (void)state;
    void *ptr = call_size("plugin_malloc", 100);
    assert_int_equal(mallocs(), 1);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_MALLOC], 100);
    call_free("plugin_free", ptr);
    assert_int_equal(mt_g_fake.frees, 1);
    assert_int_equal(mt_g_fake.live, 0);
}

static void test_libcs_own_calls_are_hooked(void **state)
{
    (void)state;
    char *text = strdup("a text");
    assert_int_equal(mallocs(), 1);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_MALLOC], 7);
    call_free("plugin_free", text);
}

static void test_our_own_calls_are_not(void **state)
{
    (void)state;
    free(malloc(10));
    assert_int_equal(mallocs(), 0);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
}

static void test_a_table_of_function_pointers_is_hooked(void **state)
{
    (void)state;
    call_free("plugin_free", call_size("plugin_malloc_by_table", 10));
    assert_int_equal(mallocs(), 1);
}

static void test_a_pointer_the_program_changed_is_its_own(void **state)
{
    (void)state;
    void *(*by_variable)(size_t) = (void *(*)(size_t))function("plugin_malloc_by_variable");
    uint64_t callocs = mt_g_fake.allocations[MT_ALLOCATOR_CALLOC]; /* dlsym makes some of its own */
    call_free("plugin_free", by_variable(10));
    assert_int_equal(mallocs(), 0);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_CALLOC], callocs + 1);
    void *ptr = call_size("plugin_malloc", 10);
    uint64_t frees = mt_g_fake.frees;
    call_free("plugin_free_by_variable", ptr);
    assert_int_equal(mt_g_fake.frees, frees + 1);
}

static void test_a_weak_function_that_is_absent_stays_absent(void **state)
{
    (void)state;
    bool libc_has_it = dlsym(RTLD_DEFAULT, "free_sized") != NULL;
    assert_int_equal(((int (*)(void))function("plugin_has_free_sized"))(), libc_has_it);
}

static void test_dlsym_gives_the_hook(void **state)
{
    (void)state;
    void *(*found)(size_t) = (void *(*)(size_t))((void *(*)(void))function("plugin_dlsym_malloc"))();
    call_free("plugin_free", found(10));
    assert_int_equal(mallocs(), 1);
}

static void test_ranges_are_hooked(void **state)
{
    (void)state;
    void *addr = call_size("plugin_map", 8192);
    assert_int_equal(mt_g_fake.mapped_bytes, 8192);
    assert_int_equal(((int (*)(void *, size_t))function("plugin_unmap"))(addr, 8192), 0);
    assert_int_equal(mt_g_fake.unmapped_bytes, 8192);
}

static void test_uninstalling_puts_everything_back(void **state)
{
    (void)state;
    assert_true(mt_got_patched_count() > 0);
    mt_hooks_uninstall();
    assert_int_equal(mt_got_patched_count(), 0);
    call_free("plugin_free", call_size("plugin_malloc", 10));
    call_free("plugin_free", call_size("plugin_malloc_by_table", 10));
    free(strdup("x"));
    assert_int_equal(mallocs(), 0);
}

static void test_installing_twice_patches_once(void **state)
{
    (void)state;
    size_t before = mt_got_patched_count();
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    assert_int_equal(mt_got_patched_count(), before);
    call_free("plugin_free", call_size("plugin_malloc", 10));
    assert_int_equal(mallocs(), 1);
}

static void test_a_library_that_comes_back_is_hooked_again(void **state)
{
    (void)state;
    size_t with_plugin = mt_got_patched_count();
    for (int round = 0; round < 3; round++) { /* mostly at the same address */
        assert_int_equal(dlclose(g_plugin), 0);
        mt_loader_safe_point();
        assert_true(mt_got_patched_count() < with_plugin);
        open_plugin();
        mt_loader_safe_point();
        assert_int_equal(mt_got_patched_count(), with_plugin);
        call_free("plugin_free", call_size("plugin_malloc", 10));
        assert_int_equal(mallocs(), (uint64_t)round + 1);
    }
}

static void test_a_library_that_came_back_unnoticed_is_hooked_again(void **state)
{
    (void)state;
    size_t with_plugin = mt_got_patched_count();
    assert_int_equal(dlclose(g_plugin), 0);
    open_plugin();
    mt_loader_safe_point();
    assert_int_equal(mt_got_patched_count(), with_plugin);
    call_free("plugin_free", call_size("plugin_malloc", 10));
    assert_int_equal(mallocs(), 1);
}

static int check_sealed(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    unsigned *checked = context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t low = (info->dlpi_addr + header->p_vaddr) & ~(uint64_t)4095;
        uint64_t high = (info->dlpi_addr + header->p_vaddr + header->p_memsz) & ~(uint64_t)4095;
        if (header->p_type == PT_GNU_RELRO && low < high) {
            assert_false(mt_os_is_writable((void *)low));
            assert_false(mt_os_is_writable((void *)(high - 4096)));
            (*checked)++;
        }
    }
    return 0;
}

static void test_sealed_pages_are_sealed_again(void **state)
{
    (void)state;
    unsigned checked = 0;
    dl_iterate_phdr(check_sealed, &checked);
    assert_true(checked >= 2);
    mt_hooks_uninstall();
    dl_iterate_phdr(check_sealed, &checked);
}

static void *allocate_in_thread(void *arg)
{
    call_free("plugin_free", call_size("plugin_malloc", 10));
    return arg;
}

static void test_threads_made_by_a_library_are_seen_to_end(void **state)
{
    (void)state;
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))function("plugin_thread");
    for (int i = 0; i < 2000; i++) { /* more than there are start blocks */
        pthread_t thread;
        void *result = NULL;
        assert_int_equal(create(&thread, NULL, allocate_in_thread, &g_plugin), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, &g_plugin);
    }
    assert_int_equal(mt_g_fake.thread_exits, 2000);
    assert_int_equal(mt_g_fake.thread_starts, 2000);
    assert_int_equal(mallocs(), 2000);
}

static void test_a_thread_that_cannot_start_is_reported_as_alone(void **state)
{
    (void)state;
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 46), 0);
    int alone = pthread_create(&thread, &attr, allocate_in_thread, NULL);
    assert_int_not_equal(alone, 0);
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))function("plugin_thread");
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(create(&thread, &attr, allocate_in_thread, NULL), alone);
    }
    assert_int_equal(create(&thread, NULL, allocate_in_thread, NULL), 0); /* no start block was lost */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mt_g_fake.thread_exits, 1);
}

static pthread_key_t g_late_key;
static uint64_t g_exits_seen_by_destructor;

static void late_destructor(void *ptr)
{
    g_exits_seen_by_destructor = mt_g_fake.thread_exits;
    call_free("plugin_free", ptr);
}

static void *thread_with_a_key(void *arg)
{
    pthread_setspecific(g_late_key, call_size("plugin_malloc", 10));
    return arg;
}

static void test_what_a_later_destructor_frees_is_still_the_threads(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&g_late_key, late_destructor), 0); /* after ours */
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))function("plugin_thread");
    pthread_t thread;
    g_exits_seen_by_destructor = 99;
    assert_int_equal(create(&thread, NULL, thread_with_a_key, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(g_exits_seen_by_destructor, 0);
    assert_int_equal(mt_g_fake.thread_exits, 1);
    assert_int_equal(mt_g_fake.live, 0);
}

#define HOOK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)
static const struct CMUnitTest tests[] = {
    HOOK_TEST(test_a_library_loaded_before_is_hooked),
    HOOK_TEST(test_libcs_own_calls_are_hooked),
    HOOK_TEST(test_our_own_calls_are_not),
    HOOK_TEST(test_a_table_of_function_pointers_is_hooked),
    HOOK_TEST(test_a_pointer_the_program_changed_is_its_own),
    HOOK_TEST(test_a_weak_function_that_is_absent_stays_absent),
    HOOK_TEST(test_dlsym_gives_the_hook),
    HOOK_TEST(test_ranges_are_hooked),
    HOOK_TEST(test_uninstalling_puts_everything_back),
    HOOK_TEST(test_installing_twice_patches_once),
    HOOK_TEST(test_a_library_that_comes_back_is_hooked_again),
    HOOK_TEST(test_a_library_that_came_back_unnoticed_is_hooked_again),
    HOOK_TEST(test_sealed_pages_are_sealed_again),
    HOOK_TEST(test_threads_made_by_a_library_are_seen_to_end),
    HOOK_TEST(test_a_thread_that_cannot_start_is_reported_as_alone),
    HOOK_TEST(test_what_a_later_destructor_frees_is_still_the_threads),
};
MT_TEST_MAIN(tests)
