/* test_program.c: which file a name means, and whether it can be recorded. Programs are made here: ELF files by header
 * bytes, so that the answer is known by construction. */
#include "harness.h"
#include "scratch.h"

#include "util/agentfile.h"
#include "util/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *make_file(const char *name, const void *data, size_t bytes, mode_t mode)
{
    char *path = mt_format("%s/%s", g_folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

/* An ELF header, one program header, and an interpreter string (NULL: static). */
static char *make_elf(const char *name, unsigned char class, uint16_t machine, const char *interpreter)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        char text[64];
    } file = { 0 };
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = class;
    file.header.e_machine = machine;
    file.header.e_phoff = sizeof file.header;
    file.header.e_phnum = 1;
    file.header.e_phentsize = sizeof file.segment;
    file.segment.p_type = interpreter != NULL ? PT_INTERP : PT_LOAD;
    file.segment.p_offset = sizeof file.header + sizeof file.segment;
    file.segment.p_filesz = interpreter != NULL ? strlen(interpreter) + 1 : 0;
    strcpy(file.text, interpreter != NULL ? interpreter : "");
    return make_file(name, &file, sizeof file, 0755);
}

static enum mt_program_kind kind_of(const char *path)
{
    struct mt_program_info info;
    mt_program_examine(path, &info);
    return info.kind;
}

static uint16_t own_machine(void)
{
    Elf64_Ehdr own;
    int fd = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(read(fd, &own, sizeof own), sizeof own);
    close(fd);
    return own.e_machine;
}

static void test_programs_are_told_apart_by_their_headers(void **state)
{
    uint16_t machine = own_machine();
    char *dynamic = make_elf("dynamic", ELFCLASS64, machine, "/lib64/ld-linux-x86-64.so.2");
    char *fixed = make_elf("static", ELFCLASS64, machine, NULL);
    char *narrow = make_elf("narrow", ELFCLASS32, machine, NULL);
    char *foreign = make_elf("foreign", ELFCLASS64, 0x7777, NULL);
    char *musl = make_elf("musl", ELFCLASS64, machine, "/lib/ld-musl-x86_64.so.1");
    char *text = make_file("text", "hello", 5, 0755);
    (void)state;
    assert_int_equal(kind_of(dynamic), MT_PROGRAM_DYNAMIC);
    assert_int_equal(kind_of(fixed), MT_PROGRAM_STATIC);
    assert_int_equal(kind_of(narrow), MT_PROGRAM_OTHER_ARCH);
    assert_int_equal(kind_of(foreign), MT_PROGRAM_OTHER_ARCH);
    assert_int_equal(kind_of(musl), MT_PROGRAM_MUSL);
    assert_int_equal(kind_of(text), MT_PROGRAM_NOT_ELF);
    assert_int_equal(kind_of("/no/such/file"), MT_PROGRAM_UNREADABLE);
    assert_int_equal(kind_of("/proc/self/exe"), MT_PROGRAM_DYNAMIC);
    for (int kind = MT_PROGRAM_STATIC; kind <= MT_PROGRAM_UNREADABLE; kind++) {
        assert_true(strlen(mt_program_obstacle((enum mt_program_kind)kind)) > 20);
    }
    free(dynamic);
    free(fixed);
    free(narrow);
    free(foreign);
    free(musl);
    free(text);
}

static void test_a_script_is_judged_by_its_interpreter(void **state)
{
    char *fixed = make_elf("static", ELFCLASS64, own_machine(), NULL);
    char *line = mt_format("#!%s -x\n", fixed);
    char *script = make_file("script", line, strlen(line), 0755);
    char *by_env = make_file("by_env", "#!/usr/bin/env sh\n", 18, 0755);
    char *loop_line = mt_format("#!%s/loop\n", g_folder);
    char *loop = make_file("loop", loop_line, strlen(loop_line), 0755);
    (void)state;
    assert_int_equal(kind_of(script), MT_PROGRAM_STATIC);
    assert_int_equal(kind_of(by_env), MT_PROGRAM_DYNAMIC);
    assert_int_equal(kind_of(loop), MT_PROGRAM_NOT_ELF);
    free(fixed);
    free(line);
    free(script);
    free(by_env);
    free(loop_line);
    free(loop);
}

static void test_a_damaged_elf_is_no_crash(void **state)
{
    Elf64_Ehdr header = {
        .e_machine = own_machine(), .e_phoff = UINT64_MAX - 5, .e_phnum = 65535, .e_phentsize = 65535
    };
    (void)state;
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    char *path = make_file("damaged", &header, sizeof header, 0755);
    assert_int_equal(kind_of(path), MT_PROGRAM_STATIC);
    free(path);
}

static void test_names_are_found_on_the_path_like_a_shell_does(void **state)
{
    char *good = make_file("tool", "x", 1, 0755);
    char *bad = make_file("data", "x", 1, 0644);
    char *search = mt_format("/no/such:%s", g_folder);
    struct mt_error err = { 0 };
    char *found = NULL;
    (void)state;
    assert_int_equal(mt_program_find("tool", search, &found, &err), MT_OK);
    assert_string_equal(found, good);
    free(found);
    assert_int_equal(mt_program_find("data", search, &found, &err), MT_E_PERM);
    assert_int_equal(mt_program_find("absent", search, &found, &err), MT_E_NOENT);
    assert_non_null(strstr(err.text, "absent"));
    assert_int_equal(mt_program_find("", search, &found, &err), MT_E_NOENT);
    assert_int_equal(mt_program_find(bad, search, &found, &err), MT_E_PERM);
    assert_int_equal(mt_program_find(g_folder, search, &found, &err), MT_E_PERM);
    assert_int_equal(mt_program_find("/no/such", search, &found, &err), MT_E_NOENT);
    free(good);
    free(bad);
    free(search);
}

static void test_a_launcher_script_is_asked_for_its_interpreter(void **state)
{
    char *real = make_file("real", "x", 1, 0755);
    char *line = mt_format("#!/bin/sh\necho '%s'\n", real);
    char *shim = make_file("python3", line, strlen(line), 0755);
    char *mute = make_file("mute", "#!/bin/sh\nexit 1\n", 17, 0755);
    (void)state;
    mt_program_resolve_python(&shim);
    assert_string_equal(shim, real);
    char *before = mt_strdup(mute);
    mt_program_resolve_python(&mute);
    assert_string_equal(mute, before);
    mt_program_resolve_python(&real); /* not a script: stays */
    assert_string_equal(shim, real);
    free(real);
    free(line);
    free(shim);
    free(mute);
    free(before);
}

static void test_the_agent_is_found_beside_the_binary_or_in_lib(void **state)
{
    char *exe = mt_format("%s/bin/memtap", g_folder);
    char *bin = mt_format("%s/bin", g_folder);
    char *lib = mt_format("mkdir -p '%s/lib/memtap'", g_folder);
    struct mt_error err = { 0 };
    char *found = NULL;
    (void)state;
    assert_int_equal(mkdir(bin, 0755), 0);
    assert_int_equal(system(lib), 0);
    assert_int_equal(mt_agentfile_find_beside(exe, &found, &err), MT_E_NOENT);
    assert_non_null(strstr(err.text, "MEMTAP_AGENT"));
    char *installed = make_file("lib/memtap/libmemtap-agent.so", "x", 1, 0644);
    assert_int_equal(mt_agentfile_find_beside(exe, &found, &err), MT_OK);
    assert_string_equal(found, installed);
    free(found);
    char *built = make_file("bin/libmemtap-agent.so", "x", 1, 0644);
    assert_int_equal(mt_agentfile_find_beside(exe, &found, &err), MT_OK);
    assert_string_equal(found, built);
    free(found);
    free(installed);
    free(built);
    free(exe);
    free(bin);
    free(lib);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_programs_are_told_apart_by_their_headers, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_script_is_judged_by_its_interpreter, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_damaged_elf_is_no_crash, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_names_are_found_on_the_path_like_a_shell_does, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_launcher_script_is_asked_for_its_interpreter, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_the_agent_is_found_beside_the_binary_or_in_lib, make_folder, remove_folder),
};
MT_TEST_MAIN(tests)
