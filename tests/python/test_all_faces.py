"""All five faces at once in one process that is also recorded from outside: they see one leak at one line, and leave nothing behind."""

import json
import subprocess
import sys

import pytest

import memtap

MIB = 1024 * 1024
LEAKED = 64 * MIB
PROGRAM = """
import gc, json, sys, threading, tracemalloc
import memtap.memprof as memprof
from memtap import memsnap, monitoring, tracker

MIB = 1024 * 1024
kept = []

def leak(book):
    block = bytearray(MIB)
    book.track_allocation(id(block), MIB, "CPU")
    kept.append(block)

def marks():
    return [list(map(repr, gc.callbacks)), sorted(one.name for one in threading.enumerate()), tracemalloc.is_tracing(), sys.getprofile() is None]

def use_all():
    memprof.start(sampling_rate_kb=64)
    book = tracker.MemoryTracker()
    book.enable()
    monitor = monitoring.MemoryMonitor(monitoring.Settings(tracemalloc_enabled=True))
    collector = memsnap.GCDebugger()
    collector.start()
    grown = 0.0
    for _ in range(4):
        with memsnap.MemoryScope("leak", include_gpu=False) as scope:
            for _ in range(16):
                leak(book)
        grown += scope.delta()["python_current_delta_mb"]
        monitor.take_snapshot()
    top = memprof.get_snapshot().top_allocators(1)[0]
    (suspect,) = [item for item in monitor.suspected_leaks() if item["delta_mb"] > 1]
    seen = {"memsnap": grown * MIB, "tracker": sum(item.size for item in book.detect_potential_leaks(min_age_ms=0)),
            "monitoring": [suspect["filename"], suspect["line"], suspect["last_mb"] * MIB],
            "memprof": [top["file"], top["line"], top["estimated_bytes"]]}
    for address in map(id, kept):
        book.track_deallocation(address)
    collector.stop()
    monitor.shutdown()
    book.shutdown()
    memprof.stop()
    return seen

before, rounds = marks(), []
for _ in range(2):
    kept.clear()
    rounds.append(use_all())
for one in threading.enumerate():
    if one is not threading.main_thread():
        one.join(60)  # it has been told to end
print(json.dumps({"before": before, "after": marks(), "rounds": rounds}))
"""
LEAK_LINE = PROGRAM.splitlines().index("    block = bytearray(MIB)") + 1


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the program said, and the recording that was made of it."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "five.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "memtap", "run", "-q", "-o", folder / "x.mtap", "--", sys.executable, folder / "five.py"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), folder


def close_to_it(amount):
    return abs(amount / LEAKED - 1) <= 0.05


def test_each_sees_the_leak_at_its_line(seen):
    said, folder = seen
    for one in said["rounds"]:
        for face in ("monitoring", "memprof"):
            path, line, amount = one[face]
            assert (path, line) == (str(folder / "five.py"), LEAK_LINE) and close_to_it(amount), (face, one)
        assert close_to_it(one["memsnap"]) and one["tracker"] == LEAKED
    with memtap.open(folder / "x.mtap") as trace:
        rows = list(trace.sql(f"SELECT sum(live_bytes) FROM memory.sites WHERE file = '{folder}/five.py' AND line = {LEAK_LINE}"))
    ((live_bytes,),) = rows
    assert close_to_it(live_bytes)


def test_nothing_of_them_is_left(seen):
    said, _ = seen
    assert said["before"] == said["after"]


def test_no_class_of_the_top_package_has_a_name_of_several_faces():
    assert not hasattr(memtap, "MemoryProfiler")


def test_numbers_have_their_unit_in_name_or_description(seen):
    """Sizes, times and shares; counts, numbers of things and flags have none."""
    _, folder = seen
    command = [sys.executable, "-m", "memtap", "tables", "-f", "json", folder / "x.mtap"]
    columns = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600, check=True).stdout)
    assert len(columns) > 100
    for column in columns:
        name, unit = column["column_name"], column["unit"]
        if "bytes" in name and column["data_type"] != "TEXT" and not name.endswith("_share"):
            assert unit and unit.startswith("bytes"), column
        if name.endswith(("_s", "_ms", "_ns")):
            assert unit, column
