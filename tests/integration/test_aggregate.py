"""--aggregate: bounded files with the same totals, readable at any moment."""

import signal

import pytest
from conftest import MEMTAP, case_of, memtap_json, run


def live(recording):
    return recording.live_by_case()


@pytest.mark.parametrize("program", [("entry_points",), ("threads", 20, 100, "keep"), ("exchange", 4, 5000), ("new_delete",)])
def test_totals_and_leaks_equal_the_truth(record, target, program):
    recording = record(target(program[0]), *program[1:], options=["--aggregate"])
    wanted = {case: (row["live"], row["live_bytes"]) for case, row in recording.truth.items() if row["live"]}
    reported = live(recording)
    assert {case: reported.get(case) for case in wanted} == wanted
    assert recording.stats["dropped_events"] == 0


def test_single_threaded_numbers_equal_those_of_a_full_recording(record, target):
    full = record(target("entry_points"))
    small = record(target("entry_points"), options=["--aggregate"], name="small.mtap")
    for key in ("allocations", "deallocations", "total_allocated_bytes", "peak_bytes", "leaked_bytes",
                "leaked_allocations"):
        assert small.stats[key] == full.stats[key], key
    by_function = [{case_of(row): row["bytes"] for row in r.report("table", "--peak") if case_of(row)} for r in (full, small)]
    assert by_function[0] == by_function[1]


def test_the_file_does_not_grow_with_the_events(record, target):
    short = record(target("exchange"), 2, 1000, options=["--aggregate"], name="short.mtap")
    long = record(target("exchange"), 2, 100_000, options=["--aggregate"], name="long.mtap")
    assert long.path.stat().st_size <= 2 * short.path.stat().st_size
    assert long.stats["allocations"] > 50 * short.stats["allocations"]


def test_it_is_readable_after_sigkill(record, target):
    recording = record(target("endings"), "kill", options=["--aggregate"], check=False)
    assert recording.returncode == 128 + signal.SIGKILL
    (truth,) = recording.truth.values()
    assert live(recording)["case_work"] == (truth["live"], truth["live_bytes"])


def test_children_have_their_own(record, target, truth_file):
    recording = record(target("processes"), "fork", options=["--aggregate"])
    assert len(recording.family) == 2
    assert live(recording)["case_parent"] == (1, 1111)


QUESTIONS = ["table --temporary", "table --at 1ms", "table --between 0,1ms", "table --by thread", "tree --thread 1", "leaks --min-age 1ms",
             "export --format chrome -o chrome", "export --format heaptrack -o events"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_it_does_not_know_it_refuses(record, target, tmp_path, question):
    recording = record(target("threads"), 2, 100, "keep", options=["--aggregate"])
    refused = run([MEMTAP, *question.split(), recording.path], cwd=tmp_path)
    assert refused.returncode == 2 and not refused.stdout
    assert b"is not known" in refused.stderr and b"--aggregate" in refused.stderr


def test_nothing_is_made_up(record, target):
    recording = record(target("entry_points"), options=["--aggregate"])
    for key in ("temporary_allocations", "temporary_bytes", "size_histogram"):
        assert recording.stats[key] is None
    assert any("thread stacks are not in the trace" in warning for warning in recording.stats["warnings"])
    for row in memtap_json("leaks", recording.path):
        assert row["age_s"] is None and row["growth_bytes_per_s"] is None


def test_processes_together_have_a_bound_for_a_peak(record, target, truth_file):
    recording = record(target("processes"), "fork", options=["--aggregate"])
    stats = memtap_json("stats", recording.path)
    own = [trace.counters["peak_bytes"] for trace in recording.traces]
    assert stats["peak_bytes"] is None and stats["peak_time_s"] is None
    assert max(own) <= stats["peak_bytes_at_most"] <= sum(own)
    refused = run([MEMTAP, "table", recording.path])
    assert refused.returncode == 2 and b"held together at the peak" in refused.stderr
    summary = run([MEMTAP, "summary", recording.path])
    assert summary.returncode == 0 and b"at most" in summary.stdout
