"""A Python that does what it is told, for tests of what looks at running programs: tests/targets/py_watched.py."""

import pathlib
import re
import subprocess

from armed import until
from conftest import MEMTAP, PYTHON_TARGETS

SCRIPT = PYTHON_TARGETS / "py_watched.py"


def may_trace_siblings():
    """Yama lets a process be traced by its parents alone, unless there is CAP_SYS_PTRACE (bit 19)."""
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    effective = int(re.search(r"CapEff:\s+(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16)
    return not scope.exists() or int(scope.read_text()) == 0 or bool(effective >> 19 & 1)


class Watched:
    """trace: it is recorded into that, every allocation; None: it is not. Whenever it was told something it has done that and waits: two looks
    at it, one after the other, see the same."""

    def __init__(self, python, trace=None, options=("--mode", "exact")):
        argv = [str(python), str(SCRIPT)]
        if trace is not None:
            argv = [str(MEMTAP), "run", "-q", *options, "-o", str(trace), "--", *argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.read_pid()

    def read_pid(self):
        first = self.process.stdout.readline().split()
        assert first[:1] == [b"ready"], (first, self.process.poll())
        self.wait_until_it_waits(int(first[1]))
        return int(first[1])

    def wait_until_it_waits(self, pid):
        """It says that it is done before it reads on, for which it takes memory."""
        status = pathlib.Path(f"/proc/{pid}/status")
        until(lambda: re.search(r"^State:\s+S", status.read_text(), re.M), f"process {pid} does not wait for what it is told")

    def do(self, words):
        self.process.stdin.write(words.encode() + b"\n")
        self.process.stdin.flush()
        if words == "again":
            self.pid = self.read_pid()
        elif words != "end":
            assert self.process.stdout.readline() == b"ok\n"
            self.wait_until_it_waits(self.pid)

    def end(self):
        out, err = self.process.communicate(b"end\n", timeout=300)
        assert (self.process.returncode, out, err) == (0, b"", b"")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
