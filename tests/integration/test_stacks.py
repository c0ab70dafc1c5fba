"""Native stacks: depth, callbacks, signal frames, inlined frames."""

import pathlib
import re

import pytest
import tracereplay
from conftest import PYTHON_TARGETS, frame_function

FRAMES_MAX = 16384  # MT_UNWIND_MAX_FRAMES


def stacks_by_size(trace, size):
    namer = tracereplay.Namer(trace)
    return [namer.names(event.stack) for event in trace.events if event.kind == "alloc" and event.size == size]


@pytest.mark.parametrize("depth", [10, 2048, 3000, 10_000])
@pytest.mark.parametrize("where", [[], ["thread"]])
def test_recursion_is_recorded_frame_by_frame(record, target, depth, where):
    recording = record(target("deep"), depth, *where)
    recording.assert_truth()
    assert recording.trace.counters["truncated_stacks"] == 0
    assert recording.trace.counters["broken_stacks"] == 0
    (bottom,) = stacks_by_size(recording.trace, 12345)
    assert bottom[0] == "case_bottom" and bottom.count("case_descend") == depth
    (half,) = stacks_by_size(recording.trace, 2345)
    assert half.count("case_descend") == depth // 2
    back = stacks_by_size(recording.trace, 33)
    assert sorted(stack.count("case_descend") for stack in back) == list(range(max(1, depth - 19), depth + 1))
    (top,) = stacks_by_size(recording.trace, 45)
    assert top[:2] == ["case_top", "thread_main"]


def test_reports_show_the_whole_depth(record, target):
    recording = record(target("deep"), 3000)
    rows = {row["bytes"]: row for row in recording.report("leaks") if row["count"] == 1}
    names = [frame_function(frame) for frame in rows[12345]["stack"]]
    assert names.count("case_descend") == 3000


def test_deeper_than_the_limit_keeps_the_innermost_frames_and_says_so(record, target):
    recording = record(target("deep"), 20_000, "thread")
    recording.assert_truth()
    assert recording.trace.counters["truncated_stacks"] > 0
    (bottom,) = stacks_by_size(recording.trace, 12345)
    assert bottom[0] == "case_bottom" and FRAMES_MAX - 2 <= bottom.count("case_descend") <= FRAMES_MAX
    assert recording.stats["truncated_stacks"] == recording.trace.counters["truncated_stacks"]


def test_callbacks_from_libc_have_their_callers_below(record, target):
    recording = record(target("callbacks"))
    recording.assert_truth()
    for size, inner, outer in ((711, "case_compare", "case_sort"), (723, "case_found", "case_search"),
                               (737, "case_once", "case_call_once"), (741, "case_visit", "case_walk")):
        for names in stacks_by_size(recording.trace, size):
            assert names[0] == inner and outer in names and names.index("main") > names.index(outer)


def test_handlers_are_seen_through_signal_frames_and_other_stacks(record, target):
    recording = record(target("signals"))
    recording.assert_truth()
    for size in (811, 822, 823, 833, 834):
        for names in stacks_by_size(recording.trace, size):
            assert "case_raise" in names and "main" in names, names
    nested = [names for names in stacks_by_size(recording.trace, 823) if "case_nested" in names]
    assert len(nested) == 3  # the handler on the alternate stack, above the handler on the thread's own


def marked_lines(source):
    text = pathlib.Path(PYTHON_TARGETS / source).read_text().splitlines()
    return {match.group(1): number for number, line in enumerate(text, 1) if (match := re.search(r"LINE (\w+)", line))}


def test_inlined_functions_appear_in_order_with_their_lines(record, target):
    recording = record(target("inlined"))
    (row,) = [row for row in recording.report("leaks") if row["bytes"] == 1002]
    frames = [(frame["function"], frame["line"]) for frame in row["stack"]]
    lines = marked_lines("inlined.c")
    assert frames[:5] == [(name, lines[name]) for name in ("baz", "bar", "foo", "case_outer", "main")]
    assert all(frame["file"].endswith("inlined.c") for frame in row["stack"][:5])


def test_no_native_records_no_native_frames(record, target):
    recording = record(target("threads"), 4, 10, "keep", options=["--no-native"])
    assert all(recording.trace.native_stack(e.stack) == [] for e in recording.trace.events if e.kind == "alloc")
    assert recording.replay.allocations >= 40


def test_a_function_that_was_entered_and_not_called_has_a_name(record, target):
    recording = record(target("entered"))
    (row,) = [row for row in recording.report("leaks") if row["bytes"] == 4321]
    assert [frame_function(frame) for frame in row["stack"]][:2] == ["case_below", "case_entered"]
