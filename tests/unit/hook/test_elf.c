/* test_elf.c: symbols of loaded objects. Oracle: dlsym on libc's own handle, dladdr.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/objects.h"
#include "hook/elf.h"
#include "hook/originals.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void *libc_handle(void)
{
    void *handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    return handle;
}

struct libc_search {
    struct mt_elf_object object;
    bool found;
};

static int visit_libc(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct libc_search *search = context;
    search->found = strstr(info->dlpi_name, "libc.so.6") != NULL && mt_elf_from_phdr(info, &search->object);
    return search->found;
}

static struct mt_elf_object libc_object(void)
{
    struct libc_search search = { .found = false };
    assert_true(mt_objects_walk(visit_libc, &search));
    assert_true(search.found);
    return search.object;
}

static void test_lookup_finds_what_dlsym_finds_in_libc(void **state)
{
    (void)state;
    static const char *const names[] = { "malloc", "free", "memcpy", "strlen", "strchr", "pthread_create", "dlopen",
                                         "qsort", "printf", "environ", "stdout", "posix_spawn", "fmemopen",
                                         "pthread_cond_wait", "gettimeofday", "sbrk", "mremap", "regexec" };
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        void *expected = dlsym(libc_handle(), names[i]);
        assert_non_null(expected);
        struct mt_elf_object object = libc_object();
        uint32_t symbol = mt_elf_find(&object, names[i], mt_elf_gnu_hash(names[i]));
        assert_int_not_equal(symbol, 0);
        if (strcmp(names[i], "environ") != 0 && strcmp(names[i], "stdout") != 0) { /* those may be copied */
            assert_ptr_equal((void *)mt_elf_address(&object, symbol), expected);
        }
    }
}

static void test_lookup_of_an_absent_name_is_null(void **state)
{
    (void)state;
    assert_null(mt_elf_lookup("mt_no_such_function"));
    assert_null(mt_elf_lookup(""));
}

static void test_lookup_does_not_look_into_ourselves(void **state)
{
    (void)state;
    assert_null(mt_elf_lookup("main")); /* this program defines it */
    assert_ptr_equal(mt_elf_lookup("malloc"), dlsym(libc_handle(), "malloc"));
}

static void test_next_is_the_first_definition_behind_us(void **state)
{
    (void)state;
    bool beside_malloc = false;
    assert_ptr_equal(mt_elf_next("calloc", false, &beside_malloc), dlsym(libc_handle(), "calloc"));
    assert_true(beside_malloc);
    assert_ptr_equal(mt_elf_next("calloc", true, NULL), dlsym(libc_handle(), "calloc"));
    assert_non_null(mt_elf_next("_cmocka_run_group_tests", false, &beside_malloc));
    assert_false(beside_malloc);
}

static void test_all_versions_of_a_name_are_listed(void **state)
{
    (void)state;
    struct mt_elf_object object = libc_object();
    uint32_t symbols[8];
    const char *name = "pthread_cond_wait"; /* GLIBC_2.2.5 and 2.3.2 */
    size_t count = mt_elf_named(&object, name, mt_elf_gnu_hash(name), symbols, 8);
    assert_int_equal(count, 2);
    assert_int_not_equal(symbols[0], symbols[1]);
    assert_int_equal(mt_elf_named(&object, name, mt_elf_gnu_hash(name), symbols, 1), 1);
    void *old = dlvsym(libc_handle(), name, "GLIBC_2.2.5");
    assert_true(mt_elf_defines_at(&object, name, mt_elf_gnu_hash(name), (uint64_t)(uintptr_t)old));
    assert_false(mt_elf_defines_at(&object, name, mt_elf_gnu_hash(name), (uint64_t)(uintptr_t)old + 1));
}

static int g_data;

static void test_data_is_told_from_code_and_heap(void **state)
{
    (void)state;
    void *heap = malloc(100);
    assert_true(mt_elf_is_data((uint64_t)(uintptr_t)&g_data, sizeof g_data));
    assert_false(mt_elf_is_data((uint64_t)(uintptr_t)libc_handle, 4));
    assert_false(mt_elf_is_data((uint64_t)(uintptr_t)heap, 4));
    assert_false(mt_elf_is_data(0, 8));
    free(heap);
}

static void test_range_holds_the_whole_object(void **state)
{
    (void)state;
    uint64_t low = 0;
    uint64_t high = 0;
    uint64_t address = (uint64_t)(uintptr_t)dlsym(libc_handle(), "malloc");
    assert_true(mt_elf_range_of(address, &low, &high));
    Dl_info info;
    assert_int_not_equal(dladdr((void *)address, &info), 0);
    assert_int_equal(low, (uint64_t)(uintptr_t)info.dli_fbase);
    assert_true(address < high);
    assert_false(mt_elf_range_of(8, &low, &high));
}

static void test_originals_are_libcs(void **state)
{
    (void)state;
    mt_originals_early_end(NULL);
    mt_originals_resolve();
    for (int i = 0; i < MT_HOOK__COUNT; i++) {
        enum mt_hook_index index = (enum mt_hook_index)i;
        void *expected = dlsym(libc_handle(), mt_hook_row(index)->name);
        if (expected != NULL) {
            assert_int_equal(mt_originals_get(0, index), (uint64_t)(uintptr_t)expected);
        }
    }
}

static void test_an_original_nobody_has_is_substituted(void **state)
{
    (void)state;
    void *ptr = malloc(10);
    if (dlsym(libc_handle(), "free_sized") == NULL) {
        assert_int_equal(mt_originals_get(0, MT_HOOK_free_sized), 0);
    }
    mt_g_originals[0].free_sized(ptr, 10); /* must free, by whatever there is */
    ptr = malloc(10);
    mt_g_originals[0].cfree(ptr);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lookup_finds_what_dlsym_finds_in_libc),
    cmocka_unit_test(test_lookup_of_an_absent_name_is_null),
    cmocka_unit_test(test_lookup_does_not_look_into_ourselves),
    cmocka_unit_test(test_next_is_the_first_definition_behind_us),
    cmocka_unit_test(test_all_versions_of_a_name_are_listed),
    cmocka_unit_test(test_data_is_told_from_code_and_heap),
    cmocka_unit_test(test_range_holds_the_whole_object),
    cmocka_unit_test(test_originals_are_libcs),
    cmocka_unit_test(test_an_original_nobody_has_is_substituted),
};
MT_TEST_MAIN(tests)
