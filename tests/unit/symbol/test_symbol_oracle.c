/* The symbolizer against addr2line (binutils) and llvm-symbolizer on programs built here: every address inside a function
 * must have the same frames, each with the same function, file and line.
 *
 * Known differences, each checked for what it is:
 *  1. Names are compared as memtap shows them: demangled, without parameters and clone suffixes (the other side's linkage
 *     name goes through mt_demangle, whose own truth is test_demangle.c).
 *  2. GCC gives functions with internal linkage no linkage name. memtap writes them with what is around them; the others
 *     write the bare name ("quiet_leaf"), so memtap's must end in "::" and that. For such a function the others take the
 *     symbol at the address instead in the outermost frame, and addr2line in the innermost one too (where it is the name
 *     of the function all was inlined into). Accepted there only, and only for the functions of the test programs that are
 *     internal: lambdas, templates over lambdas, and those of internal[].
 *  3. Code without debug information (crt1.o, crtstuff.c): the others print the file of the symbol table and no line;
 *     memtap gives no file.
 *  4. Paths are compared after removal of "." and "..".
 * Addresses are drawn inside functions: for padding behind one, addr2line names the function, memtap none. */
#include "symbol/programs.h"

#include "symbol/demangle.h"
#include "symbol/source_path.h"

enum { ADDRESSES = 4000, FRAMES_MAX = 256, LINE_BYTES = 65536, FUNCTIONS_MAX = 100000, SHOWN_MAX = 5 };

static const char *const internal[] = {"shapes::quiet_leaf", "shapes::(anonymous namespace)::anonymous_leaf", NULL};

struct function_range {
    uint64_t low, bytes;
};

/* A command that prints frames for the addresses in addresses.txt; the file's name is added. */
struct oracle {
    const char *command;
    bool symbol_innermost; /* difference 2 */
};

static const struct oracle binutils = {"addr2line -f -i -a", true};
static const struct oracle llvm = {"llvm-symbolizer --output-style=GNU --no-demangle -f -i -a", false};

static size_t functions_of(const char *file, struct function_range *ranges)
{
    char line[LINE_BYTES];
    size_t count = 0;
    snprintf(line, sizeof line, "nm -S --defined-only '%s'", file);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    while (count < FUNCTIONS_MAX && fgets(line, sizeof line, pipe) != NULL) {
        unsigned long long low, bytes;
        char type;
        if (sscanf(line, "%llx %llx %c", &low, &bytes, &type) == 3 && strchr("tTwWi", type) != NULL && bytes > 0) {
            ranges[count++] = (struct function_range){.low = low, .bytes = bytes};
        }
    }
    pclose(pipe);
    return count;
}

static void draw_addresses(const char *file, uint64_t seed, uint64_t *addresses)
{
    struct function_range *ranges = calloc(FUNCTIONS_MAX, sizeof *ranges);
    size_t count = functions_of(file, ranges);
    assert_true(count > 0);
    FILE *out = fopen("addresses.txt", "w");
    assert_non_null(out);
    for (size_t i = 0; i < ADDRESSES; i++) {
        const struct function_range *range = &ranges[next_random(&seed) % count];
        addresses[i] = range->low + next_random(&seed) % range->bytes;
        fprintf(out, "0x%llx\n", (unsigned long long)addresses[i]);
    }
    fclose(out);
    free(ranges);
}

/* The file part without "." and "..", or NULL when the answer names none; *ret_line 0 when it has none. */
static const char *split_place(struct mt_names *names, char *place, uint32_t *ret_line)
{
    char *discriminator = strstr(place, " (discriminator");
    if (discriminator != NULL) {
        *discriminator = '\0';
    }
    char *colon = strrchr(place, ':');
    assert_non_null(colon);
    *colon = '\0';
    *ret_line = (uint32_t)strtoul(colon + 1, NULL, 10);
    return place[0] == '\0' || strcmp(place, "??") == 0 ? NULL : mt_source_path(names, NULL, NULL, place);
}

static bool is_internal(const char *name)
{
    bool found = strstr(name, "<lambda(") != NULL || strstr(name, "{lambda}") != NULL;
    for (size_t i = 0; internal[i] != NULL; i++) {
        found = found || strcmp(name, internal[i]) == 0;
    }
    return found;
}

static bool ends_in(const char *name, const char *part)
{
    size_t bytes = strlen(name), part_bytes = strlen(part);
    return bytes > part_bytes + 2 && strcmp(name + bytes - part_bytes, part) == 0 &&
           memcmp(name + bytes - part_bytes - 2, "::", 2) == 0;
}

static bool same_name(struct mt_names *names, const char *ours, const char *theirs, bool may_be_symbol)
{
    if (ours == NULL) {
        return strcmp(theirs, "??") == 0;
    }
    const char *pretty = mt_symbol_name_pretty(names, theirs);
    return strcmp(ours, pretty) == 0 || ends_in(ours, pretty) || (may_be_symbol && is_internal(ours));
}

struct answer_reader {
    FILE *in;
    char line[LINE_BYTES];
    bool pending;
};

static bool read_line(struct answer_reader *reader)
{
    if (!reader->pending && fgets(reader->line, sizeof reader->line, reader->in) == NULL) {
        return false;
    }
    reader->pending = false;
    reader->line[strcspn(reader->line, "\n")] = '\0';
    return true;
}

static bool is_address(const char *line)
{
    return line[0] == '0' && line[1] == 'x';
}

static int g_shown; /* differences printed so far */

/* Compares the answer for one address; returns false and says why when they differ. */
static bool agrees(struct mt_names *names, struct answer_reader *reader, const struct oracle *oracle, uint64_t address,
                   struct mt_symbol_frames ours)
{
    static char function[LINE_BYTES];
    size_t count = 0;
    bool good = true;
    assert_true(read_line(reader) && is_address(reader->line));
    assert_int_equal(strtoull(reader->line, NULL, 16), address);
    while (read_line(reader)) {
        if (is_address(reader->line)) {
            reader->pending = true;
            break;
        }
        if (reader->line[0] == '\0') {
            continue;
        }
        uint32_t line = 0;
        memcpy(function, reader->line, sizeof function);
        assert_true(read_line(reader));
        const char *file = split_place(names, reader->line, &line);
        static const struct mt_symbol_frame none;
        const struct mt_symbol_frame *frame = count < ours.count ? &ours.frames[count] : &none;
        bool may_be_symbol = count + 1 == ours.count || (count == 0 && oracle->symbol_innermost);
        bool same_file = file == frame->file || (line == 0 && frame->file == NULL); /* interned: equal is identical */
        bool same = same_file && line == frame->line && same_name(names, frame->function, function, may_be_symbol);
        if (!same && good && g_shown++ < SHOWN_MAX) {
            print_error("0x%llx frame %zu: %s %s:%u, expected %s %s:%u\n", (unsigned long long)address, count,
                        frame->function, frame->file, frame->line, function, file, line);
        }
        good = good && same;
        count++;
    }
    if (count != ours.count && g_shown++ < SHOWN_MAX) {
        print_error("0x%llx: %zu frames, expected %zu\n", (unsigned long long)address, ours.count, count);
    }
    return good && count == ours.count;
}

/* Files of frames as this test's name set has them. */
static struct mt_symbol_frames reintern(struct mt_names *names, struct mt_symbol_frames frames,
                                        struct mt_symbol_frame *copy)
{
    assert_true(frames.count <= FRAMES_MAX);
    for (size_t i = 0; i < frames.count; i++) {
        copy[i] = frames.frames[i];
        copy[i].file = copy[i].file != NULL ? mt_names_intern_text(names, copy[i].file) : NULL;
        assert_true(copy[i].inlined == (i + 1 < frames.count)); /* all but the last are inlined into the next */
    }
    return (struct mt_symbol_frames){.frames = copy, .count = frames.count};
}

static void compare_all(const char *file, const struct oracle *oracle, uint64_t seed)
{
    static uint64_t addresses[ADDRESSES];
    static struct answer_reader reader;
    struct mt_names names;
    struct subject subject;
    print_message("seed %llu\n", (unsigned long long)seed);
    subject_init(&subject, file);
    draw_addresses(file, seed, addresses);
    assert_true(run("%s -e '%s' < addresses.txt > answers.txt", oracle->command, file));
    mt_names_init(&names);
    reader = (struct answer_reader){.in = fopen("answers.txt", "r")};
    assert_non_null(reader.in);
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    size_t wrong = 0, inlined = 0;
    for (size_t i = 0; i < ADDRESSES; i++) {
        struct mt_symbol_frame copy[FRAMES_MAX];
        struct mt_symbol_frames frames = mt_symbolize(symbolizer, &subject.ref, addresses[i]);
        inlined += frames.count > 1;
        wrong += agrees(&names, &reader, oracle, addresses[i], reintern(&names, frames, copy)) ? 0 : 1;
    }
    fclose(reader.in);
    mt_symbolizer_free(symbolizer);
    mt_names_fini(&names);
    print_message("%d addresses, %zu with inlined frames, %zu differ\n", ADDRESSES, inlined, wrong);
    assert_int_equal(wrong, 0);
    assert_true(inlined > ADDRESSES / 100); /* the comparison saw inlined calls at all */
}

static void test_c_with_dwarf_5_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    assert_true(run("cc -O2 -gdwarf-5 -o calls $programs/calls.c"));
    compare_all("calls", &binutils, 1);
}

static void test_c_with_dwarf_4_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    assert_true(run("cc -O2 -gdwarf-4 -o calls $programs/calls.c"));
    compare_all("calls", &binutils, 2);
}

static void test_cpp_with_dwarf_5_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    assert_true(run("c++ -O2 -gdwarf-5 -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &binutils, 3);
}

static void test_cpp_with_dwarf_4_and_sections_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    assert_true(run("c++ -O2 -gdwarf-4 -ffunction-sections -Wl,--gc-sections -no-pie -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &binutils, 4);
}

static void test_cpp_with_compressed_sections_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    assert_true(run("c++ -O2 -g -gz=zlib -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &binutils, 5);
}

/* Code and declarations are in different units then. (addr2line 2.40 gives some lines the file "<artificial>".) */
static void test_link_time_optimised_cpp_agrees_with_llvm_symbolizer(void **state)
{
    (void)state;
    NEED_TOOL("llvm-symbolizer");
    assert_true(run("c++ -O2 -g -flto -o shapes $programs/shapes.cpp 2> /dev/null"));
    compare_all("shapes", &llvm, 9);
}

static void test_slightly_optimised_cpp_agrees_with_llvm_symbolizer(void **state)
{
    (void)state;
    NEED_TOOL("llvm-symbolizer");
    assert_true(run("c++ -O1 -fno-inline-functions -g -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &llvm, 10);
}

/* addr2line 2.40 does not read Clang's DWARF 5 range lists and loses most inlined frames, so LLVM's own tool is asked. */
static void test_clang_cpp_agrees_with_llvm_symbolizer(void **state)
{
    (void)state;
    NEED_TOOL("clang++");
    NEED_TOOL("llvm-symbolizer");
    assert_true(run("clang++ -O2 -gdwarf-5 -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &llvm, 6);
}

static void test_gcc_cpp_agrees_with_llvm_symbolizer(void **state)
{
    (void)state;
    NEED_TOOL("llvm-symbolizer");
    assert_true(run("c++ -O2 -g -o shapes $programs/shapes.cpp"));
    compare_all("shapes", &llvm, 7);
}

static void test_rust_agrees_with_addr2line(void **state)
{
    (void)state;
    NEED_TOOL("addr2line");
    NEED_TOOL("rustc");
    assert_true(run("rustc -g -O -o shapes $programs/shapes.rs"));
    compare_all("shapes", &binutils, 8);
}

#define IN_WORKSPACE(test) cmocka_unit_test_setup_teardown(test, workspace_enter, workspace_leave)

static const struct CMUnitTest tests[] = {
    IN_WORKSPACE(test_c_with_dwarf_5_agrees_with_addr2line),
    IN_WORKSPACE(test_c_with_dwarf_4_agrees_with_addr2line),
    IN_WORKSPACE(test_cpp_with_dwarf_5_agrees_with_addr2line),
    IN_WORKSPACE(test_cpp_with_dwarf_4_and_sections_agrees_with_addr2line),
    IN_WORKSPACE(test_cpp_with_compressed_sections_agrees_with_addr2line),
    IN_WORKSPACE(test_link_time_optimised_cpp_agrees_with_llvm_symbolizer),
    IN_WORKSPACE(test_slightly_optimised_cpp_agrees_with_llvm_symbolizer),
    IN_WORKSPACE(test_clang_cpp_agrees_with_llvm_symbolizer),
    IN_WORKSPACE(test_gcc_cpp_agrees_with_llvm_symbolizer),
    IN_WORKSPACE(test_rust_agrees_with_addr2line),
};

MT_TEST_MAIN(tests)
