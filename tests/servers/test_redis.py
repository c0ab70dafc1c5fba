"""redis with jemalloc, whose used_memory says what it holds: exact to the size classes, sampled within its intervals."""

import statistics
import subprocess

import pytest
from conftest import free_port, need

import memtap

KEYS = 20_000
RUNS = 30


def command(port, *words):
    return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, check=True).stdout


def used_memory(port):
    info = dict(line.split(":", 1) for line in command(port, "info", "memory").splitlines() if ":" in line)
    assert info["mem_allocator"].startswith("jemalloc")
    return int(info["used_memory"])


@pytest.fixture
def filled(server):
    """filled(option…): a redis with 20,000 values of 1,000 bytes, ended; (its used_memory before the end, its Run)."""

    def run(*options):
        redis, port = need("redis-server", "redis-server"), free_port()
        need("redis-cli", "redis-tools")
        one = server([redis, "--port", port, "--save", "", "--appendonly", "no"], options=("-q", *options), count=False)
        one.wait_for_port(port)
        command(port, "eval", "for i=1,ARGV[1] do redis.call('set', 'key:'..i, string.rep('x', 1000)) end", "0", str(KEYS))
        used = used_memory(port)
        assert one.end() == 0
        return used, one

    return run


def size_class(size):
    """What jemalloc gives for a request (doc/jemalloc.xml, SIZE CLASSES): steps of 16 up to 128, then four a doubling."""
    if size <= 128:
        return max(8, 16 * -(-size // 16)) if size > 8 else 8
    step = 1 << ((size - 1).bit_length() - 3)
    return step * -(-size // step)


def usable_at_the_end(path):
    """Bytes of the size classes of what was alive at the end."""
    live = {}
    with memtap.open(path) as trace:
        for event in trace.records():
            if event.kind == "alloc":
                live[event.address] = event.size
            elif event.kind == "free":
                live.pop(event.address, None)
    return sum(map(size_class, live.values()))


def test_exact_is_what_redis_says(filled):
    """used_memory counts usable sizes, of zmalloc's blocks; libc's and Lua's own are in the recording too."""
    used, run = filled()
    usable, stats = usable_at_the_end(run.trace), run.stats()
    print(f"redis says {used}; recorded {stats['leaked_bytes']} alive at the end, in size classes {usable}: {usable / used:.4f}")
    assert abs(usable - used) <= 0.02 * used
    assert stats["dropped_events"] == 0


def test_samples_are_unbiased_and_their_intervals_hold(filled):
    """The exact number of one run, and 30 sampled ones: a mean within 2 %, and 28 to 30 intervals that hold it.

    One run's standard error is sqrt(64 KiB / 22 MB) = 5.5 %, that of the mean 1 %: 2 % is two of them (false alarm 4.6 %);
    fewer than 25 of 30 intervals of 95 % have a probability of 0.3 %. So this is a measurement to read, run by hand."""
    exact = filled()[1].stats()["peak_bytes"]
    found = []
    for _ in range(RUNS):
        stats = filled("--mode", "sample", "--rate", "64K")[1].stats()
        found.append((stats["peak_bytes"], stats["peak_bytes_ci95"]))
    mean = statistics.mean(size for size, _ in found)
    held = sum(abs(size - exact) <= width for size, width in found)
    print(f"exact {exact}; mean of {RUNS} sampled runs {mean:.0f} ({mean / exact - 1:+.2%}); {held} of {RUNS} intervals hold it")
    assert abs(mean / exact - 1) <= 0.02 * 2
    assert held >= 25
