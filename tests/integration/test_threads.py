"""Threads: exact counts, addresses that change hands, the last moments of a thread and of the process."""

import collections
import json

import pytest


@pytest.mark.parametrize("keep", [[], ["keep"]])
def test_a_hundred_threads_times_a_hundred_allocations_are_ten_thousand(record, target, keep):
    recording = record(target("threads"), 100, 100, *keep)
    recording.assert_truth()
    assert recording.truth["case_worker"]["allocations"] == 10_000


def test_threads_keep_their_names_and_counts(record, target):
    recording = record(target("threads"), 20, 50, "keep")
    trace = recording.trace
    names = {name for _, name in trace.threads.values()}
    assert {f"worker-{i}" for i in range(20)} <= names
    assert len({tid for tid, _ in trace.threads.values()}) == len(trace.threads)
    per_stream = collections.Counter(e.stream for e in trace.events if e.kind == "alloc" and 16 <= e.size < 516)
    workers = [s for s, (_, name) in trace.threads.items() if name.startswith("worker-")]
    assert all(per_stream[stream] >= 50 for stream in workers)
    assert recording.stats["threads"] == 21


def test_a_report_can_be_limited_to_one_thread(record, target):
    recording = record(target("threads"), 5, 10, "keep")
    tid = next(tid for tid, name in recording.trace.threads.values() if name == "worker-3")
    rows = recording.report("leaks", "--thread", tid)
    worker = [row for row in rows if any("case_worker" in str(frame) for frame in row["stack"])]
    assert sum(row["count"] for row in worker) == 10
    assert sum(row["bytes"] for row in worker) == sum(16 + (3 * 31 + i * 7) % 500 for i in range(10))


@pytest.mark.parametrize("threads, seed", [(2, 1), (4, 2), (8, 3)])
def test_blocks_that_change_hands_leave_the_known_live_set(record, target, threads, seed):
    recording = record(target("exchange"), threads, 5000, seed)
    recording.assert_truth()
    assert recording.replay.unknown_frees <= 1  # of blocks older than the recording


def test_threads_that_begin_with_a_free_are_counted(record, target):
    recording = record(target("handover"), 300)
    recording.assert_truth()
    by_thread = recording.report("table", "--leaks", "--by", "thread", "-n", 1000)
    assert sum(row["count"] == 1 for row in by_thread) >= 300


def test_the_last_moments_of_threads_and_process_are_recorded(record, target):
    record(target("thread_end")).assert_truth()


def test_quick_exit_handlers_are_recorded(record, target):
    recording = record(target("thread_end"), "quick", check=False)
    assert recording.returncode == 7
    recording.assert_truth()


@pytest.mark.slow
def test_five_hundred_threads_at_once_lose_nothing(record, target):
    recording = record(target("threads"), 500, 40, "keep")
    assert json.loads(recording.stdout)["case_worker"]["live"] == 20_000
    recording.assert_truth()


def test_a_thread_that_allocates_after_its_end_is_one_row(record, target):
    rows = record(target("thread_end")).report("table", "--leaks", "--by", "thread", "-n", 100)
    names = [row["thread"] for row in rows]
    assert len(names) == 6 and len(set(names)) == 6


def test_memory_found_touched_is_of_no_thread(record, target):
    rows = record(target("touched"), "kept").report("table", "--leaks", "--by", "thread")
    assert "no thread" in {row["thread"].partition(" (")[0] for row in rows}
