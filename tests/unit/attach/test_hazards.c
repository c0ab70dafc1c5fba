/* Which code is dangerous to stop in, found in another process: a child that has our mappings. */
#include "attach/hazards.h"

#include "harness.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>

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

struct twin {
    struct mt_subject subject;
    struct mt_hazards hazards;
    void *libc;
};

/* False: this build runs under a sanitizer, which attach refuses. */
static bool open_twin(struct twin *twin)
{
    struct mt_error err = { 0 };
    *twin = (struct twin){ .libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD) };
    pid_t pid = start_twin();
    bool opened = mt_subject_open(pid, &twin->subject, &err) == MT_OK;
    if (!opened) {
        assert_non_null(strstr(err.text, "sanitizer"));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        return false;
    }
    assert_int_equal(mt_hazards_find(&twin->subject, &twin->hazards, &err), MT_OK);
    return true;
}

static void close_twin(struct twin *twin)
{
    pid_t pid = twin->subject.facts.pid;
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    mt_hazards_clear(&twin->hazards);
    mt_subject_close(&twin->subject);
}

static void expect(const struct twin *twin, const char *name, enum mt_hazard wanted)
{
    uint64_t address = (uint64_t)(uintptr_t)dlsym(twin->libc, name);
    assert_int_not_equal(address, 0);
    if (mt_hazard_of(&twin->hazards, address + 1) != wanted) {
        fail_msg("%s is of kind %d", name, (int)mt_hazard_of(&twin->hazards, address + 1));
    }
}

static void test_functions_that_hold_locks_are_told_from_others(void **state)
{
    struct twin twin;
    (void)state;
    if (!open_twin(&twin)) {
        return;
    }
    expect(&twin, "malloc", MT_HAZARD_ALLOCATOR);
    expect(&twin, "realloc", MT_HAZARD_ALLOCATOR);
    expect(&twin, "malloc_trim", MT_HAZARD_ALLOCATOR);
    expect(&twin, "dl_iterate_phdr", MT_HAZARD_CALLS_OUT);
    expect(&twin, "fork", MT_HAZARD_FORK);
    expect(&twin, "pthread_create", MT_HAZARD_THREADS);
    expect(&twin, "qsort", MT_HAZARD_LIBC);
    expect(&twin, "nanosleep", MT_HAZARD_LIBC);
    assert_int_equal(mt_hazard_of(&twin.hazards, (uint64_t)(uintptr_t)&start_twin), MT_HAZARD_NONE);
    assert_int_equal(mt_hazard_of(&twin.hazards, (uint64_t)twin.subject.loader->bias + 0x8000), MT_HAZARD_LOADER);
    close_twin(&twin);
}

static void test_what_lies_between_functions_of_the_allocator_is_the_allocator_s(void **state)
{
    struct twin twin;
    (void)state;
    if (!open_twin(&twin)) {
        return;
    }
    uint64_t malloc_at = (uint64_t)(uintptr_t)dlsym(twin.libc, "malloc"), free_at = (uint64_t)(uintptr_t)dlsym(twin.libc, "free");
    uint64_t low = malloc_at < free_at ? malloc_at : free_at, high = malloc_at < free_at ? free_at : malloc_at;
    for (uint64_t at = low; at < high; at++) { /* _int_malloc and the like have no name here */
        assert_int_equal(mt_hazard_of(&twin.hazards, at), MT_HAZARD_ALLOCATOR);
    }
    close_twin(&twin);
}

static void test_the_instructions_that_are_used_are_what_they_should_be(void **state)
{
    static const unsigned char syscall_ret[] = { 0x0f, 0x05, 0xc3 };
    struct twin twin;
    unsigned char found[9];
    (void)state;
    if (!open_twin(&twin)) {
        return;
    }
    assert_true(mt_remote_read(&twin.subject.remote, twin.hazards.syscall_return, found, sizeof syscall_ret));
    assert_memory_equal(found, syscall_ret, sizeof syscall_ret);
    assert_true(mt_remote_read(&twin.subject.remote, twin.hazards.signal_return, found, sizeof found));
    assert_int_equal(found[3], 15); /* rt_sigreturn */
    assert_int_equal(twin.hazards.errno_location, (uintptr_t)dlsym(twin.libc, "__errno_location"));
    assert_int_equal(twin.hazards.agent, 0);
    close_twin(&twin);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_functions_that_hold_locks_are_told_from_others),
    cmocka_unit_test(test_what_lies_between_functions_of_the_allocator_is_the_allocator_s),
    cmocka_unit_test(test_the_instructions_that_are_used_are_what_they_should_be),
};
MT_TEST_MAIN(tests)
