/* Damaged files: a program with debug information is changed in random places, cut short, or replaced by something made
 * to be slow. The symbolizer may answer anything or nothing; it must come back, and under the sanitizers say nothing.
 * Seeds are printed for the ones that fail: `test_symbol_hostile NAME` with the same build repeats them all. */
#include "symbol/programs.h"

#include <elf.h>

enum { SEEDS = 500, ADDRESSES = 300, CODE_SPAN = 0x6000 };

struct bytes {
    uint8_t *data;
    size_t count;
};

static struct bytes read_all(const char *name)
{
    FILE *in = fopen(name, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    struct bytes bytes = {.count = (size_t)ftell(in)};
    rewind(in);
    bytes.data = malloc(bytes.count);
    assert_int_equal(fread(bytes.data, 1, bytes.count, in), bytes.count);
    fclose(in);
    return bytes;
}

static void write_all(const char *name, const uint8_t *data, size_t count)
{
    FILE *out = fopen(name, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

/* Asks everything there is to ask of the file "damaged" and reads every character of the answers. */
static size_t ask(uint64_t seed)
{
    struct mt_symbolizer *symbolizer = symbolizer_over(g_folder);
    struct mt_elf_file *file = NULL;
    char path[PATH_MAX];
    size_t seen = 0;
    snprintf(path, sizeof path, "%.2000s/damaged", g_folder);
    if (mt_elf_open(path, &file) == MT_OK) { // as a trace of that very file would have it: its own build-id
        struct mt_module_ref ref = {.path = path, .build_id = file->build_id, .build_id_bytes = file->build_id_bytes};
        seen += (size_t)mt_symbolizer_quality(symbolizer, &ref);
        for (int i = 0; i < ADDRESSES; i++) {
            uint64_t address = next_random(&seed) % (i % 16 == 0 ? UINT64_MAX : CODE_SPAN);
            struct mt_symbol_frames frames = mt_symbolize(symbolizer, &ref, address);
            for (size_t f = 0; f < frames.count; f++) {
                seen += frames.frames[f].function != NULL ? strlen(frames.frames[f].function) : 0;
                seen += frames.frames[f].file != NULL ? strlen(frames.frames[f].file) : 0;
            }
        }
        mt_elf_close(file);
    }
    mt_symbolizer_free(symbolizer);
    return seen;
}

/* Up to 200 changes between from and to: single bits, bytes, or aligned words of extreme values. */
static void damage(struct bytes copy, size_t from, size_t to, uint64_t *seed)
{
    static const uint64_t extremes[] = {0, 1, UINT64_MAX, INT64_MAX, 0x80000000u, 0xFFFFFFF0u};
    uint64_t changes = 1 + next_random(seed) % (next_random(seed) % 2 == 0 ? 8 : 200);
    for (uint64_t i = 0; i < changes; i++) {
        size_t at = from + next_random(seed) % (to - from);
        switch (next_random(seed) % 4) {
        case 0:
            copy.data[at] ^= (uint8_t)(1u << (next_random(seed) % 8));
            break;
        case 1:
            at = at & ~(size_t)7;
            memcpy(copy.data + at, &extremes[next_random(seed) % MT_COUNTOF(extremes)], at + 8 <= copy.count ? 8 : 1);
            break;
        default:
            copy.data[at] = (uint8_t)next_random(seed);
        }
    }
}

static void ask_damaged(const char *program, size_t from, size_t to, uint64_t first_seed)
{
    struct bytes whole = read_all(program), copy = {.data = malloc(whole.count), .count = whole.count};
    to = to < whole.count ? to : whole.count;
    print_message("seeds %llu to %llu\n", (unsigned long long)first_seed, (unsigned long long)first_seed + SEEDS - 1);
    size_t seen = 0;
    for (uint64_t number = first_seed; number < first_seed + SEEDS; number++) {
        uint64_t seed = number;
        memcpy(copy.data, whole.data, whole.count);
        damage(copy, from, to, &seed);
        size_t count = number % 8 == 0 ? next_random(&seed) % whole.count : whole.count;
        write_all("damaged", copy.data, count);
        seen += ask(seed);
    }
    assert_true(seen > 0); /* not everything was refused at the door */
    free(whole.data);
    free(copy.data);
}

/* Where a section lies in the file. */
static void section_of(const char *program, const char *name, size_t *ret_from, size_t *ret_to)
{
    struct mt_elf_file *file = NULL;
    size_t bytes = 0;
    assert_int_equal(mt_elf_open(program, &file), MT_OK);
    const uint8_t *data = mt_elf_section_data(file, name, &bytes);
    assert_non_null(data);
    *ret_from = (size_t)(data - (const uint8_t *)file->image);
    *ret_to = *ret_from + bytes;
    mt_elf_close(file);
}

static void damage_section(const char *program, const char *name, uint64_t first_seed)
{
    size_t from = 0, to = 0;
    section_of(program, name, &from, &to);
    ask_damaged(program, from, to, first_seed);
}

static void test_damage_anywhere_is_survived(void **state)
{
    (void)state;
    assert_true(run("c++ -O2 -g -o program $programs/shapes.cpp"));
    ask_damaged("program", 0, SIZE_MAX, 1000);
}

static void test_damaged_headers_are_survived(void **state)
{
    (void)state;
    assert_true(run("cc -O2 -g -o program $programs/calls.c"));
    ask_damaged("program", 0, 1024, 2000);
}

static void test_damaged_entries_are_survived(void **state)
{
    (void)state;
    assert_true(run("c++ -O2 -g -o program $programs/shapes.cpp"));
    damage_section("program", ".debug_info", 3000);
}

static void test_damaged_abbreviations_are_survived(void **state)
{
    (void)state;
    assert_true(run("c++ -O2 -g -o program $programs/shapes.cpp"));
    damage_section("program", ".debug_abbrev", 4000);
}

static void test_damaged_line_tables_are_survived(void **state)
{
    (void)state;
    assert_true(run("cc -O2 -gdwarf-5 -o program $programs/calls.c"));
    damage_section("program", ".debug_line", 5000);
    assert_true(run("cc -O2 -gdwarf-4 -o program $programs/calls.c"));
    damage_section("program", ".debug_line", 6000);
}

static void test_damaged_ranges_are_survived(void **state)
{
    (void)state;
    assert_true(run("c++ -O2 -gdwarf-5 -o program $programs/shapes.cpp"));
    damage_section("program", ".debug_rnglists", 7000);
}

static void test_damaged_symbol_tables_are_survived(void **state)
{
    (void)state;
    assert_true(run("cc -O2 -rdynamic -o program $programs/calls.c"));
    damage_section("program", ".symtab", 8000);
    damage_section("program", ".dynsym", 9000);
}

static void test_damaged_compressed_sections_are_survived(void **state)
{
    (void)state;
    assert_true(run("c++ -O2 -g -gz=zlib -o program $programs/shapes.cpp"));
    ask_damaged("program", 0x4000, SIZE_MAX, 10000);
}

/* ---- files made to be slow or large, 2 MB each ----------------------------------------------------------------- */

enum { HOSTILE_CODE = 0x1000, HOSTILE_CODE_BYTES = 0x200000 };

struct image {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    Elf64_Shdr sections[6];
    char names[64];
    uint8_t text[16];
    uint8_t abbrev[64];
};

/* The image is followed by .debug_info and then .debug_ranges. */
static void write_hostile(const uint8_t *entries, size_t entries_count, const uint64_t *ranges, size_t ranges_count)
{
    static const char names[] = "\0.text\0.debug_abbrev\0.debug_info\0.debug_ranges\0.shstrtab";
    /* 1 unit with low_pc, high_pc; 2 block with children; 3 function with ranges; 4 enumeration with children */
    static const uint8_t abbrev[] = {1, 0x11, 1, 0x11, 0x01, 0x12, 0x07, 0, 0, 2, 0x0b, 1, 0, 0, 3, 0x2e,
                                     0, 0x55, 0x17, 0, 0, 4, 0x04, 1, 0, 0, 0};
    struct image image = {.segment = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = HOSTILE_CODE,
                                      .p_memsz = HOSTILE_CODE_BYTES}};
    uint64_t low = HOSTILE_CODE, bytes = HOSTILE_CODE_BYTES;
    size_t info_bytes = 11 + 17 + entries_count + 1, ranges_bytes = ranges_count * sizeof *ranges;
    size_t info_at = sizeof image, ranges_at = info_at + info_bytes;
    uint8_t *info = calloc(1, info_bytes);
    uint32_t length = (uint32_t)info_bytes - 4;
    memcpy(info, &length, 4);
    info[4] = 4;  /* version */
    info[10] = 8; /* address size */
    info[11] = 1;
    memcpy(info + 12, &low, 8);
    memcpy(info + 20, &bytes, 8);
    memcpy(info + 28, entries, entries_count);
    memcpy(image.header.e_ident, "\177ELF\2\1\1", 7);
    image.header.e_type = ET_DYN;
    image.header.e_machine = EM_X86_64;
    image.header.e_version = EV_CURRENT;
    image.header.e_ehsize = sizeof image.header;
    image.header.e_phoff = offsetof(struct image, segment);
    image.header.e_phentsize = sizeof image.segment;
    image.header.e_phnum = 1;
    image.header.e_shoff = offsetof(struct image, sections);
    image.header.e_shentsize = sizeof image.sections[0];
    image.header.e_shnum = 6;
    image.header.e_shstrndx = 5;
    memcpy(image.names, names, sizeof names);
    memcpy(image.abbrev, abbrev, sizeof abbrev);
#define SECTION(name_at, section_type, at, count)                                                                      \
    (Elf64_Shdr){.sh_name = (name_at), .sh_type = (section_type), .sh_offset = (at), .sh_size = (count), .sh_addralign = 1}
    image.sections[1] = SECTION(1, SHT_PROGBITS, offsetof(struct image, text), sizeof image.text);
    image.sections[2] = SECTION(7, SHT_PROGBITS, offsetof(struct image, abbrev), sizeof abbrev);
    image.sections[3] = SECTION(21, SHT_PROGBITS, info_at, info_bytes);
    image.sections[4] = SECTION(33, SHT_PROGBITS, ranges_at, ranges_bytes);
    image.sections[5] = SECTION(47, SHT_STRTAB, offsetof(struct image, names), sizeof names);
    FILE *out = fopen("damaged", "wb");
    fwrite(&image, 1, sizeof image, out);
    fwrite(info, 1, info_bytes, out);
    if (ranges_bytes > 0) {
        fwrite(ranges, 1, ranges_bytes, out);
    }
    assert_int_equal(fclose(out), 0);
    free(info);
}

enum { HOSTILE_ENTRIES = 2 * 1024 * 1024 };

/* Nested deeper than anything real: each level would read all below it again. */
static void test_a_million_nested_entries_are_given_up(void **state)
{
    (void)state;
    uint8_t *entries = calloc(1, HOSTILE_ENTRIES);
    memset(entries, 2, HOSTILE_ENTRIES / 2);
    write_hostile(entries, HOSTILE_ENTRIES, NULL, 0);
    (void)ask(1);
    free(entries);
}

/* 250 levels, then a skipped subtree with the rest of the file in it. */
static void test_a_deep_subtree_that_is_not_wanted_is_given_up(void **state)
{
    (void)state;
    uint8_t *entries = calloc(1, HOSTILE_ENTRIES);
    memset(entries, 2, 250);
    memset(entries + 250, 4, HOSTILE_ENTRIES / 2 - 250);
    write_hostile(entries, HOSTILE_ENTRIES, NULL, 0);
    (void)ask(2);
    free(entries);
}

/* 400,000 functions that all name the same list of 20,000 ranges: 8 billion intervals. */
static void test_shared_range_lists_do_not_multiply(void **state)
{
    enum { RANGES = 20000 };
    (void)state;
    uint8_t *entries = calloc(1, HOSTILE_ENTRIES);
    uint64_t *ranges = calloc(2 * RANGES + 2, sizeof *ranges);
    for (size_t i = 0; i + 5 <= HOSTILE_ENTRIES; i += 5) {
        entries[i] = 3;
    }
    for (size_t i = 0; i < RANGES; i++) {
        ranges[2 * i] = 16 * i + 1;
        ranges[2 * i + 1] = 16 * i + 9;
    }
    write_hostile(entries, HOSTILE_ENTRIES, ranges, 2 * RANGES + 2);
    (void)ask(3);
    free(entries);
    free(ranges);
}

/* The builder of these files is right: an ordinary entry in it is read. */
static void test_the_hostile_builder_makes_valid_files(void **state)
{
    (void)state;
    static const uint8_t entries[] = {2, 3, 0, 0, 0, 0, 0}; /* a block; in it a function with ranges at offset 0 */
    static const uint64_t ranges[] = {0x10, 0x20, 0, 0};
    write_hostile(entries, sizeof entries, ranges, MT_COUNTOF(ranges));
    struct subject subject;
    subject_init(&subject, "damaged");
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_equal(mt_symbolizer_quality(symbolizer, &subject.ref), MT_SYMBOLS_DWARF);
    assert_int_equal(mt_symbolize(symbolizer, &subject.ref, HOSTILE_CODE + 0x10).count, 1);
    assert_int_equal(mt_symbolize(symbolizer, &subject.ref, HOSTILE_CODE + 0x20).count, 0);
    mt_symbolizer_free(symbolizer);
}

#define IN_WORKSPACE(test) cmocka_unit_test_setup_teardown(test, workspace_enter, workspace_leave)

static const struct CMUnitTest tests[] = {
    IN_WORKSPACE(test_damage_anywhere_is_survived),
    IN_WORKSPACE(test_damaged_headers_are_survived),
    IN_WORKSPACE(test_damaged_entries_are_survived),
    IN_WORKSPACE(test_damaged_abbreviations_are_survived),
    IN_WORKSPACE(test_damaged_line_tables_are_survived),
    IN_WORKSPACE(test_damaged_ranges_are_survived),
    IN_WORKSPACE(test_damaged_symbol_tables_are_survived),
    IN_WORKSPACE(test_damaged_compressed_sections_are_survived),
    IN_WORKSPACE(test_a_million_nested_entries_are_given_up),
    IN_WORKSPACE(test_a_deep_subtree_that_is_not_wanted_is_given_up),
    IN_WORKSPACE(test_shared_range_lists_do_not_multiply),
    IN_WORKSPACE(test_the_hostile_builder_makes_valid_files),
};

MT_TEST_MAIN(tests)
