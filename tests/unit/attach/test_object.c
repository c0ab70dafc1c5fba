/* Symbols of another process, read from its memory, against what dlsym says in it. */
#include "attach/object.h"

#include "harness.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>

/* A child has the mappings of its parent, so dlsym here answers for it. */
static pid_t start_twin(void)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!write(ready[1], "x", 1);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void end_twin(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct twin {
    struct mt_remote remote;
    struct mt_mappings mappings;
    struct mt_objects objects;
};

static void open_twin(struct twin *twin)
{
    struct mt_error err = { 0 };
    *twin = (struct twin){ 0 };
    assert_int_equal(mt_remote_open(start_twin(), &twin->remote, &err), MT_OK);
    assert_int_equal(mt_mappings_read(twin->remote.pid, &twin->mappings, &err), MT_OK);
    mt_objects_read(&twin->remote, &twin->mappings, &twin->objects);
}

static void close_twin(struct twin *twin)
{
    end_twin(twin->remote.pid);
    mt_objects_clear(&twin->objects);
    mt_mappings_clear(&twin->mappings);
    mt_remote_close(&twin->remote);
}

static void test_functions_of_libc_are_where_dlsym_finds_them(void **state)
{
    static const char *const names[] = { "malloc", "free", "dl_iterate_phdr", "fork", "pthread_create", "qsort" };
    struct twin twin;
    (void)state;
    open_twin(&twin);
    const struct mt_object *libc = mt_objects_named(&twin.objects, "libc.so.6");
    void *here = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(libc);
    assert_non_null(here);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(mt_object_find(&twin.remote, libc, names[i]), (uintptr_t)dlsym(here, names[i]));
    }
    assert_int_equal(mt_object_find(&twin.remote, libc, "no_such_function_anywhere"), 0);
    assert_ptr_equal(mt_objects_at(&twin.objects, (uintptr_t)dlsym(here, "malloc")), libc);
    close_twin(&twin);
}

static void test_the_whole_table_agrees_with_single_questions(void **state)
{
    struct twin twin;
    struct mt_object_symbols symbols = { 0 };
    size_t found = 0;
    (void)state;
    open_twin(&twin);
    const struct mt_object *libc = mt_objects_named(&twin.objects, "libc.so.6");
    mt_object_symbols_read(&twin.remote, libc, &symbols);
    assert_true(symbols.count > 1000);
    for (size_t i = 0; i < symbols.count; i++) {
        assert_true(symbols.items[i].address >= libc->low && symbols.items[i].address < libc->high);
        assert_true(i == 0 || symbols.items[i - 1].address <= symbols.items[i].address);
        found += strcmp(symbols.items[i].name, "malloc") == 0 || strcmp(symbols.items[i].name, "regexec") == 0;
        assert_int_not_equal(mt_object_find(&twin.remote, libc, symbols.items[i].name), 0);
    }
    assert_true(found >= 2);
    mt_object_symbols_clear(&symbols);
    close_twin(&twin);
}

static void test_memory_that_is_not_there_is_no_success(void **state)
{
    struct twin twin;
    char byte;
    char text[8];
    (void)state;
    open_twin(&twin);
    assert_false(mt_remote_read(&twin.remote, 8, &byte, 1));
    assert_false(mt_remote_read_text(&twin.remote, 8, text, sizeof text));
    assert_false(mt_remote_write(&twin.remote, 8, "x", 1));
    assert_null(mt_mappings_at(&twin.mappings, 8));
    close_twin(&twin);
}

static void test_what_is_written_is_read_again(void **state)
{
    struct twin twin;
    char got[sizeof "in another process"];
    static char there[64];
    (void)state;
    open_twin(&twin);
    assert_true(mt_remote_write(&twin.remote, (uintptr_t)there, "in another process", sizeof got));
    assert_true(mt_remote_read(&twin.remote, (uintptr_t)there, got, sizeof got));
    assert_string_equal(got, "in another process");
    assert_string_equal(there, "");
    const struct mt_mapping *mapping = mt_mappings_at(&twin.mappings, (uintptr_t)there);
    assert_non_null(mapping);
    assert_true(mapping->writable && mapping->low <= (uintptr_t)there && mapping->high > (uintptr_t)there);
    close_twin(&twin);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_functions_of_libc_are_where_dlsym_finds_them),
    cmocka_unit_test(test_the_whole_table_agrees_with_single_questions),
    cmocka_unit_test(test_memory_that_is_not_there_is_no_success),
    cmocka_unit_test(test_what_is_written_is_read_again),
};
MT_TEST_MAIN(tests)
