"""What the tests of the exact tracker share: a model that knows what the tracker should know, threads, child interpreters."""

import collections
import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import memtap

CPU, GPU = "CPU", "GPU"
DEADLINE_S = 120


def until(condition):
    """Waits until condition() holds; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def a_moment_apart():
    """A time of day with a millisecond on either side: seconds in a float and the distance of the two clocks are good for
    about a microsecond."""
    earlier = time.time()
    until(lambda: time.time() > earlier + 0.001)
    now = time.time()
    until(lambda: time.time() > now + 0.001)
    return now


def run_threads(count, work):
    failures = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def types_of(events):
    return [event.event_type for event in events]


def child(script, *arguments, python=sys.executable, timeout=300):
    """Runs a script in an interpreter of its own; its standard output."""
    result = subprocess.run([str(python), "-c", textwrap.dedent(script), *map(str, arguments)], capture_output=True, text=True,
                            timeout=timeout, check=False, env=os.environ)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


def memtap_json(*arguments):
    """What the command of this package reports."""
    command = os.path.join(os.path.dirname(memtap.__file__), "_bin", "memtap")
    return json.loads(subprocess.run([command, *map(str, arguments)], capture_output=True, check=True, timeout=300).stdout)


class Model:
    """What the tracker should know, in a dict."""

    def __init__(self):
        self.live = {}
        self.allocated = self.freed = self.peak = self.allocations = self.frees = 0
        self.mismatch = self.size_mismatch = self.double = 0

    def grow(self, size):
        self.allocated += max(size, 0)
        self.freed += max(-size, 0)
        self.peak = max(self.peak, self.allocated - self.freed)

    def release(self, address):
        self.frees += 1
        if address in self.live:
            self.grow(-self.live.pop(address)[0])
            return True
        return False

    def allocate(self, tracker, address, size, kind):
        tracker.track_allocation(address, size, kind)
        self.double += self.release(address) if address in self.live else 0
        self.allocations += 1
        self.grow(size)
        self.live[address] = (size, kind)

    def free(self, tracker, address, size):
        tracker.track_deallocation(address, size)
        self.size_mismatch += address in self.live and size not in (0, self.live[address][0])
        self.mismatch += not self.release(address)

    def move(self, tracker, old, new, size):
        tracker.track_reallocation(old, new, size)
        before, kind = self.live.pop(old, (0, "Unknown"))
        self.mismatch += kind == "Unknown" and before == 0
        if new in self.live:
            self.double += 1
            self.release(new)
        self.grow(size - before)
        self.live[new] = (size, kind)

    def random_operation(self, rng, tracker):
        address = rng.randrange(400) * rng.choice((8, 5000, 2**33)) + 1
        size = rng.choice((0, 1, rng.randrange(1, 5000), 2**40))
        choice = rng.random()
        if choice < 0.45:
            self.allocate(tracker, address, size, rng.choice((CPU, GPU, "Pinned")))
        elif choice < 0.85:
            self.free(tracker, address, size)
        else:
            other = rng.randrange(400) * 8 + 1
            if address in self.live or rng.random() < 0.1:
                self.move(tracker, address, other, max(size, 1))

    def assert_same(self, tracker):
        stats = tracker.get_statistics()
        assert (stats.total_allocated_bytes, stats.total_freed_bytes, stats.peak_bytes) == \
            (self.allocated, self.freed, self.peak)
        assert (stats.allocation_count, stats.deallocation_count) == (self.allocations, self.frees)
        assert (stats.mismatch_count, stats.size_mismatch, stats.double_allocation) == \
            (self.mismatch, self.size_mismatch, self.double)
        found = {leak.address: (leak.size, leak.allocation_type) for leak in tracker.detect_potential_leaks(0)}
        assert found == self.live
        usage = collections.Counter()
        for size, kind in self.live.values():
            usage[kind] += size
        assert {kind: used for kind, used in stats.usage_by_type.items() if used} == {k: v for k, v in usage.items() if v}
