"""The exact tracker's history: files, memory, reallocation, and everything against a model (A2-19, A2-20, A2-21).

Ground truth: trackermodel.Model, and folding the events back into statistics. Seeds are the tests' parameters.
"""

import json
import pathlib
import random

import pytest
from memtap.tracker import (JsonlStorage, MemoryEvent, MemoryEventType, MemoryStatistics, MemoryTracker, TraceStorage,
                            export_jsonl, import_jsonl)
from trackermodel import CPU, GPU, Model, child, memtap_json


@pytest.fixture
def tracker():
    with MemoryTracker(auto_snapshot=False) as made:
        yield made


# ---- A2-19: memory --------------------------------------------------------------------------------------------------------


def test_a2_19_a_live_record_costs_less_than_53_bytes():
    out = child("""
        import os
        from memtap.tracker import MemoryTracker
        def rss():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
        tracker = MemoryTracker(auto_snapshot=False)
        allocate, before = tracker.track_allocation, rss()
        for i in range(1_000_000):
            allocate(0x7f0000000000 + i * 1024, 1024, "CPU")
        grown = rss() - before
        assert tracker.get_statistics().live_count == 1_000_000
        assert tracker.get_statistics().events_dropped == 0
        print(grown)
    """)
    assert int(out) <= 53 * 1_000_000


def test_a2_17_a2_18_the_bench_does_the_work():
    """Time is the bench's business; here: it runs, and what it measures was done (it checks the counts itself)."""
    bench = pathlib.Path(__file__).resolve().parents[2] / "bench/micro/tracker.py"
    line = child(bench.read_text(encoding="utf-8"), 2000, 1)
    row = json.loads(line[len("BENCH "):])
    assert row["pairs"] == 2000 and min(row["plain_ms"], row["stacks_ms"], row["calibration_ms"]) > 0


# ---- A2-20: files ---------------------------------------------------------------------------------------------------------


def all_types(tracker):
    """One event of every type, some with everything that an event can carry."""
    tracker.capture_stack_traces = True
    tracker.set_step(-7)
    tracker.track_allocation(2**64 - 1, 2**40, "Gerät \u00e9\U0001f600")
    tracker.set_step(2**62)
    tracker.track_reallocation(2**64 - 1, 0x10, 17)
    tracker.track_snapshot()
    tracker.track_gc_start(0)
    tracker.track_gc_end(1, 123456789)
    tracker.track_deallocation(0x10, 3)
    tracker.track_deallocation(0x11, 5)
    return tracker.events()


def test_a2_20_json_lines_keep_every_field(tracker, tmp_path):
    events = all_types(tracker)
    assert {int(event.event_type) for event in events} == set(range(6))
    assert tracker.export_jsonl(tmp_path / "a.jsonl") == len(events)
    assert import_jsonl(tmp_path / "a.jsonl") == events
    assert export_jsonl(import_jsonl(tmp_path / "a.jsonl"), tmp_path / "b.jsonl") == len(events)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert [MemoryEvent.deserialize(event.serialize()) for event in events] == events
    row = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["size_bytes"] == 2**40 and row["stack_trace"][0][1] == __file__


def test_a2_20_cut_and_damaged_files(tracker, tmp_path):
    events = all_types(tracker)
    path = tmp_path / "cut.jsonl"
    export_jsonl(events, path)
    path.write_bytes(path.read_bytes()[:-5])
    assert import_jsonl(path) == events[:-1]
    path.write_bytes(b'{"event_type": 1}\n')
    with pytest.raises(ValueError, match="line 1"):
        import_jsonl(path)
    path.write_bytes(b"[]\n")
    with pytest.raises(ValueError):
        import_jsonl(path)


def test_json_lines_as_a_back_end(tmp_path):
    path = tmp_path / "live.jsonl"
    with MemoryTracker(JsonlStorage(path), auto_snapshot=False) as tracker:
        events = all_types(tracker)
    assert import_jsonl(path) == events
    storage = JsonlStorage(path)
    storage.close()
    storage.close()
    with pytest.raises(ValueError):
        storage.store_event(events[0])


def test_a_trace_says_the_same_as_the_tracker(tmp_path):
    with MemoryTracker(auto_snapshot=False, capture_stack_traces=True) as tracker:
        tracker.add_publisher(TraceStorage(tmp_path / "live.mtap"))
        rng = random.Random(20)
        model = Model()
        for _ in range(3000):
            model.random_operation(rng, tracker)
        tracker.export_trace(tmp_path / "after.mtap")
        stats, leaks = tracker.get_statistics(), tracker.detect_potential_leaks(0)
    for name in ("live.mtap", "after.mtap"):
        rows = memtap_json("leaks", "-f", "json", tmp_path / name)
        assert sum(row["bytes"] for row in rows) == stats.current_bytes == sum(leak.size for leak in leaks)
        assert sum(row["count"] for row in rows) == stats.live_count
    with pytest.raises(OSError):
        TraceStorage(tmp_path / "live.mtap")


# ---- A2-21: reallocation ---------------------------------------------------------------------------------------------------


def test_a2_21_reallocation_moves_the_block(tracker):
    tracker.track_allocation(0x1000, 100, GPU)
    tracker.track_reallocation(0x1000, 0x2000, 250)
    stats = tracker.get_statistics()
    assert (stats.total_allocated_bytes, stats.total_freed_bytes, stats.current_bytes) == (250, 0, 250)
    assert (stats.allocation_count, stats.deallocation_count, stats.reallocation_count) == (1, 0, 1)
    tracker.track_reallocation(0x2000, 0x2000, 50)
    stats = tracker.get_statistics()
    assert (stats.total_allocated_bytes, stats.total_freed_bytes, stats.peak_bytes) == (250, 200, 250)
    assert stats.usage_by_type == {GPU: 50}
    event = tracker.events()[1]
    assert (event.event_type, event.address, event.size_bytes) == (MemoryEventType.REALLOCATION, 0x2000, 250)
    assert (event.old_address, event.old_size_bytes, event.allocation_type) == (0x1000, 100, GPU)
    tracker.track_deallocation(0x1000)
    assert tracker.get_statistics().mismatch_count == 1  # nothing is there any more
    tracker.track_deallocation(0x2000)
    assert tracker.get_statistics().current_bytes == 0


def test_a2_21_reallocation_of_unknown_and_onto_a_live_block(tracker):
    tracker.track_reallocation(0x5000, 0x6000, 30)
    stats = tracker.get_statistics()
    assert (stats.mismatch_count, stats.current_bytes, stats.usage_by_type) == (1, 30, {"Unknown": 30})
    tracker.track_allocation(0x7000, 5, CPU)
    tracker.track_reallocation(0x7000, 0x6000, 7)
    stats = tracker.get_statistics()
    assert (stats.double_allocation, stats.current_bytes, stats.live_count) == (1, 7, 1)


# ---- everything against a model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_random_operations_match_a_model(tracker, seed):
    rng, model = random.Random(seed), Model()
    for _ in range(4):
        for _ in range(2500):
            model.random_operation(rng, tracker)
        model.assert_same(tracker)
    builder = MemoryStatistics.create_builder()
    for event in tracker.events():
        builder.record_event(event)
        assert event.total_allocated_bytes - event.total_freed_bytes == builder.current_usage_bytes
    folded, stats = builder.build(), tracker.get_statistics()
    for name in ("total_allocated_bytes", "total_freed_bytes", "peak_bytes", "allocation_count", "deallocation_count"):
        assert getattr(folded, name) == getattr(stats, name), name
    assert tracker.events()[-1].total_allocated_bytes == stats.total_allocated_bytes


@pytest.mark.parametrize("limit", [0, 1, 100, 5000, 70_000])
def test_the_history_keeps_exactly_the_last_events(limit):
    rng = random.Random(limit)
    with MemoryTracker(auto_snapshot=False, max_events=limit) as tracker:
        total = 90_000
        for i in range(total):  # bursts in one place, then somewhere else
            tracker.set_step(i)
            tracker.track_allocation((rng.randrange(1, 200) if i % 7 else 3) * 65536 + i % 100, 1, CPU)
        events, stats = tracker.events(), tracker.get_statistics()
        assert stats.events == total + stats.double_allocation
        assert len(events) == limit == stats.events - stats.events_dropped
        allocations = [event.step for event in events if event.event_type == MemoryEventType.ALLOCATION]
        assert allocations == list(range(total - len(allocations), total))
        assert len(tracker.get_events(0, total)) == limit


def test_many_types_and_long_names(tracker):
    names = [f"kind {i}" for i in range(1500)] + ["x" * 1000, "é" * 500]
    for i, name in enumerate(names):
        tracker.track_allocation(i, 1, name)
    usage = tracker.get_statistics().usage_by_type
    assert sum(usage.values()) == len(names)
    assert usage["kind 0"] == 1 and usage["Other"] > 1  # bounded
    assert tracker.get_statistics_for_type("kind 7").allocation_count == 1


def test_the_type_is_the_text_not_the_object(tracker):
    for i in range(100):
        tracker.track_allocation(i, 1, "".join(["C", "PU"]))
    assert tracker.get_statistics().usage_by_type == {CPU: 100}
