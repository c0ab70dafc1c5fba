/* What is read when: one unit for one address, nothing more than the budget allows, and no unit for addresses that belong
 * to functions the linker dropped. */
#include "symbol/programs.h"

#include "symbol/dwarf_unit.h"

enum { UNITS = 5 };

struct opened {
    struct mt_elf_file *file;
    struct mt_names names;
    struct mt_dwarf *dwarf;
};

/* A shared object of UNITS units, each with one function unit_N that calls an inlined helper. */
static void open_units(struct opened *opened, const char *options)
{
    for (int i = 0; i < UNITS; i++) {
        assert_true(run("printf 'static inline int help(int x)\\n{\\nvolatile int y = x;\\nreturn y * %d;\\n}\\n"
                        "int unit_%d(int x)\\n{\\nreturn help(x);\\n}\\n' > unit_%d.c",
                        i + 2, i, i));
    }
    assert_true(run("cc -shared -fPIC -O2 -g %s -o units.so unit_*.c", options));
    mt_names_init(&opened->names);
    assert_int_equal(mt_elf_open("units.so", &opened->file), MT_OK);
    assert_int_equal(mt_dwarf_open(opened->file, NULL, &opened->names, &opened->dwarf), MT_OK);
    assert_int_equal(opened->dwarf->unit_count, UNITS);
}

static void close_units(struct opened *opened)
{
    mt_dwarf_close(opened->dwarf);
    mt_elf_close(opened->file);
    mt_names_fini(&opened->names);
}

static size_t units_read(const struct mt_dwarf *dwarf)
{
    size_t count = 0;
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        count += dwarf->units[i].state == MT_UNIT_READ;
    }
    return count;
}

static void test_an_address_reads_its_unit_and_no_other(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "");
    assert_int_equal(units_read(opened.dwarf), 0);
    for (int i = 0; i < UNITS; i++) {
        char name[16];
        snprintf(name, sizeof name, "unit_%d", i);
        size_t count = mt_dwarf_lookup(opened.dwarf, address_of("units.so", name), frames);
        assert_true(count > 0);
        assert_string_equal(frames[count - 1].function, name);
        assert_int_equal(units_read(opened.dwarf), i + 1);
    }
    close_units(&opened);
}

static void test_address_of_no_unit_reads_none(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "");
    assert_int_equal(mt_dwarf_lookup(opened.dwarf, 0, frames), 0);
    assert_int_equal(mt_dwarf_lookup(opened.dwarf, UINT64_MAX, frames), 0);
    assert_int_equal(mt_dwarf_lookup(opened.dwarf, address_of("units.so", "_init"), frames), 0);
    assert_int_equal(units_read(opened.dwarf), 0);
    close_units(&opened);
}

/* LLVM's way: range lists of version 5, no .debug_aranges. */
static void test_units_are_found_without_aranges(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "-ffunction-sections");
    close_units(&opened);
    assert_true(run("objcopy --remove-section .debug_aranges units.so"));
    assert_int_equal(mt_elf_open("units.so", &opened.file), MT_OK);
    assert_int_equal(mt_dwarf_open(opened.file, NULL, &opened.names, &opened.dwarf), MT_OK);
    size_t count = mt_dwarf_lookup(opened.dwarf, address_of("units.so", "unit_3"), frames);
    assert_true(count > 0);
    assert_string_equal(frames[count - 1].function, "unit_3");
    close_units(&opened);
}

static void test_spent_budget_leaves_the_address_unanswered(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "");
    opened.dwarf->budget = 0;
    assert_int_equal(mt_dwarf_lookup(opened.dwarf, address_of("units.so", "unit_1"), frames), 0);
    assert_int_equal(opened.dwarf->units[1].lines.row_count, 0);
    close_units(&opened);
}

static void test_budget_is_spent_in_proportion_to_what_is_read(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "");
    uint64_t before = opened.dwarf->budget;
    (void)mt_dwarf_lookup(opened.dwarf, address_of("units.so", "unit_1"), frames);
    uint64_t spent = before - opened.dwarf->budget;
    assert_in_range(spent, 3, 40); /* a function, an inlined call, its lines; the budget is a million */
    (void)mt_dwarf_lookup(opened.dwarf, address_of("units.so", "unit_1") + 1, frames);
    assert_int_equal(before - opened.dwarf->budget, spent);
    close_units(&opened);
}

/* With --gc-sections the debug information of dropped functions stays and claims addresses from 0 on. */
static void test_dropped_functions_claim_no_address(void **state)
{
    struct opened opened;
    struct mt_symbol_frame frames[MT_DWARF_DEPTH_MAX];
    (void)state;
    open_units(&opened, "-ffunction-sections -fvisibility=hidden -Wl,--gc-sections");
    for (uint64_t address = 0; address < 0x4000; address++) {
        size_t count = mt_dwarf_lookup(opened.dwarf, address, frames);
        assert_true(count == 0 || mt_elf_is_code(opened.file, address));
    }
    assert_int_equal(opened.dwarf->index.count, 0); /* all were dropped */
    close_units(&opened);
}

#define IN_WORKSPACE(test) cmocka_unit_test_setup_teardown(test, workspace_enter, workspace_leave)

static const struct CMUnitTest tests[] = {
    IN_WORKSPACE(test_an_address_reads_its_unit_and_no_other),
    IN_WORKSPACE(test_address_of_no_unit_reads_none),
    IN_WORKSPACE(test_units_are_found_without_aranges),
    IN_WORKSPACE(test_spent_budget_leaves_the_address_unanswered),
    IN_WORKSPACE(test_budget_is_spent_in_proportion_to_what_is_read),
    IN_WORKSPACE(test_dropped_functions_claim_no_address),
};

MT_TEST_MAIN(tests)
