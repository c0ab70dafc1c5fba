/* test_modules.c: the module map against /proc/self/maps, the files themselves and the loader. */
#include "harness.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/modules.h"
#include "heap/modules_map.h"

#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLUGIN MT_TEST_PLUGINS "/plugin_stack.so"

typedef int (*plugin_function)(void (*leaf)(void *), void *context, int depth);

static uint32_t g_appeared;
static uint32_t g_gone;
static uint32_t g_last_number;
static bool g_numbers_rise;
static char g_last_path[MT_MODULE_PATH_MAX];

static void on_appeared(const struct mt_module *module)
{
    g_appeared++;
    g_numbers_rise &= module->number > g_last_number;
    g_last_number = module->number > g_last_number ? module->number : g_last_number;
    memcpy(g_last_path, module->path, sizeof g_last_path);
}

static void on_gone(const struct mt_module *module)
{
    g_gone++;
    memcpy(g_last_path, module->path, sizeof g_last_path);
}

static const struct mt_module_sink g_counting = { on_appeared, on_gone };

static void init(void)
{
    mt_modules_refresh(); /* what an earlier test left */
    g_appeared = g_gone = 0;
    assert_int_equal(mt_modules_init(&g_counting), MT_OK);
    g_numbers_rise = true; /* from here on: init may show them in any order */
}

static uint64_t open_plugin(const char *path, void **ret_handle)
{
    *ret_handle = dlopen(path, RTLD_NOW);
    assert_non_null(*ret_handle);
    return (uint64_t)(uintptr_t)dlsym(*ret_handle, "plugin_call");
}

/* ---- what is known about one module
 * -------------------------------------------------------------------------------- */

static const struct mt_module_segment *segment_of(const struct mt_module *module, uint64_t address)
{
    for (uint32_t i = 0; i < module->segment_count; i++) {
        if (address - module->bias - module->segments[i].vaddr < module->segments[i].bytes) {
            return &module->segments[i];
        }
    }
    return NULL;
}

/* The kernel says that address is byte `offset` of the file `path`. */
static void check_mapping(uint64_t address, uint64_t offset, const char *path)
{
    char real[4096];
    const struct mt_module *module = mt_modules_find(address);
    const struct mt_module_segment *segment = module == NULL ? NULL : segment_of(module, address);
    if (module == NULL || segment == NULL) {
        fail_msg("%s is not known", path);
        return;
    }
    assert_int_equal(module->path_bytes, strlen(module->path));
    /* Symbolic links are kept as the loader named them. */
    assert_string_equal(path[0] == '/' ? realpath(module->path, real) : module->path, path);
    assert_ptr_equal(module, mt_modules_peek(address));
    assert_true((segment->flags & 1) != 0);
    assert_int_equal(address - module->bias - segment->vaddr + segment->offset, offset);
}

static void test_every_mapped_file_is_found_with_path_and_offset(void **state)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    int checked = 0;
    (void)state;
    init();
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long low, high, offset;
        char flags[8];
        char path[512] = "";
        int fields = sscanf(line, "%llx-%llx %7s %llx %*s %*s %511s", &low, &high, flags, &offset, path);
        if (fields < 5 || flags[2] != 'x' || strcmp(path, "[vsyscall]") == 0) {
            continue;
        }
        check_mapping(low + 64, offset + 64, path);
        checked++;
    }
    fclose(maps);
    assert_true(checked >= 4);
    assert_int_equal(g_gone, 0);
    assert_true(g_numbers_rise);
}

static void check_build_id(const struct mt_module *module)
{
    const void *id;
    int fd = open(module->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        assert_string_equal(module->path, "[vdso]");
        return;
    }
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);
    assert_int_equal(module->build_id_bytes, bytes > 0 ? bytes : 0);
    assert_true(bytes <= 0 || memcmp(module->build_id, id, (size_t)bytes) == 0);
    elf_end(elf);
    close(fd);
    g_appeared += bytes > 0;
}

static void test_build_ids_equal_those_of_the_files(void **state)
{
    (void)state;
    g_appeared = 0;
    assert_int_equal(mt_modules_init(&(struct mt_module_sink){ check_build_id, check_build_id }), MT_OK);
    assert_true(g_appeared >= 2);
}

static void test_program_and_vdso_have_their_names(void **state)
{
    char exe[MT_MODULE_PATH_MAX];
    (void)state;
    init();
    assert_true(mt_os_readlink("/proc/self/exe", exe, sizeof exe) > 0);
    assert_string_equal(mt_modules_find((uint64_t)(uintptr_t)init)->path, exe);
    uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    assert_true(vdso == 0 || strcmp(mt_modules_find(vdso + 64)->path, "[vdso]") == 0);
    assert_true(vdso == 0 || mt_modules_find(vdso + 64)->eh_frame_hdr != 0);
}

static void test_addresses_in_no_module_are_not_found(void **state)
{
    uint64_t on_stack;
    void *block = malloc(100);
    (void)state;
    init();
    uint32_t appeared = g_appeared;
    assert_null(mt_modules_find(0));
    assert_null(mt_modules_find(4096));
    assert_null(mt_modules_find(UINT64_MAX));
    assert_null(mt_modules_find(UINT64_MAX - 4096));
    assert_null(mt_modules_find((uint64_t)(uintptr_t)&on_stack));
    assert_null(mt_modules_find((uint64_t)(uintptr_t)block));
    assert_int_equal(g_appeared, appeared);
    free(block);
}

/* ---- coming and going
 * ----------------------------------------------------------------------------------------------- */

static void test_an_opened_object_appears_once(void **state)
{
    void *handle;
    (void)state;
    init();
    uint32_t appeared = g_appeared;
    uint64_t code = open_plugin(PLUGIN, &handle);
    assert_null(mt_modules_peek(code));
    const struct mt_module *module = mt_modules_find(code);
    assert_non_null(module);
    assert_string_equal(module->path, PLUGIN);
    assert_int_equal(g_appeared, appeared + 1);
    mt_modules_refresh();
    mt_modules_refresh();
    assert_ptr_equal(mt_modules_find(code), module);
    assert_int_equal(g_appeared, appeared + 1);
    assert_int_equal(g_gone, 0);
    dlclose(handle);
}

static void test_a_closed_object_is_gone_once_and_changes_the_epoch(void **state)
{
    void *handle;
    (void)state;
    init();
    uint64_t code = open_plugin(PLUGIN, &handle);
    mt_modules_refresh();
    uint32_t epoch = mt_modules_epoch();
    assert_non_null(mt_modules_peek(code));
    dlclose(handle);
    assert_null(mt_modules_find(code)); /* the loader says so, before any refresh */
    mt_modules_refresh();
    mt_modules_refresh();
    assert_int_equal(g_gone, 1);
    assert_string_equal(g_last_path, PLUGIN);
    assert_int_equal(mt_modules_epoch(), epoch + 1);
    assert_null(mt_modules_peek(code));
}

static void copy_file(const char *from, const char *to)
{
    char command[1200];
    snprintf(command, sizeof command, "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

static void test_another_object_at_the_same_addresses_is_noticed_without_refresh(void **state)
{
    char copy[] = "/tmp/memtap-plugin-XXXXXX";
    void *handle;
    int fd = mkstemp(copy);
    (void)state;
    init();
    copy_file(PLUGIN, copy);
    close(fd);
    uint64_t first = open_plugin(PLUGIN, &handle);
    uint32_t number = mt_modules_find(first)->number;
    uint32_t epoch = mt_modules_epoch();
    dlclose(handle);
    uint64_t second = open_plugin(copy, &handle);
    unlink(copy);
    if (first != second) {
        print_message("the kernel chose another address; nothing to see\n");
        skip();
    }
    const struct mt_module *module = mt_modules_find(second);
    assert_string_equal(module->path, copy);
    assert_true(module->number > number);
    assert_int_equal(mt_modules_epoch(), epoch + 1);
    assert_int_equal(g_gone, 1);
    dlclose(handle);
}

static void test_objects_of_another_namespace_stay_until_closed(void **state)
{
    void *handle = dlmopen(LM_ID_NEWLM, PLUGIN, RTLD_NOW);
    (void)state;
    init();
    assert_non_null(handle);
    uint64_t code = (uint64_t)(uintptr_t)dlsym(handle, "plugin_call");
    assert_non_null(mt_modules_find(code));
    void *other;
    (void)open_plugin(PLUGIN, &other); /* so that the next refresh is a whole one */
    mt_modules_refresh();
    assert_non_null(mt_modules_peek(code));
    dlclose(other);
    dlclose(handle);
    mt_modules_refresh();
    assert_null(mt_modules_peek(code));
}

static void test_records_are_reused_and_numbers_are_not(void **state)
{
    enum { ROUNDS = 3 * MT_MODULE_QUARANTINE };
    static const struct mt_module *seen[ROUNDS];
    int distinct = 0;
    (void)state;
    init();
    for (int i = 0; i < ROUNDS; i++) {
        void *handle;
        seen[i] = mt_modules_find(open_plugin(PLUGIN, &handle));
        assert_non_null(seen[i]);
        dlclose(handle);
        mt_modules_refresh();
        int k = 0;
        while (k < i && seen[k] != seen[i]) {
            k++;
        }
        distinct += k == i;
    }
    assert_true(g_numbers_rise);
    assert_int_equal(g_gone, ROUNDS);
    assert_in_range(distinct, MT_MODULE_QUARANTINE, MT_MODULE_QUARANTINE + 64);
}

static void test_replay_shows_each_present_module(void **state)
{
    void *handle;
    (void)state;
    init();
    uint64_t code = open_plugin(PLUGIN, &handle);
    assert_non_null(mt_modules_find(code));
    uint32_t present = g_appeared;
    g_appeared = 0;
    mt_modules_replay();
    assert_int_equal(g_appeared, present);
    dlclose(handle);
    mt_modules_refresh();
    g_appeared = 0;
    mt_modules_replay();
    assert_int_equal(g_appeared, present - 1);
}

/* ---- threads and fork
 * ----------------------------------------------------------------------------------------------- */

static uint32_t g_stop;

static void *read_modules(void *argument)
{
    uint64_t libc = (uint64_t)(uintptr_t)qsort;
    uint64_t self = (uint64_t)(uintptr_t)read_modules;
    uint64_t *wrong = argument;
    while (mt_load_relaxed(&g_stop) == 0) {
        const struct mt_module *a = mt_modules_find(libc);
        const struct mt_module *b = mt_modules_find(self);
        const struct mt_module *c = mt_modules_peek(self);
        *wrong += a == NULL || libc < a->low || libc >= a->high;
        *wrong += b == NULL || self < b->low || self >= b->high;
        *wrong += c != NULL && c != b; /* peek may give up while modules change, but not be wrong */
        *wrong += mt_modules_peek(1) != NULL;
    }
    return NULL;
}

static void test_readers_see_whole_tables_while_modules_change(void **state)
{
    enum { READERS = 3 };
    pthread_t threads[READERS];
    uint64_t wrong[READERS] = { 0 };
    (void)state;
    g_stop = 0;
    init();
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_modules, &wrong[i]), 0);
    }
    for (int i = 0; i < 400; i++) {
        void *handle;
        uint64_t code = open_plugin(PLUGIN, &handle);
        assert_non_null(mt_modules_find(code));
        dlclose(handle);
        mt_modules_refresh();
        assert_null(mt_modules_peek(code));
    }
    mt_store_relaxed(&g_stop, 1u);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

static void *change_modules(void *argument)
{
    (void)argument;
    while (mt_load_relaxed(&g_stop) == 0) {
        void *handle = dlopen(PLUGIN, RTLD_NOW);
        mt_modules_refresh();
        dlclose(handle);
        mt_modules_refresh();
    }
    return NULL;
}

static int in_child(void)
{
    const struct mt_module *module;
    mt_modules_after_fork();
    module = mt_modules_find((uint64_t)(uintptr_t)in_child);
    g_appeared = 0;
    mt_modules_replay();
    return module != NULL && g_appeared >= 4 ? 0 : 1;
}

/* A fork at any moment of a change leaves the child a whole table and a free lock. */
static void test_fork_children_have_a_whole_table(void **state)
{
    pthread_t thread;
    (void)state;
    g_stop = 0;
    init();
    assert_int_equal(pthread_create(&thread, NULL, change_modules, NULL), 0);
    for (int i = 0; i < 100; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            _exit(in_child());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    mt_store_relaxed(&g_stop, 1u);
    pthread_join(thread, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_mapped_file_is_found_with_path_and_offset),
    cmocka_unit_test(test_build_ids_equal_those_of_the_files),
    cmocka_unit_test(test_program_and_vdso_have_their_names),
    cmocka_unit_test(test_addresses_in_no_module_are_not_found),
    cmocka_unit_test(test_an_opened_object_appears_once),
    cmocka_unit_test(test_a_closed_object_is_gone_once_and_changes_the_epoch),
    cmocka_unit_test(test_another_object_at_the_same_addresses_is_noticed_without_refresh),
    cmocka_unit_test(test_objects_of_another_namespace_stay_until_closed),
    cmocka_unit_test(test_records_are_reused_and_numbers_are_not),
    cmocka_unit_test(test_replay_shows_each_present_module),
    cmocka_unit_test(test_readers_see_whole_tables_while_modules_change),
    cmocka_unit_test(test_fork_children_have_a_whole_table),
};

MT_TEST_MAIN(tests)
