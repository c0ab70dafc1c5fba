"""`memtap postmortem`: who ended a process, at which limit, what grew and who held what; programs that the kernel kills for want of memory."""

import os
import pathlib
import signal
import subprocess

import pytest
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json, run

MIB = 1024 * 1024
GROUPS = pathlib.Path("/sys/fs/cgroup/memory")  # the older kind
LEAK = """
import os, sys
kept = []
def hold(size):
    kept.append(bytearray(size))
def small():
    kept.append(bytearray(size_of_small))
size_of_small = 1000
written = 0
while True:
    hold(100_000)
    small()
    written += 1
    os.write(1, b"%d\\n" % written)
"""
HOLD_LINE, SMALL_LINE = 5, 7


class MemoryGroup:
    """A control group with a limit, for the processes that are started in it."""

    def __init__(self, limit_bytes):
        self.folder = GROUPS / f"memtap-test-{os.getpid()}-{limit_bytes}"
        try:
            self.folder.mkdir()
            (self.folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        except OSError as error:
            pytest.skip(f"no memory control group can be made here: {error}")

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self):
        words = (self.folder / "memory.oom_control").read_text().split()
        return int(words[words.index("oom_kill") + 1])

    def remove(self):
        self.folder.rmdir()


@pytest.fixture
def group():
    made = MemoryGroup(96 * MIB)
    yield made
    made.remove()


def die(group, path, python, code, *options):
    """Runs a program until the kernel kills it; how many blocks of either size it had got for certain."""
    command = [MEMTAP, "run", "-q", "-o", path, *options, "--", python, "-c", code]
    process = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=group.enter, timeout=TIMEOUT_S)
    assert process.returncode == 128 + signal.SIGKILL and group.kills() == 1
    return int(process.stdout.split()[-1])


def lines(rows):
    return {row["line"]: row for row in rows if row["file"] == "<string>"}


def test_the_lines_that_held_the_memory_of_a_program_the_kernel_killed(tmp_path, any_python, group):
    path = tmp_path / "x.mtap"
    written = die(group, path, any_python, LEAK)
    post = memtap_json("postmortem", path)
    assert (post["killed_by"], post["signal"], post["exit_code"]) == ("kernel", signal.SIGKILL, None)
    assert (post["limit_bytes"], post["limit_kind"]) == (96 * MIB, "memory.limit_in_bytes")
    assert 48 * MIB < post["charged_bytes"] <= 96 * MIB and 0 < post["charged_time_s"] <= post["duration_s"]
    held, grew = lines(post["held"]), lines(post["grew"])
    assert written * 100_000 <= held[HOLD_LINE]["bytes"] <= (written + 1) * 100_100 + 8 * 2 * written + 1000  # the list grows there
    assert post["held"][0]["line"] == post["grew"][0]["line"] == HOLD_LINE and held[SMALL_LINE]["bytes"] >= written * 1000
    assert held[HOLD_LINE]["bytes"] + held[SMALL_LINE]["bytes"] >= 0.80 * post["alive_bytes"]  # the rest is the interpreter's
    assert sum(row["bytes"] for row in post["held"]) == post["alive_bytes"]
    assert post["growth_bytes"] == pytest.approx(post["growth_bytes_per_s"] * post["window_s"]) and grew[HOLD_LINE]["bytes"] > 0
    text = memtap("postmortem", path).stdout.decode().splitlines()
    assert len(text) <= 10 and "killed by the kernel for want of memory" in text[0] and all(len(line) <= 80 for line in text)
    assert any("<string>:5 hold" in line and line.startswith("  held") for line in text)


def test_sampled_the_same_line_is_first(tmp_path, any_python, group):
    path = tmp_path / "x.mtap"
    written = die(group, path, any_python, LEAK, "--mode", "sample", "--rate", "64K")
    post = memtap_json("postmortem", path)
    assert post["killed_by"] == "kernel" and post["held"][0]["line"] == HOLD_LINE
    assert abs(post["held"][0]["bytes"] / (written * 100_057) - 1) < 0.25  # 700 samples: six times their spread


def ended(tmp_path, code):
    path = tmp_path / "x.mtap"
    run([MEMTAP, "run", "-q", "-o", path, "--", "/bin/sh", "-c", code])
    return memtap_json("postmortem", path), memtap("postmortem", path).stdout.decode()


@pytest.mark.parametrize("code, killer, number, exit_code, words", [
    ("exit 3", "itself", None, 3, "ended by itself, with code 3"),
    ("kill -TERM $$", "signal", signal.SIGTERM, None, "killed by signal 15"),
    ("kill -KILL $$", "signal", signal.SIGKILL, None, "signal 9"),
])
def test_other_ends_are_not_the_kernels(tmp_path, code, killer, number, exit_code, words):
    post, text = ended(tmp_path, code)
    assert (post["killed_by"], post["signal"], post["exit_code"]) == (killer, number, exit_code) and words in text.splitlines()[0]
    assert post["limit_bytes"] > 0 and len(text.splitlines()) <= 10


def test_sums_alone_tell_who_held_but_not_what_grew(tmp_path, any_python):
    path = tmp_path / "x.mtap"
    code = "import os\nkept = [bytearray(100_000) for _ in range(50)]\nos._exit(0)"
    assert run([MEMTAP, "run", "-q", "--aggregate", "-o", path, "--", any_python, "-c", code]).returncode == 0
    post = memtap_json("postmortem", path)
    assert post["held"][0]["bytes"] >= 5_000_000 and post["grew"] == post["before"] == []
    assert post["growth_bytes"] is None and post["window_s"] is None


def test_what_is_no_recording_is_refused(tmp_path):
    assert memtap("postmortem", check=False).returncode == 2
    (tmp_path / "x.mtap").write_text("no trace")
    result = memtap("postmortem", tmp_path / "x.mtap", check=False)
    assert result.returncode == 1 and b"x.mtap" in result.stderr and not result.stdout
