"""Signals around memtap run: what a process sends to memtap is the program's; nothing ends or stops memtap before it."""

import ctypes
import os
import pathlib
import pty
import signal
import subprocess
import sys

import pytest
from conftest import MEMTAP, TIMEOUT_S

SI_USER, SI_QUEUE, SI_KERNEL = 0, -1, 128
CATCHABLE = sorted(set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM})


@pytest.fixture
def start(tmp_path):
    """start(program…): memtap run of it in a process group of its own, once the program has said that it is ready."""
    started = []

    def begin(*program):
        process = subprocess.Popen([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "--", *program],
                                   stdout=subprocess.PIPE, preexec_fn=lambda: os.setpgid(0, 0))
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def log_line(process):
    number, code, value = process.stdout.readline().split()
    return int(number), int(code), int(value)


def test_every_signal_that_a_process_sends_is_passed_on(start, target):
    process = start(target("signal_log"))
    for number in CATCHABLE:
        process.send_signal(number)
        assert log_line(process) == (number, SI_USER, 0)
    process.terminate()
    assert log_line(process) == (signal.SIGTERM, SI_USER, 0)
    assert process.wait(TIMEOUT_S) == 0


def test_a_queued_value_goes_along(start, target):
    process = start(target("signal_log"))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    for number, value in ((signal.SIGRTMIN + 3, 4711), (signal.SIGRTMIN + 3, 4712), (signal.SIGUSR1, 815)):
        assert libc.sigqueue(process.pid, number, value) == 0
        assert log_line(process) == (number, SI_QUEUE, value)
    process.terminate()
    assert log_line(process)[0] == signal.SIGTERM
    assert process.wait(TIMEOUT_S) == 0


def test_what_the_program_sends_to_its_group_does_not_come_back(start, target):
    process = start(target("signal_log"), str(int(signal.SIGUSR1)))
    assert log_line(process) == (signal.SIGUSR1, SI_USER, 0)
    process.terminate()
    assert log_line(process) == (signal.SIGTERM, SI_USER, 0)
    assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGRTMIN + 3, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
def test_what_is_sent_to_the_group_arrives_once(start, target, number):
    """The last number comes last: memtap takes and passes on the lower ones first."""
    process = start(target("signal_log"))
    for _ in range(20):
        os.killpg(process.pid, number)
        assert log_line(process) == (number, SI_USER, 0)
        process.send_signal(signal.SIGRTMAX - 1)
        assert log_line(process) == (signal.SIGRTMAX - 1, SI_USER, 0)
        process.send_signal(number)
        assert log_line(process) == (number, SI_USER, 0)
    os.killpg(process.pid, signal.SIGTERM)
    assert log_line(process) == (signal.SIGTERM, SI_USER, 0)
    assert process.wait(TIMEOUT_S) == 0


def test_a_burst_to_the_group_arrives_once(start, target):
    """The program is done with each before memtap is."""
    process = start(target("signal_log"))
    for _ in range(1000):
        os.killpg(process.pid, signal.SIGRTMIN + 3)
        assert log_line(process) == (signal.SIGRTMIN + 3, SI_USER, 0)
    process.send_signal(signal.SIGRTMAX - 1)
    assert log_line(process) == (signal.SIGRTMAX - 1, SI_USER, 0)
    process.terminate()
    assert log_line(process) == (signal.SIGTERM, SI_USER, 0)
    assert process.wait(TIMEOUT_S) == 0


def test_a_program_that_left_the_group_gets_what_was_sent_to_it(start, target):
    process = start(target("signal_log"), "own-group")
    for number in (signal.SIGRTMIN + 3, signal.SIGUSR1, signal.SIGTERM):
        os.killpg(process.pid, number)
        assert log_line(process) == (number, SI_USER, 0)
    assert process.wait(TIMEOUT_S) == 0


def test_ctrl_c_is_not_doubled(tmp_path, target):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MEMTAP, [str(MEMTAP), "run", "-q", "-o", str(tmp_path / "x.mtap"), target("signal_log")])
    seen = b""
    for wanted, then in ((b"ready", lambda: os.write(terminal, b"\x03")),
                         (f"{int(signal.SIGINT)} {SI_KERNEL} 0".encode(), lambda: os.kill(pid, signal.SIGTERM)),
                         (f"{int(signal.SIGTERM)} {SI_USER} 0".encode(), lambda: None)):
        while wanted not in seen:
            seen += os.read(terminal, 4096)
        then()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    lines = seen.decode().replace("^C", "").split("\r\n")
    assert [line for line in lines if line] == ["ready", f"{int(signal.SIGINT)} {SI_KERNEL} 0", f"{int(signal.SIGTERM)} {SI_USER} 0"]


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_memtap_stops_when_the_program_has_and_goes_on_with_it(start, number):
    program = ("import os, signal\n"
               "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT, signal.SIGUSR1])\n"
               "print('ready', flush=True); print(os.getpid(), flush=True)\n"
               "while (got := signal.sigwait([signal.SIGCONT, signal.SIGUSR1])): print(int(got), flush=True)\n")
    process = start(sys.executable, "-c", program)
    pid = int(process.stdout.readline())
    process.send_signal(number)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number
    assert state_of(pid) == "T"
    process.send_signal(signal.SIGCONT)
    assert int(process.stdout.readline()) == signal.SIGCONT
    process.send_signal(signal.SIGUSR1)
    assert int(process.stdout.readline()) == signal.SIGUSR1
    process.terminate()
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM


def test_a_signal_that_ends_the_program_does_not_end_memtap(start):
    process = start("/bin/sh", "-c", "echo ready; while :; do sleep 0.01; done")
    process.send_signal(signal.SIGALRM)
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGALRM
