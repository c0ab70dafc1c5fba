"""A signal marks what is alive, of all processes of a run or of one, readable while the program goes on."""

import os
import signal
import subprocess
import time

import pytest
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json, run

SNAPSHOT = 2


class Running:
    """memtap run of the program, which talks over pipes."""

    def __init__(self, path, program, *options):
        self.path = path
        self.process = subprocess.Popen([MEMTAP, "run", "-q", "-o", path, *options, "--", *program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.held = self.answer()

    def answer(self):
        """What the program says that it holds."""
        words = self.process.stdout.readline().split()
        self.pid = int(words[3])
        return int(words[1])

    def taken(self, number):
        """Waits until memtap has taken this signal out of its queue."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            with open(f"/proc/{self.process.pid}/status") as status:
                waiting = next(int(line.split()[1], 16) for line in status if line.startswith("ShdPnd:"))
            if not waiting >> (number - 1) & 1:
                return
            assert time.monotonic() < deadline, f"signal {number} waits for {TIMEOUT_S} s"

    def send(self, number):
        """A signal to memtap, which has dealt with it on return: it takes them one after the other."""
        self.process.send_signal(number)
        self.taken(number)
        self.process.send_signal(signal.SIGURG)  # which nobody minds
        self.taken(signal.SIGURG)

    def go_on(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def snapshots(self):
        return [mark for mark in memtap_json("stats", self.path)["marks"] if mark["kind"] == "snapshot"]

    def wait_for(self, count):
        """The snapshots, once there are so many of them."""
        deadline = time.monotonic() + TIMEOUT_S
        while len(found := self.snapshots()) < count:
            assert time.monotonic() < deadline, f"{found} within {TIMEOUT_S} s"
        return found

    def end(self):
        """What the program has counted."""
        self.go_on()
        words = self.process.stdout.readline().split()
        self.process.stdin.close()
        self.process.stdout.close()
        errors = self.process.stderr.read().decode()
        self.process.stderr.close()
        assert self.process.wait(TIMEOUT_S) == 0
        return int(words[1]), int(words[3]), errors


@pytest.fixture
def start(tmp_path, target):
    started = []

    def begin(how, *options):
        started.append(Running(tmp_path / "x.mtap", [target("snapshots"), how], *options))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def kept(path, *selection):
    return sum(row["bytes"] for row in memtap_json("table", *selection, path) if row["function"] == "case_keep")


def check_both(running, first, second):
    """Each mark has what was alive at it, and the last one is `mark`."""
    assert kept(running.path, "--at", "mark:1") == first and kept(running.path, "--at", "mark:2") == second
    assert kept(running.path, "--at", "mark") == kept(f"{running.path}@mark") == second
    assert [row["bytes"] for row in memtap_json("leaks", f"{running.path}@mark:1") if row["function"] == "case_keep"] == [first]


def test_a_signal_to_memtap_marks_what_is_alive_while_the_program_goes_on(start):
    running = start("busy", "--snapshot-signal", "USR2")
    first = running.held
    running.process.send_signal(signal.SIGUSR2)
    (mark,) = running.wait_for(1)
    assert mark["mark"] == 1 and mark["alive_bytes"] in (first, first + 1)
    assert kept(f"{running.path}@mark") == first
    running.go_on()
    second = running.answer()
    running.process.send_signal(signal.SIGUSR2)
    running.wait_for(2)
    check_both(running, first, second)
    assert running.end()[:2] == (0, 0)
    check_both(running, first, second)


def test_a_signal_to_an_idle_program_marks_at_once_and_interrupts_nothing(start):
    running = start("idle", "--snapshot-signal", "SIGUSR2")
    first = running.held
    os.kill(running.pid, signal.SIGUSR2)
    running.wait_for(1)
    running.go_on()
    second = running.answer()
    os.kill(running.pid, signal.SIGUSR2)
    running.wait_for(2)
    interrupted, own, errors = running.end()
    assert (interrupted, own, errors) == (0, 0, "")
    check_both(running, first, second)


def test_a_handler_of_the_program_is_left_alone_and_said(start):
    running = start("own", "--snapshot-signal", "USR2")
    os.kill(running.pid, signal.SIGUSR2)
    running.go_on()
    running.answer()
    _, own, errors = running.end()
    assert own == 1 and running.snapshots() == []
    assert "has its own use for the signal that asks for snapshots" in errors


def test_a_request_that_an_idle_program_never_came_to_is_answered_at_its_end(start):
    running = start("idle", "--snapshot-signal", "RTMIN+2")
    running.go_on()
    second = running.answer()
    running.send(signal.SIGRTMIN + 2)
    running.end()
    assert len(running.snapshots()) == 1 and kept(running.path, "--at", "mark") == second


def test_without_the_option_the_signal_is_the_programs(start):
    running = start("own")
    running.send(signal.SIGUSR2)
    running.go_on()
    running.answer()
    assert running.end()[1] == 1 and running.snapshots() == []


@pytest.mark.parametrize("name", ["KILL", "SEGV", "CHLD", "USR3", "0", "9", "RTMIN+99", ""])
def test_a_signal_that_cannot_ask_is_refused(name, tmp_path):
    done = run([MEMTAP, "run", "-o", tmp_path / "x.mtap", "--snapshot-signal", name, "true"])
    assert done.returncode == 2 and b"--snapshot-signal" in done.stderr and not (tmp_path / "x.mtap").exists()


@pytest.mark.parametrize("mode", ["sample", "aggregate"])
def test_every_mode_has_marks(start, mode):
    running = start("busy", "--snapshot-signal", "USR2", "--mode", mode)
    running.send(signal.SIGUSR2)
    running.go_on()
    running.answer()
    running.end()
    (mark,) = running.snapshots()
    assert (mark["alive_bytes"] is None) == (mode == "aggregate")
    assert b"snapshot " in memtap("stats", running.path).stdout
