"""`memtap ask`: the first sentence names the cause and its line, in programs with one thing planted (targets/planted.c, py_planted.py)."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from armed import Armed
from conftest import MEMTAP, PYTHON_TARGETS, TARGETS, memtap
from watched import Watched

SOURCES = PYTHON_TARGETS / "planted.c", PYTHON_TARGETS / "py_planted.py"


def line_of(source, mark):
    (number,) = [n for n, line in enumerate(source.read_text().splitlines(), 1) if line.rstrip(" */").endswith(f"PLANTED {mark}")]
    return number


def ask(question, *targets):
    """(the answer in JSON, the first sentence), which both ways of asking have."""
    answer = json.loads(memtap("ask", "-f", "json", question, *targets).stdout)
    shown = memtap("ask", question, *targets).stdout.decode()
    assert answer["question"] == question and len(answer["sentences"]) >= 1
    assert len(shown.splitlines()) >= 1
    return answer, answer["sentences"][0]


def assert_names(answer, sentence, cause, source, mark, words):
    assert (answer["cause"], pathlib.Path(answer["file"]).name, answer["line"]) == (cause, source.name, line_of(source, mark)), answer
    assert f"{source.name}:{line_of(source, mark)} " in sentence and words in sentence, sentence


class Planted:
    """A fault of planted.c, recorded, up to "ready"."""

    def __init__(self, trace, *argv):
        self.process = subprocess.Popen([MEMTAP, "run", "-q", "-o", trace, "--", TARGETS / "planted", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        word, pid = self.process.stdout.readline().split()
        assert word == b"ready"
        self.pid = int(pid)

    def finish(self):
        self.process.communicate(b"\n", timeout=120)
        assert self.process.returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


FAULTS = [
    ("fragmentation", "fragmentation", "fragmentation", "are fragmentation"),
    ("stacks", "stacks", "stacks", "stacks of 41 threads"),
    ("mmap", "mmap", "map", "mapped by the program itself"),
    ("reservation", "reservation", "map", "16.0 GiB of the address space are only reserved"),
]


@pytest.mark.parametrize("fault, cause, mark, words", FAULTS, ids=[row[0] for row in FAULTS])
def test_what_a_running_process_holds(fault, cause, mark, words, tmp_path):
    with Planted(tmp_path / "planted.mtap", fault) as program:
        answer, sentence = ask("rss", program.pid)
        assert_names(answer, sentence, cause, SOURCES[0], mark, words)
        assert all(set(step) == {"sql", "row"} for step in answer["steps"]) and len(answer["steps"]) >= 2
        program.finish()


def test_a_process_that_is_named_twice_counts_once(tmp_path):
    with Planted(tmp_path / "one.mtap", "tensor") as one, Planted(tmp_path / "two.mtap", "tensor") as two:
        once, _ = ask("peak", one.pid, two.pid)
        twice, _ = ask("peak", one.pid, one.pid, two.pid)
        assert once["bytes"] == twice["bytes"] >= 40 << 20
        one.finish()
        two.finish()


@pytest.mark.parametrize("fault, cause, mark, words", [row for row in FAULTS if row[0] != "stacks"], ids=[row[0] for row in FAULTS if row[0] != "stacks"])
def test_what_a_recording_held(fault, cause, mark, words, tmp_path):
    with Planted(tmp_path / "planted.mtap", fault) as program:
        program.finish()
    answer, sentence = ask("rss", tmp_path / "planted.mtap")
    assert_names(answer, sentence, cause, SOURCES[0], mark, words)


def test_tensors_by_a_stand_in_for_torchs_library(tmp_path):
    """A library of another kind under its name: no torch is there."""
    (found,) = {line.split()[-1] for line in pathlib.Path("/proc/self/maps").read_text().splitlines() if "/libm.so" in line or "/libm-" in line} or {None}
    if found is None:
        pytest.skip("this Python has no libm.so to stand in for libc10.so")
    shutil.copy(found, tmp_path / "libc10.so")
    with Planted(tmp_path / "planted.mtap", "tensor", tmp_path / "libc10.so") as program:
        assert_names(*ask("rss", program.pid), "tensor", SOURCES[0], "tensor", "tensors of torch")
        program.finish()
    assert_names(*ask("rss", tmp_path / "planted.mtap"), "tensor", SOURCES[0], "tensor", "tensors of torch")


def recorded(python, fault, tmp_path):
    trace = tmp_path / f"{fault}.mtap"
    subprocess.run([MEMTAP, "run", "-q", "-o", trace, "--", python, SOURCES[1], fault], input=b"\n\n", stdout=subprocess.DEVNULL, check=True)
    return trace


def test_a_leak_and_a_cache_are_told_apart(any_python, tmp_path):
    assert_names(*ask("leak", recorded(any_python, "leak", tmp_path)), "leak", SOURCES[1], "leak", "Memory leaks at")
    assert_names(*ask("leak", recorded(any_python, "cache", tmp_path)), "cache", SOURCES[1], "cache", "A cache or a table, not a leak")
    answer, sentence = ask("peak", tmp_path / "leak.mtap")
    assert_names(answer, sentence, "peak", SOURCES[1], "leak", "At the peak of the heap")
    assert answer["bytes"] >= 4000 * 5000 and "alive at the end" in answer["sentences"][1]


def test_a_collector_that_is_off_is_named(any_python, tmp_path):
    with Armed(any_python, SOURCES[1], "gc").ready() as program:
        memtap("attach", "-q", "--mode", "exact", "-o", tmp_path / "gc.mtap", program.pid)
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        assert program.process.stdout.readline() == b"done\n"
        answer, sentence = ask("leak", program.pid)
        assert "memory.gc" in json.dumps(answer["steps"])
        assert_names(answer, sentence, "gc_off", SOURCES[1], "gc", "garbage collector is off")
        program.finish()


def test_what_cannot_be_answered_is_said(tmp_path):
    (tmp_path / "little.py").write_text("x = 1\n")
    memtap("run", "-q", "-o", tmp_path / "little.mtap", tmp_path / "little.py")
    answer, sentence = ask("leak", tmp_path / "little.mtap")
    assert (answer["cause"], answer["file"], answer["line"]) == ("none", None, None) and "Nothing looks like a leak" in sentence
    for arguments, code, words in ((("what", tmp_path / "little.mtap"), 2, "which question?"), (("leak",), 2, "which question?"),
                                   (("leak", tmp_path / "none.mtap"), 1, "none.mtap"), (("rss", "unix:/nonexistent"), 3, "/nonexistent")):
        done = subprocess.run([MEMTAP, "ask", *map(str, arguments)], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (code, "") and words in done.stderr
    with Watched(sys.executable) as plain:
        done = subprocess.run([MEMTAP, "ask", "leak", str(plain.pid)], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (3, "") and f"process {plain.pid} is not recorded" in done.stderr
        plain.do("hold 50000000")
        answer, sentence = ask("rss", plain.pid)
        assert answer["cause"] == "heap" and "was not recorded" in sentence and answer["file"] is None
    turned = memtap(tmp_path / "little.mtap", "ask", "leak").stdout.decode()
    assert turned.startswith("Nothing looks like a leak")
