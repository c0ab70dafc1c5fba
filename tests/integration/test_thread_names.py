"""Threads of Python have the names that the program gave them, on every version and in every mode."""

import re

import conftest
import pytest

SCRIPT = conftest.PYTHON_TARGETS / "py_threads.py"
SLACK = 64 * 1024  # what else a thread leaves


@pytest.fixture(params=[*conftest.VERSIONS, "3.14", "debian"])
def interpreter(request):
    return conftest.interpreter(request.param)


def bytes_by_thread(recording):
    rows = recording.report("table", "--by", "thread", "--leaks", "-n", 0)
    return {re.sub(r" \([\d/]+\)$", "", row["thread"]): row["bytes"] for row in rows}


def check(recording):
    truth = recording.truth
    found = bytes_by_thread(recording)
    assert len(truth) == 26
    assert {name: abs(found.get(name, 0) - size) < SLACK for name, size in truth.items()} == dict.fromkeys(truth, True), found


@pytest.mark.parametrize("options", [(), ("--no-native",), ("--no-python-allocators",)], ids=lambda options: "".join(options))
def test_threads_have_the_names_that_the_program_gave_them(record, interpreter, options):
    check(record(interpreter, SCRIPT, options=options))


def test_renaming_at_any_moment_harms_nobody(record, interpreter):
    recording = record(interpreter, conftest.PYTHON_TARGETS / "py_renamed.py")
    assert recording.stats["dropped_events"] == 0 and not recording.stats["warnings"]
    text = conftest.memtap("parse", recording.path).stdout.decode()
    names = {line.split('"')[1] for line in text.splitlines() if re.match(r"\s*(\d+ )?thread \d+ tid", line)}
    assert "renamer" in names
    kernel = {"python", interpreter.name[:15]}
    assert all(name in kernel or re.fullmatch(r"work \d|renamer|self \d+ x*|other \u4e2d*", name) for name in names), names


def test_threads_have_their_names_in_a_sample(record, any_python):
    check(record(any_python, SCRIPT, mode="sample", options=["--rate", "1K"]))


def test_the_first_thread_keeps_the_programs_name(record, any_python):
    recording = record(any_python, SCRIPT)
    first = [name for tid, name in recording.trace.threads.values() if tid == recording.trace.pid]
    assert first == [any_python.name[:15]]
