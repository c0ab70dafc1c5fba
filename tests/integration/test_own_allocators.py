"""Allocators inside a program or a library, under names of their own: recorded at their entry points."""

import shutil

import pytest
import tracereplay
from conftest import run


@pytest.mark.parametrize("name", ["own_prefixed", "own_prefixed_nopie"])
def test_allocators_in_a_program_and_in_a_plugin_are_recorded(record, target, name):
    """The plugin is loaded while another thread runs."""
    program = [target(name), target("libown_plugin.so"), "case_plugin"]
    recording = record(*program)
    assert recording.stdout == run(program).stdout
    recording.assert_truth()
    recording.assert_stats_follow()


def test_an_allocator_at_work_in_a_constructor_is_recorded(record, target):
    """Its functions are patched when it maps its memory, and that mapping is its own."""
    recording = record(target("own_prefixed"), target("libown_plugin_early.so"), "case_early")
    recording.assert_truth()
    assert recording.stats["peak_bytes"] < 1 << 20


@pytest.mark.parametrize("name", ["own_throws_jemalloc", "own_throws_tcmalloc"])
def test_an_exception_out_of_an_allocator_leaves_no_guard(record, target, name):
    recording = record(target(name))
    recording.assert_truth()


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_what_the_allocator_maps_is_not_counted_beside_its_blocks(record, target, mode):
    recording = record(target("own_prefixed"), mode=mode, options=["--rate", "64"] if mode == "sample" else [])
    assert recording.stats["peak_bytes"] < 1 << 20  # blocks: some 100 KB; the mapping they come from has 64 MiB


def test_a_program_that_nobody_records_is_not_touched(target):
    """The agent is there, and nothing was asked for."""
    agent = target("../bin/libmemtap-agent.so")
    alone = run([target("own_prefixed")])
    result = run([target("own_prefixed")], env={"LD_PRELOAD": agent})
    assert (result.returncode, result.stdout) == (alone.returncode, alone.stdout)


def test_a_free_that_does_nothing_is_left_alone(record, target):
    """It is one byte long, and another function follows: what is allocated is recorded all the same."""
    recording = record(target("linked_own_packed"))
    found = tracereplay.by_case(recording.trace)
    for case, row in recording.truth.items():
        assert (found[case]["allocations"], found[case]["bytes"]) == (row["allocations"], row["bytes"])


@pytest.mark.parametrize("name", ["own_refused", "own_speaks"])
def test_an_allocator_that_cannot_be_patched_is_named(record, target, name):
    """Its code cannot be moved; or only its messages are left of it, the names are stripped."""
    recording = record(target(name), quiet=False)
    sentence = f"{name} has an allocator of its own that memtap does not see"
    assert recording.stdout == run([target(name)]).stdout
    assert sentence in recording.stderr.decode()
    assert any(sentence in warning for warning in recording.stats["warnings"])


def test_a_program_without_one_is_not_said_to_have_one(record, target):
    recording = record(target("linked_jemalloc"), quiet=False)
    assert "allocator of its own" not in recording.stderr.decode()


CHECKED = """
#include <stdlib.h>
static void *g_kept[1000];
__attribute__((noinline)) void case_checked(void)
{
    for (int i = 0; i < 1000; i++) {
        g_kept[i] = malloc(200);
    }
    for (int i = 0; i < 900; i++) {
        free(g_kept[i]);
    }
}
int main(void)
{
    case_checked();
    return 42;
}
"""


def test_the_allocator_of_an_address_sanitizer_in_the_program_is_recorded(record, tmp_path):
    """clang links it into the executable; gcc's is a library."""
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    (tmp_path / "checked.c").write_text(CHECKED)
    program = tmp_path / "checked"
    if run(["clang", "-O1", "-g", "-fno-builtin", "-fsanitize=address", tmp_path / "checked.c", "-o", program]).returncode:
        pytest.skip("clang cannot link AddressSanitizer here")
    recording = record(program, check=False)
    assert (recording.returncode, recording.stderr) == (42, b"")
    row = {"allocations": 1000, "bytes": 200_000, "frees": 900, "live": 100, "live_bytes": 20_000}
    recording.assert_truth({"case_checked": row})


CONSTANTS = """
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
const char g_constants[4 << 20] = { 1 };
int main(void)
{
    unsigned long low, high, wanted = (unsigned long)&g_constants[sizeof g_constants / 2];
    char line[512];
    int inside = 0, kib = -1;
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (maps == NULL || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
        return 1;
    }
    while (kib < 0 && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %*s", &low, &high) == 2) {
            inside = low <= wanted && wanted < high;
        } else if (inside && strncmp(line, "Rss:", 4) == 0) {
            sscanf(line, "Rss: %d", &kib);
        }
    }
    printf("%d\\n", kib);
    return kib < 0;
}
"""


def test_constants_that_the_program_does_not_touch_are_not_in_memory(record, tmp_path):
    """They are looked through for messages of allocators, in the file."""
    (tmp_path / "constants.c").write_text(CONSTANTS)
    program = tmp_path / "constants"
    assert run(["cc", "-O1", tmp_path / "constants.c", "-o", program]).returncode == 0
    assert int(run([program]).stdout) < 1024
    assert int(record(program).stdout) < 1024  # of 4096


SPEAKS = """
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static const char *volatile g_message = "not at the very beginning of the constants: <jemalloc>: Error allocating TSD\\n";
__attribute__((constructor)) static void leave(void)
{
    unlink(getenv("SPEAKS"));
}
const char *speak(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? g_message : "";
}
"""
LOADS = """
#include <dlfcn.h>
#include <stdlib.h>
int main(void)
{
    return dlopen(getenv("SPEAKS"), RTLD_NOW) == NULL;
}
"""


def test_an_allocator_whose_file_is_gone_is_named(record, tmp_path):
    """Its messages are in memory."""
    (tmp_path / "speaks.c").write_text(SPEAKS)
    (tmp_path / "loads.c").write_text(LOADS)
    library, program = tmp_path / "libspeaks_gone.so", tmp_path / "loads"
    assert run(["cc", "-O1", "-shared", "-fPIC", tmp_path / "speaks.c", "-o", library]).returncode == 0
    assert run(["cc", "-O1", tmp_path / "loads.c", "-o", program, "-ldl"]).returncode == 0
    recording = record(program, env={"SPEAKS": str(library)}, quiet=False)
    assert recording.returncode == 0
    assert not library.exists()
    assert "libspeaks_gone.so has an allocator of its own that memtap does not see" in recording.stderr.decode()
