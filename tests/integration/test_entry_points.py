"""Every way to get memory: recorded once, with its size, under its caller."""

import json

import pytest
import tracereplay

PAGE = 4096
MAP_CASES = ("unmap_half split gap fixed_over remap_grow remap_shrink remap_fixed remap_duplicate odd_length failures "
             "mmap64 huge").split()
ALLOCATOR_OF_CASE = {
    "case_malloc": {"malloc"},
    "case_malloc_huge": {"malloc"},
    "case_calloc": {"calloc"},
    "case_realloc": {"realloc"},
    "case_posix_memalign": {"posix_memalign"},
    "case_aligned_alloc": {"aligned_alloc"},
    "case_memalign": {"memalign"},
    "case_valloc": {"valloc"},
    "case_pvalloc": {"pvalloc"},
    "case_new": {"malloc"},  # libstdc++'s operator new calls malloc, where it is counted
    "case_new_array": {"malloc"},
}


def allocators_by_case(trace):
    namer, found = tracereplay.Namer(trace), {}
    for event in trace.events:
        if event.kind == "alloc":
            found.setdefault(namer.case(event.stack), set()).add(event.allocator)
    return found


@pytest.mark.parametrize("name", ["entry_points", "new_delete"])
def test_every_entry_point_is_recorded_once(record, target, name):
    recording = record(target(name))
    recording.assert_truth()
    recording.assert_stats_follow()


@pytest.mark.parametrize("name", ["entry_points", "new_delete"])
def test_events_name_their_allocator(record, target, name):
    found = allocators_by_case(record(target(name)).trace)
    wanted = {case: kinds for case, kinds in ALLOCATOR_OF_CASE.items() if case in found}
    assert wanted
    assert {case: found[case] for case in wanted} == wanted


def test_innermost_frame_is_the_caller_of_the_entry_point(record, target):
    trace = record(target("entry_points")).trace
    namer = tracereplay.Namer(trace)
    for event in trace.events:
        if event.kind == "alloc" and namer.case(event.stack) not in (None, "case_free_sized"):  # dlsym allocates
            assert namer.names(event.stack)[0].startswith("case_"), namer.names(event.stack)


def test_stats_by_allocator_add_up(record, target):
    stats = record(target("entry_points")).stats
    amounts = stats["by_allocator"].values()
    assert sum(amount["count"] for amount in amounts) == stats["allocations"]


def test_an_empty_program_allocates_nothing(record, target):
    recording = record(target("empty"))
    recording.assert_exact()
    assert recording.trace.events == []
    assert recording.stats["allocations"] == 0
    assert recording.stats["leaked_bytes"] == 0 and recording.stats["peak_bytes"] == 0
    assert recording.report("leaks") == []


@pytest.mark.parametrize("case", MAP_CASES)
def test_ranges_are_exact_to_the_page(record, target, case):
    recording = record(target("maps"), case)
    truth = json.loads(recording.stdout)
    recording.assert_exact()
    assert recording.replay.peak == truth["peak_pages"] * PAGE
    assert recording.replay.current == truth["live_pages"] * PAGE
    assert recording.replay.allocations == truth["maps"]
    assert recording.stats["peak_bytes"] == truth["peak_pages"] * PAGE
    assert recording.stats["leaked_bytes"] == truth["live_pages"] * PAGE


def test_unmapping_half_gives_a_peak_of_eleven_pages(record, target):
    recording = record(target("maps"), "unmap_half")
    rows = {row["function"]: (row["bytes"], row["total_bytes"]) for row in recording.report("table", "--by", "function")}
    assert rows["map_pages"] == (11 * PAGE, 11 * PAGE)
    assert rows["case_unmap_half"] == (0, 11 * PAGE)
    assert sum(own for own, _ in rows.values()) == 11 * PAGE


def test_brk_moves_count_to_the_byte(record, target):
    recording = record(target("brk"))
    truth = json.loads(recording.stdout)
    assert recording.replay.current == truth["live_bytes"]
    assert recording.replay.peak == truth["peak_bytes"]
    assert recording.stats["leaked_bytes"] == truth["live_bytes"]
    assert recording.stats["peak_bytes"] == truth["peak_bytes"]


def test_ranges_are_exact_in_sample_mode_too(record, target):
    recording = record(target("maps"), "unmap_half", mode="sample")
    assert recording.replay.peak == 11 * PAGE
    assert recording.stats["peak_bytes"] == 11 * PAGE
