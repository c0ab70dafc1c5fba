"""The exact tracker: what a program reports is what the tracker says (contract section 2, acceptance A2-01 to A2-16).

Streams of operations whose totals are known by construction. Threads are joined, never waited for by time; tests about elapsed
time (automatic snapshots, leak age) wait for that time. Files, memory and the model: test_tracker_history.py; the original's
names and cases: test_tracker_names.py.
"""

import collections
import datetime
import gc
import sys
import threading
import time

import pytest
from memtap.tracker import (GCMonitor, LeakCandidate, MemoryEventType, MemoryStatistics, MemoryStorage, MemoryTracker,
                            RangeError)
from trackermodel import CPU, GPU, a_moment_apart, run_threads, types_of, until


@pytest.fixture
def tracker():
    with MemoryTracker(auto_snapshot=False) as made:
        yield made


# ---- A2-01 … A2-06: the account ------------------------------------------------------------------------------------------


def test_a2_01_an_allocation_is_counted(tracker):
    tracker.track_allocation(0x1000, 1024, CPU)
    stats = tracker.get_statistics()
    assert (stats.total_allocated_bytes, stats.allocation_count, stats.current_bytes) == (1024, 1, 1024)


@pytest.mark.parametrize("call, error", [
    (lambda t: t.track_allocation(0x1000, -1024, CPU), RangeError),
    (lambda t: t.track_allocation(0x1000, 1024, ""), ValueError),
    (lambda t: t.track_allocation(0x1000, 1024, None), TypeError),
    (lambda t: t.track_allocation(0x1000, 1024, "a\0b"), ValueError),
    (lambda t: t.track_allocation(0x1000, 1024, "x" * 1001), ValueError),
    (lambda t: t.track_allocation(0x1000, 2**63, CPU), RangeError),
    (lambda t: t.track_allocation(-1, 1024, CPU), RangeError),
    (lambda t: t.track_allocation(2**64, 1024, CPU), RangeError),
    (lambda t: t.track_allocation("a", 1024, CPU), TypeError),
    (lambda t: t.track_allocation(0x1000, 1024), TypeError),
    (lambda t: t.track_allocation(0x1000, 1024, CPU, 4), TypeError),
    (lambda t: t.track_allocation(0x1000, 1024, allocation_type=CPU, size_bytes=3), TypeError),
    (lambda t: t.track_allocation(0x1000, 1024, kind=CPU), TypeError),
    (lambda t: t.track_deallocation(0x1000, -1), RangeError),
    (lambda t: t.track_deallocation(), TypeError),
    (lambda t: t.track_reallocation(0x1000, 0x2000, -1), RangeError),
    (lambda t: t.track_gc_start(3), RangeError),
    (lambda t: t.track_gc_end(-1, 5), RangeError),
])
def test_a2_02_wrong_arguments_raise_and_change_nothing(tracker, call, error):
    tracker.track_allocation(0x8, 8, CPU)
    before = (tracker.get_statistics(), tracker.events())
    with pytest.raises(error):
        call(tracker)
    assert (tracker.get_statistics(), tracker.events()) == before
    assert issubclass(RangeError, ValueError)


def test_a2_03_totals_of_two_types(tracker):
    tracker.track_allocation(0x1000, 1024, CPU)
    tracker.track_allocation(0x2000, 2048, GPU)
    tracker.track_deallocation(0x1000, 1024)
    stats = tracker.get_statistics()
    assert (stats.total_allocated_bytes, stats.total_freed_bytes, stats.current_bytes) == (3072, 1024, 2048)
    assert (stats.allocation_count, stats.deallocation_count, stats.live_count) == (2, 1, 1)
    assert (stats.peak_bytes, stats.average_allocation_size_bytes) == (3072, 1536)
    assert stats.usage_by_type == {CPU: 0, GPU: 2048}


def test_a2_04_the_peak_stays(tracker):
    tracker.track_allocation(0x1, 4096, CPU)
    tracker.track_allocation(0x2, 1024, CPU)
    tracker.track_allocation(0x3, 2048, CPU)
    tracker.track_deallocation(0x3)
    tracker.track_deallocation(0x2)
    assert tracker.get_statistics().peak_bytes == 7168
    tracker.track_allocation(0x4, 3071, CPU)
    assert tracker.get_statistics().peak_bytes == 7168  # 7167 are alive
    tracker.track_allocation(0x5, 2, CPU)
    assert tracker.get_statistics().peak_bytes == 7169
    tracker.track_deallocation(0x1)
    tracker.reset_peak()
    assert tracker.get_statistics().peak_bytes == tracker.get_statistics().current_bytes == 3073


def test_a2_05_freeing_an_unknown_address(tracker):
    tracker.track_deallocation(0x1000, 1024)
    stats = tracker.get_statistics()
    assert (stats.deallocation_count, stats.total_freed_bytes, stats.current_bytes, stats.mismatch_count) == (1, 0, 0, 1)
    (event,) = tracker.events()
    assert (event.event_type, event.allocation_type, event.address) == (MemoryEventType.DEALLOCATION, "Unknown", 0x1000)
    assert (event.unmatched, event.total_freed_bytes, event.size_bytes) == (True, 0, 1024)
    assert stats.usage_by_type == {}


def test_a2_06_double_allocation_and_another_size(tracker):
    tracker.track_allocation(0x1, 100, CPU)
    tracker.track_allocation(0x1, 100, CPU)
    stats = tracker.get_statistics()
    assert (stats.current_bytes, stats.double_allocation, stats.live_count) == (100, 1, 1)
    tracker.track_allocation(0x2, 100, CPU)
    tracker.track_deallocation(0x2, 40)
    stats = tracker.get_statistics()
    assert (stats.total_freed_bytes, stats.size_mismatch) == (200, 1)
    tracker.track_deallocation(0x1, 0)  # 0: the caller does not know
    assert tracker.get_statistics().size_mismatch == 1
    assert tracker.get_statistics().current_bytes == 0


def test_a2_07_statistics_of_a_type(tracker):
    tracker.track_allocation(0x1000, 1024, CPU)
    tracker.track_allocation(0x2000, 2048, GPU)
    cpu = tracker.get_statistics_for_type(CPU)
    assert (cpu.current_bytes, cpu.allocation_count, cpu.peak_bytes, cpu.usage_by_type) == (1024, 1, 1024, {CPU: 1024})
    assert tracker.get_statistics_for_type("Nope") == MemoryStatistics()
    tracker.track_deallocation(0x1000)
    cpu = tracker.get_statistics_for_type(CPU)
    assert (cpu.current_bytes, cpu.deallocation_count, cpu.peak_bytes) == (0, 1, 1024)
    with pytest.raises(ValueError):
        tracker.get_statistics_for_type("")


# ---- A2-08, A2-09: the timeline -------------------------------------------------------------------------------------------


def test_a2_08_events_by_step(tracker):
    tracker.set_step(5)
    tracker.track_allocation(0x1, 1, CPU)
    tracker.set_step(9)
    tracker.track_allocation(0x2, 1, CPU)
    counts = [len(tracker.get_events(low, high)) for low, high in ((5, 5), (5, 9), (6, 8), (9, 5), (-(2**70), 2**70))]
    assert counts == [1, 2, 0, 0, 2]
    assert [event.step for event in tracker.get_events(5, 9)] == [5, 9]
    assert tracker.step() == 10 and tracker.step(-3) == -3 and tracker.current_step == -3
    tracker.track_allocation(0x3, 1, CPU)
    assert [event.address for event in tracker.get_events(-3, -3)] == [3]
    assert [event.address for event in tracker.get_events(-3, 5)] == [1, 3]  # by time, not by step


def test_a2_08_the_order_is_that_of_time(tracker):
    for i in range(20_000):  # over all shards and many chunks of history
        tracker.set_step(i // 100)
        tracker.track_allocation(0x1000 + i * 40_000, i, CPU)
    events = tracker.events()
    assert [event.size_bytes for event in events] == list(range(20_000))
    assert [event.size_bytes for event in tracker.get_events(50, 51)] == list(range(5000, 5200))
    assert all(a.timestamp_ns <= b.timestamp_ns for a, b in zip(events, events[1:]))
    totals = [event.total_allocated_bytes for event in tracker.get_events(199, 199)]
    assert totals == [i * (i + 1) // 2 for i in range(19_900, 20_000)]


def test_a2_09_allocations_since(tracker):
    tracker.track_allocation(0x1, 1, CPU)
    start = a_moment_apart()
    tracker.track_allocation(0x2, 1, CPU)
    tracker.track_snapshot()
    tracker.track_deallocation(0x2)
    a_moment_apart()
    tracker.track_allocation(0x3, 1, CPU)
    assert [event.address for event in tracker.get_allocations_since(start)] == [2, 3]
    as_datetime = datetime.datetime.fromtimestamp(tracker.events()[1].timestamp_ns * 0 + start, datetime.timezone.utc)
    assert [event.address for event in tracker.get_allocations_since(as_datetime)] == [2, 3]
    assert [event.address for event in tracker.get_allocations_since(datetime.datetime.min)] == [1, 2, 3]
    assert tracker.get_allocations_since(time.time() + 3600) == []
    everything = tracker.events()
    low, high = everything[1].timestamp, everything[3].timestamp
    assert tracker.get_events_between(low, high) == everything[1:4]
    assert tracker.get_events_between(high, low) == []
    assert types_of(tracker.get_events_between(start, a_moment_apart())) == [0, 3, 1, 0]


# ---- A2-10: leaks ----------------------------------------------------------------------------------------------------------


def test_a2_10_leaks_by_age_with_their_stacks():
    with MemoryTracker(auto_snapshot=False, capture_stack_traces=True, max_stack_trace_depth=4) as tracker:
        def nested(depth):
            if depth:
                return nested(depth - 1)
            tracker.track_allocation(0x1000, 1024, CPU)  # here
            return sys._getframe().f_lineno - 1

        began = time.monotonic()
        line = nested(10)
        tracker.track_allocation(0x2000, 4096, GPU)
        tracker.track_allocation(0x3000, 9999, GPU)
        tracker.track_deallocation(0x3000)
        young = tracker.detect_potential_leaks()
        assert young == [] or time.monotonic() - began > 1  # the machine was busy elsewhere meanwhile
        assert [leak.address for leak in tracker.detect_potential_leaks(0)] == [0x2000, 0x1000]
        time.sleep(1.1)  # the default age
        leaks = tracker.detect_potential_leaks()
        assert [(leak.address, leak.size) for leak in leaks] == [(0x2000, 4096), (0x1000, 1024)]
        address, size, trace = leaks[1]
        assert isinstance(leaks[1], LeakCandidate) and leaks[1].allocation_type == CPU and leaks[1].age_ms >= 1100
        assert [frame.function.split(".")[-1] for frame in trace] == ["nested"] * 4
        assert (trace[0].file, trace[0].line) == (__file__, line)
        tracker.leak_age_threshold_ms = 3_600_000
        assert tracker.detect_potential_leaks() == []
        with pytest.raises(RangeError):
            tracker.detect_potential_leaks(-1)


def test_without_stacks_the_trace_is_none(tracker):
    tracker.track_allocation(0x1, 1, CPU)
    assert tracker.detect_potential_leaks(0)[0].trace is None
    assert tracker.events()[0].stack_trace is None
    tracker.capture_stack_traces = True
    tracker.track_allocation(0x2, 1, CPU)
    assert tracker.events()[1].stack_trace[0].file == __file__
    for bad in (0, -1, 129):
        with pytest.raises(RangeError):
            tracker.max_stack_trace_depth = bad


def test_stacks_stay_readable_when_their_code_is_gone(tracker):
    tracker.capture_stack_traces = True
    tracker.max_stack_trace_depth = 1
    for i in range(200):
        namespace = {"tracker": tracker}
        source = f"\n\ndef made_{i}():\n    tracker.track_allocation({i + 1}, 1, 'CPU')\n"
        exec(compile(source, f"made_{i}.py", "exec"), namespace)
        namespace[f"made_{i}"]()
    leaks = sorted(tracker.detect_potential_leaks(0))
    assert [leak.trace for leak in leaks] == [((f"made_{i}", f"made_{i}.py", 4),) for i in range(200)]


# ---- A2-11, A2-12: switches -----------------------------------------------------------------------------------------------


def test_a2_11_disabled_is_silent(tracker):
    assert tracker.is_enabled is True
    tracker.track_allocation(0x1, 100, CPU)
    tracker.disable()
    assert tracker.is_enabled is False
    before = tracker.get_statistics()
    tracker.track_allocation(0x2, 100, CPU)
    tracker.track_allocation(0x2, -5, "")
    tracker.track_allocation("nonsense", None, 7)
    tracker.track_deallocation(-1, -1)
    tracker.track_reallocation(None, None, None)
    tracker.track_snapshot()
    tracker.track_gc_start(9)
    tracker.track_gc_end(9, 1)
    assert tracker.get_statistics() == before
    tracker.enable()
    tracker.track_allocation(0x2, 100, CPU)
    assert (tracker.is_enabled, tracker.get_statistics().allocation_count) == (True, 2)


def snapshots_in(tracker, seconds):
    before = tracker.get_statistics().snapshot_count
    time.sleep(seconds)
    return tracker.get_statistics().snapshot_count - before


def test_a2_12_automatic_snapshots():
    """On a busy machine the timer or this thread may come late, and what had begun ends: so it is until() each holds."""
    with MemoryTracker(snapshot_interval_ms=50) as tracker:
        until(lambda: 15 <= snapshots_in(tracker, 1.0) <= 25)
        tracker.disable()
        until(lambda: snapshots_in(tracker, 0.3) == 0)
        tracker.enable()
        until(lambda: snapshots_in(tracker, 0.05) > 0)
        tracker.auto_snapshot = False
        until(lambda: snapshots_in(tracker, 0.3) == 0)
        tracker.snapshot_interval_ms = 10
        tracker.auto_snapshot = True
        until(lambda: snapshots_in(tracker, 0.05) > 1)
        tracker.snapshot_interval_ms = 3_600_000
        until(lambda: snapshots_in(tracker, 0.2) == 0)
        for bad in (0, -1):
            with pytest.raises(RangeError):
                tracker.snapshot_interval_ms = bad
        assert set(types_of(tracker.events())) == {MemoryEventType.SNAPSHOT}
    with MemoryTracker(snapshot_interval_ms=20, auto_snapshot=False) as tracker:
        assert snapshots_in(tracker, 0.2) == 0
    with pytest.raises(RangeError):
        MemoryTracker(snapshot_interval_ms=0)


def test_a_forgotten_tracker_ends_its_thread():
    before = set(threading.enumerate())
    tracker = MemoryTracker(snapshot_interval_ms=1)
    (timer,) = set(threading.enumerate()) - before
    del tracker
    until(lambda: not timer.is_alive())


# ---- A2-13: threads -------------------------------------------------------------------------------------------------------


def test_a2_13_eight_threads():
    rounds = 100_000
    with MemoryTracker(auto_snapshot=False, max_events=50_000) as tracker:
        def work(index):
            allocate, free = tracker.track_allocation, tracker.track_deallocation
            base = (index + 1) << 40
            for i in range(rounds):
                allocate(base + i * 64, 64 + index, CPU)
                free(base + i * 64, 64 + index)

        run_threads(8, work)
        stats = tracker.get_statistics()
        assert (stats.allocation_count, stats.deallocation_count, stats.current_bytes) == (8 * rounds, 8 * rounds, 0)
        assert 71 <= stats.peak_bytes <= sum(64 + index for index in range(8))
        assert (stats.mismatch_count, stats.records_dropped, stats.live_count) == (0, 0, 0)
        events = tracker.events()
        assert len(events) == 50_000 and stats.events_dropped == 16 * rounds - 50_000
        assert_pairs_complete(events)


def assert_pairs_complete(events):
    """Of each address the kept events are the last ones, alternating, and end with the free."""
    seen = collections.defaultdict(list)
    for event in events:
        seen[event.address].append(event.event_type)
    for kinds in seen.values():
        assert kinds[-1] == MemoryEventType.DEALLOCATION
        assert kinds in ([1], [0, 1])


# ---- A2-14, A2-15: the garbage collector (the rest in test_gcmonitor.py) ---------------------------------------------------


def test_a2_14_every_collection_is_an_event(tracker):
    gc.disable()
    try:
        with GCMonitor(tracker):
            began = time.monotonic_ns()
            for _ in range(5):
                gc.collect()
            wall = time.monotonic_ns() - began
    finally:
        gc.enable()
    events = tracker.events()
    assert types_of(events) == [MemoryEventType.GC_START, MemoryEventType.GC_END] * 5
    assert {event.gc_generation for event in events} == {2}
    assert {(event.address, event.size_bytes, event.allocation_type) for event in events} == {(0, 0, "GC")}
    stats = tracker.get_statistics()
    assert (stats.gc_count, stats.gc_count_by_generation) == (5, {2: 5})
    assert 0 < stats.total_gc_time_ns <= wall
    assert stats.total_gc_time_ns == sum(event.duration_ns for event in events)


# ---- A2-16: publishers ----------------------------------------------------------------------------------------------------


def test_a2_16_publishers_get_every_event_once_in_order():
    storage, called = MemoryStorage(), []
    with MemoryTracker(storage, auto_snapshot=False) as tracker:
        tracker.add_publisher(called.append)
        run_threads(4, lambda index: [
            (tracker.track_allocation((index << 32) + i * 8192, 10, CPU), tracker.track_deallocation((index << 32) + i * 8192))
            for i in range(500)])
        tracker.track_snapshot()
        history = tracker.events()
        assert len(history) == 4001
        assert called == storage.get_events() == history
        tracker.remove_publisher(called.append)
        tracker.track_snapshot()
        assert (len(called), len(storage)) == (4001, 4002)
        assert tracker.publish_errors == 0


def test_a2_16_a_raising_publisher_is_counted():
    good = []

    def bad(event):
        raise ZeroDivisionError

    with MemoryTracker(bad, auto_snapshot=False) as tracker:
        tracker.add_publisher(good.append)
        for i in range(10):
            tracker.track_allocation(i, 1, CPU)
        assert (tracker.get_statistics().allocation_count, len(good), tracker.publish_errors) == (10, 10, 10)
        assert tracker.get_statistics().publish_errors == 10


def test_a_publisher_may_report_itself():
    seen = []
    with MemoryTracker(auto_snapshot=False) as tracker:
        def echo(event):
            seen.append(event.address)
            if event.address < 10:
                tracker.track_allocation(event.address + 1, 1, CPU)

        tracker.add_publisher(echo)
        tracker.track_allocation(1, 1, CPU)
    assert seen == list(range(1, 11))


def test_a_new_publisher_gets_only_what_follows():
    first, second = [], []
    with MemoryTracker(first.append, auto_snapshot=False) as tracker:
        tracker.track_allocation(1, 1, CPU)
        tracker.add_publisher(second.append)
        tracker.track_allocation(2, 1, CPU)
    assert [[event.address for event in got] for got in (first, second)] == [[1, 2], [2]]


@pytest.mark.parametrize("bad", [None, 7, "text"])
def test_what_cannot_publish_is_refused(bad):
    with pytest.raises(TypeError):
        MemoryTracker(bad)
    with pytest.raises(ValueError):
        MemoryTracker(print, max_events=0)


def test_automatic_snapshots_are_published():
    seen = []
    with MemoryTracker(seen.append, snapshot_interval_ms=5):
        until(lambda: len(seen) >= 3)
    assert set(types_of(seen)) == {MemoryEventType.SNAPSHOT}
