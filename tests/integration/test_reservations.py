"""Address space that is reserved is no memory held; what is made usable of it is."""

import json

import pytest
import tracereplay

PAGE = 4096


def assert_books(recording, truth):
    """The reports and the independent reader say what the program kept books of, page by page."""
    recording.assert_exact()
    assert recording.stats["leaked_bytes"] == recording.replay.current == truth["held_pages"] * PAGE
    reserved = recording.stats["by_storage"].get("reserved", {"leaked_bytes": 0})["leaked_bytes"]
    assert reserved == recording.replay.range_bytes("reserved") == truth["reserved_pages"] * PAGE
    assert recording.stats["allocations"] == recording.replay.allocations
    assert recording.stats["peak_bytes"] == recording.replay.peak
    if truth["peak_pages"]:
        assert recording.stats["peak_bytes"] == truth["peak_pages"] * PAGE


@pytest.mark.parametrize("seed", range(1, 7))
def test_random_reservations_are_exact_to_the_page(record, target, seed):
    recording = record(target("reservations"), "random", seed, 1500)
    assert_books(recording, recording.truth)


def test_sample_mode_knows_as_much(record, target):
    recording = record(target("reservations"), "random", 11, 1500, mode="sample")
    assert_books(recording, recording.truth)


@pytest.mark.parametrize("seed", (21, 22, 23))
def test_a_table_instead_of_events_says_the_same(record, target, seed):
    recording = record(target("reservations"), "random", seed, 1500, options=["--aggregate"])
    assert recording.stats["peak_bytes"] == recording.truth["peak_pages"] * PAGE
    assert recording.stats["leaked_bytes"] == recording.truth["held_pages"] * PAGE
    assert recording.stats["dropped_events"] == 0


def test_what_threads_hold_at_the_end_is_the_sum(record, target):
    recording = record(target("reservations"), "random", 31, 800, 4)
    truth = recording.truth
    assert recording.stats["by_storage"]["reserved"]["leaked_bytes"] == truth["reserved_pages"] * PAGE
    held = recording.stats["by_allocator"]["mmap"]["leaked_bytes"]
    assert held == truth["held_pages"] * PAGE


def test_a_fork_child_goes_on_in_its_own_window(record, target):
    recording = record(target("reservations"), "fork", 41, 600)
    child, parent = (json.loads(line) for line in recording.stdout.splitlines())
    for trace, truth in zip(recording.traces, (parent, child), strict=True):
        replay = tracereplay.Replay(trace.events)
        assert (replay.peak, replay.current) == (truth["peak_pages"] * PAGE, truth["held_pages"] * PAGE)
        assert replay.range_bytes("reserved") == truth["reserved_pages"] * PAGE


def test_a_fork_child_holds_what_it_makes_usable_of_its_parents(record, target):
    recording = record(target("reservations"), "inherit", 0, 0)
    child, parent = (json.loads(line) for line in recording.stdout.splitlines())
    assert (child["held_pages"], child["peak_pages"], parent["held_pages"]) == (25, 35, 10)
    for trace, truth in zip(recording.traces, (parent, child), strict=True):
        replay = tracereplay.Replay(trace.events)
        assert (replay.peak, replay.current) == (truth["peak_pages"] * PAGE, truth["held_pages"] * PAGE)
    assert recording.stats["peak_bytes"] == (parent["held_pages"] + child["peak_pages"]) * PAGE


def test_a_reservation_does_not_decide_the_peak(record, target):
    """The row of the reservation is not in the tables either."""
    recording = record(target("reservations"), "random", 51, 3)
    assert recording.stats["peak_bytes"] < recording.stats["by_storage"]["reserved"]["leaked_bytes"]
    assert sum(row["bytes"] for row in recording.report("table")) == recording.stats["peak_bytes"]


TOUCHED = "kept nothing given_back unmapped replaced moved protected restricted".split()


@pytest.mark.parametrize("case", TOUCHED)
def test_usable_reservations_are_held_as_far_as_they_are_touched(record, target, case):
    recording = record(target("touched"), case)
    assert_books(recording, recording.truth)


@pytest.mark.parametrize("case", TOUCHED)
def test_a_table_knows_what_was_touched(record, target, case):
    recording = record(target("touched"), case, options=["--aggregate"])
    assert recording.stats["peak_bytes"] == recording.truth["peak_pages"] * PAGE
    assert recording.stats["leaked_bytes"] == recording.truth["held_pages"] * PAGE


def test_what_was_touched_is_known_without_exit_handlers_too(record, target):
    recording = record(target("touched"), "kept", "now")
    assert_books(recording, recording.truth)


@pytest.mark.parametrize("seed", (61, 62, 63, 64))
def test_random_touches_are_known_at_the_end(record, target, seed):
    recording = record(target("touched"), "random", seed, 400)
    assert_books(recording, recording.truth)


def test_tables_show_who_reserved(record, target):
    recording = record(target("touched"), "kept")
    row = recording.report("table", "--leaks", "--storage", "reserved")[0]
    assert row["bytes"] == recording.truth["reserved_pages"] * PAGE
    assert [frame["function"] for frame in row["stack"]][:2] == ["reserve", "case_kept"]


def test_what_is_touched_is_held_where_it_was_mapped(record, target):
    (row,) = record(target("touched"), "kept").report("leaks")
    assert [frame["function"] for frame in row["stack"]][:2] == ["reserve", "case_kept"]
