"""Fixtures of the behaviour tests: run a program under memtap, ask memtap and the independent reader about its trace.

Decides: where the command under test is (MEMTAP_BIN, else build/bin/memtap of this checkout), where the targets are
(MEMTAP_TARGETS, else the folder targets/ beside bin/), which interpreters are on this machine, and how a recording is
compared with the truth a target printed. The process that runs pytest is never profiled.

    def test_x(record, target):
        recording = record(target("threads"))
        recording.assert_truth()
"""

import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))
import tracefile  # noqa: E402
import tracereplay  # noqa: E402

MEMTAP = pathlib.Path(os.environ.get("MEMTAP_BIN", ROOT / "build/bin/memtap"))
TARGETS = pathlib.Path(os.environ.get("MEMTAP_TARGETS", MEMTAP.parent.parent / "targets"))
PYTHON_TARGETS = TESTS / "targets"
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
OPTIONAL_TARGETS = ("rusty", "linked_jemalloc", "linked_tcmalloc", "linked_mimalloc", "linked_static_", "own_throws_",
                    "holds_jemalloc", "holds_tcmalloc", "holds_mimalloc")  # need a compiler or library
TIMEOUT_S = 300

# A runner in the background (nohup, a shell's &) hands down ignored signals; programs under test start with the usual ones.
for inherited in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    if signal.getsignal(inherited) is signal.SIG_IGN:
        signal.signal(inherited, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def find_interpreter(version):
    if version == "debian":
        path = pathlib.Path("/usr/bin/python3.11")
        return path if path.exists() else None
    found = sorted(PYENV.glob(version + ".*/bin/python3"))
    if found:
        return found[-1]
    which = shutil.which("python" + version)
    return pathlib.Path(which) if which else None


def interpreter(version):
    return find_interpreter(version) or pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(params=[*VERSIONS, "debian"])
def python(request):
    """Each interpreter there is; absent ones are skipped by name."""
    return interpreter(request.param)


@pytest.fixture(params=[VERSIONS[0], VERSIONS[-1], "debian", *(pytest.param(v, marks=pytest.mark.slow) for v in VERSIONS[1:-1])])
def python_ends(request):
    """The same, but only the oldest, the newest and Debian's where slow tests are left out."""
    return interpreter(request.param)


@pytest.fixture(scope="session")
def any_python():
    """One interpreter with everything, for what does not depend on the version."""
    paths = [find_interpreter(version) for version in ("3.11", "3.12", "3.13", "3.10", "debian")]
    return next((path for path in paths if path), None) or pytest.skip("no Python to profile")


@pytest.fixture(scope="session")
def target():
    """Path of a compiled target; skipped by name when what it needs is absent, an error when it should be there."""

    def find(name):
        path = TARGETS / name
        if not path.exists() and name.startswith(OPTIONAL_TARGETS):
            pytest.skip(f"target {name} was not built here")
        assert path.exists(), f"{path} is missing: build the tests first"
        return str(path)

    return find


def run(argv, **options):
    """subprocess.run with bytes captured and a time limit; signals give negative codes, as ever."""
    options.setdefault("timeout", TIMEOUT_S)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(a) for a in argv], capture_output=True, check=False, **options)


def memtap(*arguments, check=True, **options):
    """Runs the command under test."""
    result = run([MEMTAP, *arguments], **options)
    if check and result.returncode != 0:
        raise AssertionError(f"memtap {' '.join(map(str, arguments))} gave {result.returncode}:\n"
                             f"{result.stdout.decode()[-2000:]}\n{result.stderr.decode()[-4000:]}")
    return result


def memtap_json(command, *arguments):
    """Parsed output of a report command; anything on stderr is a failure of its own."""
    result = memtap(command, "-f", "json", *arguments)
    return json.loads(result.stdout)


def frame_function(frame):
    """Function of one item of a row's stack[]."""
    return frame["function"] if isinstance(frame, dict) else frame


def case_of(row):
    """The innermost case_* function of a report row."""
    names = [frame_function(frame) for frame in row["stack"]] or [row["function"]]
    matches = (tracereplay.CASE.search(name or "") for name in names)
    return next((match.group() for match in matches if match), None)


def live_stacks(path):
    done = run([MEMTAP, "export", "--leaks", "--format", "json", "-o", "-", path])
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)["stacks"]


@dataclasses.dataclass
class Recording:
    """A finished `memtap run`."""

    returncode: int
    stdout: bytes
    stderr: bytes
    path: pathlib.Path

    @functools.cached_property
    def trace(self):
        """What the independent reader says."""
        return tracefile.load(self.path)

    @functools.cached_property
    def replay(self):
        return tracereplay.Replay(self.trace.events)

    @functools.cached_property
    def ended(self):
        """The same up to the end of the program's code, where the trace knows it."""
        return tracereplay.Replay(self.trace.events_to_the_end())

    @property
    def live_stacks(self):
        """What is alive at the end, a row for each stack, also for stacks that look the same when shown."""
        return live_stacks(self.path)

    @property
    def truth(self):
        return json.loads(self.stdout)

    @property
    def others(self):
        """The folder for the processes that are not in the file yet; it goes at the end of a run."""
        return self.path.with_name(self.path.name + ".d")

    @property
    def family(self):
        """What the independent reader says of the other processes of this run, and of what exec put in their place."""
        return self.traces[1:]

    @functools.cached_property
    def traces(self):
        return tracefile.load_run(self.path)

    def report(self, command, *arguments):
        return memtap_json(command, *arguments, self.path)

    @functools.cached_property
    def stats(self):
        return self.report("stats")

    def live_by_case(self):
        """{case: (count, bytes)} from `memtap leaks --stacks`."""
        rows = {}
        for row in self.report("leaks", "--stacks"):
            case = case_of(row)
            if case is not None:
                count, size = rows.get(case, (0, 0))
                rows[case] = (count + row["count"], size + row["bytes"])
        return rows

    def assert_exact(self):
        """Nothing was dropped and the trace is one valid history."""
        assert self.trace.counters["dropped_events"] == 0 and self.trace.dropped == 0
        assert not self.trace.gaps
        assert not self.replay.double_allocations

    def assert_truth(self, truth=None, only=None):
        """Counts and bytes of every case, by the independent reader and by the reports, equal the truth."""
        truth = self.truth if truth is None else truth
        truth = {case: row for case, row in truth.items() if row["allocations"] and (only is None or case in only)}
        assert truth
        self.assert_exact()
        found = tracereplay.by_case(self.trace)
        assert {case: found.get(case) for case in truth} == truth
        live = {case: (row["live"], row["live_bytes"]) for case, row in truth.items() if row["live"]}
        reported = self.live_by_case()
        assert {case: reported.get(case) for case in live} == live
        gone = {case for case, row in truth.items() if not row["live"]}
        assert not gone & set(reported)

    def assert_stats_follow(self):
        """`memtap stats` says what the independent reader counts."""
        expected = {
            "allocations": self.replay.allocations,
            "total_allocated_bytes": self.replay.allocated_bytes,
            "peak_bytes": self.replay.peak,
            "leaked_bytes": self.ended.current,
        }
        found = {key: self.stats[key] for key in expected}
        found["leaked_bytes"] += self.stats["libc_bytes"]
        assert found == expected


@pytest.fixture
def record(tmp_path):
    """record(program, arguments…, options=[…], mode="exact", …): runs it under memtap -q."""

    def start(*program, options=(), mode="exact", name="out.mtap", quiet=True, check=True, folder=tmp_path, **run_options):
        path = folder / name
        flags = ["-q"] if quiet else []
        result = run([MEMTAP, "run", *flags, "-f", "-o", path, "--mode", mode, *options, "--", *program], **run_options)
        if check and result.returncode != 0:
            raise AssertionError(f"{program} under memtap gave {result.returncode}:\n{result.stderr.decode()[-4000:]}")
        return Recording(result.returncode, result.stdout, result.stderr, path)

    return start


@pytest.fixture
def truth_file(tmp_path, monkeypatch):
    """The file named by TRUTH_FILE for the programs started by this test."""
    path = tmp_path / "truth"
    monkeypatch.setenv("TRUTH_FILE", str(path))
    return path
