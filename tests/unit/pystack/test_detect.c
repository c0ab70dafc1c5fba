/* What is recognised as a Python, from symbols alone. */
#include "harness.h"

#include "pystack/eval_range.h"
#include "pystack/pystack.h"

#include <elf.h>
#include <link.h>
#include <string.h>

static const char *g_text;
static unsigned long g_version;
static bool g_has_constant, g_has_tstate;

static const char *get_version(void)
{
    return g_text;
}

static void *get_tstate(void)
{
    return NULL;
}

static void *lookup(const char *name)
{
    if (strcmp(name, "Py_GetVersion") == 0) {
        return g_text != NULL ? (void *)(uintptr_t)get_version : NULL;
    }
    if (strcmp(name, "Py_Version") == 0) {
        return g_has_constant ? &g_version : NULL;
    }
    return strcmp(name, "PyGILState_GetThisThreadState") == 0 && g_has_tstate ? (void *)(uintptr_t)get_tstate : NULL;
}

static bool detect_text(const char *text, struct mt_python_info *ret)
{
    g_text = text;
    g_has_constant = false;
    g_has_tstate = true;
    return mt_pystack_detect(lookup, ret);
}

static void test_a_process_without_python_has_none(void **state)
{
    (void)state;
    struct mt_python_info info;
    g_text = NULL;
    assert_false(mt_pystack_detect(lookup, &info));
    g_text = "3.10.13 (main)";
    g_has_tstate = false;
    assert_false(mt_pystack_detect(lookup, &info));
    assert_null(mt_pystack_info());
}

static void test_old_versions_are_read_from_the_text(void **state)
{
    (void)state;
    struct mt_python_info info;
    assert_true(detect_text("3.10.13 (main, May  9 2026) [GCC 12.2.0]", &info));
    assert_int_equal(info.version_hex, 0x030A0DF0);
    assert_true(info.frames_supported);
    assert_true(detect_text("3.9.0rc2+ (default)", &info));
    assert_int_equal(info.version_hex, 0x030900C0);
    assert_true(detect_text("3.8.18 (default)", &info));
    assert_int_equal(info.version_hex, 0x030812F0);
    assert_true(detect_text("2.7.18 (default)", &info));
    assert_false(info.frames_supported);
    assert_false(detect_text("", &info));
    assert_false(detect_text("PyPy", &info));
}

static void test_the_version_constant_goes_before_the_text(void **state)
{
    (void)state;
    struct mt_python_info info;
    g_text = "3.13.0 experimental free-threading build (main)";
    g_version = 0x030D00F0;
    g_has_constant = g_has_tstate = true;
    assert_true(mt_pystack_detect(lookup, &info));
    assert_int_equal(info.version_hex, 0x030D00F0);
    assert_true(info.free_threaded);
    assert_string_equal(info.version_text, g_text);
    g_version = 0x031000F0; /* 3.16: found, not readable */
    assert_true(mt_pystack_detect(lookup, &info));
    assert_false(info.frames_supported);
    mt_pystack_enable(&info);
    struct mt_pystack p = { .count = 7 };
    assert_int_equal(mt_pystack_capture(&p), MT_PYSTACK_NONE);
    assert_int_equal(p.count, 0);
}

static uint64_t g_start;

static int find_table(struct dl_phdr_info *object, size_t bytes, void *context)
{
    (void)bytes, (void)context;
    for (unsigned i = 0; g_start == 0 && i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME) {
            g_start = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        }
    }
    return 1; /* the program itself only */
}

static void test_a_function_ends_where_the_next_one_starts(void **state)
{
    (void)state;
    dl_iterate_phdr(find_table, NULL);
    const uint8_t *header = (const uint8_t *)(uintptr_t)g_start;
    uint32_t count;
    memcpy(&count, header + 8, sizeof count);
    assert_true(count > 10);
    for (uint32_t i = 0; i + 1 < count; i++) {
        int32_t start, next;
        memcpy(&start, header + 12 + 8 * (size_t)i, sizeof start);
        memcpy(&next, header + 20 + 8 * (size_t)i, sizeof next);
        uint64_t end = mt_py_function_end(g_start + (uint64_t)(int64_t)start);
        assert_true(end == g_start + (uint64_t)(int64_t)next);
    }
    assert_int_equal(mt_py_function_end(0x1000), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_process_without_python_has_none),
    cmocka_unit_test(test_old_versions_are_read_from_the_text),
    cmocka_unit_test(test_the_version_constant_goes_before_the_text),
    cmocka_unit_test(test_a_function_ends_where_the_next_one_starts),
};

MT_TEST_MAIN(tests)
