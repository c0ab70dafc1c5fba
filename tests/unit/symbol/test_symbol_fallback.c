/* What is said when little is known (stripped files, linkage table, embedded symbol table, the vDSO), and that an
 * answer once given stays. The program is calls.c. */
#include "symbol/programs.h"

#include <link.h>
#include <sys/auxv.h>

static void test_stripped_program_still_names_what_it_exports(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-rdynamic");
    uint64_t alias = address_of("program", "__short");
    assert_int_equal(alias, address_of("program", "public_name"));
    assert_true(run("strip --strip-all program"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DYNSYM);
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    assert_name(symbolizer, &built, built.elsewhere + 3, "elsewhere");
    assert_name(symbolizer, &built, alias, "public_name"); /* of two names the one without underscores, though longer */
    assert_name(symbolizer, &built, built.compare, NULL);  /* static: no name is better than a neighbour's */
    mt_symbolizer_free(symbolizer);
}

static void test_symbol_table_names_static_functions(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    assert_true(run("strip --strip-debug program"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_SYMTAB);
    assert_name(symbolizer, &built, built.compare, "compare");
    mt_symbolizer_free(symbolizer);
}

/* The skeleton that stays in the program has the line table; functions and inlined calls are in the .dwo file. */
static void test_split_debug_information_gives_lines_and_symbol_names(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-gsplit-dwarf");
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    struct mt_symbol_frames frames = mt_symbolize(symbolizer, &built.subject.ref, built.compare);
    assert_int_equal(frames.count, 1);
    assert_string_equal(frames.frames[0].function, "compare");
    assert_non_null(frames.frames[0].file);
    assert_true(frames.frames[0].line > 0);
    mt_symbolizer_free(symbolizer);
}

static void test_linkage_table_entries_are_named(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,-z,lazy");
    FILE *pipe = popen("objdump -d -j .plt -j .plt.sec program | grep '<qsort@plt>:'", "r");
    unsigned long long address = 0;
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%llx", &address), 1);
    pclose(pipe);
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_name(symbolizer, &built, address, "qsort@plt");
    mt_symbolizer_free(symbolizer);
    assert_true(run("strip --strip-all program"));
    symbolizer = symbolizer_over(NULL);
    assert_name(symbolizer, &built, address, "qsort@plt");
    mt_symbolizer_free(symbolizer);
}

/* As Fedora's packages have it: the names of static functions, compressed, in a stripped program. */
static void test_mini_debug_information_is_used(void **state)
{
    struct built built;
    (void)state;
    NEED_TOOL("xz");
    build(&built, "-rdynamic");
    assert_true(run("objcopy --only-keep-debug program mini && objcopy --strip-debug mini && xz mini"));
    assert_true(run("strip --strip-all program && objcopy --add-section .gnu_debugdata=mini.xz program"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_SYMTAB);
    assert_name(symbolizer, &built, built.compare, "compare");
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    mt_symbolizer_free(symbolizer);
}

/* The label inside `third` does not end it. */
static void test_assembly_symbols_without_size_reach_to_the_next(void **state)
{
    struct subject subject;
    (void)state;
    assert_true(run("printf '.text\\n.globl first\\nfirst: nop\\nnop\\nnop\\n.globl second\\n.type second,@function\\n"
                    "second: nop\\nnop\\n.size second,1\\n.globl third\\n.type third,@function\\nthird: nop\\n"
                    ".globl label\\nlabel: nop\\nnop\\n.size third,3\\n.section .data\\n.globl datum\\ndatum: .quad 1\\n' > asm.s"));
    assert_true(run("cc -shared -nostdlib -Wl,--build-id -o asm.so asm.s"));
    subject_init(&subject, "asm.so");
    uint64_t first = address_of("asm.so", "first");
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    static const char *const expected[] = {"first", "first", "first", "second", NULL, "third", "third", "third"};
    for (size_t i = 0; i < MT_COUNTOF(expected); i++) {
        struct mt_symbol_frames frames = mt_symbolize(symbolizer, &subject.ref, first + i);
        assert_int_equal(frames.count, expected[i] != NULL ? 1 : 0);
        if (expected[i] != NULL) {
            assert_string_equal(frames.frames[0].function, expected[i]);
        }
    }
    assert_int_equal(mt_symbolize(symbolizer, &subject.ref, address_of("asm.so", "datum")).count, 0);
    mt_symbolizer_free(symbolizer);
}

/* ---- the vDSO and the answers themselves ----------------------------------------------------------------------- */

struct vdso {
    uint64_t base;
    uint8_t build_id[64];
    size_t build_id_bytes;
};

static int find_vdso(struct dl_phdr_info *info, size_t bytes, void *data)
{
    struct vdso *vdso = data;
    (void)bytes;
    for (int i = 0; info->dlpi_addr == vdso->base && i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_NOTE) {
            const uint8_t *at = (const uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr; // NOLINT
            const uint8_t *end = at + info->dlpi_phdr[i].p_memsz;
            while (at + 12 <= end) {
                uint32_t words[3];
                memcpy(words, at, sizeof words);
                const uint8_t *description = at + 12 + ((words[0] + 3) & ~3u);
                if (words[2] == NT_GNU_BUILD_ID && words[1] <= sizeof vdso->build_id) {
                    memcpy(vdso->build_id, description, words[1]);
                    vdso->build_id_bytes = words[1];
                }
                at = description + ((words[1] + 3) & ~3u);
            }
        }
    }
    return 0;
}

static void test_own_vdso_is_named_and_a_foreign_one_only_so(void **state)
{
    struct vdso vdso = {.base = getauxval(AT_SYSINFO_EHDR)};
    (void)state;
    dl_iterate_phdr(find_vdso, &vdso);
    struct mt_module_ref ref = {.path = "[vdso]", .build_id = vdso.build_id, .build_id_bytes = vdso.build_id_bytes};
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    bool named = false;
    for (uint64_t address = 0; address < 0x2000; address += 16) {
        struct mt_symbol_frames frames = mt_symbolize(symbolizer, &ref, address);
        assert_int_equal(frames.count, 1);
        named = named || strstr(frames.frames[0].function, "clock_gettime") != NULL;
    }
    assert_true(named || vdso.build_id_bytes == 0);
    uint8_t other[20] = {1};
    ref.build_id = other;
    ref.build_id_bytes = sizeof other;
    for (uint64_t address = 0; address < 0x2000; address += 16) {
        struct mt_symbol_frames frames = mt_symbolize(symbolizer, &ref, address);
        assert_int_equal(frames.count, 1);
        assert_string_equal(frames.frames[0].function, "[vdso]");
    }
    mt_symbolizer_free(symbolizer);
}

static void test_an_answer_is_given_twice_from_memory(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    struct mt_symbol_frames first = mt_symbolize(symbolizer, &built.subject.ref, built.elsewhere);
    for (uint64_t address = 0; address < 5000; address++) { /* make the table of answers grow */
        (void)mt_symbolize(symbolizer, &built.subject.ref, address);
    }
    assert_true(run("rm program"));
    struct mt_symbol_frames again = mt_symbolize(symbolizer, &built.subject.ref, built.elsewhere);
    assert_ptr_equal(again.frames, first.frames);
    assert_int_equal(again.count, first.count);
    mt_symbolizer_free(symbolizer);
}

static void test_modules_of_one_path_and_two_builds_are_two(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    struct subject other = built.subject;
    other.build_id[3] ^= 0x10;
    other.ref.build_id = other.build_id;
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_full(symbolizer, &built);
    assert_int_equal(mt_symbolize(symbolizer, &other.ref, built.elsewhere).count, 0);
    assert_full(symbolizer, &built);
    mt_symbolizer_free(symbolizer);
}

static void test_missing_and_odd_files_give_nothing(void **state)
{
    static const char *const paths[] = {"", "/", "/nonexistent/x", "/dev/zero", "/dev/null", "/proc/self/mem", "//anon",
                                        "/memfd:x (deleted)", " (deleted)", NULL};
    struct mt_symbolizer *symbolizer = symbolizer_over("/nonexistent");
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(paths); i++) {
        struct mt_module_ref ref = {.path = paths[i]};
        assert_int_equal(mt_symbolize(symbolizer, &ref, 0x1234).count, 0);
        assert_int_equal(mt_symbolizer_quality(symbolizer, &ref), MT_SYMBOLS_NONE);
    }
    mt_symbolizer_free(symbolizer);
    mt_symbolizer_free(NULL);
}

#define IN_WORKSPACE(test) cmocka_unit_test_setup_teardown(test, workspace_enter, workspace_leave)

static const struct CMUnitTest tests[] = {
    IN_WORKSPACE(test_stripped_program_still_names_what_it_exports),
    IN_WORKSPACE(test_symbol_table_names_static_functions),
    IN_WORKSPACE(test_split_debug_information_gives_lines_and_symbol_names),
    IN_WORKSPACE(test_linkage_table_entries_are_named),
    IN_WORKSPACE(test_mini_debug_information_is_used),
    IN_WORKSPACE(test_assembly_symbols_without_size_reach_to_the_next),
    IN_WORKSPACE(test_own_vdso_is_named_and_a_foreign_one_only_so),
    IN_WORKSPACE(test_an_answer_is_given_twice_from_memory),
    IN_WORKSPACE(test_modules_of_one_path_and_two_builds_are_two),
    IN_WORKSPACE(test_missing_and_odd_files_give_nothing),
};

MT_TEST_MAIN(tests)
