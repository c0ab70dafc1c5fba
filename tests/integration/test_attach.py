"""`memtap attach` and `detach`: a process that runs is recorded from the moment attach returns, and does what it would have done."""

import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from conftest import MEMTAP, TARGETS, case_of, find_interpreter, interpreter, live_stacks, memtap, memtap_json, run

TARGET = str(TARGETS / "attached")
ASLEEP = str(TARGETS / "asleep")  # its other thread waits where nobody is borrowed
SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "targets" / "py_attached.py"
PATIENT = ("--timeout", "60s", "--max-stop", "10s")  # a loaded machine is no failure
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def may_trace_siblings():
    """Yama lets a process be traced by its parents alone, unless there is CAP_SYS_PTRACE (bit 19)."""
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    effective = int(re.search(r"CapEff:\s+(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16)
    return not scope.exists() or int(scope.read_text()) == 0 or bool(effective >> 19 & 1)


pytestmark = [pytest.mark.skipif(os.uname().machine != "x86_64", reason="attach is for x86-64"),
              pytest.mark.skipif(not may_trace_siblings(), reason="kernel.yama.ptrace_scope forbids it without CAP_SYS_PTRACE")]


class Running:
    """A program that has said that it is ready; a line on its input lets it go on."""

    def __init__(self, *argv, **options):
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.first = self.process.stdout.readline()
        assert self.first == b"ready\n", self.first + self.process.stderr.read()
        self.pid = self.process.pid

    def attach(self, *options, check=True):
        return memtap("attach", *PATIENT, *options, self.pid, check=check)

    def detach(self, check=True):
        return memtap("detach", *PATIENT, self.pid, check=check)

    def finish(self):
        out, err = self.process.communicate(b"\n", timeout=300)
        assert self.process.returncode == 0, (self.process.returncode, err[-2000:])
        assert err == b"", err
        return out

    def descriptors(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text())[1])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


@pytest.fixture
def output(tmp_path):
    return tmp_path / "x.mtap"


def undisturbed(*argv):
    with Running(*argv) as program:
        return program.finish()


def checked_live(path, truth):
    rows = [row for row in live_stacks(path) if case_of(row) == "case_new"]
    assert sum(row["count"] for row in rows) == truth["case_new"]["live"]
    assert sum(row["bytes"] for row in rows) == truth["case_new"]["live_bytes"]
    assert not [row for row in live_stacks(path) if case_of(row) == "case_old"]


# ---- what is recorded ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", (1, 5))
def test_every_allocation_of_every_thread_after_attach_counts_and_older_blocks_do_not(output, threads):
    with Running(TARGET, "phases", threads) as program:
        program.attach("--mode", "exact", "-o", output)
        truth = json.loads(program.finish())
    checked_live(output, truth)
    stats = memtap_json("stats", output)
    assert stats["allocations"] >= truth["case_new"]["allocations"]
    assert stats["allocations"] - stats["deallocations"] == stats["leaked_allocations"]


def test_a_process_whose_first_thread_has_ended_is_no_zombie(output):
    with Running(TARGET, "headless") as program:
        wait_until_in_state(program.pid, "Z")
        before = os.listdir(f"/proc/{program.pid}/task")
        program.attach("--mode", "exact", "-o", output)
        doctor = memtap("doctor", program.pid, check=False)
        assert b"PROBLEM" not in doctor.stdout, doctor.stdout
        assert os.listdir(f"/proc/{program.pid}/task") == before
        truth = json.loads(program.finish())
    checked_live(output, truth)


def test_a_python_is_recorded_line_by_line(output):
    for version in ("3.8", "3.13", "debian"):
        python = find_interpreter(version)
        if python is None:
            continue
        want = undisturbed(python, SCRIPT, "busy")
        trace = output.with_name(f"{version}.mtap")
        with Running(python, SCRIPT, "busy") as program:
            program.attach("--mode", "exact", "-o", trace)
            assert program.finish() == want
        functions = {row["function"] for row in memtap_json("table", "--total", "-n", "0", trace)}
        assert "allocate_after" in functions, (version, functions)


@pytest.mark.parametrize("kind", ("condition", "timed-condition", "semaphore", "mutex", "rwlock", "barrier", "join", "futex", "nanosleep",
                                  "clock", "usleep", "read", "stream", "epoll"))
def test_a_process_whose_only_thread_to_borrow_waits_is_joined(output, kind):
    with Running(ASLEEP, kind) as program:
        program.attach("--mode", "exact", "-o", output)
        truth = json.loads(program.finish())
    checked_live(output, truth)


@pytest.mark.parametrize("kind", ("handler", "nested-handler", "fork", "iteration"))
def test_nobody_is_borrowed_in_a_handler_or_with_a_lock_of_libc(tmp_path, kind):
    with Running(ASLEEP, kind) as program:
        done = memtap("attach", "--timeout", "1s", "-o", tmp_path / "x.mtap", program.pid, check=False)
        assert done.returncode == 4, done.stderr
        program.finish()


@pytest.mark.parametrize("how", ("asleep", "locked", "joining", "queued"))
def test_a_python_whose_threads_all_wait_is_joined_as_well(output, how):
    for version in ("3.8", "3.12", "3.13", "debian"):
        python = find_interpreter(version)
        if python is None:
            continue
        want = undisturbed(python, SCRIPT, how)
        trace = output.with_name(f"{version}.mtap")
        with Running(python, SCRIPT, how) as program:
            program.attach("--mode", "exact", "-o", trace)
            assert program.finish() == want
        rows = memtap_json("table", "--total", "-n", "0", trace)
        assert "allocate_after" in {row["function"] for row in rows}, version


def test_a_process_in_a_root_without_anything_is_joined(output, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may change its root")
    root = tmp_path / "root"
    (root / "tmp").mkdir(parents=True)
    with Running(TARGET, "closed", root) as program:
        program.attach("--mode", "exact", "-o", output)
        truth = json.loads(program.finish())
    assert list((root / "tmp").iterdir()) == []
    stats = memtap_json("stats", output)  # there is no /proc there, so no names
    assert (stats["leaked_allocations"], stats["leaked_bytes"]) == (truth["case_new"]["live"], truth["case_new"]["live_bytes"])


# ---- what is not changed ------------------------------------------------------------------------------------------------


def test_a_storm_of_allocations_and_plugins_computes_the_same(tmp_path):
    want = undisturbed(TARGET, "storm", 3, 400000)
    with Running(TARGET, "storm", 3, 400000) as program:
        for i in range(3):
            program.attach("-o", tmp_path / f"{i}.mtap")
            program.detach()
        assert program.finish() == want


def test_no_waiting_call_notices(tmp_path):
    with Running(TARGET, "waits") as program:
        for i in range(4):
            program.attach("-o", tmp_path / f"{i}.mtap")
            program.detach()
        lines = program.finish().decode().split("\n")
    assert {line.split()[0]: line.split()[1] for line in lines if line} == {
        name: "0" for name in ("epoll_wait", "poll", "select", "recv", "nanosleep", "condition")}


def test_no_register_and_no_byte_of_the_red_zone_changes(tmp_path):
    with Running(TARGET, "altered") as program:
        for i in range(3):
            program.attach("-o", tmp_path / f"{i}.mtap")
            program.detach()
        assert program.finish() == b"0\n"


def test_descriptors_and_memory_stay_over_cycles(tmp_path):
    with Running(TARGET, "phases", 3) as program:
        before = program.descriptors()
        for i in range(10):
            program.attach("-o", tmp_path / f"{i}.mtap")
            program.detach()
            if i == 1:
                resident = program.resident_kib()
        assert program.descriptors() == before
        assert program.resident_kib() - resident <= 1024
        program.finish()


def test_a_stopped_process_is_joined_and_stays_stopped(output):
    with Running(TARGET, "phases", 2) as program:
        wait_until_waiting(program.pid)
        os.kill(program.pid, signal.SIGSTOP)
        os.waitpid(program.pid, os.WUNTRACED)
        program.attach("-o", output)
        wait_until_stopped(program.pid)
        program.detach()
        wait_until_stopped(program.pid)
        os.kill(program.pid, signal.SIGCONT)
        program.finish()


def wait_until_waiting(pid):
    """The first thread is in read: a stopped thread gets to no better place."""
    while not pathlib.Path(f"/proc/{pid}/syscall").read_text().startswith("0 "):
        time.sleep(0.001)


def wait_until_in_state(pid, state):
    while pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != state:
        time.sleep(0.001)


def wait_until_stopped(pid):
    """It is let go first, and stops at the next chance that the kernel gives it."""
    wait_until_in_state(pid, "T")


def test_a_memtap_that_is_killed_at_any_moment_leaves_the_process_as_it_was(tmp_path):
    """Kills spread over the length of an attach that is let finish."""
    with Running(TARGET, "phases", 3) as program:
        started = time.monotonic()
        program.attach("-o", tmp_path / "whole.mtap")
        length = time.monotonic() - started
        program.detach()
        before = program.descriptors()
        for i in range(12):
            killed = subprocess.Popen([MEMTAP, "attach", *PATIENT, "-o", tmp_path / f"{i}.mtap", str(program.pid)],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                killed.wait(length * i / 12)
            except subprocess.TimeoutExpired:
                killed.kill()
                killed.wait()
        program.detach()
        assert program.descriptors() == before
        assert "new" in program.finish().decode()


def test_a_memtap_that_is_killed_on_its_first_visit_leaves_nothing_behind(tmp_path):
    """Each process is visited for the first time, when a landing has yet to be made in it."""
    length = 0.0
    for i in range(13):
        with Running(TARGET, "phases", 2) as program:
            before = program.descriptors()
            started = time.monotonic()
            visit = subprocess.Popen([MEMTAP, "attach", *PATIENT, "-o", tmp_path / f"{i}.mtap", str(program.pid)],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if i == 0:
                assert visit.wait() == 0
                length = time.monotonic() - started
            else:
                try:
                    visit.wait(length * i / 12)
                except subprocess.TimeoutExpired:
                    visit.kill()
                    visit.wait()
            program.detach()
            assert program.descriptors() == before
            assert "new" in program.finish().decode()


# ---- more than once, and not at all -------------------------------------------------------------------------------------


def test_attach_again_does_nothing_and_says_where_the_recording_is(output, tmp_path):
    with Running(TARGET, "phases", 1) as program:
        program.attach("-o", output)
        again = program.attach()
        assert str(output).encode() in again.stderr
        other = program.attach("-o", tmp_path / "other.mtap", check=False)
        assert other.returncode == 1 and str(output).encode() in other.stderr
        assert not (tmp_path / "other.mtap").exists()
        program.detach()
        assert b"nothing is recorded" in program.detach().stderr
        program.finish()


def test_a_trace_says_that_it_was_begun_by_attach(output, tmp_path):
    with Running(TARGET, "phases", 1) as program:
        program.attach("-o", output)
        program.finish()
    stats = memtap_json("stats", output)
    assert stats["attached_time_s"] == stats["start_time_s"]
    for report in ("stats", "summary"):
        assert b"; what was allocated before is not known" in memtap(report, output).stdout
    memtap("run", "-q", "-o", tmp_path / "run.mtap", "true")
    assert memtap_json("stats", tmp_path / "run.mtap")["attached_time_s"] is None


def wait_until_ended_early(trace):
    end = time.monotonic() + 120
    while not any("before the process did" in words for words in memtap_json("stats", trace)["warnings"]):
        assert time.monotonic() < end, memtap_json("stats", trace)
        time.sleep(0.05)


def test_a_recording_that_ended_by_itself_makes_room_for_the_next(tmp_path):
    python = find_interpreter("debian") or interpreter("3.11")
    with Running(python, SCRIPT, "busy") as program:
        for name in ("1.mtap", "2.mtap"):
            program.attach("--mode", "exact", "--max-file", "400K", "-o", tmp_path / name)
            wait_until_ended_early(tmp_path / name)
            if name == "1.mtap":
                again = program.attach("-o", tmp_path / "again.mtap")
                assert b"--max-file was reached; a new one begins" in again.stderr
                program.detach()
        assert b"--max-file was reached" in program.detach().stderr
        assert b"nothing is recorded" in program.detach().stderr
        program.finish()


@pytest.mark.parametrize("command, option", (("attach", "--rate"), ("attach", "--timeout"), ("attach", "--max-stop"), ("detach", "--timeout"),
                                             ("detach", "--max-stop")))
def test_a_zero_that_means_nothing_is_refused_in_words(command, option):
    done = memtap(command, option, "0", os.getpid(), check=False)
    assert done.returncode == 2 and option.encode() in done.stderr, done.stderr


def test_nothing_is_left_beside_the_trace_of_another_user(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may join another user's process")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with Running("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", TARGET, "phases", 2) as program:
        done = program.attach("-o", tmp_path / "x.mtap")
        assert b"may not remove the hidden journal" in done.stderr, done.stderr
        program.detach()
        assert os.listdir(tmp_path) == ["x.mtap"]
        program.attach("-o", tmp_path / "y.mtap")
        program.finish()
    assert len(os.listdir(tmp_path)) == 3  # its own journal cannot be removed by the process
    memtap("pack", tmp_path / "y.mtap")
    assert sorted(os.listdir(tmp_path)) == ["x.mtap", "y.mtap"]


def test_detach_leaves_what_run_records_alone(output):
    with Running(MEMTAP, "run", "-q", "-o", output, TARGET, "phases", 1) as program:
        children = pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        child = next(int(pid) for pid in children if os.readlink(f"/proc/{pid}/exe") == TARGET)
        assert memtap("attach", *PATIENT, child).returncode == 0
        detached = memtap("detach", *PATIENT, child, check=False)
        assert detached.returncode == 1 and b"not begun by attach" in detached.stderr
        program.finish()


NEWEST = [line.split()[-1] for line in os.environ.get("MEMTAP_EXTRA_PYTHONS", "").splitlines() if line.strip()]


@pytest.mark.parametrize("version", ["3.8", "3.12", *NEWEST])
def test_what_was_attached_can_be_asked(tmp_path, version):
    """A plain attach arms: eval needs nothing more."""
    path = version if version in NEWEST else interpreter(version)
    with Running(path, "-I", "-S", "-c", "name = 'its own'\nprint('ready', flush=True)\ninput()") as program:
        program.attach("-o", tmp_path / "x.mtap")
        assert memtap("eval", "-q", program.pid, "print(name)\n6 * 7").stdout == b"its own\n42\n"
        program.finish()


def test_all_three_ways_to_say_it(tmp_path):
    for arguments in (["attach"], ["inject"], []):
        with Running(TARGET, "phases", 1, cwd=tmp_path) as program:
            done = run([MEMTAP, *arguments, *(PATIENT if arguments else ()), program.pid, *(() if arguments else PATIENT)], cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / f"memtap-attached.{program.pid}.mtap").exists()
            assert run([MEMTAP, program.pid, "detach", *PATIENT]).returncode == 0
            program.finish()


def refused(pid, code, *words):
    done = memtap("attach", "-o", "/tmp/never-made.mtap", pid, check=False)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert len(done.stderr.decode().splitlines()) == 1
    for word in words:
        assert word.encode() in done.stderr, done.stderr
    assert not pathlib.Path("/tmp/never-made.mtap").exists()


def test_what_cannot_be_joined_is_named():
    gone = subprocess.Popen(["true"])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    refused(gone.pid, 3, "zombie")
    gone.wait()
    refused(gone.pid, 3, "no process")
    refused("x", 2, "no process id")


def test_a_program_that_executes_itself_for_ever_goes_on_and_is_named(tmp_path):
    """Each image lives for a millisecond or two: what is known of one must never be done to the next."""
    loop = tmp_path / "loop"
    loop.write_text(f"#!/bin/sh\nexec {loop}\n")
    loop.chmod(0o755)
    process = subprocess.Popen([str(loop)])
    try:
        for i in range(4):
            done = memtap("attach", "--timeout", "3s", "-o", tmp_path / f"{i}.mtap", process.pid, check=False)
            assert process.poll() is None, process.returncode
            assert done.returncode in (0, 3, 4), done.stderr  # joined between two; or not
            assert done.returncode != 4 or b"executing new images" in done.stderr, done.stderr
    finally:
        process.kill()
        process.wait()


def test_who_is_traced_already_is_refused_and_the_tracer_named():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    with Running(TARGET, "phases", 1) as program:
        assert libc.ptrace(PTRACE_SEIZE, program.pid, None, None) == 0
        refused(program.pid, 3, str(os.getpid()), "tracing")
        assert libc.ptrace(PTRACE_INTERRUPT, program.pid, None, None) == 0
        os.waitpid(program.pid, 0x40000000)
        assert libc.ptrace(PTRACE_DETACH, program.pid, None, None) == 0
        program.finish()
