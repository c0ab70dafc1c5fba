"""Real servers recorded whole, beside a count of our own in the same processes (count.c). `make test-servers`.

Every server listens on loopback, on a port of its own, and is stopped by the test. What is not installed is skipped by name.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
MEMTAP = pathlib.Path(os.environ.get("MEMTAP_BIN", HERE.parents[1] / "build/bin/memtap"))
MALLOC_FAMILY = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc")


def need(name, package, *folders):
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    return found or pytest.skip(f"{name} is not installed (apt-get install {package})")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def counter(tmp_path_factory):
    """Path of count.so."""
    path = tmp_path_factory.mktemp("count") / "count.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-pthread", HERE / "count.c", "-o", path], check=True)
    for folder in (path.parent, *path.parent.parents[:2]):
        folder.chmod(0o755)  # servers that drop rights load it too
    return path


class Run:
    """A server under `memtap run`, with what its processes counted themselves."""

    def __init__(self, folder, counter, argv, options=(), env=None, count=True):
        self.folder, self.counts = folder, folder / "counts"
        self.trace = folder / "x.mtap"
        self.counts.mkdir(mode=0o777)
        self.counts.chmod(0o777)
        folder.chmod(0o755)
        environment = {**os.environ, **(env or {})}
        if count:
            environment.update(COUNT_FOLDER=str(self.counts), LD_PRELOAD=str(counter))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen([MEMTAP, "run", "-o", self.trace, *options, "--", *map(str, argv)], env=environment,
                                        stdout=self.log, stderr=subprocess.STDOUT, cwd=folder, stdin=subprocess.DEVNULL,
                                        start_new_session=True)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def wait_for_port(self, port, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.text()[-3000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"nobody listens on {port}:\n{self.text()[-3000:]}")

    def wait_for_log(self, words, seconds=120):
        end = time.monotonic() + seconds
        while words not in self.text():
            assert time.monotonic() < end and self.process.poll() is None, self.text()[-3000:]
            time.sleep(0.05)

    def end(self, sig=signal.SIGTERM, seconds=300):
        """Stops the server through memtap, as an init system would; returns its exit code."""
        if sig is not None and self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(timeout=seconds)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def stats(self):
        operand = self.trace if len(list(self.folder.glob("*.mtap"))) == 1 else self.folder
        done = subprocess.run([MEMTAP, "stats", "-f", "json", operand], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def counted(self):
        """{pid: (allocations, bytes, frees)} of the processes that came to their end."""
        found = {}
        for path in self.counts.iterdir():
            for line in path.read_text().splitlines():
                pid, *numbers = map(int, line.split())
                if pid != self.process.pid:
                    found[pid] = tuple(a + b for a, b in zip(found.get(pid, (0, 0, 0)), numbers))
        return found


def malloc_totals(stats):
    """(allocations, bytes) of malloc's family; maps and Python objects are counted elsewhere."""
    rows = [row for name, row in stats["by_allocator"].items() if name in MALLOC_FAMILY]
    return sum(row["count"] for row in rows), sum(row["bytes"] for row in rows)


@pytest.fixture
def server(tmp_path_factory, tmp_path, counter):
    """server(argv, …): a Run; killed at the end of the test if it still lives."""
    runs = []

    def start(argv, **options):
        folder = tmp_path if not runs else tmp_path_factory.mktemp("again")
        runs.append(Run(folder, counter, argv, **options))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        run.log.close()


def assert_same(run, more=0):
    """The recording and the processes' own count agree; returns the recording's numbers. more: so many allocations may be
    recorded beyond, of programs that ended by exec and so did not report their count."""
    stats, counted = run.stats(), run.counted()
    allocations, size = malloc_totals(stats)
    own = [sum(row[i] for row in counted.values()) for i in range(3)]
    print(f"recorded {allocations} allocations of {size} bytes in {stats['processes']} processes; counted {own[0]}, {own[1]}, in "
          f"{len(counted)}; frees {stats['deallocations']}, counted {own[2]}; warnings {stats['warnings']}")
    assert own[0] <= allocations <= own[0] + more
    assert own[1] <= size <= own[1] + 1000 * more
    assert stats["dropped_events"] == 0
    return stats
