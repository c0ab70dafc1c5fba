/* Source paths by table; interned strings by identity. */
#include "harness.h"

#include "symbol/names.h"
#include "symbol/source_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct joined {
    const char *base, *directory, *name, *expected;
};

static void test_source_paths_are_absolute_and_have_one_spelling(void **state)
{
    static const struct joined table[] = {
        {"/b", "d", "f.c", "/b/d/f.c"},
        {"/b", "/d", "f.c", "/d/f.c"},
        {"/b", "d", "/f.c", "/f.c"},
        {"/b", NULL, "f.c", "/b/f.c"},
        {"/b/", "./d/.", ".//f.c", "/b/d/f.c"},
        {"/b/c", "../d", "f.c", "/b/d/f.c"},
        {"/b", "../../d", "f.c", "/d/f.c"},
        {"/", "..", "f.c", "/f.c"},
        {"/b", "x/y/../..", "f.c", "/b/f.c"},
        {NULL, NULL, "f.c", "f.c"},
        {"./csu", "../inet", "f.c", "inet/f.c"},
        {NULL, "../..", "f.c", "../../f.c"},
        {NULL, "a/../../b", "f.c", "../b/f.c"},
        {"/b", "", "f.c", "/b/f.c"},
        {"/b", "d...", "..f", "/b/d.../..f"},
    };
    struct mt_names names;
    (void)state;
    mt_names_init(&names);
    for (size_t i = 0; i < MT_COUNTOF(table); i++) {
        const struct joined *row = &table[i];
        assert_string_equal(mt_source_path(&names, row->base, row->directory, row->name), row->expected);
    }
    mt_names_fini(&names);
}

static void test_path_longer_than_the_limit_is_refused(void **state)
{
    struct mt_names names;
    char *component = malloc(MT_SOURCE_PATH_MAX + 2);
    (void)state;
    mt_names_init(&names);
    memset(component, 'x', MT_SOURCE_PATH_MAX + 1);
    component[MT_SOURCE_PATH_MAX + 1] = '\0';
    assert_null(mt_source_path(&names, "/", NULL, component));
    component[MT_SOURCE_PATH_MAX] = '\0';
    assert_null(mt_source_path(&names, "/", NULL, component));
    component[MT_SOURCE_PATH_MAX - 1] = '\0';
    assert_non_null(mt_source_path(&names, "/", NULL, component));
    mt_names_fini(&names);
    free(component);
}

static void test_equal_strings_are_one_and_different_ones_are_not(void **state)
{
    enum { COUNT = 20000 };
    struct mt_names names;
    const char **first = calloc(COUNT, sizeof *first);
    char text[32];
    (void)state;
    mt_names_init(&names);
    for (int i = 0; i < COUNT; i++) {
        int bytes = snprintf(text, sizeof text, "name-%d", i);
        first[i] = mt_names_intern(&names, text, (size_t)bytes);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "name-%d", i);
        assert_string_equal(first[i], text);
        assert_ptr_equal(mt_names_intern_text(&names, text), first[i]);
    }
    assert_ptr_equal(mt_names_intern(&names, "name-12", 6), first[1]);
    assert_int_equal(names.count, COUNT);
    mt_names_fini(&names);
    free(first);
}

static void test_overlong_string_is_cut(void **state)
{
    struct mt_names names;
    size_t bytes = 3 * MT_NAME_MAX_BYTES;
    char *text = malloc(bytes);
    (void)state;
    mt_names_init(&names);
    memset(text, 'y', bytes);
    assert_int_equal(strlen(mt_names_intern(&names, text, bytes)), MT_NAME_MAX_BYTES);
    mt_names_fini(&names);
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_source_paths_are_absolute_and_have_one_spelling),
    cmocka_unit_test(test_path_longer_than_the_limit_is_refused),
    cmocka_unit_test(test_equal_strings_are_one_and_different_ones_are_not),
    cmocka_unit_test(test_overlong_string_is_cut),
};

MT_TEST_MAIN(tests)
