"""What reports say of themselves: of which recordings they are, at which moment, and what to ask next."""

import os
import re
import shutil

import pytest
from conftest import MEMTAP, memtap, memtap_json, run
from test_attach import PATIENT, TARGET, Running, may_trace_siblings

REPORTS = ("leaks", "table", "summary", "tree", "stats")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one program, and one of a program with a child."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "app.py").write_text("kept = [bytes(100) for _ in range(1000)]\n")
    (folder / "parent.py").write_text("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'pass'], check=True)\n")
    for name, program in (("one", "app"), ("two", "app"), ("family", "parent")):
        result = run([MEMTAP, "run", "-q", "-o", folder / f"{name}.mtap", folder / f"{program}.py"])
        assert result.returncode == 0, result.stderr
    return folder


def sums_said(*arguments):
    result = memtap(*arguments)
    return re.findall(r"sums over (\d+) recordings: (.*?);", " ".join(result.stderr.decode().split()))


def test_reports_over_several_recordings_name_them(runs):
    for report in REPORTS:
        ((count, names),) = sums_said(report, runs / "one.mtap", runs / "two.mtap")
        assert count == "2" and len(re.findall(r"app\.py of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(process \d+\)", names)) == 2, report
    for report in ("leaks", "table", "tree"):
        assert memtap(report, runs).stdout.split(b"\n")[0].endswith(b", summed over 3 recordings")
    assert any("sums over 3 recordings" in warning for warning in memtap_json("stats", runs)["warnings"])  # the folder


def test_the_processes_of_one_run_are_one_recording(runs, tmp_path):
    assert memtap_json("stats", runs / "family.mtap")["processes"] == 2
    for report in REPORTS:
        assert sums_said(report, runs / "family.mtap") == sums_said(report, runs / "one.mtap") == []


def test_a_program_that_ended_and_one_that_runs_are_told_apart(runs):
    assert b"alive when the program ended" in memtap("leaks", runs / "one.mtap").stdout
    assert re.search(rb"  alive .* when the program ended", memtap("summary", runs / "one.mtap").stdout)
    assert b"alive when their processes ended" in memtap("leaks", runs / "family.mtap").stdout


@pytest.mark.skipif(not may_trace_siblings(), reason="kernel.yama.ptrace_scope forbids it without CAP_SYS_PTRACE")
def test_what_a_process_holds_that_runs_is_alive_now(tmp_path):
    trace = tmp_path / "a.mtap"
    with Running(TARGET, "phases", 1) as running:
        memtap("attach", *PATIENT, "-q", "-o", trace, running.pid)
        assert b" alive now\n" in memtap("leaks", trace).stdout
        assert re.search(rb"  alive .* now\n", memtap("summary", trace).stdout)
        memtap("detach", *PATIENT, "-q", running.pid)
        assert b" alive when the recording ended\n" in memtap("leaks", trace).stdout
        running.finish()


def next_of(result):
    (line,) = (line for line in result.stderr.decode().splitlines() if line.startswith("next: "))
    return line.removeprefix("next: ").split(" · ")


def test_leaks_and_diff_say_what_to_ask_next(runs, tmp_path):
    shutil.copy(runs / "one.mtap", tmp_path / "with space.mtap")
    for arguments in (("leaks", "with space.mtap"), ("diff", runs / "two.mtap", "with space.mtap")):
        commands = next_of(run([MEMTAP, *arguments], cwd=tmp_path))
        assert len(commands) == 2 and all("'with space.mtap'" in command for command in commands)
        for command in commands:
            words = f"{MEMTAP} {command.removeprefix('memtap ')}"
            assert run(["sh", "-c", words], cwd=tmp_path, env={**os.environ, "COLUMNS": "80"}).returncode == 0, command


def test_data_and_files_are_followed_by_nothing(runs, tmp_path):
    for options in (("-f", "json"), ("-f", "csv"), ("-o", tmp_path / "out")):
        assert b"next:" not in memtap("leaks", *options, runs / "one.mtap").stderr
        assert b"next:" not in memtap("diff", *options, runs / "one.mtap", runs / "two.mtap").stderr
