/* test_role.c: what a frame is to the person whose program it is, and the names that are made of functions and files. */
#include "harness.h"

#include "model/role.h"

#include <stdlib.h>

static enum mt_role python(const char *function, const char *file)
{
    struct mt_frame f = { .function = function, .file = file, .module = "", .line = 1, .kind = MT_FRAME_PYTHON };
    return mt_role_of(&f);
}

static enum mt_role native(const char *function, const char *file, const char *module)
{
    struct mt_frame f = { .function = function, .file = file, .module = module, .kind = MT_FRAME_NATIVE };
    return mt_role_of(&f);
}

static void test_python_code_is_program_library_or_machinery(void **state)
{
    (void)state;
    static const struct {
        const char *function, *file;
        enum mt_role role;
    } rows[] = {
        { "handle", "/srv/app/cache.py", MT_ROLE_PROGRAM },
        { "<module>", "<string>", MT_ROLE_PROGRAM },
        { "f", "/tmp/ipykernel_7/1.py", MT_ROLE_PROGRAM },
        { "<module>", "<stdin>", MT_ROLE_PROGRAM },
        { "<module>", "<ipython-input-3-ab>", MT_ROLE_PROGRAM },
        { "f", "<__array_function__ internals>", MT_ROLE_LIBRARY },
        { "__init__", "<attrs generated init app.Row>", MT_ROLE_LIBRARY },
        { "run", "/srv/threading.py", MT_ROLE_PROGRAM }, /* a person's file may have any name */
        { "find", "/srv/importlib/__init__.py", MT_ROLE_PROGRAM },
        { "loads", "/usr/lib/python3.11/json/__init__.py", MT_ROLE_LIBRARY },
        { "loads", "/root/.pyenv/versions/3.13.1/lib/python3.13t/json/__init__.py", MT_ROLE_LIBRARY },
        { "abspath", "<frozen posixpath>", MT_ROLE_LIBRARY },
        { "array", "/v/lib/python3.12/site-packages/numpy/core/numeric.py", MT_ROLE_LIBRARY },
        { "f", "/usr/lib/python3/dist-packages/apt/cache.py", MT_ROLE_LIBRARY },
        { "_find_and_load", "<frozen importlib._bootstrap>", MT_ROLE_IMPORT },
        { "get_data", "<frozen importlib._bootstrap_external>", MT_ROLE_IMPORT },
        { "load_module", "<frozen zipimport>", MT_ROLE_IMPORT },
        { "import_module", "/usr/lib/python3.11/importlib/__init__.py", MT_ROLE_IMPORT },
        { "version", "/usr/lib/python3.11/importlib/metadata/__init__.py", MT_ROLE_LIBRARY },
        { "_run_code", "/usr/lib/python3.8/runpy.py", MT_ROLE_RUNPY },
        { "_run_code", "<frozen runpy>", MT_ROLE_RUNPY },
        { "Thread.run", "/usr/lib/python3.11/threading.py", MT_ROLE_THREAD },
        { "_bootstrap_inner", "/usr/lib/python3.10/threading.py", MT_ROLE_THREAD },
        { "Condition.wait", "/usr/lib/python3.11/threading.py", MT_ROLE_LIBRARY },
        { "_worker", "/usr/lib/python3.11/concurrent/futures/thread.py", MT_ROLE_THREAD },
        { "record", "/v/lib/python3.12/site-packages/memtap/recording.py", MT_ROLE_MEMTAP },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        assert_int_equal(python(rows[i].function, rows[i].file), rows[i].role);
    }
}

static void test_native_code_is_program_library_wrapper_or_start(void **state)
{
    (void)state;
    static const struct {
        const char *function, *file, *module;
        enum mt_role role;
    } rows[] = {
        { "fill", "/src/main.c", "/srv/app", MT_ROLE_PROGRAM },
        { "fill(int)", "", "/usr/bin/app", MT_ROLE_PROGRAM },
        { "operator new(unsigned long)", "", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", MT_ROLE_WRAPPER },
        { "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const&)", "/usr/include/c++/12/x",
          "/srv/app", MT_ROLE_WRAPPER },
        { "app::Pool<std::vector<int> >::grow()", "/src/pool.cc", "/srv/app", MT_ROLE_PROGRAM },
        { "std::vector<int> app::make<int>(int)", "/src/pool.cc", "/srv/app", MT_ROLE_PROGRAM },
        { "(anonymous namespace)::fill(std::string)", "/src/pool.cc", "/srv/app", MT_ROLE_PROGRAM },
        { "app::Table::operator[](std::string const&)", "/src/pool.cc", "/srv/app", MT_ROLE_PROGRAM },
        { "<alloc::vec::Vec<T> as core::clone::Clone>::clone", "/rustc/ab/library/alloc/src/vec/mod.rs", "/srv/app",
          MT_ROLE_WRAPPER },
        { "alloc::raw_vec::finish_grow", "", "/srv/app", MT_ROLE_WRAPPER },
        { "<app::Cache as core::ops::Drop>::drop", "", "/srv/app", MT_ROLE_PROGRAM },
        { "serde_json::de::from_str", "/root/.cargo/registry/src/x/serde_json-1/src/de.rs", "/srv/app", MT_ROLE_LIBRARY },
        { "zmalloc", "zmalloc.c", "/usr/bin/redis-server", MT_ROLE_WRAPPER },
        { "zmalloc_usable.constprop.0", "zmalloc.c", "/usr/bin/redis-server", MT_ROLE_WRAPPER },
        { "xmalloc", "", "/srv/app", MT_ROLE_WRAPPER },
        { "xmas", "", "/srv/app", MT_ROLE_PROGRAM },
        { "exec_main", "", "/usr/lib/postgresql/15/bin/postgres", MT_ROLE_PROGRAM },
        { "__vdso_time", "", "[vdso]", MT_ROLE_LIBRARY },
        { "SSL_new", "", "/usr/lib/x86_64-linux-gnu/libssl.so.3", MT_ROLE_LIBRARY },
        { "PyObject_Malloc", "", "/usr/bin/python3.11", MT_ROLE_WRAPPER },
        { "Py_BytesMain", "", "/opt/bin/python3.12", MT_ROLE_LIBRARY },
        { "f", "", "/v/lib/python3.12/site-packages/numpy/_core.so", MT_ROLE_LIBRARY },
        { "_start", "", "/srv/app", MT_ROLE_START },
        { "__libc_start_main_impl", "", "/lib/x86_64-linux-gnu/libc.so.6", MT_ROLE_START },
        { "start_thread", "", "/lib/x86_64-linux-gnu/libc.so.6", MT_ROLE_THREAD },
        { "start_thread", "/src/main.c", "/srv/app", MT_ROLE_PROGRAM },
        { "mt_thread_create", "", "/usr/local/lib/libmemtap-agent.so", MT_ROLE_MEMTAP },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        assert_int_equal(native(rows[i].function, rows[i].file, rows[i].module), rows[i].role);
    }
}

static void test_what_the_compiler_made_is_nobodys_line(void **state)
{
    (void)state;
    struct mt_frame f = { .function = "session::session(session const&)", .file = "/src/map.cpp", .module = "/srv/app",
                          .line = 7, .kind = MT_FRAME_NATIVE };
    assert_int_equal(mt_role_of(&f), MT_ROLE_PROGRAM);
    f.made = true;
    assert_int_equal(mt_role_of(&f), MT_ROLE_WRAPPER);
}

static void test_short_names_keep_what_a_person_calls(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "zmalloc", "zmalloc" },
        { "zmalloc.part.0", "zmalloc" },
        { "operator new(unsigned long)", "operator new" },
        { "std::vector<int, std::allocator<int> >::operator[](unsigned long)", "std::vector::operator[]" },
        { "void std::vector<int>::push_back<int const&>(int const&)", "std::vector::push_back" },
        { "(anonymous namespace)::fill(std::function<void (int)>)", "(anonymous namespace)::fill" },
        { "app::Call::operator()(int) const", "app::Call::operator()" },
        { "std::ostream& std::operator<< <char>(std::ostream&, char const*)", "std::operator<<" },
        { "<alloc::vec::Vec<T> as core::clone::Clone>::clone", "alloc::vec::Vec::clone" },
        { "alloc::slice::<impl [T]>::repeat", "alloc::slice::repeat" },
        { "std::panicking::do_call::<&dyn core::ops::function::Fn<(), Output = i32>, i32>", "std::panicking::do_call" },
        { "std::__cxx11::basic_string<char>::_M_mutate(unsigned long)", "std::basic_string::_M_mutate" },
        { "", "" },
        { "f<", "f" },
        { "<", "" },
        { "((((", "" },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        char *name = mt_role_short_name(rows[i][0]);
        assert_string_equal(name, rows[i][1]);
        free(name);
    }
}

static void test_python_functions_lose_where_they_are_local(void **state)
{
    (void)state;
    struct mt_frame f = { .function = "smooth.<locals>.<listcomp>", .file = "", .module = "", .kind = MT_FRAME_PYTHON };
    char *name = mt_role_shown_name(&f);
    assert_string_equal(name, "smooth.<listcomp>");
    free(name);
    f = (struct mt_frame){ .function = "f(int)", .file = "", .module = "", .kind = MT_FRAME_NATIVE };
    name = mt_role_shown_name(&f);
    assert_string_equal(name, "f");
    free(name);
}

static void test_modules_are_named_as_they_are_imported(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "/usr/lib/python3.11/json/__init__.py", "json" },
        { "/v/lib/python3.12/site-packages/numpy/core/numeric.py", "numpy.core.numeric" },
        { "/srv/app/store.py", "store" },
        { "/srv/app/__init__.py", "app" },
        { "<frozen os>", "os" },
        { "<string>", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        char *name = mt_role_module_name(rows[i][0]);
        if (rows[i][1] == NULL) {
            assert_null(name);
        } else {
            assert_string_equal(name, rows[i][1]);
        }
        free(name);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_python_code_is_program_library_or_machinery),
    cmocka_unit_test(test_native_code_is_program_library_wrapper_or_start),
    cmocka_unit_test(test_what_the_compiler_made_is_nobodys_line),
    cmocka_unit_test(test_short_names_keep_what_a_person_calls),
    cmocka_unit_test(test_python_functions_lose_where_they_are_local),
    cmocka_unit_test(test_modules_are_named_as_they_are_imported),
};
MT_TEST_MAIN(tests)
