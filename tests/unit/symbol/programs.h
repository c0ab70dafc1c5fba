/* programs.h: for the symbolizer's tests: a folder of their own, tools run in it, programs built from programs/.
 *
 * A test gets its folder from workspace_enter (current directory, absolute path in g_folder) and leaves nothing behind.
 * Tools that are not installed make a test skip and say which one; compilers, binutils and coreutils are expected.
 */
#ifndef MT_TESTS_UNIT_SYMBOL_PROGRAMS_H
#define MT_TESTS_UNIT_SYMBOL_PROGRAMS_H

#include "harness.h"

#include "symbol/elf_file.h"
#include "symbol/symbol.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_folder[PATH_MAX];

static inline int workspace_enter(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(g_folder, sizeof g_folder, "%s/memtap-symbol-XXXXXX", base != NULL ? base : "/tmp");
    return mkdtemp(g_folder) != NULL && chdir(g_folder) == 0 ? 0 : -1;
}

static inline int workspace_leave(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", g_folder);
    return chdir("/") == 0 ? system(command) : -1;
}

/* Runs a shell command in the workspace; $programs is the folder of the sources. True when it succeeds. */
__attribute__((format(printf, 1, 2))) static inline bool run(const char *format, ...)
{
    char command[8192];
    int used = snprintf(command, sizeof command, "programs='" MT_TEST_ROOT "/tests/unit/symbol/programs'; ASAN_OPTIONS=; ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command + used, sizeof command - (size_t)used, format, arguments);
    va_end(arguments);
    return system(command) == 0;
}

static inline bool have(const char *tool)
{
    return run("command -v %s >/dev/null 2>&1", tool);
}

#define NEED_TOOL(tool)                                                                                                \
    do {                                                                                                               \
        if (!have(tool)) {                                                                                             \
            print_message("skipped: %s is not installed\n", tool);                                                     \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* What a trace would say of a file: its absolute path and build-id. */
struct subject {
    char path[PATH_MAX];
    uint8_t build_id[MT_ELF_BUILD_ID_MAX];
    struct mt_module_ref ref;
};

static inline void subject_init(struct subject *subject, const char *name)
{
    struct mt_elf_file *file = NULL;
    snprintf(subject->path, sizeof subject->path, "%.2000s/%.2000s", g_folder, name);
    assert_int_equal(mt_elf_open(subject->path, &file), MT_OK);
    memcpy(subject->build_id, file->build_id, file->build_id_bytes);
    subject->ref = (struct mt_module_ref){
        .path = subject->path, .build_id = subject->build_id, .build_id_bytes = file->build_id_bytes};
    mt_elf_close(file);
}

static inline struct mt_symbolizer *symbolizer_over(const char *dir)
{
    const char *dirs[] = {dir, NULL};
    struct mt_symbolizer *symbolizer = NULL;
    assert_int_equal(mt_symbolizer_new(dir != NULL ? dirs : NULL, &symbolizer), MT_OK);
    return symbolizer;
}

/* The address nm gives for a symbol of a file, 0 when it has none. */
static inline uint64_t address_of(const char *file, const char *symbol)
{
    char line[4096], name[2048];
    unsigned long long address = 0;
    uint64_t found = 0;
    snprintf(line, sizeof line, "nm '%s'", file);
    FILE *pipe = popen(line, "r");
    while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL) {
        if (sscanf(line, "%llx %*c %2047s", &address, name) == 2 && strcmp(name, symbol) == 0) {
            found = address;
        }
    }
    if (pipe != NULL) {
        pclose(pipe);
    }
    return found;
}

/* Fixed sequence of a seed (xorshift64*, Vigna 2016). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

/* ---- the program calls.c ------------------------------------------------------------------------------------------ */

/* Line of calls.c on which `elsewhere` begins, found in the source. */
static inline uint32_t line_of_elsewhere(void)
{
    char text[4096];
    FILE *in = fopen(MT_TEST_ROOT "/tests/unit/symbol/programs/calls.c", "r");
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
};

static inline void build(struct built *built, const char *options)
{
    assert_true(run("cc -O2 -g -Wl,--build-id -o program $programs/calls.c %s", options));
    subject_init(&built->subject, "program");
    built->elsewhere = address_of("program", "elsewhere");
    built->compare = address_of("program", "compare");
    assert_true(built->elsewhere != 0 && built->compare != 0);
}

static inline void assert_full(struct mt_symbolizer *symbolizer, const struct built *built)
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

static inline void assert_name(struct mt_symbolizer *symbolizer, const struct built *built, uint64_t address, const char *name)
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

#endif
