"""--aggregate: bounded files with the same totals, readable at any moment."""

import signal

import pytest
from conftest import case_of


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
