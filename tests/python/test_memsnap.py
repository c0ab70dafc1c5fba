"""memtap.memsnap: process snapshots, scopes and the collector's watch (acceptance A1-01 to A1-14), and the tracing lease.

What would be disturbed by pytest's own process (tracemalloc's state, device libraries, RSS) is asked in a child
interpreter, which gets the package by PYTHONPATH.
"""

import dataclasses
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import types

import pytest

from memtap import _tracing, memsnap
from memtap.memsnap import GCDebugger, MemoryProfiler, MemoryScope, MemorySnapshot, capture_memory_snapshot, memory_profile

MIB = 1024 * 1024
FIELDS = [
    "timestamp", "python_current_mb", "python_peak_mb", "rss_mb", "vms_mb", "gpu_allocated_mb", "gpu_reserved_mb",
    "gpu_peak_mb", "gc_generation_0", "gc_generation_1", "gc_generation_2", "gc_objects",
]


def child(code, **environment):
    """Output of a program; it must end well."""
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def tracing_is_left_as_found():
    before, owners = tracemalloc.is_tracing(), _tracing.owner_count()
    yield
    assert (tracemalloc.is_tracing(), _tracing.owner_count()) == (before, owners)


@pytest.fixture
def foreign_tracing():
    tracemalloc.start()
    yield
    tracemalloc.stop()


# ---- MemorySnapshot --------------------------------------------------------------------------------------------------


def test_exported_names():
    assert sorted(memsnap.__all__) == sorted([
        "MemorySnapshot", "MemoryProfiler", "GCDebugger", "capture_memory_snapshot", "memory_profile", "freeze_gc_heap",
        "unfreeze_gc_heap", "gc_stats",
    ])
    assert MemoryProfiler is MemoryScope


def test_a1_01_twelve_fields_with_their_defaults():
    before, snapshot, after = time.time(), MemorySnapshot(), time.time()
    assert [field.name for field in dataclasses.fields(MemorySnapshot)] == FIELDS
    assert before - 1 < snapshot.timestamp < after + 1
    for name in FIELDS[1:]:
        assert getattr(snapshot, name) == 0
        assert isinstance(getattr(snapshot, name), float if name.endswith("_mb") else int)


def test_a1_02_to_dict_rounds_the_megabytes_only():
    result = MemorySnapshot(timestamp=1.23456, python_current_mb=3.14159, gc_objects=7).to_dict()
    assert list(result) == FIELDS
    assert (result["python_current_mb"], result["gc_objects"], result["timestamp"]) == (3.14, 7, 1.23456)


def test_a1_03_delta_is_self_minus_other():
    first = MemorySnapshot(rss_mb=100, timestamp=10, python_current_mb=1, gpu_allocated_mb=0, gc_objects=5)
    second = MemorySnapshot(rss_mb=160, timestamp=12.5, python_current_mb=4, gpu_allocated_mb=2, gc_objects=9)
    expected = {"python_current_delta_mb": 3, "rss_delta_mb": 60, "gpu_allocated_delta_mb": 2, "gc_objects_delta": 4,
                "elapsed_seconds": 2.5}
    assert second.delta(first) == expected
    assert first.delta(second) == {key: -value for key, value in expected.items()}


def test_delta_is_not_rounded():
    assert MemorySnapshot(rss_mb=0.123456).delta(MemorySnapshot(rss_mb=0))["rss_delta_mb"] == 0.123456


def test_elapsed_time_ignores_a_clock_that_is_set_back():
    first, second = capture_memory_snapshot(), capture_memory_snapshot()
    second.timestamp = first.timestamp - 3600
    assert 0 < second.delta(first)["elapsed_seconds"] < 60


def test_a1_04_capture_without_torch():
    output = child("""
        import gc, sys
        from memtap.memsnap import capture_memory_snapshot
        s = capture_memory_snapshot()
        assert s.rss_mb > 1 and s.vms_mb >= s.rss_mb, s
        assert s.gpu_allocated_mb == s.gpu_reserved_mb == s.gpu_peak_mb == 0.0, s
        assert s.gc_objects > 1000, s
        assert s.python_current_mb == s.python_peak_mb == 0.0, s
        assert 'torch' not in sys.modules and 'psutil' not in sys.modules
        print('ok')
    """)
    assert output == "ok\n"


def test_resident_set_and_address_space_follow_proc_status():
    output = child("""
        import re
        from memtap.memsnap import capture_memory_snapshot
        capture_memory_snapshot()
        def status(key):
            return int(re.search(key + r':\\s+(\\d+) kB', open('/proc/self/status').read()).group(1)) / 1024
        before = status('VmRSS'), status('VmSize')
        s = capture_memory_snapshot()
        print(abs(s.rss_mb - before[0]), abs(s.vms_mb - before[1]))
    """)
    rss_off, vms_off = map(float, output.split())
    assert rss_off < 2 and vms_off < 2


def test_capture_says_what_tracemalloc_says(foreign_tracing):
    block = bytearray(5 * MIB)
    del block
    held = bytearray(3 * MIB)
    snapshot = capture_memory_snapshot()
    current, peak = tracemalloc.get_traced_memory()
    assert abs(snapshot.python_current_mb - current / MIB) < 0.5
    assert 5 <= snapshot.python_peak_mb <= peak / MIB
    assert len(held) == 3 * MIB


def test_generations_are_pending_counts():
    gc.collect()
    keep = [[] for _ in range(50)]
    before, snapshot = gc.get_count(), capture_memory_snapshot()
    assert snapshot.gc_generation_0 >= before[0] >= 50 or sys.version_info >= (3, 12)
    assert (snapshot.gc_generation_1, snapshot.gc_generation_2) == before[1:]
    assert len(keep) == 50


def test_snapshots_survive_pickling():
    snapshot = capture_memory_snapshot()
    copy = pickle.loads(pickle.dumps(snapshot))
    assert copy == snapshot and copy.timestamp_ns == snapshot.timestamp_ns and copy.gpu_devices == snapshot.gpu_devices


# ---- MemoryScope -----------------------------------------------------------------------------------------------------


def test_a1_05_scope_measures_what_the_block_adds():
    output = child("""
        import tracemalloc
        from memtap.memsnap import MemoryProfiler
        with MemoryProfiler("x") as profiler:
            block = bytearray(50 * 2**20)
        report = profiler.report()
        assert 49.5 <= report['delta']['python_current_delta_mb'] <= 51.5, report
        assert report['delta']['rss_delta_mb'] >= 45, report
        assert report['name'] == 'x' and sorted(report) == ['delta', 'end', 'name', 'start']
        assert report['end'] == profiler.end_snapshot.to_dict() and report['start'] == profiler.start_snapshot.to_dict()
        assert not tracemalloc.is_tracing()
        print('ok')
    """)
    assert output == "ok\n"


def test_a1_05_tracing_that_was_on_stays_on(foreign_tracing):
    with MemoryProfiler("x") as profiler:
        block = bytearray(50 * MIB)
    assert tracemalloc.is_tracing()
    assert 49.5 <= profiler.delta()["python_current_delta_mb"] <= 51.5 and len(block) == 50 * MIB


def test_a1_06_an_exception_passes_with_the_end_taken():
    profiler = MemoryProfiler()
    with pytest.raises(ZeroDivisionError):
        with profiler:
            1 / 0
    assert profiler.end_snapshot is not None and not tracemalloc.is_tracing()


def test_a1_07_before_the_block():
    profiler = MemoryProfiler("early", include_gpu=False)
    assert (profiler.name, profiler.include_gpu) == ("early", False)
    assert profiler.delta() is None and profiler.python_peak_delta_mb is None
    assert profiler.report() == {"name": "early", "start": None, "end": None, "delta": {}}


def test_inside_the_block_there_is_a_start_and_no_delta():
    with MemoryProfiler() as profiler:
        assert profiler.name == "profile"
        assert profiler.start_snapshot is not None and profiler.delta() is None and profiler.report()["delta"] == {}


def test_the_same_scope_again_and_inside_itself():
    profiler = MemoryProfiler()
    with profiler:
        first = bytearray(8 * MIB)
    with profiler:
        with profiler:
            assert profiler.delta() is None  # the first block's end is not this one's
            second = bytearray(4 * MIB)
        assert tracemalloc.is_tracing()
    assert not tracemalloc.is_tracing() and len(first) + len(second) == 12 * MIB
    assert profiler.delta()["python_current_delta_mb"] == pytest.approx(4, abs=0.5)


def test_memory_profile_yields_the_scope():
    with memory_profile("data_load") as profiler:
        data = bytearray(6 * MIB)
    assert isinstance(profiler, MemoryScope) and profiler.name == "data_load"
    assert profiler.delta()["python_current_delta_mb"] == pytest.approx(len(data) / MIB, abs=0.5)


def test_the_peak_inside_the_block():
    with MemoryProfiler() as profiler:
        block = bytearray(20 * MIB)
        del block
    assert profiler.python_peak_delta_mb == pytest.approx(20, abs=1)
    assert profiler.delta()["python_current_delta_mb"] < 1


def test_the_peak_is_not_that_of_taking_the_snapshot():
    keep = [[] for _ in range(400_000)]  # the list of tracked objects is 8 bytes each: above 3 MiB
    with MemoryProfiler() as profiler:
        block = bytearray(1 * MIB)
        del block
    assert len(keep) == 400_000 and profiler.python_peak_delta_mb == pytest.approx(1, abs=0.5)


def test_a_peak_from_before_the_block_is_not_the_blocks(foreign_tracing):
    block = bytearray(20 * MIB)
    del block
    with MemoryProfiler() as small:
        block = bytearray(5 * MIB)
        del block
    assert small.python_peak_delta_mb is None
    assert small.end_snapshot.python_peak_mb >= 20  # the program's own peak was not reset
    with MemoryProfiler() as large:
        block = bytearray(30 * MIB)
        del block
    assert large.python_peak_delta_mb == pytest.approx(30, abs=1)


def test_a1_13_overlapping_scopes():
    first, second = MemoryProfiler("first"), MemoryProfiler("second")
    first.__enter__()
    second.__enter__()
    block = bytearray(2 * MIB)
    first.__exit__(None, None, None)
    assert tracemalloc.is_tracing()
    second.__exit__(None, None, None)
    assert second.end_snapshot.python_current_mb > 2 and len(block) == 2 * MIB
    assert not tracemalloc.is_tracing()


def test_scopes_of_many_threads_share_tracing():
    barrier = threading.Barrier(8)
    seen = []

    def work():
        barrier.wait()
        for _ in range(20):
            with MemoryProfiler():
                seen.append(tracemalloc.is_tracing())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 160 and _tracing.owner_count() == 0


# ---- the lease -------------------------------------------------------------------------------------------------------


def test_a_lease_is_released_once():
    first, second = _tracing.acquire(), _tracing.acquire()
    assert first.started and not second.started and _tracing.owner_count() == 2
    first.release()
    first.release()
    assert tracemalloc.is_tracing() and _tracing.owner_count() == 1 and second.sole and not first.held
    second.release()


def test_a_lease_on_foreign_tracing_is_never_sole(foreign_tracing):
    with _tracing.acquire() as lease:
        assert not lease.started and not lease.sole
    assert tracemalloc.is_tracing()


def test_a_lease_survives_a_program_that_stops_tracing():
    first = _tracing.acquire()
    tracemalloc.stop()
    second = _tracing.acquire()
    assert second.started and tracemalloc.is_tracing()
    first.release()
    second.release()


def test_depth_is_the_first_leases():
    with _tracing.acquire(7), _tracing.acquire(9):
        assert tracemalloc.get_traceback_limit() == 7
    with pytest.raises(ValueError):
        _tracing.acquire(0)
    assert _tracing.owner_count() == 0


# ---- GCDebugger ------------------------------------------------------------------------------------------------------


def test_a1_08_every_collection_is_counted_and_logged():
    def foreign(phase, info):
        pass

    gc.callbacks.append(foreign)
    before = list(gc.callbacks)
    debugger = GCDebugger(log_collections=True)
    debugger.start()
    debugger.start()
    assert len(gc.callbacks) == len(before) + 1
    for _ in range(3):
        gc.collect()
    debugger.stop()
    debugger.stop()
    assert gc.callbacks == before
    gc.callbacks.remove(foreign)
    assert debugger.total_collections >= 3
    for entry in debugger.collections:
        assert set(entry) == {"generation", "collected", "uncollectable", "elapsed_ms", "timestamp"}
        assert entry["elapsed_ms"] == round(entry["elapsed_ms"], 3) > 0 and abs(entry["timestamp"] - time.time()) < 60
    report = debugger.report()
    assert set(report) == {
        "total_collections", "total_collected", "total_uncollectable", "total_time_ms", "avg_collection_time_ms",
        "current_gc_counts", "total_objects", "collection_log",
    }
    assert report["avg_collection_time_ms"] == round(debugger.total_time_ms / debugger.total_collections, 2)
    assert report["total_time_ms"] == round(debugger.total_time_ms, 2) > 0
    assert report["collection_log"] == debugger.collections[-10:] and len(report["current_gc_counts"]) == 3


def test_without_a_log_there_are_totals_only():
    with GCDebugger() as debugger:
        gc.collect()
    assert debugger.total_collections >= 1 and debugger.collections == [] and debugger.report()["collection_log"] == []


def test_a_fresh_debugger_reports_zeros():
    report = GCDebugger().report()
    assert [report[key] for key in ("total_collections", "total_time_ms", "avg_collection_time_ms")] == [0, 0, 0]


def test_the_average_is_over_the_number_of_collections():
    debugger = GCDebugger()
    for count, average in ((1, 9.0), (2, 4.5)):
        debugger.total_collections, debugger.total_time_ms = count, 9.0
        assert debugger.report()["avg_collection_time_ms"] == average


def test_the_callback_may_be_driven_by_hand():
    debugger = GCDebugger(log_collections=True)
    debugger._gc_callback("stop", {"generation": 1, "collected": 5, "uncollectable": 2})
    debugger._gc_callback("start", {"generation": 2, "collected": 0, "uncollectable": 0})
    debugger._gc_callback("stop", {"generation": 2, "collected": 7, "uncollectable": 0})
    assert (debugger.total_collections, debugger.total_collected, debugger.total_uncollectable) == (2, 12, 2)
    assert [entry["generation"] for entry in debugger.collections] == [1, 2]
    assert debugger.collections[0]["elapsed_ms"] == 0


def test_stop_after_the_program_cleared_the_callbacks():
    before = list(gc.callbacks)
    debugger = GCDebugger()
    debugger.start()
    gc.callbacks[:] = before
    debugger.stop()
    assert gc.callbacks == before


def test_uncollectable_and_collected_objects_are_counted():
    with GCDebugger(log_collections=True) as debugger:
        gc.collect()
        for _ in range(100):
            cycle = []
            cycle.append(cycle)
        del cycle
        gc.collect()
    assert debugger.total_collected >= 100 == sum(e["collected"] >= 100 for e in debugger.collections[-1:]) * 100


class Node:
    def __init__(self):
        self.itself = self


def test_a1_09_force_collection():
    gc.collect()
    gc.disable()
    try:
        for _ in range(1000):
            Node()
        result = GCDebugger().force_collection(2)
    finally:
        gc.enable()
    assert set(result) == {"generation", "collected", "elapsed_ms"}
    assert result["collected"] >= 1000 and result["generation"] == 2 and result["elapsed_ms"] > 0
    with pytest.raises(ValueError):
        GCDebugger().force_collection(9)


def test_a1_10_top_objects():
    class Zed:  # its qualified name is longer
        def __init__(self):
            self.items = []

    keep = [Zed() for _ in range(10_000)]
    top = GCDebugger().get_top_objects(5)
    assert len(top) == 5 and [count for _, count in top] == sorted((count for _, count in top), reverse=True)
    counts = dict(GCDebugger().get_top_objects(10_000))
    assert counts["Zed"] == len(keep)


def test_a1_11_freeze_and_unfreeze():
    output = child("""
        import gc
        from memtap.memsnap import freeze_gc_heap, unfreeze_gc_heap
        class Node: pass
        for _ in range(1000):
            node = Node(); node.itself = node
        del node
        frozen = freeze_gc_heap()
        assert frozen == gc.get_freeze_count() > 0 and type(frozen) is int
        unfreeze_gc_heap()
        assert gc.get_freeze_count() == 0
        assert not any(isinstance(o, Node) for o in gc.get_objects())  # garbage was not frozen with the rest
        print('ok')
    """)
    assert output == "ok\n"


def test_freeze_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setattr(memsnap, "gc", types.SimpleNamespace())
    assert memsnap.freeze_gc_heap() == -1
    memsnap.unfreeze_gc_heap()


def test_a1_12_gc_stats():
    stats = memsnap.gc_stats()
    generations = ["generation_0", "generation_1", "generation_2"]
    assert list(stats) == ["counts", "thresholds", "total_objects", "gc_enabled"]
    assert list(stats["counts"]) == list(stats["thresholds"]) == generations
    assert [stats["thresholds"][name] for name in generations] == list(gc.get_threshold())
    assert stats["gc_enabled"] is True and stats["total_objects"] > 1000
    gc.disable()
    try:
        assert memsnap.gc_stats()["gc_enabled"] is False
    finally:
        gc.enable()


def test_a1_14_a_long_log_is_bounded():
    output = child("""
        import gc
        from memtap.memsnap import GCDebugger, capture_memory_snapshot
        gc.collect(); gc.freeze()  # what is collected is what this test makes
        with GCDebugger(log_collections=True) as debugger:
            gc.collect(0)
            before = capture_memory_snapshot()
            for _ in range(20_000):
                gc.collect(0)
            after = capture_memory_snapshot()
        assert debugger.total_collections >= 20_001
        assert 10_000 <= len(debugger.collections) <= 11_000, len(debugger.collections)
        report = debugger.report()
        assert len(report['collection_log']) == 10 and report['collection_log'][-1] == debugger.collections[-1]
        assert after.rss_mb - before.rss_mb < 20, (before, after)
        print('ok')
    """)
    assert output == "ok\n"
