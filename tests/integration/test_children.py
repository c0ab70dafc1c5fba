"""Children through fork and exec: one trace a process, merged by the reports."""

import collections
import json

import pytest
import tracereplay
from conftest import PYTHON_TARGETS, case_of, memtap_json

TSC = 2  # clock_kind of a header
HOW = "fork fork_exec vfork spawn system popen exec many".split()


def truths(path):
    """[(pid, {case: row})] of every process that reported, in order; rows without allocations are left out."""
    lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
    return [(int(pid), {case: row for case, row in json.loads(text).items() if row["allocations"]}) for pid, text in lines]


@pytest.mark.parametrize("how", HOW)
def test_every_process_has_a_trace_that_tells_its_truth(record, target, truth_file, how):
    recording = record(target("processes"), how)
    traces = recording.traces
    found = sorted((trace.pid, sorted(tracereplay.by_case(trace).items())) for trace in traces)
    found = [entry for entry in found if entry[1]]  # the shell of system() has no case of ours
    wanted = sorted((pid, sorted(rows.items())) for pid, rows in truths(truth_file))
    if how == "fork_exec":  # a child that execs leaves its first image's trace beside the second's
        assert len([1 for pid, _ in found if pid == wanted[0][0]]) >= 1
    assert found == wanted
    for trace in traces:
        assert trace.counters["dropped_events"] == 0 and not tracereplay.Replay(trace.events).double_allocations


@pytest.mark.parametrize("how", HOW)
def test_reports_merge_the_processes(record, target, truth_file, how):
    recording = record(target("processes"), how)
    live = collections.Counter()
    for _, rows in truths(truth_file):
        for case, row in rows.items():
            live[case] += row["live_bytes"]
    for operands in ([recording.path.parent], [recording.path]):
        reported = collections.Counter()
        for row in memtap_json("leaks", *operands):
            if case_of(row):
                reported[case_of(row)] += row["bytes"]
        assert reported == live


def check_moments(recording):
    """The reports of a run against an independent replay of all its processes together."""
    run = tracereplay.Run(recording.traces)
    held = list(run.held())
    assert memtap_json("stats", recording.path)["peak_bytes"] == max(bytes for _, bytes in held)
    last_of = dict(held)  # of several events at one moment the last one tells what is held
    moments = sorted(last_of)
    for at in moments[:: max(1, len(moments) // 10)]:
        if any(end == at for end, is_end, _, _ in run.moments if is_end):
            continue
        rows = memtap_json("table", "-n", "0", "--at", f"{(at - run.start) / 1e9:.9f}", recording.path)
        assert sum(row["bytes"] for row in rows) == last_of[at]


@pytest.mark.parametrize("how", HOW)
def test_a_run_holds_what_its_processes_hold_together(record, target, truth_file, how):
    recording = record(target("processes"), how)
    check_moments(recording)


@pytest.mark.parametrize("how", ["fork", "subprocess", "pool", "mp-fork"])
def test_a_python_run_holds_what_its_processes_hold_together(record, python_ends, truth_file, how):
    recording = record(python_ends, PYTHON_TARGETS / "py_children.py", how)
    check_moments(recording)


def test_stats_of_a_file_and_of_its_folder_are_sums(record, target, truth_file):
    recording = record(target("processes"), "fork")
    total = sum(tracereplay.Replay(trace.events).allocations for trace in recording.traces)
    assert len(recording.traces) == 3
    assert memtap_json("stats", recording.path)["allocations"] == total
    assert memtap_json("stats", recording.path.parent)["allocations"] == total


def test_children_are_left_alone_without_follow(record, target, truth_file):
    recording = record(target("processes"), "many", options=["--no-follow"])
    assert recording.family == []
    parent = truths(truth_file)[-1]
    assert tracereplay.by_case(recording.trace) == parent[1]


def python_truth(path):
    return sorted(tuple(map(int, line.split())) for line in path.read_text().splitlines())


@pytest.mark.parametrize("how", ["fork", "system", "subprocess", "mp-fork", "mp-spawn"])
def test_python_children_are_followed(record, python_ends, truth_file, how):
    recording = record(python_ends, PYTHON_TARGETS / "py_children.py", how)
    sizes = {size for _, size in python_truth(truth_file)}
    found = []
    for trace in recording.traces:
        found += [(trace.pid, e.size) for e in trace.events if e.kind == "alloc" and e.size in sizes]
    assert sorted(found) == python_truth(truth_file)


def test_a_multiprocessing_pool_works(record, python_ends, truth_file):
    recording = record(python_ends, PYTHON_TARGETS / "py_children.py", "pool")
    assert len(recording.family) == 2
