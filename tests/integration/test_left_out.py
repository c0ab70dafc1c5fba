"""What is alive at the end and no leak: what libc keeps for itself, and what somebody suppressed."""

import subprocess

import pytest
from conftest import MEMTAP, memtap, run

PROGRAM = """
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
void *kept[2];
char *copied;
FILE *opened;
__attribute__((noinline)) static void case_keep(void) { kept[0] = malloc(10007); }
__attribute__((noinline)) static void case_accept(void) { kept[1] = malloc(20011); }
__attribute__((noinline)) static void case_copy(void) { copied = strdup("sixteen letters."); }
__attribute__((noinline)) static void case_open(void) { opened = fopen("/dev/null", "w"); }
static void nothing(void) { }
int main(void)
{
    time_t now = 0;
    setlocale(LC_ALL, "");
    printf("%d\\n", localtime(&now)->tm_year);
    atexit(nothing);
    case_keep();
    case_accept();
    case_copy();
    case_open();
    fputs("a buffer", opened);
    return 0;
}
"""
DEFAULTS = 'const char *__lsan_default_suppressions(void) { return "# of the program\\nleak:case_accept\\n"; }\n'
COMPUTED = ('#include <stdlib.h>\nconst char *__lsan_default_suppressions(void) '
            '{ return getenv("X") ? getenv("X") : "leak:case_accept\\n"; }\n')


@pytest.fixture
def build(tmp_path):
    def compile_it(*sources, flags=("-O1",)):
        file = tmp_path / "program.c"
        file.write_text("".join(sources) + PROGRAM)
        subprocess.run(["cc", "-g", "-fno-builtin", *flags, file, "-o", tmp_path / "program"], check=True)
        return tmp_path / "program"

    return compile_it


def leaks(recording, *options):
    return {case: size for case, (_, size) in by_case(recording.report("leaks", "--stacks", *options)).items()}


def by_case(rows):
    found = {}
    for row in rows:
        names = [frame["function"] for frame in row["stack"]]
        case = next((name for name in names if name.startswith("case_")), "other")
        count, size = found.get(case, (0, 0))
        found[case] = (count + row["count"], size + row["bytes"])
    return found


def test_what_libc_keeps_for_itself_is_no_leak(record, build):
    recording = record(build())
    mine = leaks(recording)
    assert mine.keys() == {"case_keep", "case_accept", "case_copy", "case_open"}
    assert (mine["case_keep"], mine["case_accept"], mine["case_copy"]) == (10_007, 20_011, 17)
    stats = recording.stats
    assert stats["leaked_bytes"] == sum(mine.values())
    assert stats["libc_bytes"] >= 4096  # the buffer of a stream at least
    assert stats["leaked_bytes"] + stats["libc_bytes"] == recording.replay.current
    everything = leaks(recording, "--all")
    assert sum(everything.values()) == recording.replay.current


@pytest.mark.parametrize("report", ["leaks", "stats", "table --leaks", "tree --leaks"])
def test_every_report_on_what_is_alive_says_what_it_leaves_out(record, build, tmp_path, report):
    recording = record(build())
    file = tmp_path / "known"
    file.write_text("leak:case_accept\n")
    said = memtap(*report.split(), "--suppressions", file, recording.path).stdout.decode()
    stats = recording.report("stats", "--suppressions", file)
    blocks = f"{stats['libc_allocations']} block" + "s" * (stats["libc_allocations"] > 1)
    assert f" in {blocks} of the C and C++ libraries (--all)\n" in said and " 19.5 KiB in 1 block by leak:case_accept\n" in said
    everything = memtap(*report.split(), "--all", recording.path).stdout.decode()
    assert "libraries (--all)" not in everything and "leak:" not in everything
    if report.endswith("--leaks"):
        assert "libraries (--all)" not in memtap(report.split()[0], recording.path).stdout.decode()  # of the peak nothing is left out


@pytest.mark.parametrize("flags", [[], ["-static-libstdc++", "-static-libgcc"]], ids=["shared", "inside"])
def test_the_pool_for_exceptions_is_no_leak(record, tmp_path, flags):
    (tmp_path / "pool.cpp").write_text("#include <cstdlib>\nvoid *kept, *before = malloc(30011);\n"
                                       "__attribute__((noinline)) void case_keep() { kept = malloc(10007); }\n"
                                       "int main() { case_keep(); try { throw 1; } catch (int) { } }\n")
    subprocess.run(["c++", "-g", "-O1", "-fno-builtin", *flags, tmp_path / "pool.cpp", "-o", tmp_path / "pool"], check=True)
    recording = record(tmp_path / "pool")
    assert by_case(recording.report("leaks", "--stacks")) == {"case_keep": (1, 10_007), "other": (1, 30_011)}
    assert recording.stats["libc_bytes"] == recording.replay.current - 10_007 - 30_011 > 0
    assert by_case(recording.report("leaks", "--stacks", "--all"))["other"][0] > 1


@pytest.mark.parametrize("how", ["option", "environment"])
def test_suppressions_leave_out_what_they_name(record, build, tmp_path, monkeypatch, how):
    recording = record(build())
    file = tmp_path / "known"
    file.write_text("# accepted\nleak:^case_acc*$\nleak:nobody\n")
    options = ["--suppressions", file] if how == "option" else []
    if how == "environment":
        monkeypatch.setenv("LSAN_OPTIONS", f"exitcode=0:suppressions={file}")
    assert leaks(recording, *options).keys() == {"case_keep", "case_copy", "case_open"}
    stats = recording.report("stats", *options)
    assert (stats["suppressed_bytes"], stats["suppressed_allocations"]) == (20_011, 1)
    assert stats["suppressions"] == [{"pattern": "^case_acc*$", "bytes": 20_011, "count": 1},
                                     {"pattern": "nobody", "bytes": 0, "count": 0}]
    assert stats["leaked_bytes"] + stats["libc_bytes"] + 20_011 == recording.replay.current
    assert b"suppressed: 19.5 KiB in 1 block by leak:^case_acc*$" in memtap("leaks", *options, recording.path).stdout
    assert "case_accept" in leaks(recording, "--all", *options)


def test_a_file_that_is_none_is_said(record, build, tmp_path):
    recording = record(build())
    file = tmp_path / "wrong"
    file.write_text("race:x\n")
    done = run([MEMTAP, "leaks", "--suppressions", file, recording.path])
    assert done.returncode == 2 and b"line 1" in done.stderr


@pytest.mark.parametrize("flags", [["-O0"], ["-O2"], ["-O1", "-no-pie", "-fno-pie"], ["-O1", "-fcf-protection=full"]],
                         ids=["O0", "O2", "fixed", "cet"])
def test_a_program_says_itself_what_to_suppress(record, build, flags):
    recording = record(build(DEFAULTS, flags=flags))
    assert leaks(recording).keys() == {"case_keep", "case_copy", "case_open"}
    assert recording.stats["suppressions"] == [{"pattern": "case_accept", "bytes": 20_011, "count": 1}]


def test_what_it_computes_is_said_not_to_be_honoured(record, build):
    recording = record(build(COMPUTED))
    assert "case_accept" in leaks(recording)
    assert b"__lsan_default_suppressions is not honoured" in memtap("leaks", recording.path).stderr
