/* Deaths of code objects: counted, passed on, and never missed by a capture. */
#include "harness.h"

#include "fake_python.h"

#include <stdlib.h>

static struct mt_pystack g_stack;

static void start(unsigned minor, bool free_threaded)
{
    static void *memory;
    free(memory);
    memory = calloc(1, mt_pystack_memory_bytes());
    fake_start(minor, free_threaded);
    mt_pystack_init(&g_stack, memory);
    g_fake_deaths = 0;
}

static uint64_t *slot(void)
{
    return (uint64_t *)(uintptr_t)(g_fake.type + g_fake.o.object.bytes_size + 32);
}

/* A stack of one frame, captured. */
static uint64_t capture_one(void)
{
    uint64_t code = fake_code("f", 3);
    enter(fake_frame(0, code, 4));
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
    return code;
}

/* Another code object at the same address, everything else where it was. */
static void replace(uint64_t code)
{
    put64(code, g_fake.o.code.name, fake_text("g"));
    put32(code, g_fake.o.code.version, 77);
}

static void test_a_death_is_counted_and_done(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        for (unsigned free_threaded = 0; free_threaded <= (minor >= 13); free_threaded++) {
            start(minor, free_threaded);
            uint64_t code = fake_code("f", 1), before = mt_g_code_deaths;
            fake_kill(code);
            assert_int_equal(mt_g_code_deaths, before + 1);
            assert_int_equal(g_fake_deaths, 1);
        }
    }
}

static void test_after_a_death_nothing_captured_before_is_believed(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t code = capture_one(), hash = g_stack.frames[0].hash;
        fake_kill(code);
        replace(code);
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.count == 1 && g_stack.frames[0].hash != hash);
        assert_int_equal(g_stack.frames[0].fingerprint, (uint32_t)mt_pystack_fingerprint(code));
    }
}

static void test_nothing_is_believed_while_deaths_go_unseen(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t code = capture_one(), hash = g_stack.frames[0].hash;
        *slot() = (uint64_t)(uintptr_t)fake_dealloc; /* somebody takes it */
        replace(code);
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.count == 1 && g_stack.frames[0].hash != hash);
        hash = g_stack.frames[0].hash;
        put64(code, g_fake.o.code.name, fake_text("h"));
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[0].hash != hash);
    }
}

static void test_enabling_again_does_not_wrap_ourselves(void **state)
{
    (void)state;
    start(11, false);
    struct mt_python_info info = fake_info(0x030B00F0, false);
    mt_pystack_enable(&info);
    mt_pystack_enable(&info);
    fake_kill(fake_code("f", 1));
    assert_int_equal(g_fake_deaths, 1);
}

static void other_dealloc(void *code)
{
    mt_py_code_dies(code);
}

static void test_a_wrapper_around_ours_is_left_alone(void **state)
{
    (void)state;
    start(11, false);
    struct mt_python_info info = fake_info(0x030B00F0, false);
    *slot() = (uint64_t)(uintptr_t)other_dealloc;
    mt_pystack_enable(&info);
    assert_true(*slot() == (uint64_t)(uintptr_t)other_dealloc);
    fake_kill(fake_code("f", 1)); /* does not recurse */
    assert_int_equal(g_fake_deaths, 1);
}

static void test_an_unwatched_interpreter_is_not_changed(void **state)
{
    (void)state;
    start(12, false);
    *slot() = (uint64_t)(uintptr_t)fake_dealloc;
    struct mt_python_info info = fake_info(0x030C00F0, false);
    info.unwatched = true;
    mt_pystack_enable(&info);
    assert_true(*slot() == (uint64_t)(uintptr_t)fake_dealloc);
    uint64_t code = capture_one(), hash = g_stack.frames[0].hash;
    replace(code);
    mt_pystack_capture(&g_stack);
    assert_true(g_stack.frames[0].hash != hash);
}

static void test_used_memory_brings_no_old_knowledge(void **state)
{
    (void)state;
    start(11, false);
    uint64_t code = capture_one(), hash = g_stack.frames[0].hash;
    void *memory = g_stack.frames - 1; /* of a thread that ended */
    mt_pystack_init(&g_stack, memory);
    replace(code);
    mt_pystack_capture(&g_stack);
    assert_true(g_stack.count == 1 && g_stack.frames[0].hash != hash);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_death_is_counted_and_done),
    cmocka_unit_test(test_after_a_death_nothing_captured_before_is_believed),
    cmocka_unit_test(test_nothing_is_believed_while_deaths_go_unseen),
    cmocka_unit_test(test_enabling_again_does_not_wrap_ourselves),
    cmocka_unit_test(test_a_wrapper_around_ours_is_left_alone),
    cmocka_unit_test(test_an_unwatched_interpreter_is_not_changed),
    cmocka_unit_test(test_used_memory_brings_no_old_knowledge),
};

MT_TEST_MAIN(tests)
