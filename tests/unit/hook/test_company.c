/* test_company.c: another tool rewrites a slot we rewrote, in this very process, before us, after us, and puts back what libc
 * has when it ends. Both must see the calls again after a look.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "fakes/engine.h"
#include "hook/got.h"
#include "hook/gotscan.h"
#include "hook/hook.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *g_plugin, *g_taker;
static uint64_t *g_slot; /* the plugin's, of malloc */

static void remember_slot(const struct mt_slot *slot, void *context)
{
    (void)context;
    if (slot->index == MT_HOOK_malloc && slot->kind == MT_SLOT_CALL) {
        g_slot = slot->address;
    }
}

static void find_slot(void)
{
    struct link_map *map = NULL;
    struct mt_elf_object object;
    assert_int_equal(dlinfo(g_plugin, RTLD_DI_LINKMAP, &map), 0);
    assert_true(mt_elf_from_link_map(map, &object));
    mt_got_scan(&object, remember_slot, NULL);
    assert_non_null(g_slot);
}

static void *symbol(void *handle, const char *name)
{
    void *found = dlsym(handle, name);
    assert_non_null(found);
    return found;
}

/* What the other tool does. */
static void write_slot(const void *function)
{
    uintptr_t page = (uintptr_t)g_slot & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
    assert_int_equal(mprotect((void *)page, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE), 0);
    *g_slot = (uint64_t)(uintptr_t)function;
}

static void take(void)
{
    write_slot(symbol(g_taker, "taker_malloc"));
}

static void give_back(void)
{
    write_slot(symbol(RTLD_DEFAULT, "__libc_malloc"));
}

static int open_plugins(void **state)
{
    (void)state;
    g_plugin = dlopen(MT_TEST_PLUGINS "/plugin_hooked.so", RTLD_NOW);
    g_taker = dlopen(MT_TEST_PLUGINS "/plugin_taker.so", RTLD_NOW);
    assert_true(g_plugin != NULL && g_taker != NULL);
    fake_engine_start(0);
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    find_slot();
    mt_hooks_uninstall();
    memset(&mt_g_fake, 0, sizeof mt_g_fake);
    return 0;
}

static int close_plugins(void **state)
{
    (void)state;
    mt_hooks_uninstall();
    fake_engine_stop();
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_g_fake.unbalanced, 0);
    assert_int_equal(mt_g_fake.counted_twice, 0);
    dlclose(g_taker);
    dlclose(g_plugin);
    return 0;
}

static int taken(void)
{
    return *(int *)symbol(g_taker, "taker_calls");
}

/* One call of the plugin's: who saw it? */
static void assert_seen(bool by_us, bool by_taker)
{
    uint64_t ours = mt_g_fake.allocations[MT_ALLOCATOR_MALLOC];
    int his = taken();
    void *ptr = ((void *(*)(size_t))symbol(g_plugin, "plugin_malloc"))(10);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC] - ours, by_us);
    assert_int_equal(taken() - his, by_taker);
    ((void (*)(void *))symbol(g_plugin, "plugin_free"))(ptr);
}

static void test_a_tool_that_was_there_first_sees_what_we_see(void **state)
{
    (void)state;
    uint64_t taker = 0;
    take();
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    assert_seen(true, true);
    assert_int_equal(mt_got_retake(&taker), 0); /* nothing was missed */
    assert_seen(true, true);
}

static void test_hooks_that_a_tool_took_are_put_in_front_of_its_own(void **state)
{
    (void)state;
    uint64_t taker = 0;
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    assert_seen(true, false);
    take();
    assert_seen(false, true);
    assert_int_equal(mt_got_retake(&taker), 1);
    assert_ptr_equal(taker, symbol(g_taker, "taker_malloc"));
    assert_seen(true, true);
}

static void test_a_tool_that_ends_does_not_end_us(void **state)
{
    (void)state;
    uint64_t taker = 0;
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    for (int round = 0; round < 3; round++) {
        take();
        mt_hooks_look_for_company();
        assert_seen(true, true);
        give_back();
        assert_seen(false, false);
        assert_int_equal(mt_got_retake(&taker), 1);
        assert_seen(true, false);
    }
}

static void test_we_end_before_a_tool_that_came_later(void **state)
{
    (void)state;
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    take();
    mt_hooks_look_for_company();
    mt_hooks_uninstall();
    assert_seen(false, true);
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
    assert_seen(true, true);
}

#define COMPANY_TEST(function) cmocka_unit_test_setup_teardown(function, open_plugins, close_plugins)
static const struct CMUnitTest tests[] = {
    COMPANY_TEST(test_a_tool_that_was_there_first_sees_what_we_see),
    COMPANY_TEST(test_hooks_that_a_tool_took_are_put_in_front_of_its_own),
    COMPANY_TEST(test_a_tool_that_ends_does_not_end_us),
    COMPANY_TEST(test_we_end_before_a_tool_that_came_later),
};
MT_TEST_MAIN(tests)
