/* mt_demangle and the names shown: a table whose right-hand sides were worked out from the Itanium C++ ABI (section 5.1)
 * and Rust RFC 2603, and names made to be expensive. */
#include "harness.h"

#include "symbol/demangle.h"
#include "symbol/symbol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    const char *mangled, *readable;
};

static void check(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text = mt_demangle(pairs[i].mangled);
        if (text == NULL || strcmp(text, pairs[i].readable) != 0) {
            print_error("%s -> %s, expected %s\n", pairs[i].mangled, text != NULL ? text : "NULL", pairs[i].readable);
        }
        assert_non_null(text);
        assert_string_equal(text, pairs[i].readable);
        free(text);
    }
}

static void test_cpp_functions_read_without_return_type_and_parameters(void **state)
{
    static const struct pair pairs[] = {
        {"_Z3foov", "foo"},
        {"_Z3fooIiEvT_", "foo<int>"},
        {"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back"},
        {"_ZNK1S3getEi", "S::get"},
        {"_ZN3FooC1Ev", "Foo::Foo"},
        {"_ZN3FooC4Ev", "Foo::Foo"},
        {"_ZN3FooD0Ev", "Foo::~Foo"},
        {"_ZN3FoocviEv", "Foo::operator int"},
        {"_ZN1SaSERKS_", "S::operator="},
        {"_ZNSt8functionIFivEEclEv", "std::function<int ()>::operator()"},
        {"_Znwm", "operator new"},
        {"_ZdaPvm", "operator delete[]"},
        {"_ZN12_GLOBAL__N_13barEi", "(anonymous namespace)::bar"},
        {"_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()"},
        {"_ZZN1a1bEiENKUlT_E0_clIcEEDaS0_", "a::b(int)::{lambda(auto:1)#2}::operator()<char>"},
        {"_ZTV3Foo", "vtable for Foo"},
        {"_ZThn16_N1C1fEv", "non-virtual thunk to C::f()"},
        {"_ZGVZ4mainE1x", "guard variable for main::x"},
        {"_ZL5localv", "local"},
    };
    (void)state;
    check(pairs, MT_COUNTOF(pairs));
}

static void test_rust_names_read_without_hashes(void **state)
{
    static const struct pair pairs[] = {
        {"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"},
        {"_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE",
         "<Test + 'static as foo::Bar<Test>>::bar"},
        {"_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17h9e6bd2b8f7b8a1c3E", "std::rt::lang_start::{{closure}}"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"},
        {"_RNCNvC1a1b0", "a::b::{closure#0}"},
        {"_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"},
    };
    (void)state;
    check(pairs, MT_COUNTOF(pairs));
}

static void test_names_that_are_not_mangled_are_left_alone(void **state)
{
    static const char *const names[] = {"",        "_",     "_Z",   "_R",      "foo",   "_foo", "__libc_malloc", "_Zfoo",
                                        "_ZN1a1b", "_Z3fo", "_RNv", "_ZN5Hello5worldEvGARB", "_Z3foovX"};
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        assert_null(mt_demangle(names[i]));
    }
}

/* A type p<p<p<…>>> in which each level names the one before twice: 2^34 times "p" from 10 bytes a level, which would take
 * minutes and 100 GB. */
static void expand(char *name, size_t capacity, const char *before, const char *after)
{
    size_t used = (size_t)snprintf(name, capacity, "%s1pIiiE", before);
    for (int level = 0; level < 34; level++) {
        char digit = (char)(level < 10 ? '0' + level : 'A' + level - 10);
        used += (size_t)snprintf(name + used, capacity - used, "S_IS%c_S%c_E", digit, digit);
    }
    snprintf(name + used, capacity - used, "%s", after);
}

static void test_exponential_template_argument_is_refused(void **state)
{
    (void)state;
    char name[4096];
    expand(name, sizeof name, "_Z1fI", "Evv");
    assert_null(mt_demangle(name));
}

/* Parameters are not shown, so theirs cost nothing. */
static void test_exponential_parameters_do_not_matter(void **state)
{
    (void)state;
    char name[4096];
    expand(name, sizeof name, "_Z1f", "");
    char *text = mt_demangle(name);
    assert_string_equal(text, "f");
    free(text);
}

/* The same in Rust v0: each tuple names the one before twice, by position (counted after "_R", base 62, one less). */
static void expand_rust(char *name, size_t capacity, int levels)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t used = (size_t)snprintf(name, capacity, "_RINvC1a1bTyyE");
    size_t previous = strlen("_RINvC1a1b") - 2;
    for (int level = 0; level < levels; level++) {
        size_t at = used - 2, number = previous - 1;
        char reference[8] = "B", *to = reference + 1;
        if (number >= 62) {
            *to++ = digits[number / 62];
        }
        *to++ = digits[number % 62];
        memcpy(to, "_", 2);
        used += (size_t)snprintf(name + used, capacity - used, "T%s%sE", reference, reference);
        previous = at;
    }
    snprintf(name + used, capacity - used, "E");
}

static void test_exponential_rust_name_is_refused(void **state)
{
    (void)state;
    char name[4096];
    expand_rust(name, sizeof name, 2);
    char *text = mt_demangle(name);
    assert_string_equal(text, "a::b::<(u64, u64), ((u64, u64), (u64, u64)), "
                              "(((u64, u64), (u64, u64)), ((u64, u64), (u64, u64)))>");
    free(text);
    expand_rust(name, sizeof name, 10); /* 10 KB of text are still fine */
    text = mt_demangle(name);
    assert_non_null(text);
    free(text);
    expand_rust(name, sizeof name, 40);
    assert_null(mt_demangle(name));
}

static void test_long_names_are_demangled_and_longer_ones_refused(void **state)
{
    (void)state;
    char *name = malloc(64 * 1024), *expected = malloc(64 * 1024);
    for (size_t bytes = 2000; bytes <= 32000; bytes *= 2) {
        int digits = sprintf(name, "_Z%zu", bytes);
        memset(name + digits, 'x', bytes);
        memcpy(name + digits + bytes, "v", 2);
        memset(expected, 'x', bytes);
        expected[bytes] = '\0';
        char *text = mt_demangle(name);
        if (bytes <= 8000) {
            assert_string_equal(text, expected);
        } else {
            assert_null(text);
        }
        free(text);
    }
    free(name);
    free(expected);
}

static void test_deeply_nested_name_needs_no_stack(void **state)
{
    (void)state;
    char *name = malloc(16 * 1024);
    for (size_t depth = 1000; depth <= 8000; depth *= 2) {
        memcpy(name, "_Z1f", 4);
        memset(name + 4, 'P', depth);
        memcpy(name + 4 + depth, "i", 2);
        free(mt_demangle(name)); /* any answer, no crash */
    }
    free(name);
}

static void test_random_names_never_crash(void **state)
{
    (void)state;
    static const char alphabet[] = "_ZRNKSTILEvidcPRbjx0123456789CDFGHABsta$u.";
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        char name[128] = "_Z";
        uint64_t random = seed;
        name[1] = seed % 3 == 0 ? 'R' : 'Z';
        for (size_t i = 2; i < 2 + seed % 120; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            name[i] = alphabet[(random >> 33) % (sizeof alphabet - 1)];
        }
        free(mt_demangle(name));
    }
}

static void check_pretty(const char *raw, const char *expected)
{
    struct mt_names names;
    mt_names_init(&names);
    assert_string_equal(mt_symbol_name_pretty(&names, raw), expected);
    mt_names_fini(&names);
}

static void test_versions_and_clone_suffixes_are_not_shown(void **state)
{
    (void)state;
    check_pretty("memcpy@@GLIBC_2.14", "memcpy");
    check_pretty("main.cold", "main");
    check_pretty("resize.part.0", "resize");
    check_pretty("lookup.constprop.0.isra.1", "lookup");
    check_pretty("_Z3foov.cold", "foo");
    check_pretty("_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h4ac6d6bbd5ea97e1E.llvm.12345",
                 "core::ptr::drop_in_place<alloc::string::String>");
}

static void test_dots_of_other_kinds_stay(void **state)
{
    (void)state;
    check_pretty("main.init", "main.init");
    check_pretty("runtime.mallocgc", "runtime.mallocgc");
    check_pretty(".text.cold", ".text");
    check_pretty("a.partial", "a.partial");
    check_pretty(".cold", ".cold");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cpp_functions_read_without_return_type_and_parameters),
    cmocka_unit_test(test_rust_names_read_without_hashes),
    cmocka_unit_test(test_names_that_are_not_mangled_are_left_alone),
    cmocka_unit_test(test_exponential_template_argument_is_refused),
    cmocka_unit_test(test_exponential_parameters_do_not_matter),
    cmocka_unit_test(test_exponential_rust_name_is_refused),
    cmocka_unit_test(test_long_names_are_demangled_and_longer_ones_refused),
    cmocka_unit_test(test_deeply_nested_name_needs_no_stack),
    cmocka_unit_test(test_random_names_never_crash),
    cmocka_unit_test(test_versions_and_clone_suffixes_are_not_shown),
    cmocka_unit_test(test_dots_of_other_kinds_stay),
};

MT_TEST_MAIN(tests)
