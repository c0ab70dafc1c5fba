"""What a run says of the limit it comes near to, from control groups that the test writes, and snapshots at a size."""

import os
import pathlib
import struct
import subprocess
import time

import pytest
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json

MB = 1_000_000


class Group:
    """The group of this process in a folder of the test's: the unified kind, with a limit of 1000 MB."""

    def __init__(self, root):
        groups = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
        path = next((line.split("::")[1] for line in groups if "::" in line), None)
        if path is None:
            pytest.skip("this kernel has no unified control groups")
        self.root = root
        self.folder = root / path.lstrip("/")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.put(max=1000 * MB, high="max", current=100 * MB, stat="inactive_file 0\nactive_file 0", events="oom_kill 0")

    def put(self, **files):
        for name, content in files.items():
            new = self.folder / "new"
            new.write_text(f"{content}\n")
            new.rename(self.folder / f"memory.{name}")


class Program:
    """A program of memtap run's that has events until a line comes, and says when it has gone on."""

    def __init__(self, path, python, root, code, *options):
        self.path = path
        environment = {**os.environ, "MEMTAP_CGROUP_ROOT": str(root)}
        self.process = subprocess.Popen([MEMTAP, "run", "-q", "-o", path, *options, "--", python, "-c", code], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"begun\n"

    def seen(self):
        """What the tool has written of the limit: kind, limit, charged, clock; None: nothing yet."""
        with open(self.path, "rb") as file:
            limit, charged, clock, kind, _ = struct.unpack("<QQQII", file.read(504)[472:])
        return (kind, limit, charged, clock) if kind else None

    def wait_for(self, condition):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.05)

    def marks(self):
        return memtap_json("stats", self.path)["marks"]

    def step(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(TIMEOUT_S) == 0
        self.process.stdout.close()


BUSY = """
import select, sys
def busy():
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        bytes(1000)
    return sys.stdin.readline()
kept = []
print("begun", flush=True)
while busy():
    kept = [] if kept else [bytearray(b"x" * 10_000_000) for _ in range(20)]
    print("done", flush=True)
"""


@pytest.fixture
def program(tmp_path, any_python):
    started = []

    def begin(group, *options):
        started.append(Program(tmp_path / "x.mtap", any_python, group.root, BUSY, *options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def kinds(marks):
    return [mark["kind"] for mark in marks if mark["kind"] in ("memory-low", "snapshot")]


def test_nine_tenths_of_the_limit_are_a_mark_and_a_snapshot(tmp_path, program):
    group = Group(tmp_path / "groups")
    one = program(group)
    one.wait_for(lambda: one.seen() and one.seen()[:3] == (2, 1000 * MB, 100 * MB))
    group.put(current=950 * MB)
    one.wait_for(lambda: len(kinds(one.marks())) == 2)
    low = next(mark for mark in one.marks() if mark["kind"] == "memory-low")
    assert low["name"] == str(group.folder) and low["alive_bytes"] > 0
    group.put(current=100 * MB)
    one.wait_for(lambda: one.seen()[2] == 100 * MB)
    group.put(current=990 * MB)
    one.wait_for(lambda: len(kinds(one.marks())) == 4)
    one.end()
    assert kinds(one.marks()) == ["memory-low", "snapshot"] * 2
    assert f'memory-low {50 * MB} "{group.folder}"' in memtap("parse", one.path).stdout.decode()
    assert memtap_json("table", f"{one.path}@mark:2") and one.seen()[2] == 990 * MB


def test_cache_of_files_is_not_what_a_program_dies_of(tmp_path, program):
    group = Group(tmp_path / "groups")
    one = program(group)
    group.put(stat=f"inactive_file {300 * MB}\nactive_file {200 * MB}")
    group.put(current=999 * MB)
    one.wait_for(lambda: one.seen() and one.seen()[2] == 499 * MB)
    one.end()
    assert kinds(one.marks()) == []


def test_memory_high_is_a_limit_too_and_so_is_pressure(tmp_path, program):
    group = Group(tmp_path / "groups")
    group.put(high=200 * MB)
    one = program(group)
    one.wait_for(lambda: one.seen() and one.seen()[:2] == (3, 200 * MB))
    group.put(pressure="some avg10=50.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=30.00 avg60=0.00 avg300=0.00 total=9")
    one.wait_for(lambda: kinds(one.marks()) == ["memory-low", "snapshot"])
    group.put(pressure="full avg10=0.00 avg60=0.00 avg300=0.00 total=9", current=185 * MB)
    one.wait_for(lambda: kinds(one.marks()) == ["memory-low", "snapshot"] * 2)
    one.end()


@pytest.mark.parametrize("at", ["150M", "15%"])  # of 1000 MB; 200 MB are taken and given back
def test_a_snapshot_each_time_resident_memory_rises_to_it(tmp_path, program, at):
    group = Group(tmp_path / "groups")
    one = program(group, "--snapshot-at", at)
    one.wait_for(lambda: one.seen())
    assert kinds(one.marks()) == []
    for count in (1, 2):
        one.step()
        one.wait_for(lambda: kinds(one.marks()) == ["snapshot"] * count)
        one.step()
        clock = one.seen()[3]
        one.wait_for(lambda: one.seen()[3] > clock + 2_000_000_000)  # looked at since it is small again
    one.end()
    assert kinds(one.marks()) == ["snapshot"] * 2
    held = [mark["alive_bytes"] for mark in one.marks() if mark["kind"] == "snapshot"]
    assert all(120 * MB < bytes_held < 220 * MB for bytes_held in held)


@pytest.mark.parametrize("wrong", ["lots", "0", "0%", "101%", "%", "-5M"])
def test_what_is_no_size_is_refused(wrong):
    result = memtap("run", f"--snapshot-at={wrong}", "true", check=False)
    assert result.returncode == 2 and b"--snapshot-at" in result.stderr
