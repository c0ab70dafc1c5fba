"""What a recorded program executes is recorded too, whatever environment it is given; what cannot be recorded is named."""

import json
import os
import shutil
import subprocess
import tempfile

import pytest
import tracefile
import tracereplay
from conftest import MEMTAP, case_of, memtap, memtap_json, run

HOW = ("execve execve_null execve_one preload execv execvp execvpe execl execlp execle fexecve execveat unset path many second "
       "vfork spawn spawnp system popen").split()


def leaves(recording):
    """{case: row} of what was executed, summed over the run's processes."""
    found = [tracereplay.by_case(trace).get("case_leaf") for trace in recording.traces]
    return [(row["allocations"], row["bytes"]) for row in found if row]


def not_recorded(warnings):
    return [warning for warning in warnings if "recorded" in warning]


@pytest.mark.parametrize("how", HOW)
def test_a_child_without_an_environment_is_followed(record, target, how):
    recording = record(target("cleaned"), how)
    assert leaves(recording) == [(7, 7 * 4444)]
    assert not_recorded(recording.report("stats")["warnings"]) == []


@pytest.mark.parametrize("how", ["execve", "vfork", "spawn", "system"])
def test_nothing_is_carried_without_follow(record, target, how):
    recording = record(target("cleaned"), how, options=["--no-follow"])
    assert recording.family == [] and leaves(recording) == []


def test_what_the_first_process_becomes_is_followed_without_follow(record, target):
    """A wrapper that cleans the environment and executes the program in its own place."""
    recording = record("/usr/bin/env", "-i", "OWN=kept", target("cleaned"), "leaf", "1", options=["--no-follow"])
    assert leaves(recording) == [(7, 7 * 4444)]


def test_children_of_python_without_an_environment(record, any_python, target):
    program = f"import subprocess; subprocess.run([{target('cleaned')!r}, 'leaf', '0'], env={{}}, check=True)"
    assert leaves(record(any_python, "-c", program)) == [(7, 7 * 4444)]


def test_every_image_of_a_process_has_a_trace(record):
    """A shell that executes itself 40 times in its own place: the names are taken in order, none twice and none left out."""
    again = 'test "$1" -eq 0 || exec /bin/sh -c "$0" "$0" $(($1 - 1))'
    traces = record("/bin/sh", "-c", again, again, "40").traces
    assert [int(trace.command[-1]) for trace in traces] == list(range(40, -1, -1))
    assert {trace.pid for trace in traces} == {traces[0].pid}
    assert [tracefile.STATE_NAMES[trace.state] for trace in traces[:40]] == ["exec"] * 40


def test_a_program_sees_the_environment_it_was_given(record, target):
    assert record("/usr/bin/env", "-i", "A=1", "B=", "/usr/bin/env").stdout == b"A=1\nB=\n"
    own = target("libbump.so")
    shown = record("/usr/bin/env", f"LD_PRELOAD={own}", "/bin/sh", "-c", "echo $LD_PRELOAD; grep -c bump.so /proc/$$/maps")
    assert shown.stdout.decode().split()[0] == own and int(shown.stdout.split()[1]) > 0
    assert len(shown.traces) == 3  # env, the shell in its place, grep


def test_another_run_inside_keeps_its_own_settings(record, tmp_path, target):
    """memtap that starts a program under memtap: the inner run's program belongs to the inner run alone."""
    outer = record(MEMTAP, "run", "-q", "-o", tmp_path / "inner.mtap", "--", target("cleaned"), "execve", name="outer.mtap")
    assert leaves(outer) == []
    rows = [row for row in memtap_json("leaks", tmp_path / "inner.mtap") if case_of(row) == "case_leaf"]
    assert sum(row["count"] for row in rows) == 7


@pytest.mark.parametrize("around", ["program", "memtap"])
def test_valgrind_is_named_where_it_runs_the_program(tmp_path, target, around):
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind")
    trace = tmp_path / "x.mtap"
    taped, valgrind, program = [MEMTAP, "run", "-q", "-o", trace, "--"], ["valgrind", "-q"], [target("cleaned"), "spawn"]
    done = run([*taped, *valgrind, *program] if around == "program" else [*valgrind, *taped, *program])
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith("memtap: note: ")]
    # An old valgrind names system calls of the command that it does not know; the program must make none.
    assert said == [] or around == "memtap"
    warnings = [warning for warning in memtap_json("stats", trace)["warnings"] if "exit handlers" not in warning]
    assert ["valgrind" in warning for warning in warnings] == [True] * (around == "program")
    rows = [row for row in memtap_json("leaks", trace) if case_of(row) == "case_leaf"]
    assert sum(row["count"] for row in rows) == 7


# ---- what cannot be recorded ---------------------------------------------------------------------------------------------

SOURCE = '''#include <stdio.h>
#include <stdlib.h>
int main(void) { printf("%s", getenv("LD_PRELOAD") ? "shown" : "alone"); return 4; }
'''


@pytest.fixture
def compiled(tmp_path):
    """compiled(NAME, FLAG…): a program that says whether it was shown a preloaded library; skipped where it cannot be made."""

    def build(name, *flags, compiler="gcc"):
        if shutil.which(compiler) is None:
            pytest.skip(f"no {compiler}")
        source = tmp_path / "shown.c"
        source.write_text(SOURCE)
        if run([compiler, "-o", tmp_path / name, source, *flags]).returncode != 0:
            pytest.skip(f"{compiler} cannot build with {flags}")
        return tmp_path / name

    return build


def warnings_of(command, tmp_path, *options):
    """(standard output, warnings of what is not recorded) of a shell's command under memtap."""
    path = tmp_path / "x.mtap"
    done = memtap("run", "-q", "-o", path, *options, "--", "/bin/sh", "-c", command)
    warnings = not_recorded(memtap_json("stats", path)["warnings"])
    for warning in warnings:
        assert warning.split(": ", 1)[1].encode() in done.stderr, done.stderr.decode()
    return done.stdout, warnings


def test_a_static_child_is_named(compiled, tmp_path):
    static = compiled("fixed", "-static")
    stdout, warnings = warnings_of(f"{static} first; {static} second; echo $$", tmp_path)
    assert stdout.startswith(b"shownshown")
    (warning,) = warnings
    assert f"({static} first) is not recorded, nor is 1 more of this program: it is statically linked" in warning
    assert f"process {int(stdout[10:])} " not in warning


def test_a_musl_child_starts_unrecorded(compiled, tmp_path):
    """With the loader of musl where there is one, else with glibc's under musl's name: what counts is that it is not shown the
    agent, which musl's would end at."""
    if shutil.which("musl-gcc"):
        musl = compiled("m", compiler="musl-gcc")
    else:
        (tmp_path / "ld-musl-x86_64.so.1").symlink_to("/lib64/ld-linux-x86-64.so.2")
        musl = compiled("m", f"-Wl,--dynamic-linker={tmp_path}/ld-musl-x86_64.so.1")
    (tmp_path / "script").write_text(f"#!{musl}\n")
    (tmp_path / "script").chmod(0o755)
    stdout, warnings = warnings_of(f"{musl} x; {tmp_path}/script; env -i {musl} x; true", tmp_path)
    assert stdout == b"alone" * 3
    assert sorted(warning.split(" (")[1].split(")")[0] for warning in warnings) == [f"{musl} x", f"{tmp_path}/script"]
    assert all("musl" in warning for warning in warnings)


def test_what_a_loader_would_complain_about_is_not_shown_to_it(tmp_path, compiled):
    """A program that would be run by an interpreter of another word size: its header says so, and nothing is executed."""
    program = compiled("narrow")
    head = bytearray(program.read_bytes())
    head[4] = 1  # ELFCLASS32
    program.write_bytes(head)
    _, warnings = warnings_of(f"{program} || true", tmp_path)
    assert len(warnings) == 1 and "word size" in warnings[0]


def test_a_set_user_id_child_is_named(tmp_path, compiled):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        os.chmod(folder, 0o755)
        program = shutil.copy(compiled("setuid"), folder)
        os.chmod(program, 0o4755)
        if os.statvfs(folder).f_flag & os.ST_NOSUID:
            pytest.skip("temporary files are on a nosuid mount")
        _, warnings = warnings_of(f"setpriv --reuid=65534 --regid=65534 --clear-groups {program}; true", tmp_path)
    assert any("set-user-ID" in warning and f"({program})" in warning for warning in warnings), warnings


def test_a_child_in_another_root_is_not_shown_what_is_not_there(tmp_path, compiled):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = tmp_path / "root"
    program = compiled("jailed")
    for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
        library = next((word for word in line.split() if word.startswith("/")), None)
        if library:
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
    shutil.copy(program, root / "jailed")
    stdout, warnings = warnings_of(f"chroot {root} /jailed; true", tmp_path)
    assert stdout == b"alone"
    assert len(warnings) == 1 and "(/jailed) is not recorded: the agent's file cannot be opened" in warnings[0]


def test_without_follow_nothing_is_said_of_children(compiled, tmp_path):
    static = compiled("fixed", "-static")
    _, warnings = warnings_of(f"{static}; true", tmp_path, "--no-follow")
    assert warnings == []


def test_a_closing_line_names_it_where_the_trace_is_not_packed(compiled, tmp_path):
    static = compiled("fixed", "-static")
    done = memtap("run", "-q", "--no-pack", "-o", tmp_path / "x.mtap", "--", "/bin/sh", "-c", f"{static}; true")
    assert b"(%s) is not recorded: it is statically linked" % str(static).encode() in done.stderr
    assert json.loads(memtap("stats", "-f", "json", tmp_path / "x.mtap").stdout)["processes"] == 1
