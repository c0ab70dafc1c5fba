"""The exact tracker's values, names and ends: configuration, events, the original's own cases (A2-22), fork, shutdown."""

import datetime
import sys
import time

import pytest
from memtap import tracker as tracker_module
from memtap.tracker import (MemoryEvent, MemoryEventType, MemoryProfiler, MemoryProfilingConfiguration, MemoryStatistics,
                            MemoryTracker, RangeError, StorageBackend)
from trackermodel import CPU, GPU, a_moment_apart, child, run_threads


@pytest.fixture
def tracker():
    with MemoryTracker(auto_snapshot=False) as made:
        yield made


# ---- configuration, events, statistics as values ----------------------------------------------------------------------------


def test_configuration_is_validated():
    assert MemoryProfilingConfiguration(enable_memory_profiling=True).validate() == []
    bad = MemoryProfilingConfiguration(True, False, 0, 0)
    assert [(issue.severity, issue.field) for issue in bad.validate()] == \
        [("error", "max_stack_trace_depth"), ("error", "snapshot_interval_ms")]
    assert not bad.is_valid
    unwise = MemoryProfilingConfiguration(False, True, 51, 99)
    assert [issue.field for issue in unwise.validate()] == \
        ["max_stack_trace_depth", "snapshot_interval_ms", "capture_stack_traces"]
    assert unwise.is_valid and {issue.severity for issue in unwise.validate()} == {"warning"}
    defaults = MemoryProfilingConfiguration()
    assert (defaults.EnableMemoryProfiling, defaults.CaptureStackTraces, defaults.MaxStackTraceDepth,
            defaults.SnapshotIntervalMs, defaults.AutoSnapshot) == (False, False, 10, 1000, True)
    with pytest.raises(RangeError):
        MemoryTracker(configuration=bad)
    with MemoryTracker(configuration=MemoryProfilingConfiguration(True, True, 3, 500, False)) as tracker:
        assert (tracker.is_enabled, tracker.capture_stack_traces, tracker.max_stack_trace_depth) == (True, True, 3)
        assert (tracker.snapshot_interval_ms, tracker.auto_snapshot) == (500, False)
    assert not MemoryTracker(configuration=defaults).is_enabled


def test_events_check_what_they_are_made_of():
    event = MemoryEvent(MemoryEventType.ALLOCATION, 0x1000, 8, 8, 0, CPU)
    assert event == event and event != MemoryEvent(MemoryEventType.ALLOCATION, 0x1000, 8, 8, 0, CPU)  # another happening
    for arguments, error in (((0, 1, -1, 0, 0, CPU), RangeError), ((0, 1, 1, -1, 0, CPU), RangeError),
                             ((0, 1, 1, 0, -1, CPU), RangeError), ((0, 1, 1, 0, 0, ""), ValueError),
                             ((0, 1, 1, 0, 0, None), TypeError), ((6, 1, 1, 0, 0, CPU), ValueError)):
        with pytest.raises(error):
            MemoryEvent(*arguments)
    assert list(map(int, MemoryEventType)) == [0, 1, 2, 3, 4, 5]
    assert MemoryEventType.GCStart is MemoryEventType.GC_START
    assert event.EventType == "MemoryEvent" and event.Timestamp.tzinfo is datetime.timezone.utc
    assert "ALLOCATION" in repr(event) and len({event, event}) == 1


def test_event_ids_are_stable_and_distinct(tracker):
    for i in range(100):
        tracker.track_allocation(i, 1, CPU)
    first, again = tracker.events(), tracker.events()
    assert [event.event_id for event in first] == [event.event_id for event in again]
    assert len({event.event_id for event in first}) == 100


def test_a_storage_back_end_of_ones_own():
    class Counting(StorageBackend):
        stored = closed = 0

        def store_event(self, event):
            self.stored += 1

        def close(self):
            self.closed += 1
            raise OSError("full")

    storage = Counting()
    tracker = MemoryTracker(storage, auto_snapshot=False)
    tracker.track_snapshot()
    tracker.shutdown()
    tracker.shutdown()
    assert (storage.stored, storage.closed, tracker.publish_errors, tracker.is_enabled) == (1, 1, 1, False)
    with pytest.raises(NotImplementedError):
        StorageBackend().store_event(None)


def test_two_clocks_agree(tracker):
    before = time.time(), time.monotonic_ns()
    tracker.track_allocation(1, 1, CPU)
    after = time.time(), time.monotonic_ns()
    event = tracker.events()[0]
    assert before[1] <= event.timestamp_ns <= after[1]
    assert before[0] - 0.01 <= event.timestamp <= after[0] + 0.01  # a clock may be slewed meanwhile


# ---- fork and the end -------------------------------------------------------------------------------------------------


def test_fork_children_have_a_tracker_that_works():
    out = child("""
        import os, threading, time
        from memtap.tracker import MemoryTracker
        seen = []
        tracker = MemoryTracker(seen.append, snapshot_interval_ms=5, max_events=1000)
        stop = False
        def busy(base):
            i = 0
            while not stop:
                i += 1
                tracker.track_allocation(base + i % 500 * 64, 1, "CPU")
        threads = [threading.Thread(target=busy, args=(k << 32,), daemon=True) for k in (1, 2)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                before = tracker.get_statistics()
                tracker.track_allocation(5, 77, "child")
                after = tracker.get_statistics()
                count = after.snapshot_count
                while tracker.get_statistics().snapshot_count < count + 2:
                    time.sleep(0.002)
                os._exit(0 if after.current_bytes - before.current_bytes == 77 else 1)
            assert os.waitpid(pid, 0)[1] == 0
        stop = True
        for thread in threads:
            thread.join()
        assert tracker.get_statistics_for_type("child").allocation_count == 0
        print("fine")
    """)
    assert out == "fine\n"


def test_an_interpreter_ends_with_trackers_alive():
    assert child("""
        from memtap.tracker import MemoryTracker, GCMonitor
        tracker = MemoryTracker(print_nothing := (lambda event: None), snapshot_interval_ms=1)
        monitor = GCMonitor(tracker)
        tracker.track_allocation(1, 2, "CPU")
        print("end")
    """.replace("print_nothing := ", "")) == "end\n"


def test_keywords_and_positions_mean_the_same(tracker):
    tracker.track_allocation(address=0x2000, size_bytes=2048, allocation_type=GPU)
    tracker.track_allocation(0x3000, allocation_type=CPU, size_bytes=1)
    tracker.track_reallocation(0x3000, size_bytes=5, new_address=0x4000)
    tracker.track_deallocation(address=0x2000)
    tracker.track_deallocation(0x4000, size_bytes=5)
    stats = tracker.get_statistics()
    assert (stats.current_bytes, stats.total_allocated_bytes, stats.size_mismatch, stats.mismatch_count) == (0, 2053, 0, 0)


def test_the_stack_begins_with_the_caller(tracker):
    tracker.capture_stack_traces = True

    def outer():
        return inner()

    def inner():
        tracker.track_allocation(0x1000, 1024, CPU)
        return sys._getframe().f_lineno - 1

    line = outer()
    trace = tracker.events()[0].stack_trace
    names = [frame.function.split(".")[-1] for frame in trace[:3]]
    assert names == ["inner", "outer", "test_the_stack_begins_with_the_caller"]
    assert (trace[0].line, trace[1].line, len(trace)) == (line, line - 3, 10)


# ---- A2-22: the original's own cases --------------------------------------------------------------------------------


def test_a2_22_names_of_the_original(tracker):
    assert tracker_module.MemoryProfiler is MemoryTracker is MemoryProfiler
    profiler = tracker
    profiler.TrackAllocation(0x1000, 1024, CPU)
    profiler.TrackAllocation(0x2000, 2048, GPU)
    profiler.TrackDeallocation(0x1000, 1024)
    stats = profiler.GetStatistics()
    assert (stats.TotalAllocatedBytes, stats.TotalFreedBytes, stats.CurrentUsageBytes, stats.PeakUsageBytes) == \
        (3072, 1024, 2048, 3072)
    assert (stats.AllocationCount, stats.DeallocationCount, stats.AverageAllocationSizeBytes) == (2, 1, 1536)
    assert (stats.UsageByType, stats.GCCount, stats.TotalGCTime) == ({CPU: 0, GPU: 2048}, 0, datetime.timedelta(0))
    assert profiler.GetStatisticsForType(GPU).CurrentUsageBytes == 2048
    profiler.TrackReallocation(0x2000, 0x2000, 10)
    profiler.SetStep(3)
    profiler.TrackSnapshot()
    assert [event.MemoryEventType for event in profiler.GetEvents(3, 3)] == [MemoryEventType.Snapshot]
    event = profiler.GetEvents(3, 3)[0]
    assert (event.Address, event.SizeBytes, event.AllocationType, event.AllocationStackTrace, event.GCGeneration) == \
        (0, 0, "Snapshot", None, None)
    assert (event.TotalAllocatedBytes, event.TotalFreeBytes) == (3072, 3062)
    assert MemoryEvent.Deserialize(event.Serialize()) == event
    profiler.Disable()
    assert profiler.IsEnabled is False
    profiler.Enable()
    assert profiler.IsEnabled is True
    profiler.CaptureStackTraces = True
    profiler.MaxStackTraceDepth = 2
    profiler.SnapshotIntervalMs = 500
    profiler.AutoSnapshot = False
    assert (profiler.capture_stack_traces, profiler.max_stack_trace_depth, profiler.snapshot_interval_ms) == (True, 2, 500)
    assert profiler.LeakAgeThresholdMs == 1000
    profiler.Dispose()
    profiler.Dispose()


def test_a2_22_snapshot_records_the_current_state(tracker):
    tracker.TrackAllocation(0x1000, 1024, CPU)
    tracker.TrackSnapshot()
    assert len(tracker.GetAllocationsSince(datetime.datetime.min)) == 1
    snapshot = tracker.events()[-1]
    assert (snapshot.event_type, snapshot.total_allocated_bytes) == (MemoryEventType.SNAPSHOT, 1024)


def test_a2_22_events_in_a_range_of_time(tracker):
    start = datetime.datetime.fromtimestamp(a_moment_apart(), datetime.timezone.utc)
    tracker.TrackAllocation(0x1000, 1024, CPU)
    end = datetime.datetime.fromtimestamp(a_moment_apart(), datetime.timezone.utc)
    assert len(tracker.GetEventsBetween(start, end)) == 1
    assert len(tracker.GetAllocationsSince(start)) == 1


def test_a2_22_enable_disable_enable(tracker):
    counts = []
    for address, on in ((0x1000, False), (0x2000, True), (0x3000, False)):
        (tracker.Enable if on else tracker.Disable)()
        tracker.TrackAllocation(address, 1024, CPU)
        counts.append(tracker.GetStatistics().AllocationCount)
    assert counts == [0, 1, 1]


@pytest.fixture
def builder():
    return MemoryStatistics.CreateBuilder()


def test_a2_22_builder_adds_up(builder):
    assert builder.CurrentUsageBytes == 0
    for size, kind in ((1024, CPU), (2048, GPU), (4096, "Pinned")):
        builder.RecordAllocation(size, kind)
    assert builder.CurrentUsageBytes == 7168
    builder.RecordDeallocation(1024, CPU)
    assert builder.CurrentUsageBytes == 6144
    stats = builder.Build()
    assert stats.UsageByType == {CPU: 0, GPU: 2048, "Pinned": 4096}
    assert (stats.PeakUsageBytes, stats.AverageAllocationSizeBytes) == (7168, 2389)


def test_a2_22_builder_can_go_below_zero(builder):
    builder.RecordDeallocation(1024, CPU)
    assert builder.CurrentUsageBytes == -1024


def test_a2_22_builder_peak_remains(builder):
    for size in (4096, 1024):
        builder.RecordAllocation(size, CPU)
    for size in (2048, 1024):
        builder.RecordDeallocation(size, CPU)
    assert builder.Build().PeakUsageBytes == 5120


def test_a2_22_builder_counts_collections(builder):
    for generation, duration_ms in ((0, 100), (0, 100), (1, 200), (2, 300)):
        builder.RecordGCEvent(generation, datetime.timedelta(milliseconds=duration_ms))
    builder.RecordGCEvent(0, 50_000_000)
    stats = builder.Build()
    assert (stats.GCCount, stats.TotalGCTime) == (5, datetime.timedelta(milliseconds=750))
    assert stats.GCCountByGeneration == {0: 3, 1: 1, 2: 1}


def test_a2_22_builds_are_independent(builder):
    assert builder.Build().AverageAllocationSizeBytes == 0
    builder.RecordAllocation(1024, CPU)
    first = builder.Build()
    builder.RecordAllocation(2048, CPU)
    assert (first.CurrentUsageBytes, builder.Build().CurrentUsageBytes) == (1024, 3072)
    assert (first.UsageByType, builder.Build().UsageByType) == ({CPU: 1024}, {CPU: 3072})


def test_a2_22_builder_is_safe_in_threads(builder):
    def work(index):
        builder.RecordAllocation(1024, CPU)
        builder.RecordAllocation(2048, GPU)
        builder.RecordDeallocation(512, CPU)

    run_threads(50, work)
    stats = builder.Build()
    assert (stats.AllocationCount, stats.DeallocationCount, stats.CurrentUsageBytes) == (100, 50, 128_000)
    assert stats.UsageByType == {CPU: 25_600, GPU: 102_400}


def test_a2_22_builder_refuses_what_cannot_be(builder):
    for call, error in ((lambda: builder.RecordAllocation(-1, CPU), RangeError),
                        (lambda: builder.RecordAllocation(1, ""), ValueError),
                        (lambda: builder.RecordDeallocation(-1, CPU), RangeError),
                        (lambda: builder.RecordGCEvent(0, -1), RangeError)):
        with pytest.raises(error):
            call()
    assert builder.Build() == MemoryStatistics()
