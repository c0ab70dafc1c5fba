"""The collector's observer: one start and one end a collection, real pauses, patterns (acceptance A2-14, A2-15, part of A2-22).

Automatic collections are off while a test counts; the ones it forces are known.
"""

import datetime
import gc
import threading
import time

import pytest

from memtap.gcmonitor import GCCollection, GCMonitor, GCRing, RangeError
from memtap.tracker import MemoryEventType, MemoryStorage, MemoryTracker

PAUSE_MS = 200


@pytest.fixture(autouse=True)
def only_forced_collections():
    callbacks = list(gc.callbacks)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    assert gc.callbacks == callbacks, "a test left a callback behind"


@pytest.fixture
def monitor():
    with GCMonitor() as made:
        yield made


# ---- A2-14: all collections -------------------------------------------------------------------------------------------------


def test_a2_14_five_collections(monitor):
    before = time.monotonic_ns()
    for _ in range(5):
        gc.collect()
    wall = time.monotonic_ns() - before
    stats = monitor.get_statistics()
    assert (stats.total_gc_count, stats.gen0_gc_count, stats.gen1_gc_count, stats.gen2_gc_count) == (5, 0, 0, 5)
    assert 0 < stats.total_gc_time_ns <= wall
    assert abs(stats.last_gc_timestamp - time.time()) < 60


def test_a_collection_counts_for_its_generation_only(monitor):
    for generation, times in ((0, 3), (1, 2), (2, 1)):
        for _ in range(times):
            monitor.force_collection(generation)
    assert [monitor.get_gc_count(generation) for generation in range(3)] == [3, 2, 1]
    assert [done.generation for done in monitor.collections()] == [0, 0, 0, 1, 1, 2]
    assert monitor.force_full_collection() >= 0 and monitor.get_gc_count(2) == 2


@pytest.mark.parametrize("generation", [-1, 3])
def test_a2_14_other_generations_are_refused(monitor, generation):
    for call in (monitor.get_gc_count, monitor.force_collection):
        with pytest.raises(RangeError):
            call(generation)
    assert monitor.get_statistics().total_gc_count == 0


def make_cycles(count):
    for _ in range(count):
        cycle = []
        cycle.append(cycle)


def test_what_was_found_is_told(monitor):
    make_cycles(37)
    assert monitor.force_full_collection() == 37
    (done,) = monitor.collections()
    assert (done.collected, done.uncollectable) == (37, 0)


def test_automatic_collections_are_seen(monitor):
    threshold = gc.get_threshold()
    gc.set_threshold(50, 5, 5)
    gc.enable()
    try:
        kept = [[] for _ in range(5000)]
    finally:
        gc.disable()
        gc.set_threshold(*threshold)
    assert len(kept) == 5000 and monitor.get_gc_count(0) > 10


def test_collections_of_other_threads_are_seen(monitor):
    threads = [threading.Thread(target=gc.collect) for _ in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    assert monitor.get_gc_count(2) == 4


# ---- with a tracker ----------------------------------------------------------------------------------------------------------


def test_events_of_a_tracker_and_its_publisher():
    storage = MemoryStorage()
    with MemoryTracker(auto_snapshot=False) as tracker, GCMonitor(tracker, storage):
        gc.collect(0)
        gc.collect(1)
        events = tracker.events()
    assert [(event.event_type, event.gc_generation) for event in events] == [
        (MemoryEventType.GC_START, 0), (MemoryEventType.GC_END, 0), (MemoryEventType.GC_START, 1), (MemoryEventType.GC_END, 1)]
    assert storage.get_events() == events
    assert tracker.get_statistics().gc_count_by_generation == {0: 1, 1: 1}


def test_a_publisher_that_collects_ends():
    seen = []

    def publisher(event):
        seen.append(event.event_type)
        if len(seen) < 10:
            gc.collect()  # ignored by the collector while it is collecting, a collection of its own otherwise

    with MemoryTracker(publisher, auto_snapshot=False) as tracker, GCMonitor(tracker) as monitor:
        gc.collect()
        tracker.track_snapshot()
        assert monitor.errors == tracker.publish_errors == 0
    assert seen.count(MemoryEventType.GC_START) == seen.count(MemoryEventType.GC_END) == monitor.get_gc_count(2)


def test_a_failing_listener_is_counted_not_heard(capfd):
    def fail(*_):
        raise ZeroDivisionError

    ring = GCRing(on_start=fail, on_end=fail)
    ring.start()
    gc.collect()
    ring.stop()
    assert (ring.errors, ring.count) == (2, 1)
    assert capfd.readouterr().err == ""


# ---- A2-15: patterns ---------------------------------------------------------------------------------------------------------


def test_a2_15_frequent_full_collections_and_high_time(monitor):
    end = time.monotonic() + 1.0
    count = 0
    while time.monotonic() < end:
        gc.collect()
        count += 1
    report = monitor.pattern_report()
    assert "frequent_gen2" in report.flags and "high_gc_time" in report.flags
    assert report.collections == count
    assert report.gen2_per_second == pytest.approx(count / (report.window_ns / 1e9), rel=1e-6)
    assert 10 < report.gc_time_pct <= 100


def test_a2_15_a_long_pause(monitor):
    heap = []
    pause_ms = 0.0
    while pause_ms < PAUSE_MS:  # a fast machine needs more than a million objects
        heap.append([[] for _ in range(1_000_000)])
        before = time.monotonic()
        gc.collect()
        pause_ms = (time.monotonic() - before) * 1e3
    report = monitor.pattern_report()
    assert "long_pause" in report.flags
    assert PAUSE_MS * 0.5 <= report.longest_pause_ns / 1e6 <= pause_ms
    (pattern,) = [pattern for pattern in report.patterns if pattern.flag == "long_pause"]
    assert (pattern.threshold, pattern.unit) == (100.0, "ms") and pattern.advice
    assert "long_pause" not in monitor.pattern_report(long_pause_ms=1e9).flags


def test_a2_15_a_quiet_program_has_no_pattern(monitor):
    report = monitor.pattern_report()
    assert (report.flags, report.collections, report.longest_pause_ns) == ([], 0, 0)
    gc.collect(0)
    gc.collect(0)
    assert "frequent_gen2" not in monitor.pattern_report().flags


def made_up(monitor, collections, window_s=100.0):
    """Puts collections (generation, start in s ago, duration in ms) in place of real ones: exact numbers to check."""
    now = time.monotonic_ns()
    ring = monitor._ring
    ring.since_ns = now - int(window_s * 1e9)
    for generation, ago_s, duration_ms in collections:
        ring._account(GCCollection(generation, now - int(ago_s * 1e9), int(duration_ms * 1e6), 0, 0, time.time()))


def test_the_report_looks_at_its_window(monitor):
    made_up(monitor, [(2, 90.0, 150.0), (2, 30.0, 20.0), (1, 20.0, 60.0), (2, 10.0, 20.0)])
    everything, last = monitor.pattern_report(), monitor.pattern_report(window_s=60)  # the report may come half a minute late
    assert (everything.collections, last.collections) == (4, 3)
    assert (everything.longest_pause_ns, last.longest_pause_ns) == (150_000_000, 60_000_000)
    assert (everything.flags, last.flags) == (["long_pause"], [])
    assert last.gen2_per_second == pytest.approx(2 / 60, rel=0.01)
    assert last.gc_time_pct == pytest.approx(0.1 / 0.6, rel=0.01)
    assert monitor.pattern_report(window_s=60, gen2_per_second=0.03, minimum_gen2=2).flags == ["frequent_gen2"]
    assert monitor.pattern_report(window_s=60, gen2_per_second=0.03, minimum_gen2=3).flags == []
    assert monitor.pattern_report(window_s=60, high_gc_time_pct=0.1).flags == ["high_gc_time"]
    monitor.clear()
    assert monitor.pattern_report().collections == 0


def test_a_window_too_short_for_a_rate_has_none(monitor):
    made_up(monitor, [(2, 5.0, 900.0), (2, 4.0, 900.0), (2, 3.0, 900.0)], window_s=6.0)
    assert monitor.pattern_report(gen2_per_second=0.01, minimum_window_s=3600).flags == ["long_pause"]
    assert monitor.pattern_report(gen2_per_second=0.01).flags == ["frequent_gen2", "long_pause", "high_gc_time"]


def test_a_short_ring_shortens_the_window():
    with GCMonitor(capacity=2) as monitor:
        made_up(monitor, [(2, 90.0, 1.0), (2, 30.0, 1.0), (2, 20.0, 1.0)])
        report = monitor.pattern_report()
    assert report.collections == 2
    assert 30e9 <= report.window_ns < 80e9  # not 90 s; the report may come late
    assert monitor.get_gc_count(2) == 3  # counters do not forget


# ---- life -------------------------------------------------------------------------------------------------------------------


def test_start_and_stop_as_often_as_one_likes():
    others = list(gc.callbacks)
    monitor = GCMonitor(start=False)
    assert not monitor.is_running and gc.callbacks == others
    monitor.start()
    monitor.start()
    assert monitor.is_running and len(gc.callbacks) == len(others) + 1
    gc.collect()
    monitor.stop()
    monitor.stop()
    gc.collect()
    assert gc.callbacks == others and monitor.get_statistics().total_gc_count == 1
    monitor.start()
    gc.collect()
    monitor.dispose()
    monitor.dispose()
    assert monitor.get_statistics().total_gc_count == 2


def test_observing_that_begins_inside_a_collection():
    ring = GCRing()
    began = []

    class Trigger:
        def __del__(self):
            began.append(True)
            ring.start()

    trigger = Trigger()
    trigger.me = trigger
    del trigger
    gc.collect()  # the end of this one has no beginning
    assert began and ring.count == 0
    gc.collect()
    ring.stop()
    assert ring.count == 1


def test_a_forgotten_monitor_without_tracker_leaves():
    before = list(gc.callbacks)
    GCMonitor()
    gc.collect()
    assert gc.callbacks == before


def test_ring_keeps_the_last():
    ring = GCRing(capacity=3)
    ring.start()
    for generation in (0, 1, 2, 0, 1):
        gc.collect(generation)
    ring.stop()
    assert [done.generation for done in ring.collections()] == [2, 0, 1]
    assert ring.counts == [2, 2, 1]
    with pytest.raises(RangeError):
        GCRing(capacity=0)


def test_total_memory(monitor):
    before = monitor.get_total_memory()
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    assert monitor.get_total_memory() - before >= 60 * 1024 * 1024
    count = monitor.get_gc_count(2)
    assert monitor.get_total_memory_with_gc() > 0 and monitor.get_gc_count(2) == count + 1


# ---- A2-22: the original's own cases ----------------------------------------------------------------------------------------


def test_a2_22_constructors():
    with MemoryTracker(MemoryStorage(), auto_snapshot=False) as tracker:
        for monitor in (GCMonitor(tracker), GCMonitor(tracker, MemoryStorage()), GCMonitor(tracker, lambda event: None)):
            monitor.Dispose()
            monitor.Dispose()
        with pytest.raises(TypeError):
            GCMonitor(None)
        with pytest.raises(TypeError):
            GCMonitor(tracker, None)
        with pytest.raises(TypeError):
            GCMonitor(publisher=print)


def test_a2_22_statistics_and_counts(monitor):
    stats = monitor.GetStatistics()
    assert (stats.TotalGCCount, stats.Gen0GCCount, stats.Gen1GCCount, stats.Gen2GCCount) == (0, 0, 0, 0)
    assert stats.TotalGCTime == datetime.timedelta(0)
    now = datetime.datetime.now(datetime.timezone.utc)
    assert stats.LastGCTime <= now
    for generation in range(3):
        monitor.ForceCollection(generation)
    monitor.ForceFullCollection()
    assert [monitor.GetGCCount(generation) for generation in range(3)] == [1, 1, 2]
    stats = monitor.GetStatistics()
    assert stats.TotalGCTime > datetime.timedelta(0)
    assert now <= stats.LastGCTime <= datetime.datetime.now(datetime.timezone.utc)
    for call in (monitor.GetGCCount, monitor.ForceCollection):
        for generation in (-1, 3):
            with pytest.raises(ValueError):
                call(generation)
    assert monitor.GetTotalMemory() > 0 and monitor.GetTotalMemoryWithGC() > 0
