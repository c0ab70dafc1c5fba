"""The reports against the independent reader, and against each other."""

import json
import os
import re

import pytest
import tracereplay
from conftest import frame_function, memtap, memtap_json

STATS = """pid command mode rate_bytes duration_s clock clock_resolution_ns allocations deallocations total_allocated_bytes peak_bytes peak_time_s
leaked_bytes leaked_allocations temporary_allocations threads rss_peak_bytes dropped_events truncated_stacks
size_histogram by_allocator""".split()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """One recording of exchange that all tests of this file read."""
    from conftest import MEMTAP, TARGETS, Recording, run

    path = tmp_path_factory.mktemp("reports") / "x.mtap"
    result = run([MEMTAP, "run", "-q", "-o", path, "--", TARGETS / "exchange", 4, 3000])
    assert result.returncode == 0, result.stderr
    return Recording(result.returncode, result.stdout, result.stderr, path)


def test_stats_has_every_field_of_the_contract(recording):
    assert set(STATS) <= set(recording.stats)
    assert recording.stats["mode"] == "exact" and recording.stats["pid"] == recording.trace.pid
    assert not [key for key in recording.stats if key.endswith("_ci95")]


def test_stats_agree_with_the_events(recording):
    recording.assert_stats_follow()
    replay, stats = recording.replay, recording.stats
    ranges = sum(1 for part in replay.ranges if part.what == "heap")
    assert stats["leaked_allocations"] + stats["libc_allocations"] == len(replay.live) + ranges
    assert stats["rss_peak_bytes"] > 1_000_000


def peak_by_stack(trace):
    """{stack: bytes} alive at the first moment of the largest heap, by a second pass."""
    peak = tracereplay.Replay(trace.events).peak
    replay = tracereplay.Replay()
    for event in trace.events:
        replay.step(event)
        if replay.current == peak:
            break
    amounts = {}
    for event in replay.live.values():
        amounts[event.stack] = amounts.get(event.stack, 0) + event.size
    for part in replay.ranges:
        if part.what == "heap":
            amounts[part.stack] = amounts.get(part.stack, 0) + part.high - part.low
    return amounts


def test_the_peak_is_who_held_what_when_the_heap_was_largest(recording):
    namer = tracereplay.Namer(recording.trace)
    wanted = {}
    for stack, size in peak_by_stack(recording.trace).items():
        name = namer.names(stack)[0]
        wanted[name] = wanted.get(name, 0) + size
    rows = recording.report("table", "--peak", "--by", "function", "-n", 1000)
    got = {row["function"]: row["bytes"] for row in rows}
    assert {name: got.get(name) for name in ("case_make", "case_resize")} == \
           {name: wanted.get(name) for name in ("case_make", "case_resize")}
    assert sum(got.values()) == recording.stats["peak_bytes"]


def test_rows_are_sorted_and_percents_add_up(recording):
    for command in (["table"], ["table", "--leaks"], ["leaks"]):
        rows = recording.report(*command, "-n", 1000)
        sizes = [row["bytes"] for row in rows]
        assert sizes == sorted(sizes, reverse=True) and sizes
    assert sum(row["percent"] for row in recording.report("table", "-n", 1000)) == pytest.approx(100, abs=0.5)


def test_leaks_sum_to_what_stats_says(recording):
    rows = recording.report("leaks", "-n", 100000)
    assert sum(row["bytes"] for row in rows) == recording.stats["leaked_bytes"]
    assert sum(row["count"] for row in rows) == recording.stats["leaked_allocations"]
    assert {"age_s", "score", "growth_bytes_per_s"} <= set(rows[0])


def test_the_tree_adds_up(recording):
    def check(node):
        children = node.get("children", [])
        assert sum(child["bytes"] for child in children) <= node["bytes"]
        for child in children:
            check(child)

    tree = recording.report("tree")
    root = tree[0] if isinstance(tree, list) else tree
    check(root)
    assert root["bytes"] == recording.stats["peak_bytes"]


@pytest.mark.parametrize("by", ["function", "file", "line", "type", "thread", "module"])
def test_every_grouping_has_the_same_sum(recording, by):
    rows = recording.report("table", "--leaks", "--by", by, "-n", 100000)
    assert sum(row["bytes"] for row in rows) == recording.stats["leaked_bytes"]


def test_a_window_and_its_complement_hold_everything(recording):
    end = recording.stats["duration_s"] + 1
    alive = recording.report("stats", "--all")["leaked_bytes"]
    whole = recording.report("table", "--between", f"0,{end}", "-n", 100000)
    assert sum(row["bytes"] for row in whole) == alive
    at_end = recording.report("table", "--at", "100%", "-n", 100000)
    assert sum(row["bytes"] for row in at_end) == alive


def test_exports_carry_the_bytes_of_the_peak(recording, tmp_path):
    out = tmp_path / "out.txt"
    memtap("export", recording.path, "--format", "collapsed", "-o", out)
    total = sum(int(line.rsplit(" ", 1)[1]) for line in out.read_text().splitlines())
    assert total == recording.stats["peak_bytes"]
    memtap("export", recording.path, "--format", "speedscope", "-o", out)
    profile = json.loads(out.read_text())
    assert any(sum(p["weights"]) == recording.stats["peak_bytes"] for p in profile["profiles"])


def test_parse_prints_every_record(recording):
    text = memtap("parse", recording.path).stdout.decode()
    allocations = sum(1 for event in recording.trace.events if event.kind == "alloc")
    assert text.upper().count("ALLOC") + text.upper().count("REALLOC_NEW") >= allocations


def test_every_report_works_as_text(recording):
    for command in ("summary", "stats", "tree", "table", "leaks"):
        result = memtap(command, recording.path)
        assert result.stdout and b"\x1b[" not in result.stdout  # no colours in a pipe


def test_two_readings_are_equal(recording):
    assert memtap_json("table", recording.path) == memtap_json("table", recording.path)


def test_frames_have_names(recording):
    names = {frame_function(frame) for row in recording.report("leaks") for frame in row["stack"]}
    assert {"case_make", "thread_main"} <= names


@pytest.mark.parametrize("command", ("leaks", "table", "tree", "summary"))
@pytest.mark.parametrize("count, rough", ((10_000, True), (200_000, False)))
def test_rows_of_few_samples_are_said_to_be_rough(record, target, command, count, rough):
    """10 MB of small blocks at a rate of 512 KiB are some 19 samples, known to 45 %; 200 MB are some 380, known to 10 %."""
    recording = record(target("sizes"), 1000, 1, count, "kept", mode="sample", env={**os.environ, "MEMTAP_SEED": "5"})
    first = recording.report("leaks")[0]
    said = re.findall(r"^about ([\d,]+) samples: shares are rough, the first row is known to ±(\d+) %$",
                      memtap(command, recording.path).stdout.decode(), re.M)
    if not rough:
        assert said == [] and first["bytes_ci95"] < 0.3 * first["bytes"]
        return
    ((samples, percent),) = said
    share = first["bytes_ci95"] / first["bytes"]
    assert share > 0.3 and int(percent) == pytest.approx(100 * share, abs=4)
    assert int(samples) == pytest.approx((1.96 / share) ** 2, abs=3)  # n samples are known to 1.96 / sqrt(n)


def test_memory_of_a_sampled_recording_has_its_error(record, target):
    recording = record(target("sizes"), 1000, 1, 200_000, "kept", mode="sample", env={**os.environ, "MEMTAP_SEED": "5"})
    (site,) = (site for site in memtap_json("memory", recording.path)["sites"] if "case_kept" in site["line"])
    assert 0 < site["bytes_ci95"] < site["bytes"]
    assert len(re.findall("±", memtap("memory", recording.path).stdout.decode())) >= 2
