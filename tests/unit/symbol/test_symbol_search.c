/* Which file is used for a module, and what is said when little is known: build-ids, debug links, search directories,
 * stripped files, the vDSO. The program is calls.c; what is true of it is read from its source and from nm. */
#include "symbol/programs.h"

#include <link.h>
#include <sys/auxv.h>
#include <sys/stat.h>

/* Line of calls.c on which `elsewhere` begins, found in the source. */
static uint32_t line_of_elsewhere(void)
{
    char path[PATH_MAX], text[4096];
    snprintf(path, sizeof path, "%s", __FILE__);
    *strrchr(path, '/') = '\0';
    strcat(path, "/programs/calls.c");
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    uint32_t line = 1;
    while (fgets(text, sizeof text, in) != NULL && strstr(text, "int elsewhere(") == NULL) {
        line++;
    }
    fclose(in);
    return line;
}

/* A program with debug information, and where its function `elsewhere` is. */
struct built {
    struct subject subject;
    uint64_t elsewhere;
    uint64_t compare; /* a static function */
    uint64_t elsewhere_end;
};

static void build(struct built *built, const char *options)
{
    assert_true(run("cc -O2 -g -Wl,--build-id -o program $programs/calls.c %s", options));
    subject_init(&built->subject, "program");
    built->elsewhere = address_of("program", "elsewhere");
    built->compare = address_of("program", "compare");
    assert_true(built->elsewhere != 0 && built->compare != 0);
}

static void assert_full(struct mt_symbolizer *symbolizer, const struct built *built)
{
    struct mt_symbol_frames frames = mt_symbolize(symbolizer, &built->subject.ref, built->elsewhere);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built->subject.ref), MT_SYMBOLS_DWARF);
    assert_true(frames.count >= 1);
    const struct mt_symbol_frame *outer = &frames.frames[frames.count - 1];
    assert_string_equal(outer->function, "elsewhere");
    assert_in_range(outer->line, line_of_elsewhere(), line_of_elsewhere() + 3); /* its first instruction may be a call's */
    assert_true(strlen(outer->file) > 8 && strcmp(outer->file + strlen(outer->file) - 8, "/calls.c") == 0);
    assert_true(outer->file[0] == '/' && !outer->inlined);
}

static void assert_name(struct mt_symbolizer *symbolizer, const struct built *built, uint64_t address, const char *name)
{
    struct mt_symbol_frames frames = mt_symbolize(symbolizer, &built->subject.ref, address);
    if (name == NULL) {
        assert_int_equal(frames.count, 0);
        return;
    }
    assert_int_equal(frames.count, 1);
    assert_string_equal(frames.frames[0].function, name);
    assert_null(frames.frames[0].file);
    assert_int_equal(frames.frames[0].line, 0);
}

static void assert_nothing(struct mt_symbolizer *symbolizer, const struct built *built)
{
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built->subject.ref), MT_SYMBOLS_NONE);
    assert_name(symbolizer, built, built->elsewhere, NULL);
}

static void expect_full(const struct built *built, const char *dir)
{
    struct mt_symbolizer *symbolizer = symbolizer_over(dir);
    assert_full(symbolizer, built);
    mt_symbolizer_free(symbolizer);
}

static void expect_nothing(const struct built *built, const char *dir)
{
    struct mt_symbolizer *symbolizer = symbolizer_over(dir);
    assert_nothing(symbolizer, built);
    mt_symbolizer_free(symbolizer);
}

static void test_recorded_path_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    expect_full(&built, NULL);
}

static void test_path_of_a_deleted_file_that_is_back_is_used(void **state)
{
    struct built built;
    char path[PATH_MAX + 16];
    (void)state;
    build(&built, "");
    snprintf(path, sizeof path, "%s (deleted)", built.subject.path);
    built.subject.ref.path = path;
    expect_full(&built, NULL);
}

static void test_wrong_build_id_is_never_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.build_id[0] ^= 1;
    expect_nothing(&built, NULL);
    expect_nothing(&built, g_folder);
}

static void test_file_with_a_build_id_is_refused_when_none_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.ref.build_id_bytes = 0;
    expect_nothing(&built, g_folder);
}

static void test_file_without_build_id_is_used_when_none_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    assert_int_equal(built.subject.ref.build_id_bytes, 0);
    expect_full(&built, NULL);
}

static void test_file_without_build_id_is_refused_when_one_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    built.subject.ref.build_id_bytes = 20;
    expect_nothing(&built, g_folder);
}

static void test_relative_path_is_not_taken_from_the_current_directory(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.ref.path = "program";
    expect_nothing(&built, NULL);
    expect_full(&built, g_folder);
}

/* ---- separate debug files -------------------------------------------------------------------------------------- */

/* Splits "program" into a stripped one and "program.debug"; `debug_to` is where the debug file goes. */
static void split(const char *debug_to)
{
    assert_true(run("objcopy --only-keep-debug program kept && strip --strip-all program"));
    assert_true(run("mkdir -p \"$(dirname '%s')\" && mv kept '%s'", debug_to, debug_to));
}

static void test_debug_file_of_that_name_in_a_search_dir_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("symbols/program.debug");
    expect_full(&built, "symbols");
}

static void test_debug_file_in_build_id_layout_is_used(void **state)
{
    struct built built;
    char path[256] = "symbols/.build-id/", *at = path + strlen(path);
    (void)state;
    build(&built, "");
    for (size_t i = 0; i < built.subject.ref.build_id_bytes; i++) {
        at += sprintf(at, i == 1 ? "/%02x" : "%02x", built.subject.build_id[i]);
    }
    strcat(path, ".debug");
    split(path);
    expect_full(&built, "symbols");
}

static void test_debug_file_of_any_name_in_a_search_dir_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("symbols/deep/er/renamed.bin");
    expect_full(&built, "symbols");
}

static void test_moved_program_is_found_by_its_build_id(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    assert_true(run("mkdir sysroot && mv program sysroot/other-name"));
    expect_nothing(&built, NULL);
    expect_full(&built, "sysroot");
}

static void test_debug_file_of_another_build_is_refused_whatever_its_name(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-rdynamic");
    split("elsewhere/program.debug");
    assert_true(run("mkdir symbols && cc -O1 -g -Wl,--build-id -o symbols/program.debug $programs/calls.c"));
    struct mt_symbolizer *symbolizer = symbolizer_over("symbols");
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DYNSYM);
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    mt_symbolizer_free(symbolizer);
}

static void test_search_path_of_the_environment_is_used_without_an_option(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("second/renamed.bin");
    setenv("MEMTAP_DEBUG_PATH", "first:second", 1);
    expect_full(&built, NULL);
    setenv("MEMTAP_DEBUG_PATH", "first", 1);
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_not_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DWARF);
    mt_symbolizer_free(symbolizer);
    unsetenv("MEMTAP_DEBUG_PATH");
}

static void test_debug_link_is_followed_beside_the_file(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("linked.dbg");
    assert_true(run("objcopy --add-gnu-debuglink=linked.dbg program"));
    expect_full(&built, NULL);
    assert_true(run("mkdir .debug && mv linked.dbg .debug"));
    expect_full(&built, NULL);
}

static void test_debug_link_without_build_id_needs_its_checksum(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    split("linked.dbg");
    assert_true(run("objcopy --add-gnu-debuglink=linked.dbg program"));
    expect_full(&built, NULL);
    assert_true(run("printf x >> linked.dbg"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_not_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DWARF);
    mt_symbolizer_free(symbolizer);
}

/* dwz moves what two files share into a third; names then come from there. */
static void test_alternate_debug_file_is_followed(void **state)
{
    struct built built;
    (void)state;
    NEED_TOOL("dwz");
    build(&built, "-gdwarf-4");
    assert_true(run("cc -O1 -gdwarf-4 -Wl,--build-id -o second $programs/calls.c"));
    assert_true(run("dwz -m shared.dwz program second"));
    assert_true(run("readelf -SW program | grep -q gnu_debugaltlink"));
    expect_full(&built, NULL);
}

static void test_missing_alternate_debug_file_leaves_lines(void **state)
{
    struct built built;
    (void)state;
    NEED_TOOL("dwz");
    build(&built, "-gdwarf-4");
    assert_true(run("cc -O1 -gdwarf-4 -Wl,--build-id -o second $programs/calls.c"));
    assert_true(run("dwz -m shared.dwz program second && rm shared.dwz"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    struct mt_symbol_frames frames = mt_symbolize(symbolizer, &built.subject.ref, built.elsewhere);
    assert_true(frames.count >= 1);
    assert_string_equal(frames.frames[frames.count - 1].function, "elsewhere"); /* from .symtab, or a name left behind */
    assert_in_range(frames.frames[frames.count - 1].line, line_of_elsewhere(), line_of_elsewhere() + 3);
    mt_symbolizer_free(symbolizer);
}

/* A pipe that nobody writes to blocks whoever opens it. */
static void test_pipes_in_the_place_of_files_do_not_block(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    assert_true(run("mkdir symbols && mkfifo symbols/program.debug symbols/other"));
    assert_true(run("mkfifo alt && printf '%%s/alt\\0idididididididididid' \"$PWD\" > link"));
    assert_true(run("objcopy --add-section .gnu_debugaltlink=link program"));
    expect_full(&built, "symbols");
    assert_true(run("rm program && mkfifo program"));
    expect_nothing(&built, "symbols");
}

/* ---- little information ------------------------------------------------------------------------------------------ */

static void test_stripped_program_still_names_what_it_exports(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-rdynamic");
    uint64_t alias = address_of("program", "__private_alias");
    assert_int_equal(alias, address_of("program", "public_name"));
    assert_true(run("strip --strip-all program"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DYNSYM);
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    assert_name(symbolizer, &built, built.elsewhere + 3, "elsewhere");
    assert_name(symbolizer, &built, alias, "public_name"); /* of two names the one without underscores */
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
    assert_true(run("objcopy -S --keep-symbols=/dev/null program unused 2>/dev/null; "
                    "objcopy --only-keep-debug program mini && objcopy --strip-debug mini && xz mini"));
    assert_true(run("strip --strip-all program && objcopy --add-section .gnu_debugdata=mini.xz program"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_SYMTAB);
    assert_name(symbolizer, &built, built.compare, "compare");
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    mt_symbolizer_free(symbolizer);
}

static void test_assembly_symbols_without_size_reach_to_the_next(void **state)
{
    struct subject subject;
    (void)state;
    assert_true(run("printf '.text\\n.globl first\\nfirst: nop\\nnop\\nnop\\n.globl second\\n.type second,@function\\n"
                    "second: nop\\nnop\\n.size second,1\\n.section .data\\n.globl datum\\ndatum: .quad 1\\n' > asm.s"));
    assert_true(run("cc -shared -nostdlib -Wl,--build-id -o asm.so asm.s"));
    subject_init(&subject, "asm.so");
    uint64_t first = address_of("asm.so", "first");
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    static const char *const expected[] = {"first", "first", "first", "second", NULL};
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
    IN_WORKSPACE(test_recorded_path_is_used),
    IN_WORKSPACE(test_path_of_a_deleted_file_that_is_back_is_used),
    IN_WORKSPACE(test_wrong_build_id_is_never_used),
    IN_WORKSPACE(test_file_with_a_build_id_is_refused_when_none_was_recorded),
    IN_WORKSPACE(test_file_without_build_id_is_used_when_none_was_recorded),
    IN_WORKSPACE(test_file_without_build_id_is_refused_when_one_was_recorded),
    IN_WORKSPACE(test_relative_path_is_not_taken_from_the_current_directory),
    IN_WORKSPACE(test_debug_file_of_that_name_in_a_search_dir_is_used),
    IN_WORKSPACE(test_debug_file_in_build_id_layout_is_used),
    IN_WORKSPACE(test_debug_file_of_any_name_in_a_search_dir_is_used),
    IN_WORKSPACE(test_moved_program_is_found_by_its_build_id),
    IN_WORKSPACE(test_debug_file_of_another_build_is_refused_whatever_its_name),
    IN_WORKSPACE(test_search_path_of_the_environment_is_used_without_an_option),
    IN_WORKSPACE(test_debug_link_is_followed_beside_the_file),
    IN_WORKSPACE(test_debug_link_without_build_id_needs_its_checksum),
    IN_WORKSPACE(test_alternate_debug_file_is_followed),
    IN_WORKSPACE(test_missing_alternate_debug_file_leaves_lines),
    IN_WORKSPACE(test_pipes_in_the_place_of_files_do_not_block),
    IN_WORKSPACE(test_stripped_program_still_names_what_it_exports),
    IN_WORKSPACE(test_symbol_table_names_static_functions),
    IN_WORKSPACE(test_linkage_table_entries_are_named),
    IN_WORKSPACE(test_mini_debug_information_is_used),
    IN_WORKSPACE(test_assembly_symbols_without_size_reach_to_the_next),
    IN_WORKSPACE(test_own_vdso_is_named_and_a_foreign_one_only_so),
    IN_WORKSPACE(test_an_answer_is_given_twice_from_memory),
    IN_WORKSPACE(test_modules_of_one_path_and_two_builds_are_two),
    IN_WORKSPACE(test_missing_and_odd_files_give_nothing),
};

MT_TEST_MAIN(tests)
